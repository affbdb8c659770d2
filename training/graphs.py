"""Builds glimpse's three ONNX graphs, op for op in the style of SmolVLM's files on the hub."""

import numpy as np
import torch
from onnx import TensorProto, helper, numpy_helper

from model import BLOCK, round_to_4_bits

MS = "com.microsoft"
FLOAT, HALF, INT64, BOOL = TensorProto.FLOAT, TensorProto.FLOAT16, TensorProto.INT64, TensorProto.BOOL


class Graph:
    """Collects nodes and weights. `half` keeps activations in float16, `bits4` stores linear layers as MatMulNBits."""

    def __init__(self, name, half, bits4):
        self.name, self.half, self.bits4 = name, half, bits4
        self.nodes, self.weights, self.inputs, self.outputs = [], {}, [], []
        self.float = HALF if half else FLOAT

    def node(self, op, inputs, outputs=None, domain="", **attributes):
        base = outputs[0] if isinstance(outputs, list) else outputs
        outputs = outputs if isinstance(outputs, list) else [outputs]
        self.nodes.append(helper.make_node(op, inputs, outputs, name=base.removesuffix("/output_0") or op, domain=domain, **attributes))
        return outputs[0]

    def weight(self, name, value):
        value = value.detach().numpy() if isinstance(value, torch.Tensor) else np.asarray(value)
        if value.dtype in (np.float32, np.float64):
            value = value.astype(np.float16 if self.half else np.float32)
        self.weights[name] = numpy_helper.from_array(np.asarray(value, order="C"), name)
        return name

    def ints(self, *values):
        return self.weight("const/" + "_".join(map(str, values)), np.array(values, dtype=np.int64))

    def scalar(self, value):
        return self.weight(f"const/f{value}", np.array(value, dtype=np.float32))

    def linear(self, x, path, weight, bias=None):
        """x @ weight.T (+ bias), with the weight in four bits where asked."""
        n, k = weight.shape
        y = f"{path}/MatMul/output_0"
        if self.bits4:
            levels, scale = round_to_4_bits(weight.detach())
            levels = levels.to(torch.uint8).numpy()  # (n, blocks, 32): two to a byte, the even one low
            packed = self.weight(f"{path}.weight_Q4", levels[..., 0::2] | (levels[..., 1::2] << 4))
            scales = self.weight(f"{path}.weight_scales", scale.reshape(-1))
            self.node("MatMulNBits", [x, packed, scales], y, MS, K=k, N=n, bits=4, block_size=BLOCK)
        else:
            self.node("MatMul", [x, self.weight(f"{path}.weight", weight.t())], y)
        return y if bias is None else self.node("Add", [y, self.weight(f"{path}.bias", bias)], f"{path}/Add/output_0")

    def value(self, name, kind, shape):
        return helper.make_tensor_value_info(name, kind, shape)

    def finish(self, opset):
        graph = helper.make_graph(self.nodes, self.name, self.inputs, self.outputs, list(self.weights.values()))
        imports = [helper.make_opsetid("", opset), helper.make_opsetid(MS, 1)]
        return helper.make_model(graph, opset_imports=imports, ir_version=8, producer_name="glimpse")


def embed_tokens(model, half):
    g = Graph("embed_tokens", half, False)
    table = model.idefics.model.text_model.embed_tokens.weight
    g.inputs = [g.value("input_ids", INT64, ["batch_size", "sequence_length"])]
    g.outputs = [g.value("inputs_embeds", FLOAT, ["batch_size", "sequence_length", table.shape[1]])]
    rows = g.node("Gather", [g.weight("embed.weight", table), "input_ids"], "/Gather/output_0" if half else "inputs_embeds")
    if half:
        g.node("Cast", [rows], "inputs_embeds", to=FLOAT)
    return g.finish(14)


