"""Trains glimpse in stages; every stage resumes from its last checkpoint.

    python train.py vision  --cache DIR --steps N      the tower alone: name what each patch shows
    python train.py joint   --cache DIR --steps N      everything: answer questions, and still name the patches
    python train.py quantized --cache DIR --steps N    the same with 4-bit rounding in the loop, learning rate falling to zero

Checkpoints are CACHE/STAGE.pt; a stage starts from its own, else from the stage before.
"""

import argparse
import math
import os
import time
from pathlib import Path

import torch
from torch.nn import functional as F
from torch.nn.utils import parametrize  # noqa: F401  (model.fake_quantize uses it by name)

from model import Glimpse, config, fake_quantize, plain_state
from muon import Muon
from samples import IGNORE, Stream
from scenes import Art

STAGES = {  # batch, peak learning rate, weight of the patch-naming loss, seed of the sample stream
    "vision": dict(batch=32, rate=3e-3, patches=1.0, seed=1, before=None),
    "joint": dict(batch=32, rate=1.5e-3, patches=0.5, seed=2, before="vision"),
    "quantized": dict(batch=32, rate=1.5e-3, patches=0.5, seed=3, before="joint"),
}
WARMUP = 100
SAVE_EVERY = 100


def losses(model, batch, vision_only):
    pixels = batch["pixels"].float().div_(127.5).sub_(1)
    patches = model.patches(pixels)
    known = batch["classes"] != IGNORE
    naming = F.cross_entropy(model.patch_classes(patches[known]), batch["classes"][known])
    if vision_only:
        return naming, naming.new_zeros(())
    states = model.hidden(batch["ids"], batch["positions"], batch["mask"], model.picture_tokens(patches).flatten(0, 1))
    asked = batch["targets"] != IGNORE
    return naming, F.cross_entropy(model.idefics.lm_head(states[asked]), batch["targets"][asked])


def optimizers(model, rate, vision_only):
    """Muon for the hidden matrices, AdamW for embeddings, heads, norms and biases."""
    matrices, rest = [], []
    for name, p in model.named_parameters():
        if vision_only and not ("vision_model" in name or "patch_classes" in name):
            continue
        inner = p.ndim == 2 and not any(part in name for part in ("embed", "lm_head", "patch_classes"))
        (matrices if inner else rest).append(p)
    return [
        Muon(matrices, lr=rate, weight_decay=0.05),
        torch.optim.AdamW(rest, lr=rate, betas=(0.9, 0.98), weight_decay=0.01),
    ]


def learning_rate(stage, step, steps):
    """Warm up, hold; the last stage falls linearly to zero."""
    if stage == "quantized":
        return STAGES[stage]["rate"] * max(0.0, 1 - step / steps)
    return STAGES[stage]["rate"] * min(1.0, (step + 1) / WARMUP)


def save(path, **state):
    torch.save(state, path.with_suffix(".tmp"))
    os.replace(path.with_suffix(".tmp"), path)


def start(stage, model, opts, cache):
    """The step to go on from, with weights (and optimizer state, within a stage) loaded."""
    own, before = cache / f"{stage}.pt", STAGES[stage]["before"]
    if own.exists():
        state = torch.load(own)
        model.load_state_dict(state["model"])
        for opt, saved in zip(opts, state["optimizers"]):
            opt.load_state_dict(saved)
        return state["step"], state["seconds"]
    if before:
        model.load_state_dict(torch.load(cache / f"{before}.pt")["model"])
    return 0, 0.0


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("stage", choices=STAGES)
    parser.add_argument("--cache", type=Path, required=True)
    parser.add_argument("--steps", type=int, required=True)
    args = parser.parse_args()
    plan, vision_only = STAGES[args.stage], args.stage == "vision"
    torch.manual_seed(0)
    torch.set_num_threads(2)
    from tokenizers import Tokenizer
    tokenizer = Tokenizer.from_file(str(args.cache / "tokenizer/tokenizer.json"))
    cfg = config(tokenizer.token_to_id("<image>"), tokenizer.token_to_id("<end_of_utterance>"))
    model = Glimpse(cfg, len(Art(args.cache).class_names))
    opts = optimizers(model, plan["rate"], vision_only)
    step, seconds = start(args.stage, model, opts, args.cache)
    if args.stage == "quantized":
        fake_quantize(model)
    stream = Stream(args.cache, plan["batch"], plan["seed"], vision_only)
    loader = torch.utils.data.DataLoader(
        stream, batch_size=None, sampler=range(step, args.steps), num_workers=1, prefetch_factor=6)
    clock, shown = time.monotonic(), [0.0, 0.0]
    for batch in loader:
        rate = learning_rate(args.stage, step, args.steps)
        for opt in opts:
            for group in opt.param_groups:
                group["lr"] = rate
        naming, answering = losses(model, batch, vision_only)
        (plan["patches"] * naming + answering).backward()
        torch.nn.utils.clip_grad_norm_(model.parameters(), 1.0)
        for opt in opts:
            opt.step()
            opt.zero_grad(set_to_none=True)
        step += 1
        shown = [a + b.item() for a, b in zip(shown, (naming, answering))]
        if step % 20 == 0:
            now = time.monotonic()
            seconds += now - clock
            clock = now
            print(f"{args.stage} {step}/{args.steps} {seconds / 60:.1f} min  patches {shown[0] / 20:.3f}  answers {shown[1] / 20:.3f}", flush=True)
            shown = [0.0, 0.0]
            if not math.isfinite(naming.item() + answering.item()):
                raise SystemExit("the loss is not finite")
        if step % SAVE_EVERY == 0 or step == args.steps:
            save(args.cache / f"{args.stage}.pt", model=plain_state(model), optimizers=[o.state_dict() for o in opts], step=step, seconds=seconds)


if __name__ == "__main__":
    main()
