"""Single kernels against PyTorch's, in alternation.

    python kernels.py --ours "nanochat bench kernels --serve --threads 2" --threads 2 --json ../../target/results/torch.json

For each kernel below, our program times its own and this process times PyTorch's on the same shape, a turn each per round;
the ratio of every round is taken (PyTorch's time over ours). While one side works the other waits: ours reads its stdin, and
this process reads our answer. Needs torch.
"""

import argparse
import json
import shlex
import statistics
import subprocess
import sys
import time

import torch
import torch.nn.functional as F


def rand(*shape, grad=False, dtype=torch.float32):
    return torch.randn(*shape, dtype=dtype, requires_grad=grad)


def optimizer_step(rows, cols):
    """One step of fused AdamW on one matrix that has a gradient."""
    p = torch.nn.Parameter(rand(rows, cols))
    p.grad = rand(rows, cols)
    adamw = torch.optim.AdamW([p], lr=0.01, betas=(0.8, 0.95), eps=1e-10, weight_decay=0.1, fused=True)
    return adamw.step


def product(rows, inner, outer, part, dtype):
    """The three products of a linear layer, as benches name them."""
    x, w, dy = rand(rows, inner, dtype=dtype), rand(outer, inner, dtype=dtype), rand(rows, outer, dtype=dtype)
    if part == "fwd":
        return lambda: x @ w.T
    if part == "dgrad":
        return lambda: dy @ w
    dw = torch.zeros(outer, inner, dtype=dtype)
    return lambda: dw.addmm_(dy.T, x)


def attention(b, t, h, d, dtype, backward):
    q, k, v = (rand(b, h, t, d, grad=backward, dtype=dtype) for _ in range(3))
    if not backward:
        return lambda: F.scaled_dot_product_attention(q, k, v, is_causal=True)
    o = F.scaled_dot_product_attention(q, k, v, is_causal=True)
    do = torch.randn_like(o)
    return lambda: torch.autograd.grad(o, (q, k, v), do, retain_graph=True)


def elementwise(f, *shape):
    def make(dtype):
        x = rand(*shape, dtype=dtype)
        return lambda: f(x)
    return make


def cross_entropy(n, v, dtype):
    z, targets = rand(n, v, dtype=dtype), torch.randint(v, (n,))
    return lambda: F.cross_entropy(15 * torch.tanh(z / 15), targets, reduction="none")


def embedding(n, v, c, dtype):
    w, ids = rand(v, c), torch.randint(v, (n,))
    return lambda: F.embedding(ids, w).to(dtype)


HIDDEN = (8, 512, 768)
# Name in our registry, and a maker of PyTorch's call for a dtype. What ours does not have is left out with a notice.
KERNELS = [
    ("rms_norm_fwd/d12.hidden", elementwise(lambda x: F.rms_norm(x, (768,)), *HIDDEN)),
    ("layer_norm_fwd/d12.hidden", elementwise(lambda x: F.layer_norm(x, (768,)), *HIDDEN)),
    ("softmax_fwd/d12.logits", elementwise(lambda x: F.softmax(x, -1), 512, 32768)),
    ("gelu_fwd/d12.mlp", elementwise(lambda x: F.gelu(x, approximate="tanh"), 4, 512, 3072)),
    ("relu_squared_fwd/d12.mlp", elementwise(lambda x: F.relu(x).square(), 4, 512, 3072)),
    ("unary_tanh/d12.hidden", elementwise(torch.tanh, *HIDDEN)),
    ("unary_exp/d12.hidden", elementwise(torch.exp, *HIDDEN)),
    ("binary_add/d12.hidden", elementwise(lambda x: x + x, *HIDDEN)),
    ("reduce_sum/d12.hidden.columns", elementwise(lambda x: x.sum((0, 1)), *HIDDEN)),
    ("reduce_sum/d12.hidden.rows", elementwise(lambda x: x.sum(-1), *HIDDEN)),
    ("copy/d12.hidden.transposed", elementwise(lambda x: x.transpose(1, 2).contiguous(), *HIDDEN)),
    ("embedding_fwd/d12.tokens", lambda dtype: embedding(4096, 32768, 768, dtype)),
    ("softcap_cross_entropy_fwd/d12.logits", lambda dtype: cross_entropy(512, 32768, dtype)),
    ("matmul/d12.mlp_up.fwd", lambda dtype: product(2048, 768, 3072, "fwd", dtype)),
    ("matmul/d12.mlp_up.dgrad", lambda dtype: product(2048, 768, 3072, "dgrad", dtype)),
    ("matmul/d12.mlp_up.wgrad", lambda dtype: product(2048, 768, 3072, "wgrad", dtype)),
    ("matmul/d12.logits.fwd", lambda dtype: product(512, 768, 32768, "fwd", dtype)),
    ("matmul/d12.mlp_up.decode", lambda dtype: product(1, 768, 3072, "fwd", dtype)),
    ("attention_fwd/d12.attention", lambda dtype: attention(2, 2048, 6, 128, dtype, backward=False)),
    ("attention_bwd/d12.attention", lambda dtype: attention(2, 2048, 6, 128, dtype, backward=True)),
    ("adamw/d12.mlp_up", lambda dtype: optimizer_step(3072, 768)),
]


