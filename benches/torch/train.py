"""Times training steps of either generation in PyTorch on the CPU.

One step = forward, backward, clipping (classic alone), AdamW + Muon, dropping the gradients. Tokens are random
with a fixed seed and drawn before the clock starts; no learning-rate schedule runs, only the
momentum ramp. Options, fields and the stdin protocol are described in README.md.

    python train.py --depth 4 --vocab 4096 --threads 2
    python train.py --serve-steps       # then: "step 3", "step 3", ..., "quit"
"""

import argparse
import contextlib
import json
import math
import os
import resource
import shutil
import statistics
import sys
import sysconfig
import time

import torch

import current
import model
import normuon
import optimizers
from model import Shape

DTYPES = {"f32": torch.float32, "bf16": torch.bfloat16}


# The network, its FLOPs formula, and its optimizers, of each generation.
GENERATIONS = {
    "classic": (model.Classic, model.flops_per_token, optimizers),
    "current": (current.Current, current.flops_per_token, normuon),
}


def add_shape_options(p):
    """What training and decoding have in common; `set_up` fills in what follows from the depth."""
    p.add_argument("--depth", type=int, default=4)
    p.add_argument("--n-embd", type=int, help="default 64 * depth")
    p.add_argument("--n-head", type=int, help="default max(1, ceil(n_embd / 128))")
    p.add_argument("--n-kv-head", type=int, help="default n_head")
    p.add_argument("--vocab", type=int, default=4096)
    p.add_argument("--threads", type=int, default=2)
    p.add_argument("--dtype", choices=DTYPES, default="f32")
    p.add_argument("--matmul-precision", choices=["highest", "high", "medium"], default="highest")
    p.add_argument("--compile", action="store_true", help="torch.compile")
    p.add_argument("--seed", type=int, default=1337)
    p.add_argument("--json", nargs="?", const="-", metavar="FILE", help="JSON to FILE, or to stdout alone")


def set_up(args):
    """Threads and precision; widths and heads that follow from the depth."""
    args.n_embd = args.n_embd or 64 * args.depth
    args.n_head = args.n_head or max(1, math.ceil(args.n_embd / 128))
    args.n_kv_head = args.n_kv_head or args.n_head
    torch.set_num_threads(args.threads)
    torch.set_float32_matmul_precision(args.matmul_precision)


def notices(args):
    """Says on stderr what the machine lacks for a fair run, instead of being slow or failing without a reason."""
    if not args.compile:
        return
    if not any(shutil.which(name) for name in (os.environ.get("CXX", "g++"), "clang++", "c++")):
        print("notice: --compile needs a C++ compiler, and there is none", file=sys.stderr)
    elif not os.path.exists(os.path.join(sysconfig.get_paths()["include"], "Python.h")):
        print("notice: --compile needs Python.h (the package with Python's headers)", file=sys.stderr)


def parse_args(argv=None):
    p = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    add_shape_options(p)
    p.add_argument("--generation", choices=GENERATIONS, default="classic")
    p.add_argument("--seq-len", type=int, default=512)
    p.add_argument("--batch", type=int, default=8)
    p.add_argument("--steps", type=int, default=10)
    p.add_argument("--warmup", type=int, default=3, help="untimed steps first (not with --serve-steps)")
    p.add_argument("--ns-dtype", choices=DTYPES, default="bf16", help="Newton-Schulz in Muon")
    p.add_argument("--serve-steps", action="store_true", help="run steps as stdin asks for them")
    args = p.parse_args(argv)
    if min(args.steps, args.batch, args.threads) < 1 or args.warmup < 0:
        p.error("--steps, --batch and --threads must be at least 1, --warmup at least 0")
    return args


