"""Writes the model folder: configs, tokenizer and the ONNX graphs in SmolVLM's hub layout.

    python export.py --cache DIR --checkpoint quantized --out ../models/glimpse

The shipped variants (q4 and q4f16) go to OUT/onnx; fp32 and fp16 go to CACHE/onnx, for parity checks.
"""

import argparse
import hashlib
import shutil
from pathlib import Path

import onnx
import torch
from tokenizers import Tokenizer

import graphs
import prompt
from data import write_json
from model import IMAGE, Glimpse, config

VARIANTS = {"": (False, False), "_fp16": (True, False), "_q4": (False, True), "_q4f16": (True, True)}  # (half, four bits)
SHIPPED = ["_q4", "_q4f16"]


def load(cache, checkpoint):
    """The trained model in evaluation mode, from CACHE/CHECKPOINT.pt."""
    tokenizer = Tokenizer.from_file(str(cache / "tokenizer/tokenizer.json"))
    state = torch.load(cache / f"{checkpoint}.pt", map_location="cpu")["model"]
    model = Glimpse(config(tokenizer.token_to_id("<image>"), tokenizer.token_to_id("<end_of_utterance>")), state["patch_classes.weight"].shape[0] // 2)
    model.load_state_dict(state)
    return model.eval()


def write_configs(model, cache, out):
    cfg, eos = model.idefics.config, model.idefics.config.text_config.eos_token_id
    dtypes = {"kv_cache_dtype": {"fp16": "float16", "q4f16": "float16"}}
    values = cfg.to_dict()
    keep = ("hidden_size", "intermediate_size", "num_hidden_layers", "num_attention_heads")
    text, vision = values["text_config"], values["vision_config"]
    write_json(out / "config.json", {
        "architectures": ["Idefics3ForConditionalGeneration"], "image_token_id": cfg.image_token_id, "model_type": "idefics3",
        "scale_factor": cfg.scale_factor,
        "text_config": {
            "architectures": ["VLlama3ForCausalLM"], "attention_bias": False, "attention_dropout": 0.0, "bos_token_id": 1, "eos_token_id": eos,
            "head_dim": text["head_dim"], "hidden_act": "silu", "initializer_range": 0.02, "max_position_embeddings": text["max_position_embeddings"],
            "mlp_bias": False, "model_type": "llama", **{k: text[k] for k in keep}, "num_key_value_heads": text["num_key_value_heads"],
            "pad_token_id": 2, "pixel_shuffle_factor": cfg.scale_factor, "pretraining_tp": 1, "rms_norm_eps": text["rms_norm_eps"],
            "rope_interleaved": False, "rope_scaling": None, "rope_theta": 100000, "tie_word_embeddings": False, "torch_dtype": "float32",
            "transformers.js_config": dtypes, "use_cache": True, "vocab_size": text["vocab_size"],
        },
        "tie_word_embeddings": False, "torch_dtype": "float32", "transformers.js_config": dtypes, "use_cache": True,
        "vision_config": {
            "attention_dropout": 0.0, "hidden_act": vision["hidden_act"], **{k: vision[k] for k in keep}, "image_size": IMAGE,
            "initializer_range": 0.02, "layer_norm_eps": vision["layer_norm_eps"], "max_image_size": {"longest_edge": IMAGE},
            "model_type": "idefics3", "num_channels": 3, "patch_size": vision["patch_size"], "size": {"longest_edge": 2 * IMAGE},
            "tie_word_embeddings": False, "use_base_siglip": True,
        },
        "vocab_size": text["vocab_size"],
    })
    write_json(out / "generation_config.json", {"_from_model_config": True, "bos_token_id": 1, "eos_token_id": eos, "pad_token_id": 2})
    # Splitting is off: a 96-pixel frame is enough for most pictures, and a caller who wants more detail asks for it.
    write_json(out / "preprocessor_config.json", {
        "do_convert_rgb": True, "do_image_splitting": False, "do_normalize": True, "do_pad": True, "do_rescale": True, "do_resize": True,
        "image_mean": [0.5] * 3, "image_processor_type": "Idefics3ImageProcessor", "image_std": [0.5] * 3, "max_image_size": {"longest_edge": IMAGE},
        "processor_class": "Idefics3Processor", "resample": 1, "rescale_factor": 1 / 255, "size": {"longest_edge": 2 * IMAGE},
    })
    write_json(out / "processor_config.json", {"image_seq_len": prompt.SEQ_LEN, "processor_class": "Idefics3Processor"})
    write_json(out / "chat_template.json", {"chat_template": prompt.CHAT_TEMPLATE})
    for name in ("tokenizer.json", "tokenizer_config.json", "special_tokens_map.json"):
        shutil.copy(cache / "tokenizer" / name, out / name)


def write_graphs(model, suffix, folder):
    half, bits4 = VARIANTS[suffix]
    folder.mkdir(parents=True, exist_ok=True)
    with torch.no_grad():
        built = {
            "vision_encoder": graphs.vision_encoder(model, half, bits4), "embed_tokens": graphs.embed_tokens(model, half),
            "decoder_model_merged": graphs.decoder(model, half, bits4),
        }
    for name, graph in built.items():
        onnx.save(graph, folder / f"{name}{suffix}.onnx")


def write_file_list(out):
    """files.json: what a model spec pins."""
    paths = sorted(p for p in out.rglob("*") if p.is_file() and p.suffix in (".json", ".onnx") and p.name != "files.json")
    write_json(out / "files.json", [
        {"path": str(p.relative_to(out)), "bytes": p.stat().st_size, "sha256": hashlib.sha256(p.read_bytes()).hexdigest()} for p in paths])
    return sum(p.stat().st_size for p in paths)


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--cache", type=Path, required=True)
    parser.add_argument("--checkpoint", default="quantized")
    parser.add_argument("--out", type=Path, default=Path(__file__).parent.parent / "models/glimpse")
    args = parser.parse_args()
    model = load(args.cache, args.checkpoint)
    args.out.mkdir(parents=True, exist_ok=True)
    write_configs(model, args.cache, args.out)
    for suffix in VARIANTS:
        write_graphs(model, suffix, (args.out if suffix in SHIPPED else args.cache) / "onnx")
    print(f"{write_file_list(args.out) / 1e6:.2f} MB in {args.out}")


if __name__ == "__main__":
    main()