def decoder(model, half, bits4):
    g = Graph("decoder_model_merged", half, bits4)
    text, cfg = model.idefics.model.text_model, model.idefics.config.text_config
    kv_heads, head, width = cfg.num_key_value_heads, cfg.head_dim, cfg.hidden_size
    g.inputs = [
        g.value("inputs_embeds", FLOAT, ["batch_size", "sequence_length", width]),
        g.value("attention_mask", INT64, ["batch_size", "total_sequence_length"]),
        g.value("position_ids", INT64, ["batch_size", "sequence_length"]),
    ]
    g.outputs = [g.value("logits", FLOAT, ["batch_size", "sequence_length", cfg.vocab_size])]
    for i in range(cfg.num_hidden_layers):
        for part in ("key", "value"):
            g.inputs.append(g.value(f"past_key_values.{i}.{part}", g.float, ["batch_size", kv_heads, "past_sequence_length", head]))
            g.outputs.append(g.value(f"present.{i}.{part}", g.float, ["batch_size", kv_heads, "total_sequence_length", head]))

    x = g.node("Cast", ["inputs_embeds"], "inputs_embeds_f16", to=HALF) if half else "inputs_embeds"
    mask = "/model/attn_mask_reformat/attn_mask_subgraph"
    count = g.node("ReduceSum", ["attention_mask", g.ints(1)], f"{mask}/ReduceSum/output_0")
    last = g.node("Sub", [count, g.ints(1)], f"{mask}/Sub/output_0")
    seqlens = g.node("Cast", [last], f"{mask}/Sub/Cast/output_0", to=TensorProto.INT32)
    shape = g.node("Shape", ["attention_mask"], f"{mask}/Shape/output_0")
    total = g.node("Gather", [shape, g.weight("const/axis_1", np.array(1, dtype=np.int64))], f"{mask}/Gather/output_0", axis=0)
    total = g.node("Cast", [total], f"{mask}/Gather/Cast/output_0", to=TensorProto.INT32)

    positions = torch.arange(cfg.max_position_embeddings)[None]
    cos, sin = text.rotary_emb(torch.zeros(1), position_ids=positions)
    cos_cache, sin_cache = (g.weight(n, t[0, :, : head // 2]) for n, t in (("cos_cache", cos), ("sin_cache", sin)))

    epsilon = cfg.rms_norm_eps
    skip = None
    for i, layer in enumerate(text.layers):
        base, name = f"/model/layers.{i}", f"model.layers.{i}"
        norm = g.weight(f"{name}.input_layernorm.weight", layer.input_layernorm.weight)
        if skip is None:
            y = g.node("SimplifiedLayerNormalization", [x, norm], f"{base}/input_layernorm/output_0", epsilon=epsilon, axis=-1, stash_type=1)
        else:
            y, x = skip_norm(g, f"{base}/input_layernorm", x, skip, norm, epsilon)
        attn = layer.self_attn
        q, k, v = (g.linear(y, f"{name}.attn.{p}_proj", m.weight, m.bias) for p in "qkv" for m in [getattr(attn, f"{p}_proj")])
        q, k = (g.node("RotaryEmbedding", [t, "position_ids", cos_cache, sin_cache], f"{base}/attn/{p}_rotary/RotaryEmbedding/output_0", MS,
                       interleaved=0, num_heads=0, rotary_embedding_dim=0) for t, p in ((q, "q"), (k, "k")))
        z = g.node("GroupQueryAttention", [q, k, v, f"past_key_values.{i}.key", f"past_key_values.{i}.value", seqlens, total, "", ""],
                   [f"{base}/attn/GroupQueryAttention/output_0", f"present.{i}.key", f"present.{i}.value"], MS, num_heads=cfg.num_attention_heads,
                   kv_num_heads=kv_heads, scale=head**-0.5, softcap=0.0, do_rotary=0, rotary_interleaved=0)
        z = g.linear(z, f"{name}.attn.o_proj", attn.o_proj.weight)
        norm = g.weight(f"{name}.post_attention_layernorm.weight", layer.post_attention_layernorm.weight)
        y, x = skip_norm(g, f"{base}/post_attention_layernorm", x, z, norm, epsilon)
        gate, up = (g.linear(y, f"{name}.mlp.{p}_proj", getattr(layer.mlp, f"{p}_proj").weight) for p in ("gate", "up"))
        sigmoid = g.node("Sigmoid", [gate], f"{base}/mlp/act_fn/Sigmoid/output_0")
        silu = g.node("Mul", [gate, sigmoid], f"{base}/mlp/act_fn/Mul/output_0")
        skip = g.linear(g.node("Mul", [silu, up], f"{base}/mlp/Mul/output_0"), f"{name}.mlp.down_proj", layer.mlp.down_proj.weight)
    final = f"layers.{cfg.num_hidden_layers}.final_norm_layernorm"
    norm = g.weight(f"model.{final}.weight", text.norm.weight)
    y = g.node("SkipSimplifiedLayerNormalization", [x, skip, norm], f"/model/{final}/output_0", MS, epsilon=epsilon)
    logits = g.linear(y, "lm_head", model.idefics.lm_head.weight)
    if half:
        g.node("Cast", [logits], "logits", to=FLOAT)
    else:
        g.nodes[-1].output[0] = "logits"
    return g.finish(14)


def skip_norm(g, base, x, skip, weight, epsilon):
    """(the normalised sum, the sum itself)."""
    outputs = [f"{base}/output_0", "", "", f"{base}/output_3"]
    g.node("SkipSimplifiedLayerNormalization", [x, skip, weight], outputs, MS, epsilon=epsilon)
    return outputs[0], outputs[3]


def vision_encoder(model, half, bits4):
    """The tower and the connector. Frames whose attention mask is all false are padding and are dropped, as on the hub."""
    g = Graph("vision_encoder", half, bits4)
    idefics = model.idefics.model
    tower, cfg = idefics.vision_model, model.idefics.config.vision_config
    width, heads, edge = cfg.hidden_size, cfg.num_attention_heads, cfg.image_size // cfg.patch_size
    shuffle, out = model.idefics.config.scale_factor, model.idefics.config.text_config.hidden_size
    g.inputs = [
        g.value("pixel_values", FLOAT, ["batch_size", "num_images", 3, "height", "width"]),
        g.value("pixel_attention_mask", BOOL, ["batch_size", "num_images", "height", "width"]),
    ]
    g.outputs = [g.value("image_features", FLOAT, ["num_images_total", (edge // shuffle) ** 2, out])]

    size = cfg.image_size
    frames = g.node("Reshape", ["pixel_values", g.ints(-1, 3, size, size)], "/Reshape/output_0")
    mask = g.node("Reshape", ["pixel_attention_mask", g.ints(-1, size * size)], "/Reshape_1/output_0")
    mask = g.node("Cast", [mask], "/Cast/output_0", to=FLOAT)
    seen = g.node("ReduceMax", [mask], "/ReduceMax/output_0", axes=[1], keepdims=0)
    real = g.node("NonZero", [seen], "/NonZero/output_0")
    real = g.node("Transpose", [real], "/Transpose/output_0", perm=[1, 0])
    frames = g.node("GatherND", [frames, real], "/GatherND/output_0")
    if half:
        frames = g.node("Cast", [frames], "/Cast_f16/output_0", to=HALF)
    conv = tower.embeddings.patch_embedding
    x = g.node("Conv", [frames, g.weight("vision_model.embeddings.patch_embedding.weight", conv.weight),
                        g.weight("vision_model.embeddings.patch_embedding.bias", conv.bias)],
               "/embeddings/patch_embedding/Conv/output_0", kernel_shape=[cfg.patch_size] * 2, strides=[cfg.patch_size] * 2)
    x = g.node("Reshape", [x, g.ints(0, width, edge * edge)], "/embeddings/Reshape/output_0")
    x = g.node("Transpose", [x], "/embeddings/Transpose/output_0", perm=[0, 2, 1])
    x = g.node("Add", [x, g.weight("vision_model.embeddings.position_embedding.weight", tower.embeddings.position_embedding.weight)],
               "/embeddings/Add/output_0")
    for i, layer in enumerate(tower.encoder.layers):
        x = vision_layer(g, f"layers.{i}", layer, x, width, heads, edge * edge, cfg.layer_norm_eps)
    x = layer_norm(g, "post_layernorm", tower.post_layernorm, x, cfg.layer_norm_eps)

    # Pixel shuffle: each square of shuffle x shuffle patches becomes one token, `shuffle` squared times as wide.
    small = edge // shuffle
    x = g.node("Reshape", [x, g.ints(0, edge, small, width * shuffle)], "/connector/Reshape/output_0")
    x = g.node("Transpose", [x], "/connector/Transpose/output_0", perm=[0, 2, 1, 3])
    x = g.node("Reshape", [x, g.ints(0, small, small, width * shuffle**2)], "/connector/Reshape_1/output_0")
    x = g.node("Transpose", [x], "/connector/Transpose_1/output_0", perm=[0, 2, 1, 3])
    x = g.node("Reshape", [x, g.ints(0, small * small, width * shuffle**2)], "/connector/Reshape_2/output_0")
    x = g.linear(x, "connector.modality_projection.proj", idefics.connector.modality_projection.proj.weight)
    if half:
        g.node("Cast", [x], "image_features", to=FLOAT)
    else:
        g.nodes[-1].output[0] = "image_features"
    return g.finish(14)


def layer_norm(g, path, module, x, epsilon):
    """In elementary ops, as PyTorch's exporter writes it at opset 14; runtimes fuse it."""
    mean = g.node("ReduceMean", [x], f"/{path}/ReduceMean/output_0", axes=[-1])
    d = g.node("Sub", [x, mean], f"/{path}/Sub/output_0")
    square = g.node("Pow", [d, g.scalar(2.0)], f"/{path}/Pow/output_0")
    variance = g.node("ReduceMean", [square], f"/{path}/ReduceMean_1/output_0", axes=[-1])
    deviation = g.node("Sqrt", [g.node("Add", [variance, g.scalar(epsilon)], f"/{path}/Add/output_0")], f"/{path}/Sqrt/output_0")
    y = g.node("Div", [d, deviation], f"/{path}/Div/output_0")
    y = g.node("Mul", [y, g.weight(f"vision_model.{path}.weight", module.weight)], f"/{path}/Mul/output_0")
    return g.node("Add", [y, g.weight(f"vision_model.{path}.bias", module.bias)], f"/{path}/Add_1/output_0")


def vision_layer(g, path, layer, x, width, heads, tokens, epsilon):
    linear = lambda y, part, module: g.linear(y, f"{path}.{part}", module.weight, module.bias)
    attn = layer.self_attn
    y = layer_norm(g, f"{path}.layer_norm1", layer.layer_norm1, x, epsilon)
    q, k, v = (linear(y, f"self_attn.{p}_proj", getattr(attn, f"{p}_proj")) for p in "qkv")
    split = g.ints(0, tokens, heads, width // heads)
    q, k, v = (g.node("Reshape", [t, split], f"/{path}/self_attn/{p}/Reshape/output_0") for t, p in ((q, "q"), (k, "k"), (v, "v")))
    q, k, v = (g.node("Transpose", [t], f"/{path}/self_attn/{p}/Transpose/output_0", perm=perm)
               for t, p, perm in ((q, "q", [0, 2, 1, 3]), (k, "k", [0, 2, 3, 1]), (v, "v", [0, 2, 1, 3])))
    scores = g.node("MatMul", [q, k], f"/{path}/self_attn/MatMul/output_0")
    scores = g.node("Mul", [scores, g.scalar((width // heads) ** -0.5)], f"/{path}/self_attn/Mul/output_0")
    scores = g.node("Softmax", [scores], f"/{path}/self_attn/Softmax/output_0", axis=-1)
    y = g.node("MatMul", [scores, v], f"/{path}/self_attn/MatMul_1/output_0")
    y = g.node("Transpose", [y], f"/{path}/self_attn/Transpose/output_0", perm=[0, 2, 1, 3])
    y = g.node("Reshape", [y, g.ints(0, tokens, width)], f"/{path}/self_attn/Reshape/output_0")
    x = g.node("Add", [x, linear(y, "self_attn.out_proj", attn.out_proj)], f"/{path}/Add/output_0")
    y = layer_norm(g, f"{path}.layer_norm2", layer.layer_norm2, x, epsilon)
    y = gelu(g, path, linear(y, "mlp.fc1", layer.mlp.fc1))
    return g.node("Add", [x, linear(y, "mlp.fc2", layer.mlp.fc2)], f"/{path}/Add_1/output_0")


def gelu(g, path, x):
    """The tanh approximation: x/2 (1 + tanh(sqrt(2/pi) (x + 0.044715 x^3)))."""
    base = f"/{path}/mlp/activation_fn"
    cube = g.node("Pow", [x, g.scalar(3.0)], f"{base}/Pow/output_0")
    cube = g.node("Mul", [cube, g.scalar(0.044715)], f"{base}/Mul/output_0")
    y = g.node("Add", [x, cube], f"{base}/Add/output_0")
    y = g.node("Mul", [y, g.scalar((2 / np.pi) ** 0.5)], f"{base}/Mul_1/output_0")
    y = g.node("Add", [g.node("Tanh", [y], f"{base}/Tanh/output_0"), g.scalar(1.0)], f"{base}/Add_1/output_0")
    half = g.node("Mul", [x, g.scalar(0.5)], f"{base}/Mul_2/output_0")
    return g.node("Mul", [half, y], f"{base}/Mul_3/output_0")
