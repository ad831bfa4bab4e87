"""Turn the raw corpus files into clean stories (plain strings).

Every story comes out in one normal form:
  - paragraphs separated by a single newline, no blank lines, no trailing spaces;
  - straight quotes, three dots for an ellipsis;
  - ordinary sentence case (one source is lower-cased and is given its capitals back by rule).

A story is a pair (text, complete). `complete` is False for a passage cut out of a longer chapter:
the model must not learn that a story ends where we cut.
"""

import collections
import re
from pathlib import Path

END_OF_STORY = "<|endoftext|>"

# UTF-8 punctuation that was once decoded as Windows-1252, then typographic punctuation.
# Order matters: the bare two-character remnant must come last among the first group.
REPLACEMENTS = [
    ("\u00e2\u20ac\u0153", '"'), ("\u00e2\u20ac\u2122", "'"), ("\u00e2\u20ac\u02dc", "'"),
    ("\u00e2\u20ac\u00a6", "..."), ("\u00e2\u20ac\u201c", "-"), ("\u00e2\u20ac\u201d", "-"),
    ("\u00e2\u20ac\u009d", '"'), ("\u00e2\u20ac", '"'),
    ("\u201c", '"'), ("\u201d", '"'), ("\u2018", "'"), ("\u2019", "'"), ("\u2026", "..."),
    ("\u2013", "-"), ("\u2014", "-"), ("\u00a0", " "), ("\ufeff", ""), ("\u200b", ""),
]

# The opening of a story in the lower-cased file, which marks most boundaries itself.
NAME = r"[A-Z][a-z]+"
FIRST_WORDS = re.compile(
    r"(Once upon a time|Once,? there|There once|Once a |One (sunny |hot |cold |rainy |bright )?day,? "
    r"(a|an|two|there|some|in a)\b|"
    + NAME + r" and (his |her )?(" + NAME + r"|mom|mommy|dad) "
    r"(are|were|like|liked|love|loved|go|went|have|had|live|lived|play|played) |"
    + NAME + r" (is|was) (a|an|three|four|five|six|seven|two) )")

# The opening of a story in the validation file, which marks no boundaries at all. Measured on the
# paragraphs of the marked file: 98 % of the paragraphs found begin a story, 88 % of the stories are found.
WHO = r"(his |her |their |the |a |little )?(" + NAME + r"|mom|mommy|mum|mummy|dad|daddy|family|friends?)"
OPENING = re.compile("(" + "|".join([
    r"(Once|One) upon a time|Once,? (there|two|three|in a|it was|an? )|There once|Long ago",
    r"There (was|were|lived) (once )?(a|an|two)\b",
    r"One (\w+ )?(day|morning|night|evening|afternoon),? (a|an|two|three|there|some|in an?)\b",
    r"It was a (\w+ )?(\w+ )?(day|morning|night|evening|afternoon)\b|The sun was shining",
    NAME + " and " + WHO + r" (are|were) (playing|friends|twins|good friends|best friends|very good friends|"
    r"brother|brothers|siblings|sisters|neighbors|going|walking|in the|at the|in their|on a|on the)\b",
    NAME + " and " + WHO + r" (like|liked|love|loved|live|lived|wanted|want|went for|went to|go to)\b",
    NAME + r" (is|was) (a|an|three|four|five|six|seven|two) "
    r"(?!bit\b|little (bit|scared|sad|nervous|worried|afraid|confused|surprised|disappointed))",
    NAME + r" (likes|loves|liked|loved) to ",
    r"(A|Two|Three) (little|small|big|old|young|boy|girl|man|woman|bird|dog|cat)\b",
]) + ")")

# The oldest books contain words that have no place in a story for children: such chapters are left out.
UNWANTED = re.compile(r"\b(nigger|darky|darkies|darkey|coon|savages?)", re.IGNORECASE)


def normalise(text):
    """One normal form for every source (see the head of this file)."""
    for old, new in REPLACEMENTS:
        text = text.replace(old, new)
    lines = [re.sub(r"[ \t]+", " ", line).strip() for line in text.split("\n")]
    return "\n".join(line for line in lines if line)


def letters_only(text):
    """The key for finding copies: lower case, letters and digits only."""
    return re.sub(r"[^a-z0-9]+", "", text.lower())


def unwrap(text):
    """Join hard-wrapped lines: a paragraph is what stands between blank lines."""
    paragraphs = re.split(r"\n\s*\n", text)
    return "\n".join(" ".join(p.split()) for p in paragraphs if p.strip())


# ---------------------------------------------------------------- TinyStories

