#!/usr/bin/env python3
"""Writes a page about one licence from what the extractor found: brief.md, which a person then reviews.

Queue `brief`. It depends on the extract task, and reads that task's obligations.json. When the reviewer asks for
changes, the task comes back with the remarks, and the next revision begins with an answer to each of them. Where Reeve
has the model `licence-writer`, the brief begins with a sentence of the model's, as long as the writer's budget lasts.
"""

import json
import re

from reeve_agent import Permanent, run

CHAPTERS = [
    ("obligations", "What you must do"),
    ("permissions", "What you may do"),
    ("prohibitions", "What you may not do"),
    ("conditions", "On which conditions"),
]
SHOWN, SHOWN_SHORT, SHOWN_LONG = 5, 2, 12
# Words of a remark that say nothing about the licence.
SMALL_WORDS = set(
    (
        "about after again also and any are brief but can could does for from has have how into its just like make "
        "more much need needs not now one only please add say says should show some than that the their them then "
        "there these they this too was what when where which who will with word words write would you your shorter "
        "longer short long detail details less fewer mention explain missing section sections licence license text "
        "tell reader part"
    ).split()
)


def write(task):
    parent, extract = extract_of(task)
    name = extract["licence"]
    round_number = len(task.feedback) + 1
    task.progress(0.2, f"reading what {parent.get('title', parent['id'])} found")

    remarks = [remark_of(entry) for entry in task.feedback]
    remarks = [remark for remark in remarks if remark]
    asked = " ".join(remarks).lower()
    shown = SHOWN
    if re.search(r"\b(short|shorter|too long|concise|trim)\b", asked):
        shown = SHOWN_SHORT
    elif re.search(r"\b(more|longer|detail|details|complete|all)\b", asked):
        shown = SHOWN_LONG

    lines = [f"# {name} in brief", ""]
    if remarks:
        task.progress(0.4, f"answering {len(remarks)} remark{'s' if len(remarks) > 1 else ''}")
        lines += answers(remarks, extract, shown)
    lines += in_one_sentence(task, extract)
    task.progress(0.5, "summing up")
    lines += summary(extract)
    for index, (kind, title) in enumerate(CHAPTERS):
        task.progress(0.6 + 0.08 * index, title.lower())
        lines += chapter(title, extract[kind], shown)
    lines += [
        "---",
        f"Revision {round_number}. Sentences are quoted from the licence; only their order is the writer's.",
        "",
    ]

    task.progress(0.95, "handing in brief.md")
    task.deliver("brief.md", "\n".join(lines))
    task.submit()


def extract_of(task):
    for parent, texts in task.parents():
        if "obligations.json" in texts:
            return parent, json.loads(texts["obligations.json"])
    raise Permanent("none of the tasks that this one depends on delivered an obligations.json")


def remark_of(entry):
    """A reviewer's words, however the entry is put."""
    if isinstance(entry, str):
        return entry.strip()
    return str(entry.get("comment") or entry.get("text") or "").strip()


def in_one_sentence(task, extract):
    """What the model makes of the obligations; without it, why it says nothing, and nothing at all where there is none."""
    task.progress(0.45, "asking the model for one sentence")
    duties = "\n".join(f"- {statement['text'][:200]}" for statement in extract["obligations"][:4])
    question = f"In one sentence, what does the licence {extract['licence']} ask of whoever passes it on?\n{duties}"
    sentence, trouble = task.ask("licence-writer", question)
    if sentence:
        return ["## In one sentence", "", f"{sentence} *(the model)*", ""]
    if trouble:
        task.progress(0.48, f"writing without the model, as {trouble}"[:300])
        return ["## In one sentence", "", f"Written without the model: {trouble}", ""]
    return []


def summary(extract):
    parts = extract["sections"]
    longest = max(parts, key=lambda part: part["words"], default={"heading": "", "words": 0})
    return [
        f"{extract['licence']} has {extract['words']:,} words in {len(parts)} section{'s' if len(parts) != 1 else ''}. "
        f"The longest is “{longest['heading']}” with {longest['words']:,} words.",
        "",
        "| | statements |",
        "|---|---:|",
        *(
            f"| {kind} | {len(extract[kind])} |"
            for kind in ("obligations", "permissions", "prohibitions", "conditions", "disclaimers")
        ),
        f"| words | {extract['words']} |",
        "",
    ]


def chapter(title, statements, shown):
    lines = [f"## {title}", ""]
    if not statements:
        return lines + ["The text has no such sentence.", ""]
    # The shortest sentences first, as they are the clearest ones; then in the order of the text.
    clearest = sorted(statements, key=lambda statement: abs(statement["words"] - 18))[:shown]
    lines += [f"- {quote(statement)}" for statement in statements if statement in clearest]
    rest = len(statements) - len(clearest)
    return lines + ([f"- … and {rest} more."] if rest else []) + [""]


def quote(statement, limit=320):
    text = statement["text"]
    if len(text) > limit:
        text = text[:limit].rsplit(" ", 1)[0] + " …"
    return f"{text} *({statement['section']})*"


def answers(remarks, extract, shown):
    """An answer to each remark: what was changed, and what the text says about the words that the reviewer used."""
    lines = ["## Changes after review", ""]
    for remark in remarks:
        lines += [f"> {line}" for line in remark.splitlines()] + [""]
        if shown != SHOWN:
            lines.append(f"Each chapter now has {shown} sentences at most, where it had {SHOWN}.")
        topics = [word for word in dict.fromkeys(re.findall(r"[a-z]{4,}", remark.lower())) if word not in SMALL_WORDS]
        found = statements_about(topics, extract)
        if found:
            lines.append(f"On {', '.join(topics)} the text says:")
            lines += [""] + [f"- {quote(statement)}" for statement in found[:5]]
        elif topics:
            lines.append(
                f"The text has no sentence that obliges, permits or forbids anything about {', '.join(topics)}."
            )
        elif shown == SHOWN:
            lines.append("Read again from the source; the sentences below stand as the licence has them.")
        lines.append("")
    return lines


def statements_about(topics, extract):
    stems = [topic[:6] for topic in topics]
    scored = []
    for kind in ("obligations", "permissions", "prohibitions", "disclaimers"):
        for statement in extract[kind]:
            score = sum(stem in statement["text"].lower() for stem in stems)
            if score:
                scored.append((-score, statement["words"], statement))
    return [statement for _, _, statement in sorted(scored, key=lambda item: item[:2])]


if __name__ == "__main__":
    run(queue="brief", handler=write)
