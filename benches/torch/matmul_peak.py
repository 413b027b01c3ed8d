"""What PyTorch's own square matrix product reaches here: a practical ceiling for GFLOP/s figures.

    python matmul_peak.py --threads 2 --size 2048
"""

import argparse
import time

import torch


def best_gflops(size: int, dtype: torch.dtype, repeats: int) -> tuple[float, float]:
    """(best, median) of 2 n^3 / time over repeats, after two warming products."""
    a, b = (torch.randn(size, size).to(dtype) for _ in range(2))
    out = torch.empty(size, size, dtype=dtype)
    times = []
    for _ in range(repeats + 2):
        start = time.perf_counter()
        torch.mm(a, b, out=out)
        times.append(time.perf_counter() - start)
    times = sorted(times[2:])
    flops = 2 * size**3 / 1e9
    return flops / times[0], flops / times[len(times) // 2]


def main():
    p = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    p.add_argument("--threads", type=int, default=2)
    p.add_argument("--size", type=int, default=2048)
    p.add_argument("--repeats", type=int, default=30)
    args = p.parse_args()
    torch.set_num_threads(args.threads)
    for name, dtype in [("f32", torch.float32), ("bf16", torch.bfloat16)]:
        best, median = best_gflops(args.size, dtype, args.repeats)
        print(f"{name:5} {args.size}^3, {args.threads} threads: best {best:.0f}, median {median:.0f} GFLOP/s")


if __name__ == "__main__":
    main()
