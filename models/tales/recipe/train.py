"""Train the story model on a time budget.

    python train.py --corpus path/to/prepared --out path/to/run --minutes 122
    python train.py --corpus path/to/prepared --out path/to/run --minutes 122 --resume
    python train.py --corpus path/to/prepared --out path/to/run --minutes 122 --weights path/to/model

Every schedule follows the share of the time budget that is used up, so a slower machine sees fewer
tokens but the same schedule. The run folder gets checkpoint.pt (every few minutes, replaced
atomically) and training-curve.csv. On a CPU, MALLOC_MMAP_MAX_=0 and MALLOC_TRIM_THRESHOLD_=34359738368 in the
environment keep glibc from giving memory back at every step: 1.2 times as fast. A file control.json in it, read at every report, overrides
scheduled values while the run goes on, for instance {"exit4_weight": 1.2}.
"""

import argparse
import csv
import json
import os
import time
from pathlib import Path

import torch
import torch.nn.functional as F

from data import IGNORE, Batcher, validation
from model import Config, StoryModel, load_exported
from optimizer import make_optimizers
from scoring import score

CURVE = ["seconds", "tokens", "train_loss", "valid_bpc", "exit2_agreement", "exit4_agreement"]


def ramp(t, begin, end, low, high):
    """low before `begin`, high after `end`, a straight line between."""
    return low + (high - low) * min(1.0, max(0.0, (t - begin) / (end - begin)))


def schedule(t, control, start=0.0):
    """All values that change over the run; t is the used share of the time budget, 0 to 1.

    start: the share at which the optimisers were fresh; their statistics need a warm-up.
    """
    warm_up = ramp(t, start, start + 0.015, 0.05, 1.0)
    values = {
        "rate": warm_up * ramp(t, 0.4, 1.0, 1.0, 0.02),
        # Books first, so that the small TinyStories part is repeated less; the end is TinyStories only.
        "others": ramp(t, 0.0, 0.65, 0.5, 0.04),
        "dropout": ramp(t, 0.1, 0.4, 0.05, 0.12),
        # The exits matter more once the model has found its shape, and then mostly follow the model.
        "exit2_weight": ramp(t, 0.5, 0.8, 0.20, 0.35),
        "exit4_weight": ramp(t, 0.5, 0.8, 0.40, 0.90),
        "distil": ramp(t, 0.3, 0.7, 0.5, 0.8),
    }
    return values | {k: v for k, v in control.items() if k in values}


def exit_loss(logits, teacher, targets, distil):
    """Mix of cross-entropy with the text and with the full model's distribution.

    logits, teacher (probabilities, no gradient): (n, V); targets: (n,)
    """
    log_q = logits.log_softmax(dim=-1)
    text = F.nll_loss(log_q, targets)
    model = -(teacher * log_q).sum(dim=-1).mean()
    return (1 - distil) * text + distil * model