class Trainer:
    """Model, optimizers, token source; `step()` runs one step and says how long it took."""

    def __init__(self, args):
        set_up(args)
        self.args = args
        self.shape = Shape(args.depth, args.n_embd, args.n_head, args.n_kv_head, args.seq_len, args.vocab)
        network, flops_per_token, self.recipe = GENERATIONS[args.generation]
        net = network(self.shape, rope_dtype=DTYPES[args.dtype])
        net.init_weights(args.seed)
        if args.dtype == "bf16":
            # As the original does on accelerators: a bf16 embedding makes the residual stream
            # bf16, and the f32 matrices are cast where they multiply (in classic by autocast).
            net.narrow_tables()
        self.flops_per_step = flops_per_token(net, self.shape) * args.batch * args.seq_len
        self.parameters = list(net.parameters())
        self.optimizers = self.recipe.build_optimizers(net, DTYPES[args.ns_dtype], args.compile)
        self.model = torch.compile(net, dynamic=False) if args.compile else net
        self.tokens = torch.Generator().manual_seed(args.seed + 1)
        self.steps_done = 0
        self.loss = float("nan")

    def autocast(self):
        if self.args.dtype == "bf16" and self.args.generation == "classic":
            return torch.autocast("cpu", dtype=torch.bfloat16)
        return contextlib.nullcontext()

    def step(self) -> float:
        """One training step on a fresh batch; milliseconds, without drawing the batch."""
        a = self.args
        batch = torch.randint(a.vocab, (a.batch, a.seq_len + 1), generator=self.tokens)
        ids, targets = batch[:, :-1].contiguous(), batch[:, 1:].contiguous()
        start = time.perf_counter()
        with self.autocast():
            loss = self.model(ids, targets)
        loss.backward()
        self.recipe.apply_gradients(self.parameters, self.optimizers, self.steps_done)
        self.loss = loss.item()
        elapsed = time.perf_counter() - start
        self.steps_done += 1
        return 1e3 * elapsed

    def report(self, steps_ms) -> dict:
        """The figures of a run, in the fields every implementation of this benchmark prints."""
        a, s = self.args, self.shape
        median = statistics.median(steps_ms)
        return {
            "impl": "torch",
            "generation": a.generation,
            "version": torch.__version__,
            "mode": "compiled" if a.compile else "eager",
            "dtype": a.dtype,
            "ns_dtype": a.ns_dtype,
            "matmul_precision": a.matmul_precision,
            "threads": a.threads,
            "shape": {
                "depth": s.depth, "n_embd": s.n_embd, "n_head": s.n_head, "n_kv_head": s.n_kv_head,
                "head_dim": s.head_dim, "seq_len": s.seq_len, "batch": a.batch, "vocab": s.vocab,
            },
            "median_step_ms": median,
            "tokens_per_s": 1e3 * a.batch * s.seq_len / median,
            "gflops": self.flops_per_step / (median * 1e6),
            "steps_ms": steps_ms,
            "loss": self.loss,
            "max_rss_mb": resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024,
        }


def serve(trainer: Trainer):
    """Answers "step N" with one JSON line of N times, until "quit" or the end of input.

    Between requests the process blocks on stdin, so that another implementation can be measured
    on an idle machine. `tokens_per_step` lets the driver refuse to compare unlike batches.
    """
    tokens_per_step = trainer.args.batch * trainer.args.seq_len
    for line in sys.stdin:
        words = line.split()
        if words == ["quit"]:
            return
        if len(words) == 2 and words[0] == "step" and words[1].isdigit():
            reply = {"ms": [trainer.step() for _ in range(int(words[1]))]}
            reply |= {"tokens_per_step": tokens_per_step, "loss": trainer.loss, "version": torch.__version__}
        else:
            reply = {"error": f"expected 'step N' or 'quit', got {line.strip()!r}"}
        print(json.dumps(reply), flush=True)


def main():
    args = parse_args()
    notices(args)
    try:
        trainer = Trainer(args)
    except ValueError as e:
        sys.exit(f"error: {e}")
    if args.serve_steps:
        return serve(trainer)
    for _ in range(args.warmup):
        trainer.step()
    steps_ms = []
    for i in range(args.steps):
        steps_ms.append(trainer.step())
        if args.json != "-":
            print(f"step {i:3}  {steps_ms[-1]:9.1f} ms  loss {trainer.loss:.4f}", flush=True)
    result = trainer.report(steps_ms)
    if args.json == "-":
        print(json.dumps(result))
        return
    print(
        f"torch {result['version']} {result['mode']} {args.dtype}, {args.threads} threads: "
        f"median {result['median_step_ms']:.1f} ms/step, {result['tokens_per_s']:.0f} tokens/s, "
        f"{result['gflops']:.1f} GFLOP/s, loss {result['loss']:.4f}, "
        f"peak memory {result['max_rss_mb']:.0f} MB"
    )
    if args.json:
        with open(args.json, "w") as f:
            json.dump(result, f, indent=1)


if __name__ == "__main__":
    main()
