"""The current generation as a PyTorch module, and its FLOPs formula.

Written from the architecture's formulas like `model.py`, whose parts it uses. Names and shapes of parameters are those of our
checkpoints, so that `check_current.py` can load reference weights.

    x = rms(wte[ids]);  x_t += smear_lambda sigmoid(smear_gate . x_t[:24]) x_{t-1};  x0 = x
    per block i:  x = resid_lambdas[i] x + x0_lambdas[i] x0
                  x += c_proj(attention(rms(x)));  x += mlp.c_proj(relu(c_fc(rms(x)))^2)
    logits = 15 tanh(lm_head(rms(x - backout_lambda x_mid)) / 15), x_mid after block depth // 2

In every other layer, and the last, v += 3 sigmoid(ve_gate . h[:12]) value_embeds_i[ids]. Three layers of four see a
window. There is no autocast: a matrix is cast to the dtype of what it multiplies.

Read next: `normuon.py` (what updates the weights), `train.py` (what is timed).
"""

import torch
import torch.nn as nn
import torch.nn.functional as F

from model import IGNORED, Mlp, SOFTCAP, Shape, rms, rope_tables, rotate

ROPE_BASE = 100_000.0
QK_GAIN = 1.2
VALUE_GATE = 3.0
VALUE_GATE_CHANNELS = 12
SMEAR_GATE_CHANNELS = 24
WINDOWS = "SSSL"
WINDOW_MULTIPLE = 128
VOCAB_MULTIPLE = 64