def losses(model, x, y, values):
    """Total loss, and the full model's own cross-entropy. x, y: (B, T).

    Three vocabulary products would cost more than three layers, so the exits learn from a random
    part of the positions only: half of them for exit 4, a quarter for exit 2.
    """
    row = model.rows(x)
    keep = (y != IGNORE).flatten().nonzero().squeeze(1)                   # (n,)
    keep = keep[torch.randperm(len(keep), device=keep.device)]
    targets = y.flatten()[keep]
    logits = model.head(row["final"].flatten(0, 1)[keep]).float()         # (n, V)
    final = F.cross_entropy(logits, targets)
    half = len(keep) // 2
    with torch.no_grad():
        teacher = logits[:half].softmax(dim=-1)                           # (n/2, V)
    total = final
    for e, count in ((2, half // 2), (4, half)):
        early = model.exit_head(e, row[e].flatten(0, 1)[keep[:count]]).float()
        loss = exit_loss(early, teacher[:count], targets[:count], values["distil"])
        total = total + values[f"exit{e}_weight"] * loss
    return total, final.detach()


class Average:
    """Exponential moving average of the weights: what is evaluated and exported."""

    def __init__(self, model, decay=0.997):
        self.model = StoryModel(model.config).to(next(model.parameters()).device)
        self.model.load_state_dict(model.state_dict())
        self.decay, self.updates = decay, 0

    @torch.no_grad()
    def update(self, model):
        self.updates += 1
        decay = min(self.decay, (1 + self.updates) / (10 + self.updates))
        for average, value in zip(self.model.parameters(), model.parameters()):
            average.lerp_(value, 1 - decay)


def write_atomically(path, write):
    """A stop at any moment leaves either the old file or the new one."""
    temporary = path.with_suffix(path.suffix + ".tmp")
    write(temporary)
    os.replace(temporary, path)


def save(run, out):
    state = {
        "config": vars(run["model"].config), "model": run["model"].state_dict(),
        "average": run["average"].model.state_dict(), "updates": run["average"].updates,
        "optimizers": [o.state_dict() for o in run["optimizers"]],
        "batcher": run["batcher"].state(), "random": torch.get_rng_state(),
        "seconds": run["seconds"], "step": run["step"], "tokens": run["tokens"], "curve": run["curve"],
        "restarted": run["restarted"],
    }
    write_atomically(out / "checkpoint.pt", lambda path: torch.save(state, path))


def resume(run, out):
    state = torch.load(out / "checkpoint.pt", weights_only=False, map_location="cpu")
    run["model"].load_state_dict(state["model"])
    run["average"].model.load_state_dict(state["average"])
    run["average"].updates = state["updates"]
    for optimizer, saved in zip(run["optimizers"], state["optimizers"]):
        optimizer.load_state_dict(saved)
    run["batcher"].load(state["batcher"])
    torch.set_rng_state(state["random"])
    run |= {k: state[k] for k in ("seconds", "step", "tokens", "curve", "restarted")}
    print(f"resumed at step {run['step']}, {run['seconds']:.0f} s", flush=True)


def continue_from(run, folder):
    """Goes on from an exported model whose run folder is gone: weights, time and curve, but fresh optimisers."""
    state = load_exported(folder).state_dict()
    run["model"].load_state_dict(state)
    run["average"].model.load_state_dict(state)
    with open(folder / "training-curve.csv", newline="") as file:
        rows = list(csv.reader(file))[1:]
    run["curve"] = [[int(row[0]), int(row[1]), *map(float, row[2:])] for row in rows]
    run["seconds"], run["tokens"] = float(run["curve"][-1][0]), run["curve"][-1][1]
    run["restarted"] = run["seconds"]
    print(f"goes on at {run['seconds']:.0f} s from {folder}", flush=True)


def write_curve(run, out):
    def write(path):
        with open(path, "w", newline="") as file:
            csv.writer(file).writerows([CURVE] + run["curve"])
    write_atomically(out / "training-curve.csv", write)


def report(run, stories, device, values, train_loss):
    result = score(run["average"].model, stories, device)
    agreement = result["agreement"]
    run["curve"].append([round(run["seconds"]), run["tokens"], round(train_loss, 4),
                         round(result["bitsPerChar"], 4), round(agreement["2"], 4), round(agreement["4"], 4)])
    print(f"step {run['step']} | {run['seconds']:.0f} s | {run['tokens'] / 1e6:.2f} M tokens "
          f"({run['speed']:.0f} tok/s) | train {train_loss:.4f} | valid {result['bitsPerChar']:.4f} bpc | "
          f"agreement 2: {agreement['2']:.4f} 4: {agreement['4']:.4f} | "
          f"exit bpc {result['exitBitsPerChar']['2']:.3f} {result['exitBitsPerChar']['4']:.3f} | "
          + " ".join(f"{k} {v:.3g}" for k, v in values.items()), flush=True)


def train_step(run, args, values, device):
    """One update of the weights; returns the full model's cross-entropy."""
    model = run["model"]
    for layer in model.model.layers:
        layer.dropout = values["dropout"]
    x, y = run["batcher"].batch(args.rows, args.length, values["others"])
    with torch.autocast(device, torch.bfloat16):
        total, final = losses(model, x.to(device), y.to(device), values)
    total.backward()
    torch.nn.utils.clip_grad_norm_(model.parameters(), 2.0)
    for optimizer in run["optimizers"]:
        for group in optimizer.param_groups:
            group["lr"] = group["peak"] * values["rate"]
        optimizer.step()
        optimizer.zero_grad(set_to_none=True)
    run["average"].update(model)
    run["step"] += 1
    run["tokens"] += x.numel()
    return final.item()


def train(run, args, device):
    stories = validation(args.corpus / "corpus.npz")[::2]   # half of them: evaluation must stay cheap
    control, recent = {}, []
    last_save = last_report = run["seconds"]
    last_tokens = run["tokens"]
    clock = time.monotonic() - run["seconds"]
    while run["seconds"] < args.minutes * 60:
        values = schedule(run["seconds"] / (args.minutes * 60), control, run["restarted"] / (args.minutes * 60))
        recent.append(train_step(run, args, values, device))
        run["seconds"] = time.monotonic() - clock
        done = run["seconds"] >= args.minutes * 60
        if run["seconds"] - last_report >= args.report or done:
            run["speed"] = (run["tokens"] - last_tokens) / (run["seconds"] - last_report)
            report(run, stories, device, values, sum(recent) / len(recent))
            write_curve(run, args.out)
            recent, last_report, last_tokens = [], run["seconds"], run["tokens"]
            path = args.out / "control.json"
            control = json.loads(path.read_text()) if path.exists() else {}
        if run["seconds"] - last_save >= args.checkpoint or done:
            save(run, args.out)
            last_save = run["seconds"]


def main():
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("--corpus", type=Path, required=True, help="folder written by prepare_corpus.py")
    parser.add_argument("--out", type=Path, required=True, help="run folder")
    parser.add_argument("--minutes", type=float, default=122.0, help="time budget")
    parser.add_argument("--rows", type=int, default=16, help="rows per step")
    parser.add_argument("--length", type=int, default=512, help="tokens per row")
    parser.add_argument("--matrix-rate", type=float, default=0.02)
    parser.add_argument("--other-rate", type=float, default=0.003)
    parser.add_argument("--decay", type=float, default=0.1, help="weight decay of the matrices")
    parser.add_argument("--report", type=float, default=240.0, help="seconds between reports")
    parser.add_argument("--checkpoint", type=float, default=300.0, help="seconds between checkpoints")
    parser.add_argument("--threads", type=int, default=os.cpu_count())
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--compile", action="store_true",
                        help="compile the layers: 1.3 times as fast on a CPU, needs a C++ compiler")
    parser.add_argument("--resume", action="store_true")
    parser.add_argument("--weights", type=Path, help="exported model folder to go on from")
    args = parser.parse_args()
    args.out.mkdir(parents=True, exist_ok=True)

    torch.manual_seed(args.seed)
    torch.set_num_threads(args.threads)
    device = "cuda" if torch.cuda.is_available() else "cpu"
    model = StoryModel(Config(max_position_embeddings=args.length)).to(device)
    print(f"{sum(p.numel() for p in model.parameters()) / 1e6:.2f} M parameters on {device}", flush=True)
    run = {
        "model": model, "average": Average(model),
        "optimizers": make_optimizers(model, args.matrix_rate, args.other_rate, args.decay),
        "batcher": Batcher(args.corpus / "corpus.npz", args.seed),
        "seconds": 0.0, "step": 0, "tokens": 0, "curve": [], "speed": 0.0, "restarted": 0.0,
    }
    if args.resume and (args.out / "checkpoint.pt").exists():
        resume(run, args.out)
    elif args.weights:
        continue_from(run, args.weights)
    if args.compile:
        for layer in model.model.layers:
            layer.compile()
    train(run, args, device)
    print("finished; learnt from", json.dumps(run["batcher"].tokens), flush=True)


if __name__ == "__main__":
    main()
