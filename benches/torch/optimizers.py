"""Classic Muon, and the split of parameters between it and AdamW.

AdamW (the library's own: one fused kernel where it runs, else a loop over tensor lists) moves the
embedding and the head. Muon moves every matrix of the blocks: it averages gradients like momentum
SGD, then replaces the average by a nearby matrix with singular values close to one, found with
five Newton-Schulz iterations (Jordan et al., 2024, "Muon: an optimizer for hidden layers in
neural networks").

Read next: `train.py`.
"""

import torch

NS_COEFFICIENTS = (3.4445, -4.7750, 2.0315)
NS_ITERATIONS = 5
MUON_LR = 0.02
LM_HEAD_LR = 0.004
WTE_LR = 0.2
ADAM_BETAS = (0.8, 0.95)
ADAM_EPS = 1e-10
LR_REFERENCE_WIDTH = 768  # AdamW's rates shrink as (C / 768)^-1/2
GRAD_CLIP = 1.0


def newton_schulz(u: torch.Tensor, dtype: torch.dtype) -> torch.Tensor:
    """u (r, c) -> a matrix of the same shape, roughly U V^T of u's singular value decomposition.

    X = u / (|u| + 1e-7), then five times X <- a X + (b A + c A A) X with A = X X^T. Tall matrices
    are transposed so that A is the small square. Everything happens in `dtype`.
    """
    a, b, c = NS_COEFFICIENTS
    x = u.to(dtype)
    tall = x.size(0) > x.size(1)
    if tall:
        x = x.T
    x = x / (x.norm() + 1e-7)
    for _ in range(NS_ITERATIONS):
        gram = x @ x.T
        x = a * x + (b * gram + c * gram @ gram) @ x
    return x.T if tall else x


class Muon(torch.optim.Optimizer):
    """buf += (1-mu)(g-buf); u = (1-mu) g + mu buf; p -= lr sqrt(max(1, r/c)) newton_schulz(u)."""

    def __init__(self, params, lr=MUON_LR, momentum=0.95, ns_dtype=torch.bfloat16, compiled=False):
        super().__init__(params, {"lr": lr, "momentum": momentum})
        self.ns_dtype = ns_dtype
        self.orthogonalise = torch.compile(newton_schulz, dynamic=False) if compiled else newton_schulz

    @torch.no_grad()
    def step(self):
        for group in self.param_groups:
            lr, momentum = group["lr"], group["momentum"]
            for p in group["params"]:
                if p.grad is None:
                    continue
                state = self.state[p]
                if "buf" not in state:
                    state["buf"] = torch.zeros_like(p)
                buf = state["buf"].lerp_(p.grad, 1 - momentum)
                u = p.grad.lerp_(buf, momentum)  # the gradient is not needed again
                update = self.orthogonalise(u, self.ns_dtype)
                rows, cols = p.shape
                p.add_(update.to(p.dtype), alpha=-lr * max(1.0, rows / cols) ** 0.5)


def fused_adamw(groups) -> torch.optim.AdamW:
    """AdamW as one fused kernel, or as the tensor-list form where this build has no fused one. Groups may say otherwise."""
    options = {"betas": ADAM_BETAS, "eps": ADAM_EPS, "weight_decay": 0.0}
    try:
        return torch.optim.AdamW(groups, fused=True, **options)
    except RuntimeError:
        return torch.optim.AdamW(groups, foreach=True, **options)


def build_optimizers(model, ns_dtype=torch.bfloat16, compiled=False):
    """[AdamW over head and embedding, Muon over the blocks' matrices], rates scaled by width."""
    scale = (model.shape.n_embd / LR_REFERENCE_WIDTH) ** -0.5
    adam = fused_adamw([
        {"params": list(model.lm_head.parameters()), "lr": LM_HEAD_LR * scale},
        {"params": list(model.transformer["wte"].parameters()), "lr": WTE_LR * scale},
    ])
    muon = Muon(model.transformer["h"].parameters(), ns_dtype=ns_dtype, compiled=compiled)
    return [adam, muon]


def muon_momentum(step: int) -> float:
    """0.85 at step 0, rising linearly to 0.95 at step 300, constant after."""
    rise = min(step / 300, 1.0)
    return (1 - rise) * 0.85 + rise * 0.95


def apply_gradients(parameters, optimizers, step: int):
    """What follows the backward pass: clip to norm 1, set the momentum, update, drop gradients."""
    torch.nn.utils.clip_grad_norm_(parameters, GRAD_CLIP)
    adam, muon = optimizers
    for group in muon.param_groups:
        group["momentum"] = muon_momentum(step)
    adam.step()
    muon.step()
    for optimizer in optimizers:
        optimizer.zero_grad(set_to_none=True)
