"""Today's Muon, and the split of parameters between it and AdamW in the current generation.

Matrices of one shape are stacked and updated together: momentum as in `optimizers.py`; rows made equally long; five steps of
Polar Express (Amsel et al. 2025, arXiv:2505.16932), each with its own polynomial; the Frobenius norm set to that of an
orthogonal matrix; second moments per row or column; decay only where update and weight agree in sign.

Read next: `train.py`.
"""

import torch

from optimizers import LR_REFERENCE_WIDTH, fused_adamw, muon_momentum

POLYNOMIALS = (
    (8.156554524902461, -22.48329292557795, 15.878769915207462),
    (4.042929935166739, -2.808917465908714, 0.5000178451051316),
    (3.8916678022926607, -2.772484153217685, 0.5060648178503393),
    (3.285753657755655, -2.3681294933425376, 0.46449024233003106),
    (2.3465413258596377, -1.7097828382687081, 0.42323551169305323),
)
MATRIX_LR, EMBEDDING_LR, HEAD_LR, SCALAR_LR, SMEAR_LR = 0.02, 0.3, 0.008, 0.5, 0.2
BETA2 = 0.9


def polar(x):
    """(K, r, c) -> matrices with singular values close to one, in the dtype of x."""
    rows, cols = x.shape[-2:]
    norm = x.float().norm(dim=(-2, -1), keepdim=True)
    lengths = x.float().norm(dim=-1, keepdim=True).clamp(min=1e-6)
    x = x * (norm / rows**0.5 / lengths).to(x.dtype)
    x = x / (x.norm(dim=(-2, -1), keepdim=True) * 1.01 + 1e-6)
    for a, b, c in POLYNOMIALS:
        if rows > cols:
            gram = x.mT @ x
            x = a * x + x @ (b * gram + c * (gram @ gram))
        else:
            gram = x @ x.mT
            x = a * x + (b * gram + c * (gram @ gram)) @ x
    return x


def update(p, g, buf, second, lr, momentum, weight_decay, ns_dtype):
    """One step of a stack p (K, r, c) with gradients g, in place; `second`: (K, r, 1), or (K, 1, c) of wide matrices."""
    rows, cols = p.shape[-2:]
    buf.lerp_(g, 1 - momentum)
    x = polar(g.lerp(buf, momentum).to(ns_dtype)).to(p.dtype)
    x = x * (min(rows, cols) ** 0.5 / x.norm(dim=(-2, -1), keepdim=True).clamp(min=1e-6))
    axis = -1 if rows >= cols else -2
    squares = x.square().mean(dim=axis, keepdim=True)
    norm = (squares.sum(dim=(-2, -1), keepdim=True) * x.size(axis)).sqrt()
    second.lerp_(squares, 1 - BETA2)
    factor = second.clamp(min=1e-10).rsqrt()
    scaled = (squares * x.size(axis) * factor.square()).sum(dim=(-2, -1), keepdim=True).sqrt()
    x = x * (factor * (norm / scaled.clamp(min=1e-10)))
    rate = lr * max(1.0, rows / cols) ** 0.5
    p.sub_(rate * x + rate * weight_decay * p * (x * p >= 0))


class NorMuon(torch.optim.Optimizer):
    """See `update`; a group holds the matrices of one shape."""

    def __init__(self, params, lr=MATRIX_LR, momentum=0.95, weight_decay=0.0, ns_dtype=torch.bfloat16, compiled=False):
        shapes = {}
        for p in params:
            shapes.setdefault(tuple(p.shape), []).append(p)
        groups = [{"params": shapes[shape]} for shape in sorted(shapes)]
        super().__init__(groups, {"lr": lr, "momentum": momentum, "weight_decay": weight_decay})
        self.ns_dtype = ns_dtype
        self.update = torch.compile(update, dynamic=False) if compiled else update

    @torch.no_grad()
    def step(self):
        for group in self.param_groups:
            params = group["params"]
            state = self.state[params[0]]
            stack = torch.stack(params)
            if "buf" not in state:
                state["buf"] = torch.zeros_like(stack)
                rows, cols = stack.shape[-2:]
                state["second"] = torch.zeros_like(stack[..., :1] if rows >= cols else stack[..., :1, :])
            grads = torch.stack([p.grad for p in params])
            # as tensors: a compiled function would be compiled again for every new number
            numbers = [torch.tensor(group[name]) for name in ("lr", "momentum", "weight_decay")]
            self.update(stack, grads, state["buf"], state["second"], *numbers, self.ns_dtype)
            torch._foreach_copy_(params, list(stack.unbind()))


def build_optimizers(model, ns_dtype=torch.bfloat16, compiled=False):
    """[AdamW over embeddings, head and single numbers, Muon over the blocks' matrices]."""
    scale = (model.shape.n_embd / LR_REFERENCE_WIDTH) ** -0.5

    def group(params, lr, betas, weight_decay):
        return {"params": params, "lr": lr, "betas": betas, "weight_decay": weight_decay}

    adam = fused_adamw([
        group([model.lm_head.weight], HEAD_LR * scale, (0.8, 0.96), 0.01),
        group([model.transformer["wte"].weight], EMBEDDING_LR * scale, (0.8, 0.995), 0.001),
        group(list(model.value_embeds.parameters()), 0.5 * EMBEDDING_LR * scale, (0.8, 0.995), 0.01),
        group([model.resid_lambdas], 0.01 * SCALAR_LR, (0.8, 0.95), 0.05),
        group([model.x0_lambdas], SCALAR_LR, (0.96, 0.95), 0.0),
        group([model.smear_gate.weight, model.smear_lambda, model.backout_lambda], SMEAR_LR, (0.8, 0.95), 0.0),
    ])
    muon = NorMuon(model.transformer["h"].parameters(), ns_dtype=ns_dtype, compiled=compiled)
    return [adam, muon]


def apply_gradients(_parameters, optimizers, step: int):
    """What follows the backward pass: set the momentum, update, drop gradients. Nothing is clipped in this generation."""
    adam, muon = optimizers
    for group in muon.param_groups:
        group["momentum"] = muon_momentum(step)
    adam.step()
    muon.step()
    for optimizer in optimizers:
        optimizer.zero_grad(set_to_none=True)
