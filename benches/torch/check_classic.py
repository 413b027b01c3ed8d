"""Checks the PyTorch baseline against reference data: is the thing we time the right network?

Reads the folder named by NANOCHAT_GOLDENS and compares, one line per quantity:

    model/g1/*              logits, loss, every gradient, with f32 and with bf16 RoPE tables
    optimizer/g1/synthetic  five steps of Muon (f32 and bf16 Newton-Schulz) and AdamW
    train_curve/g1/*        twenty whole training steps

Exits 1 on any FAIL, and 2 where there is nothing to check.
"""

import json
import os
import sys
from pathlib import Path

import torch

import read_safetensors
from model import Classic, Shape
from optimizers import Muon, apply_gradients, build_optimizers, fused_adamw, newton_schulz

failures = 0


def report(name: str, error: float, tolerance: float):
    """Prints one comparison; a NaN error fails."""
    global failures
    ok = error <= tolerance
    failures += not ok
    print(f"{'ok  ' if ok else 'FAIL'}  {error:9.2e} <= {tolerance:.0e}  {name}")


def max_abs(got: torch.Tensor, want: torch.Tensor) -> float:
    return (got - want.view_as(got)).abs().max().item()


def relative(got: torch.Tensor, want: torch.Tensor) -> float:
    return ((got - want).norm() / want.norm()).item()


def shape_of(config: dict) -> Shape:
    return Shape(
        config["n_layer"], config["n_embd"], config["n_head"], config["n_kv_head"],
        config["sequence_len"], config["vocab_size"],
    )


def load_model(config: dict, weights: dict, rope_dtype=torch.float32) -> Classic:
    """A model of the config's shape holding these weights; wrong names or shapes raise."""
    model = Classic(shape_of(config), rope_dtype)
    model.load_state_dict(weights)
    return model


def check_model(case: Path):
    """Logits, losses and gradients of one forward and backward pass."""
    info = json.loads((case / "config.json").read_text())
    weights = read_safetensors.load(case / "weights.safetensors")
    want = read_safetensors.load(case / "expected.safetensors")
    io = read_safetensors.load(case / "io.safetensors")
    ids, targets = io["input_ids"].long(), io["targets"].long()

    def forward(rope_dtype, suffix):
        model = load_model(info["config"], weights, rope_dtype)
        loss = model(ids, targets)
        label = f"model/{case.name}"
        report(f"{label} logits{suffix}", max_abs(model.logits(ids).detach(), want[f"logits{suffix}"]), 1e-4)
        report(f"{label} loss{suffix}", abs(loss.item() - want[f"loss{suffix}"].item()), 1e-5)
        return model, loss, label

    forward(torch.bfloat16, "_bf16rope")
    model, loss, label = forward(torch.float32, "")
    loss_sum = model(ids, targets, reduction="sum").detach()
    report(f"{label} loss_sum, relative", relative(loss_sum, want["loss_sum"][0]), 1e-5)
    per_token = model(ids, targets, reduction="none").detach()
    report(f"{label} loss_per_token", max_abs(per_token, want["loss_per_token"]), 1e-4)
    loss.backward()
    for name, p in model.named_parameters():
        if name in info["zero_grads"]:
            report(f"{label} |grad.{name}|", p.grad.norm().item(), 1e-5)
        else:
            report(f"{label} grad.{name}, relative", relative(p.grad, want[f"grad.{name}"]), 1e-4)


def five_steps(data: dict, hyper: list, names: list, suffix: str, make_optimizer, settings, tolerance):
    """Replays the recorded gradients and compares the parameters after each step.

    `settings(hyper_of_step, name)` gives the learning rate and other entries of one group.
    """
    params = {name: data[f"p0.{name}"].clone().requires_grad_() for name in names}
    optimizer = make_optimizer([{"params": [p]} for p in params.values()])
    for i, step_hyper in enumerate(hyper):
        for group, name in zip(optimizer.param_groups, names):
            group.update(settings(step_hyper, name))
            params[name].grad = data[f"grad{i}.{name}"].clone()
        optimizer.step()
        for name, p in params.items():
            want = data[f"p{i + 1}{suffix}.{name}"]
            report(f"optimizer step {i + 1} {name}{suffix}", max_abs(p.detach(), want), tolerance)


