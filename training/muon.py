"""The Muon optimizer in float32 (PyTorch's own works in bfloat16, which is slow on CPUs without it)."""

import torch


def orthogonalize(batch, steps=5):
    """Newton-Schulz iteration towards the nearest semi-orthogonal matrices; `batch` is (n, rows, columns)."""
    a, b, c = 3.4445, -4.7750, 2.0315
    x = batch.mT if batch.shape[1] > batch.shape[2] else batch
    x = x / (x.norm(dim=(1, 2), keepdim=True) + 1e-7)
    for _ in range(steps):
        gram = x @ x.mT
        x = a * x + (b * gram + c * gram @ gram) @ x
    return x.mT if batch.shape[1] > batch.shape[2] else x


class Muon(torch.optim.Optimizer):
    """Momentum whose update is orthogonalised, scaled to about the size of an AdamW step so that both share one learning rate."""

    def __init__(self, params, lr, momentum=0.95, weight_decay=0.0):
        super().__init__(params, dict(lr=lr, momentum=momentum, weight_decay=weight_decay))

    @torch.no_grad()
    def step(self):
        for group in self.param_groups:
            by_shape = {}
            for p in group["params"]:
                if p.grad is not None:
                    by_shape.setdefault(p.shape, []).append(p)
            for (rows, columns), params in by_shape.items():
                updates = []
                for p in params:
                    m = self.state[p].setdefault("momentum", torch.zeros_like(p))
                    m.lerp_(p.grad, 1 - group["momentum"])
                    updates.append(p.grad.lerp(m, group["momentum"]))
                scale = 0.7 * max(rows, columns) ** 0.5
                for p, update in zip(params, orthogonalize(torch.stack(updates))):
                    p.mul_(1 - group["lr"] * group["weight_decay"]).add_(update, alpha=-group["lr"] * scale)
