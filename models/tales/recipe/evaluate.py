"""Score an exported model folder; prints one JSON line.

    python evaluate.py --model path/to/model --valid path/to/v1-valid-first-half.txt

bitsPerChar      sum of -log2 p over every token of every story, the end-of-story token included,
                 divided by the characters of the stories (the end of story counts as no character)
agreement        share of those tokens where the exit's likeliest token is the full model's
settledPerRound  tokens per round of drafting from exit 4 in free generation, for 4, 6 and 10 drafts:
                 the accepted run, plus the one token that the full model adds. Greedy, and
                 (settledPerRoundT08) at temperature 0.8 with the noise shared by draft and check.
"""

import argparse
import json
from pathlib import Path

import numpy as np
import torch
from tokenizers import Tokenizer

from corpus_text import validation_stories
from data import END
from model import load_exported
from scoring import score


def tokenise(tokenizer, stories):
    return [(np.array([END] + tokenizer.encode(s).ids + [END]), len(s)) for s in stories]


@torch.no_grad()
def generate(model, prompts, steps, temperature, seed=5):
    """Free generation from prompts (N, P). Per exit, per story: did the exit pick the same token?

    Returns {exit: [list of bool per story]}, each list up to and including the end of the story.
    Greedy at temperature 0, else Gumbel noise that exit and full model share.
    """
    noise = torch.Generator().manual_seed(seed)
    x, same = prompts, {e: [] for e in model.config.exits}
    for _ in range(steps):
        row = model.rows(x)
        gumbel = 0.0
        if temperature > 0:
            u = torch.rand(len(x), model.config.vocab_size, generator=noise).clamp_min(1e-9)
            gumbel = -torch.log(-torch.log(u))

        def pick(logits):
            return (logits / temperature + gumbel if temperature > 0 else logits).argmax(-1)

        chosen = pick(model.head(row["final"][:, -1]))
        for e in same:
            same[e].append(pick(model.exit_head(e, row[e][:, -1])) == chosen)
        x = torch.cat([x, chosen[:, None]], dim=1)
    written = x[:, prompts.shape[1]:].tolist()
    lengths = [ids.index(END) + 1 if END in ids else steps for ids in written]
    return {e: [torch.stack(s, 1)[i, :n].tolist() for i, n in enumerate(lengths)] for e, s in same.items()}


def settled_per_round(stories, drafts):
    """All tokens divided by the rounds they take; a round also ends where the story ends."""
    tokens = rounds = 0
    for same in stories:
        at = 0
        while at < len(same):
            accepted = 0
            while accepted < drafts and at + accepted < len(same) and same[at + accepted]:
                accepted += 1
            at += accepted + 1
            rounds += 1
        tokens += len(same)
    return tokens / rounds


def drafting(model, stories, prompts, steps, temperature):
    heads = [ids[:20] for ids, _ in stories if len(ids) > 40][:prompts]
    same = generate(model, torch.from_numpy(np.stack(heads)), steps, temperature)
    return {str(e): {"agreement": round(sum(map(sum, s)) / sum(map(len, s)), 4),
                     "settled": {str(k): round(settled_per_round(s, k), 3) for k in (4, 6, 10)}}
            for e, s in same.items()}


def main():
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("--model", type=Path, required=True)
    parser.add_argument("--valid", type=Path, required=True)
    parser.add_argument("--prompts", type=int, default=48)
    parser.add_argument("--steps", type=int, default=100, help="tokens to generate per prompt")
    parser.add_argument("--threads", type=int, default=2)
    args = parser.parse_args()
    torch.set_num_threads(args.threads)
    model = load_exported(args.model)
    tokenizer = Tokenizer.from_file(str(args.model / "tokenizer.json"))
    stories = tokenise(tokenizer, validation_stories(args.valid))
    result = score(model, stories, "cpu", bfloat16=False)
    greedy = drafting(model, stories, args.prompts, args.steps, 0.0)
    sampled = drafting(model, stories, args.prompts, args.steps, 0.8)
    last = str(max(model.config.exits))
    result = {k: {a: round(b, 4) for a, b in v.items()} if isinstance(v, dict) else round(v, 4)
              for k, v in result.items()}
    result |= {"settledPerRound": greedy[last]["settled"], "settledPerRoundT08": sampled[last]["settled"],
               "generation": {"greedy": greedy, "temperature0.8": sampled}}
    print(json.dumps(result))


if __name__ == "__main__":
    main()
