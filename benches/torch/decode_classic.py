"""Times reading a prompt and drawing tokens from the classic model in PyTorch on the CPU.

The way the original's engine does it: the prompt is read once, for one row, into a key/value cache;
the cache is then given to every row, and each step runs one token of each row through the model and
draws the next one (temperature 1, the 50 most likely). Weights are random. Options, fields and the
protocol are described in README.md.

    python decode_classic.py --depth 12 --vocab 32768 --batch 8 --dtype bf16
    python decode_classic.py --serve       # then: "prefill 3", "decode 32", ..., "quit"
"""

import argparse
import json
import math
import statistics
import sys
import time

import torch
import torch.nn.functional as F

from model import Classic, Shape, SOFTCAP, rms, rope_tables, rotate
from train import DTYPES, add_shape_options, notices, set_up

TOP_K = 50
STD = 0.02  # of the matrices that begin as zeros: with those, all tokens would be equally likely


def parse_args(argv=None):
    p = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    add_shape_options(p)
    p.add_argument("--batch", type=int, default=1, help="rows that continue the prompt together")
    p.add_argument("--prompt", type=int, default=256)
    p.add_argument("--new", type=int, default=128)
    p.add_argument("--prefills", type=int, default=3)
    p.add_argument("--serve", action="store_true", help="do what stdin asks for")
    args = p.parse_args(argv)
    if min(args.batch, args.prompt, args.new, args.prefills, args.threads) < 1:
        p.error("--batch, --prompt, --new, --prefills and --threads must be at least 1")
    return args


class Cache:
    """Keys and values (B, Hk, room, D) per layer, and how many positions are filled."""

    def __init__(self, shape: Shape, rows: int, room: int, dtype: torch.dtype):
        dims = (rows, shape.n_kv_head, room, shape.head_dim)
        self.layers = [(torch.zeros(dims, dtype=dtype), torch.zeros(dims, dtype=dtype)) for _ in range(shape.depth)]
        self.filled = 0

    def grown(self, shape: Shape, rows: int, room: int):
        """A cache of `rows` rows that all hold what row 0 of this one holds."""
        wide = Cache(shape, rows, room, self.layers[0][0].dtype)
        for mine, theirs in zip(self.layers, wide.layers):
            for x, y in zip(mine, theirs):
                y[:, :, : self.filled] = x[:, :, : self.filled]
        wide.filled = self.filled
        return wide


def attend(attn, x, cos, sin, keys, values, at: int):
    """Attention of new tokens x (B, T, C) at position `at`, whose keys and values go into the cache."""
    b, t, c = x.shape
    q = attn.c_q(x).view(b, t, attn.n_head, attn.head_dim)
    k = attn.c_k(x).view(b, t, attn.n_kv_head, attn.head_dim)
    v = attn.c_v(x).view(b, t, attn.n_kv_head, attn.head_dim)
    q, k = rms(rotate(q, cos, sin)), rms(rotate(k, cos, sin))
    keys[:, :, at : at + t] = k.transpose(1, 2)
    values[:, :, at : at + t] = v.transpose(1, 2)
    y = F.scaled_dot_product_attention(
        q.transpose(1, 2), keys[:, :, : at + t], values[:, :, : at + t],
        is_causal=t > 1, enable_gqa=attn.n_kv_head != attn.n_head,  # several tokens come only with the prompt
    )
    return attn.c_proj(y.transpose(1, 2).reshape(b, t, c))


def next_logits(model: Classic, tables, ids, cache: Cache):
    """ids (B, T), new -> f32 logits (B, V) after the last of them."""
    at, t = cache.filled, ids.size(1)
    cos, sin = (table[:, at : at + t] for table in tables)
    x = rms(model.transformer["wte"](ids))
    for block, (keys, values) in zip(model.transformer["h"], cache.layers):
        x = x + attend(block.attn, rms(x), cos, sin, keys, values, at)
        x = x + block.mlp(rms(x))
    cache.filled += t
    return SOFTCAP * torch.tanh(model.lm_head(rms(x[:, -1])).float() / SOFTCAP)


