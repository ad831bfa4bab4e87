"""Rows of training tokens out of the prepared arrays.

A row starts with the beginning-of-story token and holds whole stories where they fit. The next
story is the largest one of a small buffer that still fits; only when none fits is one cropped.
"""

import numpy as np
import torch

END = 0          # id of <|endoftext|>: begins a row, ends a story
IGNORE = -1      # target of positions that must not be learnt


class Source:
    """One source of stories, read in a fresh random order every epoch."""

    def __init__(self, arrays, name, rng, buffer=150):
        self.tokens = arrays[f"{name}_tokens"]
        self.starts = arrays[f"{name}_starts"]
        self.complete = arrays[f"{name}_complete"]
        self.rng, self.order, self.buffer, self.size = rng, [], [], buffer

    def refill(self):
        while len(self.buffer) < self.size:
            if not self.order:
                self.order = self.rng.permutation(len(self.complete)).tolist()
            self.buffer.append(self.order.pop())

    def take(self, room):
        """The largest buffered story of at most `room` tokens, else the oldest (the caller crops it)."""
        self.refill()
        lengths = [self.starts[i + 1] - self.starts[i] for i in self.buffer]
        fitting = [(n, at) for at, n in enumerate(lengths) if n <= room]
        story = self.buffer.pop(max(fitting)[1] if fitting else 0)
        return self.tokens[self.starts[story]:self.starts[story + 1]], self.complete[story]

    def row(self, length):
        """Inputs and targets, both (length,)."""
        x = np.full(length, END, dtype=np.int64)
        y = np.full(length, IGNORE, dtype=np.int64)
        at = 0   # x[at] is the beginning-of-story token of the next story
        while at < length:
            story, complete = self.take(length - at - 1)
            story = story[:length - at]
            inside = min(len(story), length - at - 1)
            x[at + 1:at + 1 + inside] = story[:inside]
            y[at:at + len(story)] = story
            at += len(story)
            if at < length:
                y[at] = END if complete else IGNORE
                at += 1
        return x, y


class Batcher:
    """Mixes the sources. `others` is the share of rows that are not TinyStories."""

    def __init__(self, path, seed):
        arrays = np.load(path)
        self.rng = np.random.default_rng(seed)
        self.sources = {n: Source(arrays, n, self.rng) for n in ("tinystories", "tales", "storybooks")}
        self.tokens = dict.fromkeys(self.sources, 0)   # learnt from each source so far

    def batch(self, rows, length, others):
        xs, ys = [], []
        shares = [1 - others, others * 2 / 3, others / 3]
        for name in self.rng.choice(list(self.sources), size=rows, p=shares):
            x, y = self.sources[name].row(length)
            self.tokens[name] += int((y != IGNORE).sum())
            xs.append(x)
            ys.append(y)
        return torch.from_numpy(np.stack(xs)), torch.from_numpy(np.stack(ys))

    def state(self):
        return {"rng": self.rng.bit_generator.state, "tokens": self.tokens,
                "sources": {n: (s.order, s.buffer) for n, s in self.sources.items()}}

    def load(self, state):
        self.rng.bit_generator.state = state["rng"]
        self.tokens = state["tokens"]
        for name, (order, buffer) in state["sources"].items():
            self.sources[name].order, self.sources[name].buffer = order, buffer


def validation(path):
    """[(tokens with END at both ends, characters)] of every validation story."""
    arrays = np.load(path)
    tokens, starts = arrays["valid_tokens"].astype(np.int64), arrays["valid_starts"]
    stories = []
    for i, characters in enumerate(arrays["valid_characters"]):
        ids = np.concatenate([[END], tokens[starts[i]:starts[i + 1]], [END]])
        stories.append((ids, int(characters)))
    return stories
