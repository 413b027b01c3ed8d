"""Writes the training rows of benches/RESULTS.md from the JSON of a paired run, so that no figure in it is typed by hand.

    python write_results.py last_paired.json ../RESULTS.md

Only what stands between the training markers changes. Each shape keeps one row: a new run of the same commands
replaces its row, other rows stay. Standard library only.
"""

import datetime
import json
import os
import re
import sys

BEGIN, END = "<!-- begin training -->\n", "<!-- end training -->"
HEAD = """| what | machine | date | ours, tokens/s | PyTorch, tokens/s | ours / PyTorch: median (min to max) | rounds (quiet) |
|---|---|---|---|---|---|---|
"""


def machine() -> str:
    try:
        with open("/proc/cpuinfo") as f:
            text = f.read()
    except OSError:
        return "unknown"
    name = re.search(r"model name\s*: (.*)", text)
    flags = re.search(r"flags\s*: (.*)", text)
    level = "AVX-512" if flags and "avx512f" in flags[1] else "AVX2" if flags and " avx2" in flags[1] else "no AVX2"
    return f"{name[1].strip() if name else 'unknown'}, {os.cpu_count()} cores, {level}"


def shape(command: str) -> str:
    """The options that decide what is computed."""
    found = re.findall(r"--(depth|n-embd|n-head|seq-len|batch|vocab|dtype|threads)[ =](\S+)", command)
    mode = "compiled" if "--compile" in command else "eager"
    known = dict(found)
    words = [f"d{known.get('depth', '4')}", f"C {known.get('n-embd', '256')}", f"T {known.get('seq-len', '512')}"]
    words += [f"B {known.get('batch', '8')}", f"V {known.get('vocab', '4096')}", known.get("dtype", "f32")]
    return f"classic training step, {', '.join(words)}, {known.get('threads', '2')} threads, PyTorch {mode}"


def row(run: dict) -> str:
    what = shape(run["torch"])
    ratio = f"**{run['median_ratio']:.2f}** ({run['min_ratio']:.2f} to {run['max_ratio']:.2f})"
    if run["quiet_rounds"]:
        ratio += f"; quiet {run['quiet_median_ratio']:.2f}"
    speeds = f"{run['ours_tokens_per_s']:.0f} | {run['torch_tokens_per_s']:.0f}"
    rounds = f"{len(run['rounds'])} ({run['quiet_rounds']})"
    return f"| {what} | {machine()} | {datetime.date.today()} | {speeds} | {ratio} | {rounds} |"


def main():
    source, target = sys.argv[1:3]
    with open(source) as f:
        run = json.load(f)
    new = row(run)
    key = new.split("|")[1]
    with open(target, encoding="utf-8") as f:
        before, begin, rest = f.read().partition(BEGIN)
    section, end, after = rest.partition(END)
    if not begin or not end:
        sys.exit(f"{target}: the markers of the training section are missing")
    rows = [line for line in section.splitlines() if line.startswith("| classic")]
    rows = [r for r in rows if r.split("|")[1] != key] + [new]
    with open(target, "w", encoding="utf-8") as f:
        f.write(before + begin + HEAD + "\n".join(sorted(rows)) + "\n" + end + after)


if __name__ == "__main__":
    main()
