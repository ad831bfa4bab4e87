"""Muon for the matrices inside the layers, AdamW for everything else.

Muon replaces the momentum of a matrix by the nearest (semi-)orthogonal matrix, found with a few
Newton-Schulz steps. It needs about half the tokens of AdamW, which is what two CPU cores can give.
"""

import torch

# Coefficients of the quintic Newton-Schulz step (K. Jordan's): fast rather than exact convergence.
A, B, C = 3.4445, -4.7750, 2.0315


def orthogonalise(g, steps=5):
    """g: (N, rows, cols), a stack of same-shaped matrices. All singular values come out near 1."""
    tall = g.shape[1] > g.shape[2]
    x = (g.mT if tall else g).bfloat16()   # work on the smaller Gram matrix
    x = x / (x.norm(dim=(1, 2), keepdim=True) + 1e-7)
    for _ in range(steps):
        gram = x @ x.mT                      # (N, m, m)
        x = A * x + (B * gram + C * gram @ gram) @ x
    return (x.mT if tall else x).float()


class Muon(torch.optim.Optimizer):
    def __init__(self, params, lr=0.02, momentum=0.95, weight_decay=0.0):
        super().__init__(params, dict(lr=lr, momentum=momentum, weight_decay=weight_decay))

    @torch.no_grad()
    def step(self):
        for group in self.param_groups:
            by_shape = {}
            for p in group["params"]:
                if p.grad is not None:
                    by_shape.setdefault(p.shape, []).append(p)
            for (rows, cols), params in by_shape.items():
                self.step_stack(group, params, max(1.0, rows / cols) ** 0.5)

    def step_stack(self, group, params, scale):
        """One update for all matrices of one shape."""
        directions = []
        for p in params:
            state = self.state[p]
            if "momentum" not in state:
                state["momentum"] = torch.zeros_like(p)
            m = state["momentum"]
            m.lerp_(p.grad, 1 - group["momentum"])
            directions.append(p.grad.lerp(m, group["momentum"]))   # Nesterov
        for p, update in zip(params, orthogonalise(torch.stack(directions))):
            p.mul_(1 - group["lr"] * group["weight_decay"])
            p.add_(update, alpha=-group["lr"] * scale)


def make_optimizers(model, matrix_lr, other_lr, matrix_decay):
    """[Muon, AdamW]. Every group remembers its peak rate as `peak`; the loop scales it."""
    matrices, table, vectors, exits = [], [], [], []
    for name, p in model.named_parameters():
        if name.startswith("exits."):
            exits.append(p)
        elif "embed_tokens" in name:
            table.append(p)
        else:
            (matrices if p.dim() == 2 else vectors).append(p)
    muon = Muon(matrices, lr=matrix_lr, weight_decay=matrix_decay)
    adam = torch.optim.AdamW([
        dict(params=table, lr=other_lr, weight_decay=0.05),
        dict(params=vectors, lr=other_lr, weight_decay=0.0),
        dict(params=exits, lr=other_lr * 0.5, weight_decay=0.0),
    ], betas=(0.9, 0.95), eps=1e-10)
    for optimizer in (muon, adam):
        for group in optimizer.param_groups:
            group["peak"] = group["lr"]
    return [muon, adam]
