"""Reads the shipped graphs back into a model, so that training can go on where no checkpoint is left."""

import numpy as np
import onnx
import torch
from onnx import numpy_helper

from model import BLOCK, TEXT, is_quantized


def graph_name(parameter):
    """The name under which graphs.py stores a parameter of `Glimpse`."""
    name = parameter.removeprefix("idefics.").removeprefix("model.")
    if name.startswith("vision_model.encoder.layers"):
        layer = name.removeprefix("vision_model.encoder.")
        return f"vision_model.{layer}" if "layer_norm" in layer else layer
    return {
        "text_model.embed_tokens.weight": "embed.weight",
        "text_model.norm.weight": f"model.layers.{TEXT['num_hidden_layers']}.final_norm_layernorm.weight",
    }.get(name) or name.replace("text_model.layers", "model.layers").replace("self_attn", "attn")


def dequantize(packed, scales):
    """(n, blocks, 16) bytes of two levels each and a scale a block -> (n, blocks * 32) weights."""
    levels = np.stack([packed & 15, packed >> 4], -1).reshape(*packed.shape[:2], BLOCK).astype(np.float32)
    return ((levels - 8) * scales.reshape(*packed.shape[:2], 1)).reshape(packed.shape[0], -1)


def restore(model, folder):
    """Gives the model the weights of FOLDER/onnx's q4 files. They lack the head that names patches, which stays as it is."""
    stored = {}
    for name in ("vision_encoder", "embed_tokens", "decoder_model_merged"):
        graph = onnx.load(folder / f"onnx/{name}_q4.onnx").graph
        stored |= {t.name: numpy_helper.to_array(t) for t in graph.initializer}
    state = model.state_dict()
    for parameter, value in state.items():
        if parameter.startswith("patch_classes"):
            continue
        name = graph_name(parameter)
        found = dequantize(stored[f"{name}_Q4"], stored[f"{name}_scales"]) if is_quantized(parameter, value) else stored[name]
        state[parameter] = torch.from_numpy(found.copy()).view_as(value)
    model.load_state_dict(state)
