"""Trains glimpse in stages; every stage resumes from its last checkpoint.

    python train.py vision  --cache DIR --steps N      the tower alone: name what each patch shows
    python train.py joint   --cache DIR --steps N      everything: answer questions, and still name the patches
    python train.py quantized --cache DIR --steps N    the same with 4-bit rounding in the loop, learning rate falling to zero
    python train.py data    --cache DIR --steps N      decoder and connector alone: answers as data, foreign system messages; rounded, falling to zero

Checkpoints are CACHE/STAGE.pt; a stage starts from its own, else from the stage before, else, with --shipped, from the files in models/glimpse.
"""

import argparse
import math
import os
import random
import time
from pathlib import Path

import numpy as np
import torch
from tokenizers import Tokenizer
from torch.nn import functional as F
from torch.nn.utils import parametrize  # noqa: F401  (model.fake_quantize uses it by name)

from model import Glimpse, config, fake_quantize, plain_state
from muon import Muon
from restore import restore
from samples import IGNORE, Stream, whole
from scenes import Art, things_scene

STAGES = {  # batch, peak learning rate, weight of the patch-naming loss, kind and seed of the sample stream
    "vision": dict(batch=64, rate=1e-3, patches=1.0, samples="vision", seed=1, before=None),
    "joint": dict(batch=32, rate=1e-3, patches=0.5, samples="questions", seed=2, before="vision"),
    "quantized": dict(batch=32, rate=1e-3, patches=1.0, samples="questions", seed=3, before="joint"),
    "data": dict(batch=32, rate=1e-3, patches=0.0, samples="data", seed=5, before="quantized"),
}
ROUNDED = ("quantized", "data")
FALL = {"vision": (1, 1), "joint": (1, 0.4), "quantized": (0.4, 0), "data": (0.6, 0)}  # parts of the peak rate at the first and the last step
LOOKING = 0.3  # weight of the loss on where two heads of the decoder look
WARMUP = 100
SAVE_EVERY, CHECK_EVERY = 100, 500
KEPT = 18  # patches of a frame that the first stage looks at


def losses(model, batch, vision_only):
    pixels = batch["pixels"].float().div_(127.5).sub_(1)
    classes, kept = batch["classes"], None
    if vision_only:  # half of the patches, those that show something more likely than the empty ones
        kept = (torch.rand(classes.shape[:2]) + 0.6 * (classes != 0).any(-1)).topk(KEPT, 1).indices
        classes = classes.gather(1, kept.unsqueeze(-1).expand(-1, -1, 2))
    patches = model.patches(pixels, kept)
    known = classes != IGNORE
    naming = F.cross_entropy(model.named(patches)[known], classes[known]) if patches.requires_grad else patches.new_zeros(())
    if vision_only:
        return naming, naming.new_zeros(()), naming.new_zeros(())
    features = model.picture_tokens(patches).flatten(0, 1)
    states, attention = model.hidden(batch["ids"], batch["positions"], batch["mask"], features, batch["looks"])
    looking = -attention.masked_fill(~batch["seen"], -math.inf).logsumexp(1)
    asked = batch["targets"] != IGNORE
    return naming, F.cross_entropy(model.idefics.lm_head(states[asked]), batch["targets"][asked]), looking.sum() / max(1, len(looking))


def optimizers(model, stage):
    """Muon for the hidden matrices, AdamW for embeddings, heads, norms and biases. What the stage does not train is frozen."""
    matrices, rest, rate = [], [], STAGES[stage]["rate"]
    for name, p in model.named_parameters():
        if ("vision_model" in name or "patch_classes" in name) != (stage == "vision") and stage in ("vision", "data"):
            p.requires_grad_(False)
            continue
        inner = p.ndim == 2 and not any(part in name for part in ("embed", "lm_head", "patch_classes"))
        (matrices if inner else rest).append(p)
    return [
        # Strong decay: without it the attention's weights grow until its softmax is nearly one-hot and stops learning.
        Muon(matrices, lr=rate, weight_decay=0.5),
        torch.optim.AdamW(rest, lr=rate, betas=(0.9, 0.98), weight_decay=0.01),
    ]


def learning_rate(stage, step, steps):
    """Warm up and hold; then fall to 0.4 of the peak; then, in the last stage, to zero."""
    first, last = FALL[stage]
    return STAGES[stage]["rate"] * min(1.0, (step + 1) / WARMUP) * (first + (last - first) * min(1.0, step / steps))


class Average:
    """A running mean of the weights: what a stage hands on, because it is better than the last step's at a rate held high."""

    def __init__(self, model, checkpoint):
        self.state = torch.load(checkpoint)["average"] if checkpoint.exists() else {k: v.clone() for k, v in plain_state(model).items()}

    @torch.no_grad()
    def update(self, model, step):
        now, share = plain_state(model), max(1 / step, 1 / 500)
        torch._foreach_lerp_(list(self.state.values()), [now[k] for k in self.state], share)