class Generator:
    """Model, prompt, and rows that continue it; `prefill()` and `step()` say how long they took."""

    def __init__(self, args):
        set_up(args)
        self.args = args
        dtype = DTYPES[args.dtype]
        self.shape = Shape(args.depth, args.n_embd, args.n_head, args.n_kv_head, args.prompt + args.new, args.vocab)
        model = Classic(self.shape, rope_dtype=dtype)
        model.init_weights(args.seed)
        with torch.no_grad():
            for name, p in model.named_parameters():
                if name.endswith(("c_proj.weight", "lm_head.weight")):
                    p.normal_(0.0, STD)
        self.model = model.to(dtype).eval()
        self.tables = rope_tables(self.shape.seq_len, self.shape.head_dim, dtype)
        self.next_logits = torch.compile(next_logits, dynamic=True) if args.compile else next_logits
        self.generator = torch.Generator().manual_seed(args.seed + 1)
        self.prompt = torch.randint(args.vocab, (1, args.prompt), generator=self.generator)
        self.read = self.rows = None

    def draw(self, logits):
        """One token for each row, (B, 1)."""
        best, where = torch.topk(logits, min(TOP_K, logits.size(-1)))
        chosen = torch.multinomial(F.softmax(best, dim=-1), 1, generator=self.generator)
        return where.gather(1, chosen)

    @torch.inference_mode()
    def prefill(self) -> float:
        start = time.perf_counter()
        cache = Cache(self.shape, 1, self.args.prompt, DTYPES[self.args.dtype])
        self.draw(self.next_logits(self.model, self.tables, self.prompt, cache)).tolist()
        elapsed = time.perf_counter() - start
        self.read, self.rows = cache, None
        return 1e3 * elapsed

    @torch.inference_mode()
    def step(self) -> float:
        """One token for each row; behind the last of the new tokens the rows begin again, untimed."""
        a = self.args
        if self.read is None:
            self.prefill()
        if self.rows is None or self.rows.filled == a.prompt + a.new:
            self.rows = self.read.grown(self.shape, a.batch, a.prompt + a.new)
            self.latest = [[int(self.prompt[0, 0])]] * a.batch
        start = time.perf_counter()
        logits = self.next_logits(self.model, self.tables, torch.tensor(self.latest), self.rows)
        self.latest = self.draw(logits).tolist()
        return 1e3 * (time.perf_counter() - start)


def serve(generator: Generator):
    """Answers "prefill N" and "decode N" with one JSON line of N times, until "quit" or the end of input."""
    a = generator.args
    work = {"prefill": (generator.prefill, a.prompt), "decode": (generator.step, a.batch)}
    for line in sys.stdin:
        words = line.split()
        if words == ["quit"]:
            return
        if len(words) == 2 and words[0] in work and words[1].isdigit():
            once, tokens = work[words[0]]
            reply = {"ms": [once() for _ in range(int(words[1]))], "tokens_per_step": tokens, "version": torch.__version__}
        else:
            reply = {"error": f"expected 'prefill N', 'decode N' or 'quit', got {line.strip()!r}"}
        print(json.dumps(reply), flush=True)


def main():
    args = parse_args()
    notices(args)
    try:
        generator = Generator(args)
    except ValueError as e:
        sys.exit(f"error: {e}")
    if args.serve:
        return serve(generator)
    generator.prefill()
    prefill = [generator.prefill() for _ in range(args.prefills)]
    generator.step()
    generator.rows = None
    steps = [generator.step() for _ in range(args.new)]
    result = {
        "impl": "torch", "version": torch.__version__, "mode": "compiled" if args.compile else "eager",
        "dtype": args.dtype, "threads": args.threads,
        "shape": {
            "depth": args.depth, "n_embd": args.n_embd, "n_head": args.n_head, "n_kv_head": args.n_kv_head,
            "vocab": args.vocab, "batch": args.batch, "prompt": args.prompt, "new": args.new,
        },
        "prefill": {"ms": statistics.median(prefill), "tokens_per_s": 1e3 * args.prompt / statistics.median(prefill)},
        "decode": {"ms": statistics.median(steps), "tokens_per_s": 1e3 * args.batch / statistics.median(steps)},
    }
    if args.json == "-":
        print(json.dumps(result))
        return
    print(
        f"torch {result['version']} {result['mode']} {args.dtype}, {args.threads} threads: "
        f"prefill {result['prefill']['tokens_per_s']:.0f} tokens/s, decode {result['decode']['tokens_per_s']:.1f} tokens/s"
    )
    if args.json:
        with open(args.json, "w") as f:
            json.dump(result, f, indent=1)


if __name__ == "__main__":
    main()
