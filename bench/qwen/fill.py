"""Writes a model of Qwen3.5-0.8B's shapes with random weights in 4 bits: python3 fill.py TINY CONFIG FOLDER

The tiny twin (TINY) has each kind of layer once. They are repeated as often as the real config (CONFIG) says, with its widths.
Needs onnx and numpy. No answer of the model means anything: it is for times and memory.
"""

import json
import re
import shutil
import sys
import zlib
from pathlib import Path

import numpy as np
from onnx import TensorProto, helper, load, numpy_helper, save

TINY, CONFIG, FOLDER = (Path(each) for each in sys.argv[1:])
BLOCK = 32
# The real one has 262,144, and computes the angles that are a table here.
POSITIONS = 4096

real = json.loads(CONFIG.read_text())
text, vision = real["text_config"], real["vision_config"]
tiny = json.loads((TINY / "config.json").read_text())
HIDDEN, INNER, HEAD = text["hidden_size"], text["intermediate_size"], text["head_dim"]
HEADS, KV_HEADS = text["num_attention_heads"], text["num_key_value_heads"]
STATES, STATE = text["linear_num_key_heads"], text["linear_key_head_dim"]
WIDTH = STATES * STATE
SEEN, SEEN_INNER, SEEN_HEADS = vision["hidden_size"], vision["intermediate_size"], vision["num_heads"]
GRID = round(vision["num_position_embeddings"] ** 0.5)
MERGED = SEEN * vision["spatial_merge_size"] ** 2

# Rows and columns of each weight.
MATRICES = {
    "in_proj_qkv": (3 * WIDTH, HIDDEN), "in_proj_z": (WIDTH, HIDDEN), "in_proj_[ab]": (STATES, HIDDEN), "out_proj": (HIDDEN, WIDTH),
    "q_proj": (2 * HEADS * HEAD, HIDDEN), "[kv]_proj": (KV_HEADS * HEAD, HIDDEN), "o_proj": (HIDDEN, HEADS * HEAD),
    "(gate|up)_proj": (INNER, HIDDEN), "down_proj": (HIDDEN, INNER), "lm_head": (text["vocab_size"], HIDDEN),
    "patch_embed": (SEEN, 2 * 3 * vision["patch_size"] ** 2), "qkv": (3 * SEEN, SEEN), "proj": (SEEN, SEEN),
    "linear_fc1": (SEEN_INNER, SEEN), "linear_fc2": (SEEN, SEEN_INNER),
    "linear1": (MERGED, MERGED), "linear2": (vision["out_hidden_size"], MERGED),
}  # fmt: skip

# Other tensors of another shape than the twin's.
VECTORS = {
    "conv1d.weight": (3 * WIDTH, 1, text["linear_conv_kernel_dim"]), "conv1d.bias": (3 * WIDTH,), "(dt_bias|neg_exp_A)": (STATES,),
    "(input|post_attention|final_norm)_layernorm.weight": (HIDDEN,), "pos_embed.weight": (GRID**2, SEEN),
    "(norm[12]|merger_norm)_layernorm.(weight|bias)": (SEEN,),
}  # fmt: skip

