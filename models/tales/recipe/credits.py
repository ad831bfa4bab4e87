"""List the storybooks in the training text with their authors, as their licence (CC BY) asks.

    python credits.py --corpus path/to/corpus --out path/to/model/STORYBOOKS.md
"""

import argparse
from pathlib import Path

from corpus_text import END_OF_STORY

COLLECTIONS = {"asp-source-en.md": "African Storybook (africanstorybook.org)",
               "pb-source-en.md": "Pratham Books (prathambooks.org, storyweaver.org.in)"}


def credit(story):
    """'Title - text: ..., translation: ...' for one story, or None if its licence is not CC BY."""
    if "* License: [CC-BY]" not in story:
        return None
    lines = [line.strip() for line in story.strip().split("\n")]
    title = next(line[2:] for line in lines if line.startswith("# "))
    people = []
    for label in ("Text", "Translation", "Translated By", "Adaptation"):
        names = [line.split(":", 1)[1].strip() for line in lines if line.startswith(f"* {label}:")]
        people += [f"{label.lower()}: {name}" for name in names if name]
    return f"- {title} - {'; '.join(people)}"


def main():
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("--corpus", type=Path, required=True)
    parser.add_argument("--out", type=Path, required=True)
    args = parser.parse_args()
    parts = ["# Storybooks in the training text\n\nAll under CC BY, used without titles, pictures and page breaks.\n"]
    for name, heading in COLLECTIONS.items():
        text = (args.corpus / "open-storybooks" / name).read_text(encoding="utf-8")
        credits = [c for c in map(credit, text.split(END_OF_STORY)) if c]
        parts.append(f"## {heading}\n\n" + "\n".join(credits) + "\n")
    args.out.write_text("\n".join(parts), encoding="utf-8")


if __name__ == "__main__":
    main()