def check_optimizers(case: Path):
    """Muon and AdamW on recorded gradients, and Newton-Schulz alone."""
    info = json.loads((case / "info.json").read_text())
    hyper = info["hyperparams_per_step"]
    data = read_safetensors.load(case / "data.safetensors")
    muon_names = [n for n in info["shapes"] if n.startswith("muon.")]
    adam_names = [n for n in info["shapes"] if n.startswith("adamw.")]

    def muon_settings(h, _name):
        return {"lr": h["muon_lr"], "momentum": h["muon_momentum"]}

    for dtype, suffix, tolerance in [(torch.float32, "", 1e-5), (torch.bfloat16, "_bf16ns", 5e-3)]:
        five_steps(
            data, hyper, muon_names, suffix, lambda g, d=dtype: Muon(g, ns_dtype=d), muon_settings, tolerance
        )
    for decay, suffix in [(0.0, ""), (0.1, "_wd0.1")]:
        def adam_settings(h, name, decay=decay):
            return {"lr": h["wte_lr" if "wte" in name else "lm_head_lr"], "weight_decay": decay}

        five_steps(data, hyper, adam_names, suffix, fused_adamw, adam_settings, 1e-5)
    ns = read_safetensors.load(case / "newton_schulz5.safetensors")
    for name in sorted(key.removesuffix(".G") for key in ns if key.endswith(".G")):
        got = newton_schulz(ns[f"{name}.G"], torch.float32)
        # The noise directions of a rank-one matrix are amplified several hundred times.
        report(f"newton_schulz {name}", max_abs(got, ns[f"{name}.f32"]), 1e-3 if name == "rank1" else 1e-5)


def check_curve(case: Path):
    """Twenty steps of two micro-batches each: losses, and the weights after 1, 5 and 20."""
    info = json.loads((case / "info.json").read_text())
    batches = read_safetensors.load(case / "batches.safetensors")
    weights = read_safetensors.load(case / "weights.safetensors")
    start = {k.removeprefix("p0."): v for k, v in weights.items() if k.startswith("p0.")}
    model = load_model(info["config"], start)
    optimizers = build_optimizers(model, ns_dtype=torch.float32)
    groups = [(g, g["lr"]) for o in optimizers for g in o.param_groups]
    for step, want in enumerate(info["steps"]):
        errors = []
        for micro, want_loss in enumerate(want["micro_losses"]):
            row = info["grad_accum"] * step + micro
            loss = model(batches["x"][row].long(), batches["y"][row].long())
            (loss / info["grad_accum"]).backward()
            errors.append(abs(loss.item() - want_loss))
        for group, initial_lr in groups:
            group["lr"] = initial_lr * want["lrm"]
        apply_gradients(list(model.parameters()), optimizers, step)
        report(f"curve/{case.name} step {step} losses", max(errors), 1e-4 if step < 5 else 1e-3)
        if step == 0:
            for name, p in model.named_parameters():
                report(f"curve/{case.name} p1.{name}", max_abs(p.detach(), weights[f"p1.{name}"]), 1e-4)


def run(checks):
    """Every check on every folder that its pattern matches below NANOCHAT_GOLDENS; ends the program."""
    root = os.environ.get("NANOCHAT_GOLDENS")
    if not root:
        print("set NANOCHAT_GOLDENS to the folder of reference data", file=sys.stderr)
        sys.exit(2)
    torch.set_num_threads(1)
    for check, pattern in checks:
        cases = sorted(Path(root).glob(pattern))
        if not cases:
            print(f"nothing matches {pattern} in {root}", file=sys.stderr)
            sys.exit(2)
        for case in cases:
            check(case)
    print(f"{failures} failures" if failures else "all ok")
    sys.exit(1 if failures else 0)


if __name__ == "__main__":
    run([
        (check_model, "model/g1/*"),
        (check_optimizers, "optimizer/g1/synthetic"),
        (check_curve, "train_curve/g1/*"),
    ])
