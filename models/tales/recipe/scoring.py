"""Bits per character and exit agreement on whole stories."""

import math

import numpy as np
import torch
import torch.nn.functional as F

from data import END, IGNORE


def windows(ids, length):
    """Cut one story into model inputs: (inputs, targets), each target scored exactly once.

    A story that fits is one window. A longer one goes on in windows that overlap by half, so that
    every later token still has at least length / 2 tokens of context.
    """
    x, y = ids[:-1], ids[1:].copy()
    start = scored = 0
    while scored < len(x):
        end = min(start + length, len(x))
        target = y[start:end].copy()
        target[:scored - start] = IGNORE
        yield x[start:end], target
        scored, start = end, end - length // 2


def batches(stories, length, rows):
    """Padded batches of windows, similar lengths together: x, y (rows, T)."""
    pieces = sorted((w for ids, _ in stories for w in windows(ids, length)), key=lambda w: len(w[0]))
    for i in range(0, len(pieces), rows):
        group = pieces[i:i + rows]
        T = max(len(x) for x, _ in group)
        x = np.full((len(group), T), END, dtype=np.int64)
        y = np.full((len(group), T), IGNORE, dtype=np.int64)
        for r, (inputs, targets) in enumerate(group):
            x[r, :len(inputs)], y[r, :len(targets)] = inputs, targets
        yield torch.from_numpy(x), torch.from_numpy(y)


@torch.no_grad()
def score(model, stories, device, rows=16, bfloat16=True):
    """Teacher-forced scores. Every token of every story counts, the end-of-story token too.

    bitsPerChar: sum of -log2 p over all those tokens / characters of the stories.
    agreement: share of the tokens where the exit's likeliest token is the full model's.
    """
    was_training = model.training
    model.eval()
    nats, count = 0.0, 0
    agree = dict.fromkeys(model.config.exits, 0)
    exit_nats = dict.fromkeys(model.config.exits, 0.0)
    for x, y in batches(stories, model.config.max_position_embeddings, rows):
        x, y = x.to(device), y.to(device)
        with torch.autocast(device, torch.bfloat16, enabled=bfloat16):
            row = model.rows(x)
            keep = y != IGNORE                                 # padding and repeated context drop out
            y = y[keep]                                        # (n,)
            logits = model.head(row["final"][keep]).float()    # (n, V)
            nats += F.cross_entropy(logits, y, reduction="sum").item()
            count += len(y)
            best = logits.argmax(-1)
            for e in model.config.exits:
                early = model.exit_head(e, row[e][keep]).float()
                agree[e] += (early.argmax(-1) == best).sum().item()
                exit_nats[e] += F.cross_entropy(early, y, reduction="sum").item()
    model.train(was_training)
    characters = sum(c for _, c in stories)
    per_character = 1 / (math.log(2) * characters)
    return {
        "bitsPerChar": nats * per_character,
        "agreement": {str(e): n / count for e, n in agree.items()},
        "exitBitsPerChar": {str(e): n * per_character for e, n in exit_nats.items()},
        "tokens": count, "characters": characters, "stories": len(stories),
    }
