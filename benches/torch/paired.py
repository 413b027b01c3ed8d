"""Paired comparison of two programs that run training steps on request.

Both are started, then asked in turn for a few steps; while one computes the other is blocked
reading its stdin. Whatever the machine does (clock changes, neighbours) thus falls on both, and
the ratio of one round says more than two separate runs. The order flips every round.

    python paired.py --ours "nanochat bench train --serve-steps" \\
                     --torch "python train.py --serve-steps" --rounds 7 --steps 3

Protocol on each side, one line each way: "step N" (or another kind of work, --work) is answered by a
JSON object holding {"ms": [N times]} and, where known, "tokens_per_step"; "quit" ends. Lines that do
not start with "{" are notices and are skipped. A command line may begin with NAME=value words, which
become its environment. Standard library only.
"""

import argparse
import datetime
import json
import os
import re
import shlex
import statistics
import subprocess
import sys
import time


QUIET_CORES = 0.15  # a round counts as quiet when other programs used less than this of a core


class Failed(Exception):
    """One side did not keep to the protocol; the message says which and how."""


def cpu_seconds(pid: int):
    """CPU time used so far by (the whole machine, this process); None off Linux."""
    try:
        with open("/proc/stat") as f:
            user, nice, system, _idle, _wait, irq, softirq, *_ = map(int, f.readline().split()[1:])
        with open(f"/proc/{pid}/stat") as f:
            fields = f.read().rpartition(")")[2].split()
    except OSError:
        return None
    hertz = os.sysconf("SC_CLK_TCK")
    machine = user + nice + system + irq + softirq
    return machine / hertz, (int(fields[11]) + int(fields[12])) / hertz


class Side:
    """One running program."""

    def __init__(self, name: str, command: str, work: str):
        self.name, self.work = name, work
        self.tokens_per_step = self.version = None
        argv, environment = shlex.split(command), dict(os.environ)
        while argv and re.fullmatch(r"[A-Z_]+=.*", argv[0]):
            key, _, value = argv.pop(0).partition("=")
            environment[key] = value
        pipes = {"stdin": subprocess.PIPE, "stdout": subprocess.PIPE}
        try:
            self.process = subprocess.Popen(argv, env=environment, text=True, **pipes)
        except OSError as e:
            raise Failed(f"{name}: cannot start {argv[:1]}: {e}") from None

    def run(self, steps: int) -> dict:
        """Asks for steps and waits; their median ms, all ms, and the cores others kept busy."""
        before, start = cpu_seconds(self.process.pid), time.perf_counter()
        try:
            self.process.stdin.write(f"{self.work} {steps}\n")
            self.process.stdin.flush()
        except BrokenPipeError:
            raise Failed(f"{self.name}: ended before it was asked for steps") from None
        reply = self.read_reply()
        after, wall = cpu_seconds(self.process.pid), time.perf_counter() - start
        ms = reply.get("ms")
        if not isinstance(ms, list) or len(ms) != steps or not all(t > 0 for t in ms):
            raise Failed(f"{self.name}: asked for {steps} steps, got {reply}")
        self.tokens_per_step, self.version = reply.get("tokens_per_step"), reply.get("version")
        others = None
        if before and after:
            machine, own = after[0] - before[0], after[1] - before[1]
            others = round(max(0.0, machine - own) / wall, 2)
        return {"median_ms": statistics.median(ms), "ms": ms, "loss": reply.get("loss"), "other_cores": others}

    def read_reply(self) -> dict:
        for line in self.process.stdout:
            if line.lstrip().startswith("{"):
                try:
                    reply = json.loads(line)
                except json.JSONDecodeError:
                    raise Failed(f"{self.name}: not JSON: {line.strip()}") from None
                if "error" in reply:
                    raise Failed(f"{self.name}: {reply['error']}")
                return reply
        raise Failed(f"{self.name}: ended without answering (status {self.process.wait()})")

    def peak_mb(self):
        """The most memory that the program has had so far; None off Linux."""
        try:
            with open(f"/proc/{self.process.pid}/status") as f:
                return next((int(line.split()[1]) / 1024 for line in f if line.startswith("VmHWM:")), None)
        except OSError:
            return None

    def close(self):
        """Asks the program to end, and ends it where it does not listen."""
        try:
            self.process.communicate("quit\n", timeout=20)
        except (subprocess.TimeoutExpired, OSError, ValueError):
            self.process.kill()
            self.process.wait()


