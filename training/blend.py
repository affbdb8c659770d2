"""Writes the weighted mean of checkpoints: a stage's new skills, with what it forgot of older ones.

    python blend.py --cache DIR --out blend data-9500=0.43 data-10400=0.43 quantized=0.14

Checkpoints are CACHE/NAME.pt; `shipped` is the model in models/glimpse.
"""

import argparse
from pathlib import Path

import torch

from export import load
from restore import restore
from train import save

SHIPPED = Path(__file__).parent.parent / "models/glimpse"


def weights_of(cache, name, like):
    if name != "shipped":
        return torch.load(cache / f"{name}.pt", map_location="cpu")["model"]
    model = load(cache, like)  # for its patch-naming head, which the shipped files lack
    restore(model, SHIPPED)
    return model.state_dict()


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("parts", nargs="+", metavar="NAME=SHARE")
    parser.add_argument("--cache", type=Path, required=True)
    parser.add_argument("--out", required=True)
    args = parser.parse_args()
    parts = [part.split("=") for part in args.parts]
    states = [weights_of(args.cache, name, parts[0][0]) for name, _ in parts]
    shares = [float(share) for _, share in parts]

    def mean(values):
        if all(torch.equal(value, values[0]) for value in values):
            return values[0]  # what a stage did not train stays as it is, to the bit
        return sum(value * share for value, share in zip(values, shares)) / sum(shares)

    blend = {name: mean([state[name] for state in states]) for name in states[0]}
    save(args.cache / f"{args.out}.pt", model=blend)


if __name__ == "__main__":
    main()