def marked_stories(path):
    """A file that puts the end-of-story mark between its stories."""
    parts = path.read_text(encoding="utf-8").split(END_OF_STORY)
    return [normalise(part) for part in parts[:-1]]  # the last part is cut off in mid-story


def learn_names(stories):
    """Words that cased text capitalises in mid-sentence: lower-case form -> cased form."""
    text = "\n".join(stories)
    capitalised = collections.Counter(re.findall(r"(?<=[a-z,] )([A-Z][a-z]+)", text))
    lower = collections.Counter(re.findall(r"\b[a-z]+\b", text))
    return {word.lower(): word for word, count in capitalised.items()
            if count > 3 and count > 2 * lower[word.lower()]}


def restore_case(text, names):
    """Give a lower-cased story its capitals back: names, the word I, and sentence starts."""
    text = re.sub(r"\b[a-z]+\b", lambda m: names.get(m[0], m[0]), text)
    text = re.sub(r"\bi\b", "I", text)
    # A sentence starts at a line start, after . ! ? (with or without a closing quote),
    # or inside an opening quote that follows a comma, a stop or a colon.
    start = r'(^|\n|[.!?]"?\s+|(?<=[,.!?:] )")("?)([a-z])'
    return re.sub(start, lambda m: m[1] + m[2] + m[3].upper(), text)


def lowercased_stories(path, cased_text, names):
    """The part of the lower-cased file that the cased file lacks, with its capitals restored.

    In this file a blank line separates paragraphs and a single newline separates stories,
    except for a few stories that use single newlines throughout.
    """
    text = path.read_text(encoding="utf-8")
    probe = cased_text.lower().rstrip()[-150:].split("\n")[-1][-60:]
    begin = text.find(probe)
    if begin < 0:
        raise ValueError("the lower-cased file does not overlap the cased one as expected")
    stories, previous_open = [], False
    for piece in re.split(r"(?<!\n)\n(?!\n)", text[begin:])[1:-1]:
        if not piece.strip():
            continue
        whole = "\n\n" in piece
        cased = restore_case(normalise(piece), names)
        if stories and previous_open and not whole and not FIRST_WORDS.match(cased):
            stories[-1] += "\n" + cased  # a paragraph of the story before
        else:
            stories.append(cased)
        previous_open = not whole
    return stories


def validation_stories(path):
    """The validation file marks no boundaries: a paragraph with a story opening begins a story.

    The first and the last story are cut by the file's ends and are left out.
    """
    stories, previous_is_opening = [], False
    for paragraph in re.split(r"\n\s*\n", path.read_text(encoding="utf-8")):
        text = normalise(paragraph)
        if not text:
            continue
        opening = bool(OPENING.match(text)) and not previous_is_opening
        if opening or not stories:
            stories.append(text)
        else:
            stories[-1] += "\n" + text
        previous_is_opening = opening
    return stories[1:-1]


# ---------------------------------------------------------------- books and storybooks

def passages(text, limit):
    """Cut a long chapter at paragraph ends into passages of about `limit` characters."""
    out, current = [], ""
    for paragraph in text.split("\n"):
        if current and len(current) + len(paragraph) > limit:
            out.append((current, False))
            current = ""
        current = current + "\n" + paragraph if current else paragraph
    if current:
        out.append((current, True))  # the chapter's real end
    return out


def tales(folder, limit=1800):
    """Public domain children's books: chapters without headings, cut into passages."""
    out, dropped = [], 0
    for path in sorted(Path(folder).glob("*.md")):
        body = path.read_text(encoding="utf-8").split("-------", 1)[-1]
        for chapter in re.split(r"^#+ .*$", body, flags=re.MULTILINE):
            text = normalise(unwrap(chapter))
            text = re.sub(r"(?<!\w)[_*]+|[_*]+(?!\w)", "", text)   # emphasis marks
            text = re.sub(r"\s*--+\s*", " - ", text)
            if len(text) < 200:
                continue
            if UNWANTED.search(text):
                dropped += 1
                continue
            out += passages(text, limit)
    return out, dropped


def storybooks(folder, limit=1800):
    """CC BY storybooks without titles, page marks, and the licence and author lines.

    Any story whose licence line is not exactly CC-BY (some are CC BY-NC) is left out.
    """
    out, dropped = [], 0
    for path in sorted(Path(folder).glob("*.md")):
        for part in path.read_text(encoding="utf-8").split(END_OF_STORY):
            if not part.strip():
                continue
            if "* License: [CC-BY]" not in part:
                dropped += 1
                continue
            lines = [line for line in part.split("\n") if not line.startswith(("# ", "*"))]
            text = normalise(unwrap("\n".join("" if line.startswith("#") else line for line in lines)))
            if len(text) >= 100:
                out += passages(text, limit)
    return out, dropped