class Ours:
    """Our program, serving."""

    def __init__(self, command):
        self.process = subprocess.Popen(shlex.split(command), stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)

    def time(self, name, dtype, seconds):
        """Milliseconds per call, or None where ours has no such case."""
        self.process.stdin.write(f"time {name} {dtype} {seconds}\n")
        self.process.stdin.flush()
        line = self.process.stdout.readline()
        if not line:
            sys.exit(f"error: ours ended without answering (status {self.process.wait()})")
        return json.loads(line).get("ms")


def time_torch(call, seconds):
    """Median milliseconds per call, after one that is not counted."""
    call()
    times, begun = [], time.perf_counter()
    while not times or (time.perf_counter() - begun < 4 * seconds and sum(times) < seconds):
        start = time.perf_counter()
        call()
        times.append(time.perf_counter() - start)
    return 1e3 * statistics.median(times)


def compare(ours, name, dtype, call, args):
    """All rounds of one kernel as a row, or None."""
    pairs = []
    for i in range(args.rounds):
        sides = [lambda: ours.time(name, dtype, args.seconds), lambda: time_torch(call, args.seconds)]
        order = (0, 1) if i % 2 == 0 else (1, 0)
        pair = [None, None]
        for side in order:
            time.sleep(0.02)  # thread pools may spin for some milliseconds
            pair[side] = sides[side]()
        if pair[0] is None:
            return None
        pairs.append(pair)
    ratios = [theirs / mine for mine, theirs in pairs]
    kernel, label = name.split("/")
    mine, theirs = (statistics.median(p[side] for p in pairs) for side in (0, 1))
    return {
        "kernel": kernel, "label": label, "dtype": dtype, "ours_ms": mine, "torch_ms": theirs,
        "ratio": statistics.median(ratios), "ratio_min": min(ratios), "ratio_max": max(ratios),
    }


def main():
    p = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    p.add_argument("--ours", required=True, help="command line of our program, serving")
    p.add_argument("--threads", type=int, default=2)
    p.add_argument("--rounds", type=int, default=5)
    p.add_argument("--seconds", type=float, default=0.1, help="timed seconds per side and round")
    p.add_argument("--filter", default="", help="only kernels with this in their name")
    p.add_argument("--json", metavar="FILE", help="write the rows to FILE")
    args = p.parse_args()
    torch.set_num_threads(args.threads)
    torch.manual_seed(0)
    ours, rows = Ours(args.ours), []
    for name, make in KERNELS:
        for dtype in ("f32", "bf16"):
            if args.filter not in name:
                continue
            row = compare(ours, name, dtype, make(torch.bfloat16 if dtype == "bf16" else torch.float32), args)
            if row is None:
                print(f"notice: ours has no {name} in {dtype}", flush=True)
                continue
            print(f"{name:40} {dtype:4}  ours {row['ours_ms']:9.3f} ms  torch {row['torch_ms']:9.3f} ms"
                  f"  ratio {row['ratio']:.2f} ({row['ratio_min']:.2f} to {row['ratio_max']:.2f})", flush=True)
            rows.append(row)
    ours.process.communicate("quit\n")
    if args.json:
        with open(args.json, "w") as f:
            json.dump({"torch": torch.__version__, "threads": args.threads, "rows": rows}, f, indent=1)


if __name__ == "__main__":
    main()
