#!/usr/bin/env python3
"""Reads a licence and sets down what it obliges, permits and forbids: obligations.json.

Queue `extract`. Input: {"name": "GPL-3", "path": "/usr/share/common-licenses/GPL-3"}, or "text" in the place of "path".

It reads as a careful clerk would, by the modal verbs of legal English ("must", "shall", "may not", "provided that"),
and understands nothing beyond them, so the same input always gives the same statements. Where Reeve has the model
`licence-reader`, the model says besides in one sentence what the licence is about.
"""

import re

from reeve_agent import Permanent, run

# In this order: "you may not" is a prohibition before it is a permission.
KINDS = [
    ("disclaimers", r"\bas is\b|\bwithout (any )?warrant|\bno warrant|\bin no event\b|\bno liability\b|\bbe liable\b"),
    ("prohibitions", r"\b(may|must|shall|can) not\b|\bcannot\b|\bmay no\b|\bnot (permitted|allowed)\b|\bprohibited\b"),
    ("obligations", r"\bmust\b|\bshall\b(?! mean)|\b(is|are) (required|obliged) to\b|\bhave to\b|\bagrees? to\b"),
    (
        "permissions",
        r"\bmay\b|\b(hereby )?grants?\b|\b(is|are) (granted|permitted|allowed)\b|\bfree to\b|\bpermission\b",
    ),
]
CONDITION = re.compile(
    r"\b(provided that|provided you|only if|unless|if|so long as|as long as|on condition that|subject to)\b", re.I
)
NUMBERED = re.compile(r"(?:Section |Article )?(\d+(?:\.\d+)*)\.?[ \t]+(?=[A-Z\"(])")
CAPITALS = re.compile(r"[A-Z][A-Z ,'\-]{5,70}")
SENTENCE_END = re.compile(r"(?<=[.;:])(?<!e\.g\.)(?<!i\.e\.)(?<!v\.)(?<!Inc\.)(?<!No\.)\s+(?=[\"'(A-Z0-9])")
WORD = re.compile(r"[A-Za-z][A-Za-z'\-]*")


def paragraphs(text):
    """Blocks between empty lines, each on one line."""
    for block in re.split(r"\n\s*\n", text.replace("\r", "")):
        lines = [line.strip() for line in block.splitlines() if line.strip(" -=*_\t\f")]
        if lines:
            yield lines


def heading_of(lines):
    """The heading that a paragraph begins with (a numbered title, or capitals), and the lines that are left."""
    first = lines[0]
    if CAPITALS.fullmatch(first.strip(" .:")):
        return first.strip(" .:"), lines[1:]
    number = NUMBERED.match(first)
    if not number:
        return None, lines
    title = SENTENCE_END.split(first[number.end() :])[0].strip(" .:")
    if len(WORD.findall(title)) > 8 or title.endswith(","):
        # A numbered paragraph without a title: all of it is text.
        return f"Section {number[1]}", lines
    rest = first[number.end() + len(title) :].lstrip(" .:")
    return f"{number[1]}. {title}", [rest, *lines[1:]] if rest else lines[1:]


def sections(text):
    """(heading, sentences) pairs; what stands before the first heading is the preamble."""
    heading, sentences = "Preamble", []
    for lines in paragraphs(text):
        found, lines = heading_of(lines)
        if found:
            if sentences:
                yield heading, sentences
            heading, sentences = found, []
        if lines:
            sentences += [part.strip() for part in SENTENCE_END.split(" ".join(lines)) if part.strip()]
    if sentences:
        yield heading, sentences


def kind_of(sentence):
    for kind, pattern in KINDS:
        if re.search(pattern, sentence, re.I):
            return kind
    return None


def condition_in(sentence):
    """The words from "provided that" on, if the sentence sets a condition."""
    found = CONDITION.search(sentence)
    return sentence[found.start() :].strip(" .;:") if found else None


def extract(task):
    name = task.input.get("name") or "the text"
    task.progress(0.1, f"reading {name}")
    text = read(task.input)
    task.progress(0.3, "finding the sections")
    found = list(sections(text))

    statements = {kind: [] for kind, _ in KINDS}
    conditions = []
    for index, (heading, sentences) in enumerate(found):
        if index % max(1, len(found) // 3) == 0:
            task.progress(0.3 + 0.5 * index / len(found), f"reading {heading[:60]}")
        for sentence in sentences:
            kind = kind_of(sentence)
            condition = condition_in(sentence) if kind else None
            if kind:
                statements[kind].append({"section": heading, "text": sentence, "words": len(WORD.findall(sentence))})
            if condition:
                conditions.append({"section": heading, "text": condition, "words": len(WORD.findall(condition))})

    about = None
    if text.strip():
        task.progress(0.8, "asking the model what it is about")
        question = f"In one sentence, what is this text about? It begins, in the licence {name}: {text[:800]}"
        about, trouble = task.ask("licence-reader", question)
        if trouble:
            task.progress(0.85, f"without the model, as {trouble}"[:300])

    task.progress(0.9, "writing obligations.json")
    result = {
        "licence": name,
        "words": len(WORD.findall(text)),
        "sentences": sum(len(sentences) for _, sentences in found),
        "sections": [
            {"heading": heading, "words": sum(len(WORD.findall(sentence)) for sentence in sentences)}
            for heading, sentences in found
        ],
        **statements,
        "conditions": conditions,
    }
    task.deliver_json("obligations.json", result)
    counts = {kind: len(statements[kind]) for kind in statements}
    task.complete({**counts, "about": about} if about else counts)


def read(given):
    if given.get("text"):
        return given["text"]
    try:
        with open(given["path"], encoding="utf-8", errors="replace") as file:
            return file.read()
    except (KeyError, OSError) as error:
        raise Permanent(f"the licence cannot be read: {error}") from None


if __name__ == "__main__":
    run(queue="extract", handler=extract)