class Check:
    """How many single things the tower names by its patches; on drawings that training sees, in scenes that it does not."""

    def __init__(self, cache, items=400):
        art, rng = Art(cache), random.Random("check")
        scenes = [things_scene(art, rng, n=1, augment=False) for _ in range(items)]
        self.pixels = torch.from_numpy(np.stack([np.asarray(whole(scene.image)[0]) for scene in scenes])).permute(0, 3, 1, 2)
        self.names = torch.tensor([art.class_id[scene.items[0].name] for scene in scenes])
        self.things = len(art.things)

    @torch.no_grad()
    def __call__(self, model, state=None):
        read = lambda pixels: model.named(model.patches(pixels.float().div(127.5).sub(1)))
        if state:
            kept = {k: v.clone() for k, v in plain_state(model).items()}
            model.load_state_dict(state)
        votes = torch.cat([read(part) for part in self.pixels.split(50)]).softmax(-1).sum((1, 2))[:, 1 : 1 + self.things]
        if state:
            model.load_state_dict(kept)
        return (votes.argmax(1) + 1 == self.names).float().mean().item()


def save(path, **state):
    torch.save(state, path.with_suffix(".tmp"))
    os.replace(path.with_suffix(".tmp"), path)


def start(stage, model, opts, cache, shipped):
    """The step to go on from, with weights (and optimizer state, within a stage) loaded."""
    own, before = cache / f"{stage}.pt", STAGES[stage]["before"]
    if own.exists():
        state = torch.load(own)
        model.load_state_dict(state["model"])
        for opt, saved in zip(opts, state["optimizers"]):
            opt.load_state_dict(saved)
        return state["step"], state["seconds"]
    if before and (cache / f"{before}.pt").exists():
        # At a rate that has fallen to zero the last weights are the best.
        model.load_state_dict(torch.load(cache / f"{before}.pt")["model" if before in ROUNDED else "average"])
    elif shipped:
        restore(model, shipped)
        if stage != "data":
            fit_head(model, cache)
    elif before:
        raise SystemExit(f"there is no {cache / before}.pt to start from: run that stage first, or name a model folder with --shipped")
    return 0, 0.0


def fit_head(model, cache, steps=300):
    """The shipped files lack the head that names patches: it learns to read the tower before it may change it."""
    head = torch.optim.AdamW(model.patch_classes.parameters(), lr=1e-2)
    stream = Stream(cache, 32, seed=4, kind="vision")
    for step in range(steps):
        batch = stream[step]
        with torch.no_grad():
            patches = model.patches(batch["pixels"].float().div_(127.5).sub_(1))
        F.cross_entropy(model.named(patches).flatten(0, 2), batch["classes"].flatten(), ignore_index=IGNORE).backward()
        head.step()
        head.zero_grad(set_to_none=True)


def train(stage, model, opts, average, progress, args):
    """Runs the steps that are left; `progress` is (step, seconds) so far."""
    plan, vision_only, (step, seconds) = STAGES[stage], stage == "vision", progress
    torch.manual_seed(step)
    stream = Stream(args.cache, plan["batch"], plan["seed"], plan["samples"])
    loader = torch.utils.data.DataLoader(
        stream, batch_size=None, sampler=range(step, args.steps), num_workers=1, prefetch_factor=6)
    check, clock, shown = None if stage == "data" else Check(args.cache), time.monotonic(), [0.0, 0.0, 0.0]
    for batch in loader:
        rate = learning_rate(stage, step, args.steps)
        for opt in opts:
            for group in opt.param_groups:
                group["lr"] = rate
        naming, answering, looking = losses(model, batch, vision_only)
        (plan["patches"] * naming + answering + LOOKING * looking).backward()
        torch.nn.utils.clip_grad_norm_(model.parameters(), 1.0)
        for opt in opts:
            opt.step()
            opt.zero_grad(set_to_none=True)
        step += 1
        average.update(model, step)
        shown = [a + b.item() for a, b in zip(shown, (naming, answering, looking))]
        if step % 20 == 0:
            now = time.monotonic()
            seconds += now - clock
            clock = now
            print(f"{stage} {step}/{args.steps} {seconds / 60:.1f} min  patches {shown[0] / 20:.3f}  answers {shown[1] / 20:.3f}  looks {shown[2] / 20:.3f}", flush=True)
            shown = [0.0, 0.0, 0.0]
            if not math.isfinite(naming.item() + answering.item()):
                raise SystemExit("the loss is not finite")
        if step % CHECK_EVERY == 0 and stage != "data":
            mean = "" if stage in ROUNDED else f", their mean {check(model, average.state):.3f}"
            print(f"single things named: last weights {check(model):.3f}{mean}", flush=True)
        if step % SAVE_EVERY == 0 or step == args.steps:
            save(args.cache / f"{stage}.pt", model=plain_state(model), average=average.state,
                 optimizers=[o.state_dict() for o in opts], step=step, seconds=seconds)


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("stage", choices=STAGES)
    parser.add_argument("--cache", type=Path, required=True)
    parser.add_argument("--steps", type=int, required=True)
    parser.add_argument("--shipped", type=Path, help="a model folder to start from where there is no checkpoint")
    args = parser.parse_args()
    torch.manual_seed(0)
    torch.set_num_threads(1)  # two are hardly faster at this size, and drawing the pictures needs the other core
    tokenizer = Tokenizer.from_file(str(args.cache / "tokenizer/tokenizer.json"))
    cfg = config(tokenizer.token_to_id("<image>"), tokenizer.token_to_id("<end_of_utterance>"))
    model = Glimpse(cfg, len(Art(args.cache).class_names))
    opts = optimizers(model, args.stage)
    progress = start(args.stage, model, opts, args.cache, args.shipped)
    average = Average(model, args.cache / f"{args.stage}.pt")
    if args.stage in ROUNDED:
        fake_quantize(model)
    train(args.stage, model, opts, average, progress, args)


if __name__ == "__main__":
    main()