def padded(vocab: int) -> int:
    return -(-vocab // VOCAB_MULTIPLE) * VOCAB_MULTIPLE


def windows(shape: Shape, pattern: str) -> list:
    """How many positions before its own a position sees, per layer; the last layer is always long."""
    quarter = -(-shape.seq_len // 4)
    short = -(-quarter // WINDOW_MULTIPLE) * WINDOW_MULTIPLE
    letters = [pattern[i % len(pattern)] for i in range(shape.depth - 1)] + ["L"]
    return [short if letter == "S" else shape.seq_len for letter in letters]


def has_values(layer: int, depth: int) -> bool:
    return layer % 2 == (depth - 1) % 2


def flops_per_token(model: nn.Module, shape: Shape) -> int:
    """6 (parameters of matrices that multiply) + sum over layers of 12 H D min(W, T)."""
    multiplied = sum(p.numel() for name, p in model.named_parameters() if p.dim() == 2 and not is_table(name))
    return 6 * multiplied + 12 * shape.n_embd * sum(min(w, shape.seq_len) for w in windows(shape, model.pattern))


def is_table(name: str) -> bool:
    """Is this weight looked up rather than multiplied?"""
    return name.startswith(("transformer.wte.", "value_embeds."))


class Linear(nn.Linear):
    """y = x W^T without a bias, in the dtype of x, whatever that of the weight."""

    def __init__(self, n_in: int, n_out: int):
        super().__init__(n_in, n_out, bias=False)

    def forward(self, x):
        return F.linear(x, self.weight.to(x.dtype))


def in_blocks(q, k, v, window: int):
    """Windowed attention where T is a multiple of the window: blocks of `window` queries see their own block of keys and the
    one before, half of it each. Twice the work that is needed, where a mask over all keys costs T / window times as much."""
    b, h, t, d = q.shape
    n = t // window
    own = [x.unflatten(2, (n, window)).transpose(1, 2) for x in (q, k, v)]  # (B, n, H, W, D)

    def with_the_one_before(x):
        before = torch.cat((torch.zeros_like(x[:, :1]), x[:, :-1]), dim=1)
        return torch.cat((before, x), dim=3).flatten(0, 1)

    query = torch.arange(window)[:, None] + window
    key = torch.arange(2 * window)[None, :]
    band = (key <= query) & (query - key <= window)
    first = torch.arange(n)[:, None, None] == 0
    mask = (band & ~(first & (key < window))).unsqueeze(1)  # (n, 1, W, 2W)
    y = F.scaled_dot_product_attention(
        own[0].flatten(0, 1), with_the_one_before(own[1]), with_the_one_before(own[2]), attn_mask=mask.repeat(b, 1, 1, 1)
    )
    return y.unflatten(0, (b, n)).transpose(1, 2).flatten(2, 3)


def attend(q, k, v, window: int):
    """Causal attention of (B, H, T, D) over the position itself and `window` before it."""
    t = q.size(2)
    if window >= t:
        return F.scaled_dot_product_attention(q, k, v, is_causal=True)
    if t % window == 0:
        return in_blocks(q, k, v, window)
    query, key = torch.arange(t)[:, None], torch.arange(t)[None, :]
    return F.scaled_dot_product_attention(q, k, v, attn_mask=(key <= query) & (query - key <= window))


class Attention(nn.Module):
    """Queries and keys are rotated, normalised and made 1.2 long; values may get a second embedding of their token."""

    def __init__(self, shape: Shape, window: int, values: bool):
        super().__init__()
        self.n_head, self.n_kv_head, self.head_dim, self.window = shape.n_head, shape.n_kv_head, shape.head_dim, window
        self.c_q = Linear(shape.n_embd, shape.n_head * shape.head_dim)
        self.c_k = Linear(shape.n_embd, shape.n_kv_head * shape.head_dim)
        self.c_v = Linear(shape.n_embd, shape.n_kv_head * shape.head_dim)
        self.c_proj = Linear(shape.n_embd, shape.n_embd)
        self.ve_gate = Linear(VALUE_GATE_CHANNELS, shape.n_kv_head) if values else None

    def forward(self, x, second, cos, sin):
        b, t, c = x.shape
        q = self.c_q(x).view(b, t, self.n_head, self.head_dim)
        k = self.c_k(x).view(b, t, self.n_kv_head, self.head_dim)
        v = self.c_v(x).view(b, t, self.n_kv_head, self.head_dim)
        if second is not None:
            gate = VALUE_GATE * torch.sigmoid(self.ve_gate(x[..., :VALUE_GATE_CHANNELS]))
            v = v + gate.unsqueeze(-1) * second.view(b, t, self.n_kv_head, self.head_dim)
        q, k = (QK_GAIN * rms(rotate(x, cos, sin)) for x in (q, k))
        q, k, v = q.transpose(1, 2), k.transpose(1, 2), v.transpose(1, 2)
        if self.n_kv_head != self.n_head:
            k, v = (x.repeat_interleave(self.n_head // self.n_kv_head, dim=1) for x in (k, v))
        y = attend(q, k, v, self.window)
        return self.c_proj(y.transpose(1, 2).reshape(b, t, c))


class Block(nn.Module):
    """One residual layer: attention, then MLP, each on the normalised stream."""

    def __init__(self, shape: Shape, window: int, values: bool):
        super().__init__()
        self.attn = Attention(shape, window, values)
        self.mlp = Mlp(shape, Linear)

    def forward(self, x, second, cos, sin):
        x = x + self.attn(rms(x), second, cos, sin)
        return x + self.mlp(rms(x))


class Current(nn.Module):
    """The whole network; RoPE tables have the activations' dtype."""

    def __init__(self, shape: Shape, rope_dtype: torch.dtype = torch.float32, pattern: str = WINDOWS):
        super().__init__()
        self.shape, self.pattern = shape, pattern
        rows, kv = padded(shape.vocab), shape.n_kv_head * shape.head_dim
        spans = windows(shape, pattern)
        layers = [i for i in range(shape.depth) if has_values(i, shape.depth)]
        self.transformer = nn.ModuleDict({
            "wte": nn.Embedding(rows, shape.n_embd),
            "h": nn.ModuleList(Block(shape, spans[i], i in layers) for i in range(shape.depth)),
        })
        self.lm_head = Linear(shape.n_embd, rows)
        self.resid_lambdas = nn.Parameter(torch.ones(shape.depth))
        self.x0_lambdas = nn.Parameter(torch.zeros(shape.depth))
        self.smear_gate = Linear(SMEAR_GATE_CHANNELS, 1)
        self.smear_lambda = nn.Parameter(torch.zeros(1))
        self.backout_lambda = nn.Parameter(torch.zeros(1))
        self.value_embeds = nn.ModuleDict({str(i): nn.Embedding(rows, kv) for i in layers})
        cos, sin = rope_tables(shape.seq_len, shape.head_dim, rope_dtype, ROPE_BASE)
        self.register_buffer("cos", cos, persistent=False)
        self.register_buffer("sin", sin, persistent=False)

    @torch.no_grad()
    def init_weights(self, seed: int):
        """Uniform matrices of deviation C^-1/2 (c_fc 0.4 of that), zeros in every output projection, small gates."""
        generator = torch.Generator().manual_seed(seed)
        depth, side = self.shape.depth, (3.0 / self.shape.n_embd) ** 0.5
        for name, p in self.named_parameters():
            if name.endswith("wte.weight"):
                p.normal_(0.0, 0.8, generator=generator)
            elif name == "lm_head.weight":
                p.normal_(0.0, 0.001, generator=generator)
            elif name.endswith("c_proj.weight"):
                p.zero_()
            elif name.endswith("_gate.weight"):
                p.uniform_(0.0, 0.02, generator=generator)
            elif p.dim() == 2:
                reach = 0.4 * side if name.endswith("c_fc.weight") else side
                p.uniform_(-reach, reach, generator=generator)
        part = torch.arange(depth) / max(depth - 1, 1)
        self.resid_lambdas.copy_(1.15 - 0.10 * part)
        self.x0_lambdas.copy_(0.20 - 0.15 * part)
        self.smear_lambda.zero_()
        self.backout_lambda.fill_(0.2)

    def narrow_tables(self):
        """What is looked up becomes bf16, and the stream with it."""
        self.transformer["wte"].to(torch.bfloat16)
        self.value_embeds.to(torch.bfloat16)

    def logits(self, ids):
        """ids (B, T) -> capped logits (B, T, V) in f32."""
        t = ids.size(1)
        cos, sin = self.cos[:, :t], self.sin[:, :t]
        x = rms(self.transformer["wte"](ids))
        gate = self.smear_lambda.to(x.dtype) * torch.sigmoid(self.smear_gate(x[:, 1:, :SMEAR_GATE_CHANNELS]))
        x = torch.cat((x[:, :1], x[:, 1:] + gate * x[:, :-1]), dim=1)
        first = x
        middle = None
        for i, block in enumerate(self.transformer["h"]):
            x = self.resid_lambdas[i] * x + self.x0_lambdas[i] * first
            second = self.value_embeds[str(i)](ids) if str(i) in self.value_embeds else None
            x = block(x, second, cos, sin)
            if i == self.shape.depth // 2:
                middle = x
        if middle is not None:
            x = x - self.backout_lambda.to(x.dtype) * middle
        z = self.lm_head(rms(x))[..., : self.shape.vocab].float()
        return SOFTCAP * torch.tanh(z / SOFTCAP)

    def forward(self, ids, targets, reduction: str = "mean"):
        """Cross-entropy in f32 over the targets that are not -1."""
        z = self.logits(ids)
        return F.cross_entropy(
            z.view(-1, z.size(-1)), targets.reshape(-1), ignore_index=IGNORED, reduction=reduction
        )
