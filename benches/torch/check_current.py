"""Checks the PyTorch baseline of the current generation against reference data, as `check_classic.py` does.

    model/g2/*              logits, loss, every gradient
    optimizer/g2/synthetic  five steps of Muon (f32 and bf16 Polar Express) and AdamW
    train_curve/g2/*        the first whole training steps

and windowed attention in blocks against the same with a mask. Exits 1 on any FAIL, and 2 where there is nothing to check.
"""

import json
from pathlib import Path

import torch
import torch.nn.functional as F

import read_safetensors
from check_classic import five_steps, max_abs, relative, report, run, shape_of
from current import Current, in_blocks
from normuon import NorMuon, build_optimizers
from optimizers import fused_adamw

STEPS_OF_A_CURVE = 5  # later ones differ between two runs of the original, too


def load_model(config: dict, weights: dict) -> Current:
    """A model of the config's shape holding these weights; wrong names or shapes raise."""
    model = Current(shape_of(config), pattern=config["window_pattern"])
    model.load_state_dict(weights)
    return model


def check_blocks():
    """Both forms of windowed attention, on two rows of five windows, and their gradients."""
    window, t = 8, 40
    generator = torch.Generator().manual_seed(3)
    q, k, v, dy = (torch.randn(2, 3, t, 16, generator=generator, requires_grad=True) for _ in range(4))
    query, key = torch.arange(t)[:, None], torch.arange(t)[None, :]
    masked = F.scaled_dot_product_attention(q, k, v, attn_mask=(key <= query) & (query - key <= window))
    blocks = in_blocks(q, k, v, window)
    report("attention in blocks", max_abs(blocks, masked), 1e-6)
    want, got = (torch.autograd.grad(y, (q, k, v), dy.detach()) for y in (masked, blocks))
    for name, a, b in zip("qkv", got, want):
        report(f"attention in blocks, d{name}", max_abs(a, b), 1e-5)


def check_model(case: Path):
    """Logits, losses and gradients of one forward and backward pass."""
    info = json.loads((case / "config.json").read_text())
    want = read_safetensors.load(case / "expected.safetensors")
    io = read_safetensors.load(case / "io.safetensors")
    ids, targets = io["input_ids"].long(), io["targets"].long()
    model = load_model(info["config"], read_safetensors.load(case / "weights.safetensors"))
    label = f"model/{case.name}"
    report(f"{label} logits", max_abs(model.logits(ids).detach(), want["logits"]), 1e-4)
    loss = model(ids, targets)
    report(f"{label} loss", abs(loss.item() - want["loss"].item()), 1e-5)
    loss.backward()
    for name, p in model.named_parameters():
        if f"grad.{name}" in info["zero_grads"]:
            report(f"{label} |grad.{name}|", p.grad.norm().item(), 1e-5)
        else:
            report(f"{label} grad.{name}, relative", relative(p.grad, want[f"grad.{name}"]), 1e-4)


def muon_steps(data: dict, info: dict, suffix: str, ns_dtype, tolerance: float):
    """Replays the recorded gradients; matrices of one shape are updated together."""
    names = [f"muon.{kind}.{i}" for kind, shapes in info["muon_groups"].items() for i in range(len(shapes))]
    params = {name: data[f"p0.{name}"].clone().requires_grad_() for name in names}
    optimizer = NorMuon(params.values(), lr=info["muon_base"]["lr"], ns_dtype=ns_dtype)
    for i, hyper in enumerate(info["hyperparams_per_step"]):
        for group in optimizer.param_groups:
            group["lr"] = info["muon_base"]["lr"] * hyper["lr_mult"]
            group["momentum"], group["weight_decay"] = hyper["muon_momentum"], hyper["muon_weight_decay"]
        for name, p in params.items():
            p.grad = data[f"grad{i}.{name}"].clone()
        optimizer.step()
        for name, p in params.items():
            want = data[f"p{i + 1}{suffix}.{name}"]
            report(f"optimizer step {i + 1} {name}{suffix}", max_abs(p.detach(), want), tolerance)


def check_optimizers(case: Path):
    """Muon and AdamW on recorded gradients."""
    info = json.loads((case / "info.json").read_text())
    data = read_safetensors.load(case / "data.safetensors")
    muon_steps(data, info, "", torch.float32, 1e-5)
    if any(name.startswith("p1_bf16.") for name in data):
        muon_steps(data, info, "_bf16", torch.bfloat16, 5e-3)
    groups = info["adamw_groups"]

    def settings(hyper, name):
        group = groups[name.removeprefix("adamw.")]
        lr = group["lr"] * hyper["lr_mult"]
        return {"lr": lr, "betas": tuple(group["betas"]), "weight_decay": group["weight_decay"]}

    names = [f"adamw.{name}" for name in groups]
    five_steps(data, info["hyperparams_per_step"], names, "", fused_adamw, settings, 1e-5)


def check_curve(case: Path):
    """Whole training steps of two micro-batches each: losses, and the weights after the first."""
    info = json.loads((case / "info.json").read_text())
    batches = read_safetensors.load(case / "batches.safetensors")
    weights = read_safetensors.load(case / "weights.safetensors")
    model = load_model(info["config"], {k.removeprefix("p0."): v for k, v in weights.items() if k.startswith("p0.")})
    adam, muon = build_optimizers(model, ns_dtype=torch.float32)
    groups = [(g, g["lr"]) for o in (adam, muon) for g in o.param_groups]
    for step, want in enumerate(info["steps"][:STEPS_OF_A_CURVE]):
        errors = []
        for micro, want_loss in enumerate(want["micro_losses"]):
            row = info["grad_accum"] * step + micro
            loss = model(batches["x"][row].long(), batches["y"][row].long())
            (loss / info["grad_accum"]).backward()
            errors.append(abs(loss.item() - want_loss))
        for group, initial_lr in groups:
            group["lr"] = initial_lr * want["lrm"]
        for group in muon.param_groups:
            group["momentum"], group["weight_decay"] = want["muon_momentum"], want["muon_weight_decay"]
        for optimizer in (adam, muon):
            optimizer.step()
            optimizer.zero_grad()
        report(f"curve/{case.name} step {step} losses", max(errors), 1e-4)
        if step == 0:
            for name, p in model.named_parameters():
                report(f"curve/{case.name} p1.{name}", max_abs(p.detach(), weights[f"p1.{name}"]), 1e-4)


if __name__ == "__main__":
    check_blocks()
    run([
        (check_model, "model/g2/*"),
        (check_optimizers, "optimizer/g2/synthetic"),
        (check_curve, "train_curve/g2/*"),
    ])
