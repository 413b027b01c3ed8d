"""The classic generation as a PyTorch module, and its FLOPs formula.

Written from the architecture's formulas, the way a PyTorch user would write it: library
attention, library norm, plain linear layers. It is what our own engine's speed is held against,
so it does nothing clever and nothing wasteful. Parameter names and shapes are the ones our
checkpoints use, which lets `check_classic.py` load reference weights straight into it.

    x = rms(wte[ids])
    per block:  x += c_proj(attention(rms(x)));  x += mlp.c_proj(relu(c_fc(rms(x)))^2)
    logits = 15 tanh(lm_head(rms(x)) / 15)

Read next: `optimizers.py` (what updates the weights), `train.py` (what is timed).
"""

from dataclasses import dataclass
from functools import partial

import torch
import torch.nn as nn
import torch.nn.functional as F

RMS_EPS = 2.0**-23  # f32 machine epsilon, whatever the activations' dtype
ROPE_BASE = 10000.0
SOFTCAP = 15.0
IGNORED = -1  # target id that counts for nothing


@dataclass(frozen=True)
class Shape:
    """The sizes that define a model."""

    depth: int
    n_embd: int
    n_head: int
    n_kv_head: int
    seq_len: int
    vocab: int

    def __post_init__(self):
        if self.n_embd % self.n_head or (self.n_embd // self.n_head) % 2:
            raise ValueError(f"n_embd {self.n_embd} / n_head {self.n_head} must be an even whole head size")
        if self.n_head % self.n_kv_head:
            raise ValueError(f"n_head {self.n_head} must be a multiple of n_kv_head {self.n_kv_head}")

    @property
    def head_dim(self) -> int:
        return self.n_embd // self.n_head


def flops_per_token(model: nn.Module, shape: Shape) -> int:
    """6 (N - V C) + 12 L H D T: forward and backward of every matrix but the embedding, plus
    attention as if it were not causal. The optimizer's own work is left out."""
    n_params = sum(p.numel() for p in model.parameters())
    matmul = 6 * (n_params - shape.vocab * shape.n_embd)
    return matmul + 12 * shape.depth * shape.n_head * shape.head_dim * shape.seq_len


def rms(x):
    """x / sqrt(mean(x^2) + eps) over the last axis; no learnable gain anywhere."""
    return F.rms_norm(x, (x.size(-1),), eps=RMS_EPS)


def rope_tables(seq_len: int, head_dim: int, dtype: torch.dtype, base: float = ROPE_BASE):
    """cos and sin of position * base^(-2j/D), computed in f32, each (1, T, 1, D/2)."""
    channel = torch.arange(0, head_dim, 2, dtype=torch.float32)
    inv_freq = 1.0 / (base ** (channel / head_dim))
    angle = torch.outer(torch.arange(seq_len, dtype=torch.float32), inv_freq)[None, :, None, :]
    return angle.cos().to(dtype), angle.sin().to(dtype)


def rotate(x, cos, sin):
    """Rotates the pairs (j, j + D/2) of x (B, T, H, D) by minus the angle."""
    first, second = x.chunk(2, dim=-1)
    return torch.cat((first * cos + second * sin, second * cos - first * sin), dim=-1)


class Attention(nn.Module):
    """Causal self-attention; queries and keys are rotated, then normalised per head."""

    def __init__(self, shape: Shape):
        super().__init__()
        self.n_head, self.n_kv_head, self.head_dim = shape.n_head, shape.n_kv_head, shape.head_dim
        self.c_q = nn.Linear(shape.n_embd, shape.n_head * shape.head_dim, bias=False)
        self.c_k = nn.Linear(shape.n_embd, shape.n_kv_head * shape.head_dim, bias=False)
        self.c_v = nn.Linear(shape.n_embd, shape.n_kv_head * shape.head_dim, bias=False)
        self.c_proj = nn.Linear(shape.n_embd, shape.n_embd, bias=False)

    def forward(self, x, cos, sin):
        b, t, c = x.shape
        q = self.c_q(x).view(b, t, self.n_head, self.head_dim)
        k = self.c_k(x).view(b, t, self.n_kv_head, self.head_dim)
        v = self.c_v(x).view(b, t, self.n_kv_head, self.head_dim)
        q, k = rms(rotate(q, cos, sin)), rms(rotate(k, cos, sin))
        y = F.scaled_dot_product_attention(
            q.transpose(1, 2), k.transpose(1, 2), v.transpose(1, 2),
            is_causal=True, enable_gqa=self.n_kv_head != self.n_head,
        )
        return self.c_proj(y.transpose(1, 2).reshape(b, t, c))


class Mlp(nn.Module):
    """C -> 4C -> C with relu squared between; not gated."""

    def __init__(self, shape: Shape, linear=partial(nn.Linear, bias=False)):
        super().__init__()
        self.c_fc = linear(shape.n_embd, 4 * shape.n_embd)
        self.c_proj = linear(4 * shape.n_embd, shape.n_embd)

    def forward(self, x):
        return self.c_proj(F.relu(self.c_fc(x)).square())


class Block(nn.Module):
    """One residual layer: attention, then MLP, each on the normalised stream."""

    def __init__(self, shape: Shape):
        super().__init__()
        self.attn = Attention(shape)
        self.mlp = Mlp(shape)

    def forward(self, x, cos, sin):
        x = x + self.attn(rms(x), cos, sin)
        return x + self.mlp(rms(x))


class Classic(nn.Module):
    """The whole network. `rope_dtype` is f32 as in our engine, or bf16 as in the original."""

    def __init__(self, shape: Shape, rope_dtype: torch.dtype = torch.float32):
        super().__init__()
        self.shape = shape
        self.transformer = nn.ModuleDict({
            "wte": nn.Embedding(shape.vocab, shape.n_embd),
            "h": nn.ModuleList(Block(shape) for _ in range(shape.depth)),
        })
        self.lm_head = nn.Linear(shape.n_embd, shape.vocab, bias=False)
        cos, sin = rope_tables(shape.seq_len, shape.head_dim, rope_dtype)
        self.register_buffer("cos", cos, persistent=False)
        self.register_buffer("sin", sin, persistent=False)

    @torch.no_grad()
    def init_weights(self, seed: int):
        """N(0,1) embedding, N(0, sigma) matrices with sigma = min(1, sqrt(out/in)) / sqrt(in),
        zeros in every output projection and in the head: fresh loss is exactly ln V."""
        generator = torch.Generator().manual_seed(seed)
        for name, p in self.named_parameters():
            if name.endswith("wte.weight"):
                p.normal_(0.0, 1.0, generator=generator)
            elif name.endswith(("c_proj.weight", "lm_head.weight")):
                p.zero_()
            else:
                fan_out, fan_in = p.shape
                p.normal_(0.0, min(1.0, (fan_out / fan_in) ** 0.5) / fan_in**0.5, generator=generator)

    def narrow_tables(self):
        """What is looked up becomes bf16, and the stream with it."""
        self.transformer["wte"].to(torch.bfloat16)

    def logits(self, ids):
        """ids (B, T) -> capped logits (B, T, V), in the dtype the head computed in."""
        t = ids.size(1)
        cos, sin = self.cos[:, :t], self.sin[:, :t]
        x = rms(self.transformer["wte"](ids))
        for block in self.transformer["h"]:
            x = block(x, cos, sin)
        return SOFTCAP * torch.tanh(self.lm_head(rms(x)) / SOFTCAP)

    def forward(self, ids, targets, reduction: str = "mean"):
        """Cross-entropy in f32 over the targets that are not -1."""
        z = self.logits(ids).float()
        return F.cross_entropy(
            z.view(-1, z.size(-1)), targets.reshape(-1), ignore_index=IGNORED, reduction=reduction
        )