def compare(ours: Side, torch: Side, args) -> list:
    """All rounds; prints one line each."""
    for side in (ours, torch):
        if args.warmup:
            side.run(args.warmup)
    rounds = []
    for i in range(args.rounds):
        results = {}
        for side in (ours, torch) if i % 2 == 0 else (torch, ours):
            # A thread pool may spin for some milliseconds after its last work before it sleeps.
            time.sleep(args.settle)
            results[side.name] = side.run(args.steps)
        sizes = (ours.tokens_per_step, torch.tokens_per_step)
        if None not in sizes and sizes[0] != sizes[1]:
            raise Failed(f"unlike runs: {sizes[0]} and {sizes[1]} tokens a step")
        ratio = results["torch"]["median_ms"] / results["ours"]["median_ms"]
        rounds.append({"ratio": ratio, **results})
        busy = [results[s]["other_cores"] for s in ("ours", "torch")]
        print(
            f"round {i}: ours {results['ours']['median_ms']:8.1f} ms  torch {results['torch']['median_ms']:8.1f} ms"
            f"  ratio {ratio:.3f}  other load {busy[0]} / {busy[1]} cores",
            flush=True,
        )
    return rounds


def machine() -> str:
    """The processor, its cores and its vector instructions, as far as the system tells."""
    try:
        with open("/proc/cpuinfo") as f:
            text = f.read()
    except OSError:
        return "unknown"
    name = re.search(r"model name\s*: (.*)", text)
    flags = re.search(r"flags\s*: (.*)", text)
    level = "AVX-512" if flags and "avx512f" in flags[1] else "AVX2" if flags and " avx2" in flags[1] else "no AVX2"
    return f"{name[1].strip() if name else 'unknown'}, {os.cpu_count()} cores, {level}"


def is_quiet(one_round: dict) -> bool:
    """Whether both halves of a round ran with the machine to themselves, as far as is known."""
    loads = [one_round[side]["other_cores"] for side in ("ours", "torch")]
    return all(load is not None and load < QUIET_CORES for load in loads)


def summary(rounds: list, args, sides: list) -> dict:
    """Ratio = ours tokens/s over torch tokens/s: above 1, ours is faster."""
    ratios = [r["ratio"] for r in rounds]
    quiet = [r["ratio"] for r in rounds if is_quiet(r)]
    tokens_per_step = sides[0].tokens_per_step or sides[1].tokens_per_step
    out = {
        "name": args.name, "work": args.work, "date": str(datetime.date.today()), "machine": machine(),
        "torch_version": sides[1].version,
        "ours": args.ours, "torch": args.torch, "steps_per_round": args.steps,
        "median_ratio": statistics.median(ratios), "min_ratio": min(ratios), "max_ratio": max(ratios),
        "quiet_rounds": len(quiet), "quiet_median_ratio": statistics.median(quiet) if quiet else None,
        "tokens_per_step": tokens_per_step,
    }
    for side, running in zip(("ours", "torch"), sides):
        out[f"{side}_peak_mb"] = running.peak_mb()
        median_ms = statistics.median(r[side]["median_ms"] for r in rounds)
        out[f"{side}_median_step_ms"] = median_ms
        out[f"{side}_tokens_per_s"] = 1e3 * tokens_per_step / median_ms if tokens_per_step else None
    return out | {"rounds": rounds}


def main():
    p = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    p.add_argument("--ours", required=True, help="command line of our program")
    p.add_argument("--torch", required=True, help="command line of the baseline")
    p.add_argument("--name", default="", help="what the result is to be called")
    p.add_argument("--work", default="step", help="what to ask for: step, prefill, decode")
    p.add_argument("--rounds", type=int, default=7)
    p.add_argument("--steps", type=int, default=3, help="steps per side and round; their median counts")
    p.add_argument("--warmup", type=int, default=3, help="steps of each side before the first round")
    p.add_argument("--settle", type=float, default=0.3, help="idle seconds before each measurement")
    p.add_argument("--json", metavar="FILE", help="write everything to FILE")
    args = p.parse_args()
    if args.rounds < 1 or args.steps < 1 or args.warmup < 0:
        p.error("--rounds and --steps must be at least 1, --warmup at least 0")
    sides = []
    try:
        for name in ("ours", "torch"):
            sides.append(Side(name, getattr(args, name), args.work))
        rounds = compare(*sides, args)
        result = summary(rounds, args, sides)
    except Failed as e:
        sys.exit(f"error: {e}")
    finally:
        for side in sides:
            side.close()
    print(
        f"ours / torch: median {result['median_ratio']:.3f}, "
        f"min {result['min_ratio']:.3f}, max {result['max_ratio']:.3f} over {args.rounds} rounds"
    )
    if result["quiet_rounds"]:
        print(f"the {result['quiet_rounds']} rounds without other load: median {result['quiet_median_ratio']:.3f}")
    else:
        print("no round was known to be without other load: repeat when the machine is quiet")
    if args.json:
        with open(args.json, "w") as f:
            json.dump(result, f, indent=1)


if __name__ == "__main__":
    main()