# Constants by the nodes that read them.
CONSTANTS = {
    "split_qkv/Split": [WIDTH] * 3, "linear_attn/.*/(input_)?flat/": [0, 0, STATES, STATE], "linear_attn/.*unflat/": [0, 0, WIDTH],
    "q_gate_reshape": [0, 0, HEADS, 2 * HEAD], "attn/(q|gate)_reshape": [0, 0, HEADS * HEAD], "q_norm/Reshape_2": [0, -1, HEADS * HEAD],
    "k_norm/Reshape_2": [0, -1, KV_HEADS * HEAD], "q_mrope/reshape_in": [0, 0, HEADS, HEAD], "q_mrope/reshape_out": [0, 0, HEADS * HEAD],
    "k_mrope/reshape_in": [0, 0, KV_HEADS, HEAD], "k_mrope/reshape_out": [0, 0, KV_HEADS * HEAD],
    "attn/qkv/Reshape": [0, 3, SEEN_HEADS, SEEN // SEEN_HEADS], "(rope/Reshape2D|mha/FlattenBatch)": [-1, SEEN],
    "ReshapeBSH": [1, -1, SEEN], "merger/Reshape": [-1, MERGED],
    "pos_embed/[hw]_scale": float(GRID - 1), "pos_embed/[hw]_ceil$": GRID - 1, "pos_embed/h_(floor|ceil)_ng": GRID,
}  # fmt: skip

ATTRIBUTES = {
    "LinearAttention": {"q_num_heads": STATES, "kv_num_heads": STATES},
    "GroupQueryAttention": {"num_heads": HEADS, "kv_num_heads": KV_HEADS},
    "MultiHeadAttention": {"num_heads": SEEN_HEADS, "scale": (SEEN // SEEN_HEADS) ** -0.5},
}

# Sizes of inputs and outputs, by axis.
PORTS = {
    "inputs_embeds": {2: HIDDEN}, "image_features": {1: HIDDEN}, "^logits$": {2: text["vocab_size"]}, "_conv": {1: 3 * WIDTH},
    "_recurrent": {1: STATES}, "(key|value)$": {1: KV_HEADS},
}  # fmt: skip


def look_up(table, name):
    return next((value for pattern, value in table.items() if re.search(pattern, name)), None)


def matrix_of(name):
    """Rows and columns of the weight that a tensor belongs to."""
    return next((size for each, size in MATRICES.items() if re.search(rf"[._]({each})[._]", f".{name}")), None)


def quantized(name, kind, random):
    rows, columns = matrix_of(name)
    blocks = columns // BLOCK
    if kind == "Q4":
        return random.integers(0, 256, (rows, blocks, BLOCK // 2), np.uint8)
    if kind == "zero_points":
        return np.full((rows, blocks // 2), 0x88, np.uint8)
    scales = np.full((rows, blocks), 0.1 / columns**0.5, np.float32)
    if "lm_head" in name:
        # Only what the twin's tokenizer has as text is ever sampled: answers have text, and do not end early.
        scales[len(json.loads((TINY / "tokenizer.json").read_text())["model"]["vocab"]) :] = 0
    return scales


def values_of(name, twin):
    """A tensor's values. What has the twin's shape has its values."""
    random = np.random.default_rng(zlib.crc32(name.encode()))
    kind = re.search(r"_(Q4|scales|zero_points)$", name)
    if kind:
        return quantized(name, kind[1], random)
    if name.endswith("_cache"):
        rope = text["rope_parameters"]
        rotary = int(HEAD * rope["partial_rotary_factor"])
        angles = np.arange(POSITIONS)[:, None] * rope["rope_theta"] ** -(np.arange(0, rotary, 2) / rotary)
        return (np.cos if "cos" in name else np.sin)(angles).astype(np.float32)
    if name.endswith("inv_freq"):
        half = SEEN // SEEN_HEADS // 2
        return (10_000.0 ** -(np.arange(0, half, 2) / half)).astype(np.float32)[None]
    shape = look_up(VECTORS, name)
    if shape is None and name.endswith(".bias"):
        shape = matrix_of(name)[:1]
    if shape is None:
        return numpy_helper.to_array(twin)
    if name.endswith(("norm.weight", "neg_exp_A")):
        return np.full(shape, 1 if "norm" in name else -1, np.float32)
    return (random.standard_normal(shape) * 0.05).astype(np.float32)


def rescaled(node, constants):
    """A node of the twin with the real one's attributes and constants, which are added to `constants`."""
    constant = look_up(CONSTANTS, node.name)
    for at, name in enumerate(node.input):
        if constant is not None and "/constants/" in name:
            node.input[at] = f"/full{name.rpartition('/')[0]}/{constant}"
            constants[node.input[at]] = np.array(constant, np.float32 if "FLOAT" in name else np.int64)
    changed = dict(ATTRIBUTES.get(node.op_type, {}))
    if node.op_type == "MatMulNBits":
        changed["N"], changed["K"] = matrix_of(node.input[1])
    if node.op_type == "RotaryEmbedding" and "_mrope" in node.name:
        changed["num_heads"] = HEADS if "q_mrope" in node.name else KV_HEADS
    elif node.op_type == "RotaryEmbedding":
        changed |= {"num_heads": SEEN_HEADS, "rotary_embedding_dim": SEEN // SEEN_HEADS}
    for attribute in [each for each in node.attribute if each.name in changed]:
        node.attribute.remove(attribute)
        node.attribute.append(helper.make_attribute(attribute.name, changed[attribute.name]))
    return node


LAYER = re.compile(r"((?:layers|(?:past|present)\w*)\.)(\d+)")


def layer_of(message):
    found = LAYER.search(message.name)
    return int(found[2]) if found else None


def shifted(message, by, replaced=None, replacement=None):
    """A copy for a later layer, with one of the names that it reads replaced."""
    made = type(message)()
    made.CopyFrom(message)

    def rename(name):
        return replacement if name == replaced else LAYER.sub(lambda each: f"{each[1]}{int(each[2]) + by}", name)

    made.name = rename(made.name)
    for field in ("input", "output"):
        if hasattr(made, field):
            getattr(made, field)[:] = [rename(each) for each in getattr(made, field)]
    return made


def enlarge(name, twins=(), start=None, end=None):
    """
    Writes a graph: its layers as copies of the twin's, which `twins` gives for each. `start` is what the first layer reads and `end`
    what each returns, where the twin has no second layer to show it.
    """
    print(name, flush=True)
    model = load(TINY / "onnx" / f"{name}_q4.onnx")
    graph = model.graph
    last = max(twins, default=-1)

    def layers(messages):
        return [
            shifted(each, at - twin, start if at > 0 else None, end and end.replace("*", str(at - 1)))
            for at, twin in enumerate(twins)
            for each in messages
            if layer_of(each) == twin
        ]

    def behind(messages):
        return [shifted(each, len(twins) - 1 - last) for each in messages]

    nodes = list(graph.node)
    cut = max((at + 1 for at, each in enumerate(nodes) if layer_of(each) in twins), default=len(nodes))
    body = [each for each in nodes[:cut] if layer_of(each) is None] + layers(nodes) + behind(nodes[cut:])
    tensors = [each for each in graph.initializer if layer_of(each) is None] + layers(graph.initializer)
    tensors += behind([each for each in graph.initializer if (layer_of(each) or -1) > last])
    ports = {}
    for field in ("input", "output"):
        old = list(getattr(graph, field))
        ports[field] = [each for each in old if layer_of(each) is None] + layers(old)
        for port in ports[field]:
            for axis, size in (look_up(PORTS, port.name) or {}).items():
                port.type.tensor_type.shape.dim[axis].dim_value = size
    constants = {}
    body = [rescaled(node, constants) for node in body]
    weights = [numpy_helper.from_array(values_of(each.name, each), each.name) for each in tensors]
    weights += [numpy_helper.from_array(values, each) for each, values in constants.items()]
    full = helper.make_graph(body, graph.name, ports["input"], ports["output"], weights)
    made = helper.make_model(full, opset_imports=model.opset_import, ir_version=model.ir_version)
    write(f"{name}_q4.onnx", made)


def embed_tokens():
    """In half precision: onnxruntime-web as transformers.js has it looks no rows of 4 bits up on the CPU."""
    table = np.random.default_rng(1).standard_normal((text["vocab_size"], HIDDEN), np.float32) * 0.02
    nodes = [
        helper.make_node("Gather", ["table", "input_ids"], ["rows"]),
        helper.make_node("Cast", ["rows"], ["inputs_embeds"], to=TensorProto.FLOAT),
    ]
    tokens = ["batch_size", "sequence_length"]
    inputs = [helper.make_tensor_value_info("input_ids", TensorProto.INT64, tokens)]
    outputs = [helper.make_tensor_value_info("inputs_embeds", TensorProto.FLOAT, [*tokens, HIDDEN])]
    graph = helper.make_graph(nodes, "embed_tokens", inputs, outputs, [numpy_helper.from_array(table.astype(np.float16), "table")])
    write("embed_tokens_fp16.onnx", helper.make_model(graph, opset_imports=[helper.make_opsetid("", 21)], ir_version=10))


def write(name, model):
    (FOLDER / "onnx" / f"{name}_data").unlink(missing_ok=True)
    save(model, FOLDER / "onnx" / name, save_as_external_data=True, location=f"{name}_data", convert_attribute=False)


(FOLDER / "onnx").mkdir(parents=True, exist_ok=True)
for file in TINY.glob("*.json*"):
    if file.name not in ("config.json", "golden.json"):
        shutil.copyfile(file, FOLDER / file.name)
# Tokens are the twin's.
tokens = {key: value for key, value in tiny.items() if "token_id" in key}
files = {f"{name}.onnx": 1 for name in ("embed_tokens_fp16", "vision_encoder_q4", "decoder_model_merged_q4")}
tokens["transformers.js_config"] = {"use_external_data_format": files}
text |= {key: value for key, value in tiny["text_config"].items() if "token_id" in key} | {"max_position_embeddings": POSITIONS}
(FOLDER / "config.json").write_text(json.dumps(real | tokens))
# Without it, transformers.js does not normalise images.
preprocessor = json.loads((TINY / "preprocessor_config.json").read_text())
(FOLDER / "preprocessor_config.json").write_text(json.dumps(preprocessor | {"do_normalize": True}))
embed_tokens()
enlarge("vision_encoder", [0] * vision["depth"], "/model/pos_embed/Add/output_0", "/model/layers.*/Add_MLP/output_0")
kinds = [kind == "full_attention" for kind in text["layer_types"]]
enlarge("decoder_model_merged", [2 if full else min(at, 1) for at, full in enumerate(kinds)])
