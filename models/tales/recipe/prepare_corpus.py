"""Read the corpus, clean it, train the tokenizer, write everything as token arrays.

    python prepare_corpus.py --corpus path/to/corpus --out path/to/prepared

The corpus folder holds tinystories/, public-domain-tales/ and open-storybooks/. The output folder gets
  tokenizer.json   byte-level BPE, trained on the training text only
  corpus.npz       per source: tokens (uint16, flat), starts (int64), complete (bool)
  report.json      what was kept, dropped, and how large it all is
The validation file is read for two things only: to be tokenised for evaluation, and to drop any
training story that shares a paragraph with it.
"""

import argparse
import json
from pathlib import Path

import numpy as np
from tokenizers import Tokenizer, decoders, models, pre_tokenizers, trainers

import corpus_text as text

SHORTEST = 120   # characters: shorter stories are fragments


def read_sources(corpus):
    """All training stories by source, and the validation stories. Also counts of what was left out."""
    tiny = corpus / "tinystories"
    cased_path = tiny / "v1-train-head-cased.txt"
    cased = text.marked_stories(cased_path)
    newer = text.marked_stories(tiny / "v2-gpt4-train-head.txt")
    names = text.learn_names(cased + newer)
    lowered = text.lowercased_stories(
        tiny / "v1-train-head-lowercased.txt", cased_path.read_text(encoding="utf-8"), names)
    tales, tales_dropped = text.tales(corpus / "public-domain-tales")
    books, books_dropped = text.storybooks(corpus / "open-storybooks")
    sources = {
        "tinystories": [(s, True) for s in cased + newer + lowered],
        "tales": tales,
        "storybooks": books,
    }
    valid = text.validation_stories(tiny / "v1-valid-first-half.txt")
    counts = {"stories": {"cased": len(cased), "v2": len(newer), "lowercased_rest": len(lowered)},
              "names_learnt": len(names), "chapters_left_out": tales_dropped,
              "storybooks_not_cc_by": books_dropped}
    return sources, valid, counts


def drop_copies(sources, valid):
    """Leave out training stories that repeat an earlier one or share a paragraph with validation."""
    held_out = {text.letters_only(p) for story in valid for p in story.split("\n") if len(p) >= 80}
    seen, kept, repeated, in_valid = set(), {}, 0, 0
    for name, stories in sources.items():
        kept[name] = []
        for story, complete in stories:
            key = text.letters_only(story)
            if key in seen or (complete and len(story) < SHORTEST):
                repeated += 1
            elif any(text.letters_only(p) in held_out for p in story.split("\n")):
                in_valid += 1
            else:
                seen.add(key)
                kept[name].append((story, complete))
    return kept, {"repeated_or_too_short": repeated, "shared_with_validation": in_valid}


def train_tokenizer(sources, vocabulary):
    """Byte-level BPE on the stories that the model is for; the old books would only waste entries."""
    tokenizer = Tokenizer(models.BPE())
    tokenizer.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False)
    tokenizer.decoder = decoders.ByteLevel()
    trainer = trainers.BpeTrainer(
        vocab_size=vocabulary, special_tokens=[text.END_OF_STORY],
        initial_alphabet=pre_tokenizers.ByteLevel.alphabet(), show_progress=False)
    stories = [s for name in ("tinystories", "storybooks") for s, _ in sources[name]]
    tokenizer.train_from_iterator(stories, trainer)
    return tokenizer


def encode(tokenizer, stories):
    """Flat arrays: story i is tokens[starts[i]:starts[i + 1]], without any end-of-story token."""
    encoded = [e.ids for e in tokenizer.encode_batch([s for s, _ in stories])]
    lengths = [len(ids) for ids in encoded]
    return {
        "tokens": np.concatenate([np.array(ids, dtype=np.uint16) for ids in encoded]),
        "starts": np.concatenate([[0], np.cumsum(lengths)]).astype(np.int64),
        "complete": np.array([c for _, c in stories]),
    }


def main():
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("--corpus", type=Path, required=True)
    parser.add_argument("--out", type=Path, required=True)
    parser.add_argument("--vocabulary", type=int, default=2048)
    args = parser.parse_args()
    args.out.mkdir(parents=True, exist_ok=True)

    sources, valid, report = read_sources(args.corpus)
    sources, dropped = drop_copies(sources, valid)
    report |= dropped
    tokenizer = train_tokenizer(sources, args.vocabulary)
    tokenizer.save(str(args.out / "tokenizer.json"))

    arrays = {}
    for name, stories in (sources | {"valid": [(s, True) for s in valid]}).items():
        data = encode(tokenizer, stories)
        arrays |= {f"{name}_{key}": value for key, value in data.items()}
        characters = sum(len(s) for s, _ in stories)
        report[name] = {"stories": len(stories), "characters": characters, "tokens": len(data["tokens"]),
                        "characters_per_token": round(characters / len(data["tokens"]), 3)}
    # Characters per validation story: the denominator of bits per character.
    arrays["valid_characters"] = np.array([len(s) for s in valid], dtype=np.int64)
    np.savez(args.out / "corpus.npz", **arrays)
    (args.out / "report.json").write_text(json.dumps(report, indent=1) + "\n")
    print(json.dumps(report, indent=1))


if __name__ == "__main__":
    main()
