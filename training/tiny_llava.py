"""Writes test/fixtures/tiny-llava: a model of 0.2 million random weights in the layout of llava_qwen2 (FastVLM), for tests of the second engine.

    python tiny_llava.py [--out ../test/fixtures/tiny-llava]

What it says means nothing. Every weight matrix lies on the grid of 4-bit rounding, so the fp32 and the q4 files give the same answers.
"""

import argparse
import json
import math
import zlib
from pathlib import Path
from types import SimpleNamespace

import onnx
import torch
from tokenizers import AddedToken, Regex, Tokenizer, decoders, models, pre_tokenizers, processors, trainers
from torch import nn
from transformers import Qwen2Config, Qwen2ForCausalLM

import graphs
from model import BLOCK, round_to_4_bits

HERE = Path(__file__).parent
EDGE, PATCH = 128, 16  # pixels
ROWS = (EDGE // PATCH) ** 2
SPECIAL = ["<|endoftext|>", "<|im_start|>", "<|im_end|>", "<image>"]
PAD, START, END, IMAGE = range(764, 768)
CONTEXT = 2048
SEED = 1  # the first for which every token of the golden answers is a clear choice
CHAT_TEMPLATE = (
    "{% for message in messages %}{{ '<|im_start|>' + message['role'] + '\n' }}"
    "{% if message['content'] is string %}{{ message['content'] }}{% else %}"
    "{% for part in message['content'] %}{% if part['type'] == 'image' %}{{ '<image>' }}{% else %}{{ part['text'] }}{% endif %}{% endfor %}"
    "{% endif %}{{ '<|im_end|>\n' }}{% endfor %}{% if add_generation_prompt %}{{ '<|im_start|>assistant\n' }}{% endif %}"
)
# Qwen2's: a word with one sign before it, single digits, signs, line breaks, spaces.
WORDS = (r"(?i:'s|'t|'re|'ve|'m|'ll|'d)|[^\r\n\p{L}\p{N}]?\p{L}+|\p{N}| ?[^\s\p{L}\p{N}]+[\r\n]*|\s*[\r\n]+|\s+(?!\S)|\s+")


class Vision(nn.Module):
    """Strided convolutions and a projector of two layers: one row of features for a patch."""

    def __init__(self, width, out):
        super().__init__()
        self.patches = nn.Conv2d(3, width, PATCH, PATCH)
        self.mix = nn.Conv2d(width, width, 3, padding=1, groups=width)
        self.up, self.down = nn.Linear(width, out), nn.Linear(out, out)

    def forward(self, pixels):
        gelu = lambda x: nn.functional.gelu(x, approximate="tanh")
        x = gelu(self.patches(pixels))
        x = x + self.mix(x)
        return self.down(gelu(self.up(x.flatten(2).transpose(1, 2))))


def config():
    return Qwen2Config(
        vocab_size=768, hidden_size=64, intermediate_size=128, num_hidden_layers=2, num_attention_heads=2, num_key_value_heads=1, head_dim=32,
        max_position_embeddings=CONTEXT, rope_theta=1e6, rms_norm_eps=1e-6, tie_word_embeddings=False, attn_implementation="eager")


# Of the weights, so that attention is neither flat nor one-hot, layers change what passes through, and logits are some units apart.
SCALES = {"q_proj": 0.2, "k_proj": 0.2, "v_proj": 0.12, "o_proj": 0.3, "gate_proj": 0.15, "up_proj": 0.15, "down_proj": 0.3,
          "embed_tokens": 1.0, "lm_head": 0.5, "patches": 0.1, "mix": 0.3, "up": 0.4, "down": 0.3}


def build(tokenizer):
    """(vision, decoder): weights drawn by their names."""
    vision, decoder = Vision(32, 64), Qwen2ForCausalLM(config())
    with torch.no_grad():
        for module in (vision, decoder):
            for name, weight in module.named_parameters():
                part, kind = name.split(".")[-2:]
                draw = torch.randn(weight.shape, generator=torch.Generator().manual_seed(zlib.crc32(f"{SEED} {name}".encode())))
                if "norm" in part:
                    weight.copy_(1 + 0.1 * draw)
                    continue
                draw *= SCALES[part] * (0.2 if kind == "bias" else 1)
                if part == "lm_head":
                    draw[unreadable(tokenizer)] = 0  # never the largest: answers are plain text
                weight.copy_(on_grid(draw) if kind == "weight" and draw.dim() == 2 else draw)
    return vision.eval(), decoder.eval()


def unreadable(tokenizer):
    """Ids of special tokens, and of bytes that are no characters by themselves."""
    return [i for i in range(tokenizer.get_vocab_size()) if i >= PAD or not tokenizer.decode([i]).isprintable() or "\ufffd" in tokenizer.decode([i])]


def on_grid(weight):
    levels, scale = round_to_4_bits(weight)
    return ((levels - 8) * scale).reshape(weight.shape)


def make_tokenizer():
    """Byte-level BPE. Its merges are learned from the licence of this repository, which does not change."""
    tokenizer = Tokenizer(models.BPE())
    tokenizer.pre_tokenizer = pre_tokenizers.Sequence([
        pre_tokenizers.Split(Regex(WORDS), "isolated"), pre_tokenizers.ByteLevel(add_prefix_space=False, use_regex=False)])
    tokenizer.decoder = decoders.ByteLevel(add_prefix_space=False, use_regex=False)
    tokenizer.post_processor = processors.ByteLevel(trim_offsets=False, add_prefix_space=False, use_regex=False)
    trainer = trainers.BpeTrainer(vocab_size=PAD, min_frequency=1, initial_alphabet=pre_tokenizers.ByteLevel.alphabet(), show_progress=False)
    tokenizer.train([str(HERE.parent / "LICENSE")], trainer)
    tokenizer.add_special_tokens([AddedToken(token, special=True, normalized=False) for token in SPECIAL])
    assert tokenizer.token_to_id("<image>") == IMAGE
    return tokenizer


def write_configs(out, tokenizer):
    cfg = config()
    keep = ("hidden_size", "intermediate_size", "num_hidden_layers", "num_attention_heads", "num_key_value_heads", "head_dim", "rms_norm_eps")
    external = {f"decoder_model_merged{suffix}.onnx": 1 for suffix in ("", "_q4")}
    files = {
        "config.json": {
            "architectures": ["LlavaQwen2ForCausalLM"], "model_type": "llava_qwen2", **{k: getattr(cfg, k) for k in keep}, "vocab_size": cfg.vocab_size,
            "hidden_act": "silu", "max_position_embeddings": CONTEXT, "rope_theta": 1e6, "tie_word_embeddings": False, "bos_token_id": PAD,
            "eos_token_id": END, "pad_token_id": PAD, "image_token_index": IMAGE, "mm_projector_type": "mlp2x_gelu", "use_cache": True,
            "torch_dtype": "float32", "transformers.js_config": {"use_external_data_format": external},
        },
        "generation_config.json": {"bos_token_id": PAD, "eos_token_id": END, "pad_token_id": PAD},
        "preprocessor_config.json": {
            "image_processor_type": "CLIPImageProcessor", "processor_class": "LlavaProcessor", "do_convert_rgb": True, "do_resize": True,
            "size": {"shortest_edge": EDGE}, "resample": 3, "do_center_crop": True, "crop_size": {"height": EDGE, "width": EDGE},
            "do_rescale": True, "rescale_factor": 1 / 255, "do_normalize": True, "image_mean": [0.0] * 3, "image_std": [1.0] * 3,
        },
        "processor_config.json": {
            "processor_class": "LlavaProcessor", "image_token": "<image>", "patch_size": PATCH, "num_additional_image_tokens": 0,
            "vision_feature_select_strategy": None,
        },
        "tokenizer_config.json": {
            "tokenizer_class": "Qwen2Tokenizer", "processor_class": "LlavaProcessor", "chat_template": CHAT_TEMPLATE, "add_prefix_space": False,
            "bos_token": None, "eos_token": SPECIAL[2], "pad_token": SPECIAL[0], "unk_token": None, "model_max_length": CONTEXT,
            "clean_up_tokenization_spaces": False, "additional_special_tokens": SPECIAL[1:],
            "added_tokens_decoder": {str(PAD + at): {
                "content": token, "lstrip": False, "normalized": False, "rstrip": False, "single_word": False, "special": True,
            } for at, token in enumerate(SPECIAL)},
        },
    }
    for name, value in files.items():
        (out / name).write_text(json.dumps(value, indent=2) + "\n")
    tokenizer.save(str(out / "tokenizer.json"), pretty=False)


def vision_graph(vision, bits4):
    g = graphs.Graph("vision_encoder", False, bits4)
    g.inputs = [g.value("pixel_values", graphs.FLOAT, ["batch_size", 3, EDGE, EDGE])]
    g.outputs = [g.value("image_features", graphs.FLOAT, ["batch_size", ROWS, 64])]
    conv = lambda x, name, module, **attributes: g.node(
        "Conv", [x, g.weight(f"{name}.weight", module.weight), g.weight(f"{name}.bias", module.bias)], f"/{name}/Conv/output_0", **attributes)
    x = graphs.gelu(g, "patches", conv("pixel_values", "patches", vision.patches, kernel_shape=[PATCH] * 2, strides=[PATCH] * 2))
    x = g.node("Add", [x, conv(x, "mix", vision.mix, kernel_shape=[3, 3], pads=[1] * 4, group=32)], "/mix/Add/output_0")
    x = g.node("Transpose", [g.node("Reshape", [x, g.ints(0, 32, ROWS)], "/Reshape/output_0")], "/Transpose/output_0", perm=[0, 2, 1])
    x = graphs.gelu(g, "projector", g.linear(x, "projector.up", vision.up.weight, vision.up.bias))
    g.linear(x, "projector.down", vision.down.weight, vision.down.bias)
    g.nodes[-1].output[0] = "image_features"
    return g.finish(17)


def quantized_table(table):
    """The embeddings as newer exports on the hub have them: 4 bits with zero points, two to a byte."""
    g = graphs.Graph("embed_tokens", False, True)
    g.inputs = [g.value("input_ids", graphs.INT64, ["batch_size", "sequence_length"])]
    g.outputs = [g.value("inputs_embeds", graphs.FLOAT, ["batch_size", "sequence_length", table.shape[1]])]
    levels, scale = round_to_4_bits(table.detach())
    levels = levels.to(torch.uint8).flatten(1).numpy()
    packed = g.weight("embed.weight_quant", levels[:, 0::2] | (levels[:, 1::2] << 4))
    scales = g.weight("embed.weight_scales", scale[..., 0])
    zeros = g.weight("embed.weight_zp", torch.full((table.shape[0], math.ceil(table.shape[1] / BLOCK / 2)), 0x88, dtype=torch.uint8))
    g.node("GatherBlockQuantized", [packed, "input_ids", scales, zeros], "inputs_embeds", graphs.MS, bits=4, block_size=BLOCK, gather_axis=0,
           quantize_axis=1)
    return g.finish(17)


def write_graphs(out, vision, decoder):
    (out / "onnx").mkdir(parents=True, exist_ok=True)
    text = SimpleNamespace(idefics=SimpleNamespace(model=SimpleNamespace(text_model=decoder.model), lm_head=decoder.lm_head,
                                                   config=SimpleNamespace(text_config=decoder.config)))
    with torch.no_grad():
        for suffix, bits4 in (("", False), ("_q4", True)):
            built = {
                "vision_encoder": vision_graph(vision, bits4), "decoder_model_merged": graphs.decoder(text, False, bits4),
                "embed_tokens": quantized_table(decoder.model.embed_tokens.weight) if bits4 else graphs.embed_tokens(text, False),
            }
            for name, graph in built.items():
                graph.producer_name = "nearsight"
                path = out / "onnx" / f"{name}{suffix}.onnx"
                data = out / "onnx" / f"{path.name}_data"
                data.unlink(missing_ok=True)  # onnx appends to it
                onnx.save(graph, path, save_as_external_data=name.startswith("decoder"), location=data.name, size_threshold=1024)
                if data.exists():
                    data.chmod(path.stat().st_mode)  # onnx lets nobody else read it


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--out", type=Path, default=HERE.parent / "test/fixtures/tiny-llava")
    out = parser.parse_args().out
    out.mkdir(parents=True, exist_ok=True)
    tokenizer = make_tokenizer()
    vision, decoder = build(tokenizer)
    write_configs(out, tokenizer)
    write_graphs(out, vision, decoder)

    from tiny_llava_golden import write_golden  # which imports this file

    write_golden(out, tokenizer, vision, decoder)


if __name__ == "__main__":
    main()
