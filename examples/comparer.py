#!/usr/bin/env python3
"""Sets all licences side by side, once every brief is approved: comparison.md and comparison.csv.

Queue `compare`. It depends on all the brief tasks and reads the figures and the first sentences of each brief.md. Where
Reeve has the model `licence-writer`, the model has the last word.
"""

import csv
import io
import re

from reeve_agent import Permanent, run

COLUMNS = ["obligations", "permissions", "prohibitions", "conditions", "disclaimers", "words"]


def compare(task):
    rows, duties = [], {}
    briefs = [texts["brief.md"] for _, texts in task.parents() if "brief.md" in texts]
    if not briefs:
        raise Permanent("none of the tasks that this one depends on delivered a brief.md")
    for index, brief in enumerate(briefs):
        name = re.search(r"^# (.+) in brief$", brief, re.M)[1]
        task.progress(0.1 + 0.6 * index / len(briefs), f"reading the brief on {name}", pause=index % 4 == 0)
        rows.append({"licence": name, **figures(brief)})
        duties[name] = first_duty(brief)

    rows.sort(key=lambda row: row["words"])
    task.progress(0.8, "writing the comparison")
    task.deliver("comparison.csv", table_csv(rows), "text/csv")
    figures_of_all = "; ".join(f"{row['licence']} {density(row):.1f}" for row in rows)
    question = f"Which of these ask for most? Obligations in a thousand words, name the densest: {figures_of_all}"
    said, trouble = task.ask("licence-writer", question, tokens=120)
    last_word = ["## The model's last word", "", said or f"None: {trouble}", ""] if said or trouble else []
    task.deliver("comparison.md", comparison(rows, duties) + "\n".join(["", *last_word] if last_word else []))
    task.complete({"licences": len(rows)})


def figures(brief):
    """The numbers of the brief's table."""
    numbers = {kind: int(number) for kind, number in re.findall(r"^\| (\w+) \| (\d+) \|$", brief, re.M)}
    return {column: numbers.get(column, 0) for column in COLUMNS}


def first_duty(brief):
    found = re.search(r"^## What you must do\n\n- (.+)$", brief, re.M)
    return found[1] if found else "none that it says in so many words"


def table_csv(rows):
    text = io.StringIO()
    writer = csv.DictWriter(text, ["licence", *COLUMNS], lineterminator="\n")
    writer.writeheader()
    writer.writerows(rows)
    return text.getvalue()


def density(row):
    """Obligations in a thousand words: a long text is not yet a strict one."""
    return 1000 * row["obligations"] / max(1, row["words"])


def comparison(rows, duties):
    strict, mild = max(rows, key=density), min(rows, key=density)
    lines = [
        f"# {len(rows)} licences side by side",
        "",
        f"From {rows[0]['licence']} with {rows[0]['words']:,} words to "
        f"{rows[-1]['licence']} with {rows[-1]['words']:,}. "
        f"The densest in obligations is {strict['licence']} ({density(strict):.1f} in a thousand words), "
        f"the lightest {mild['licence']} ({density(mild):.1f}).",
        "",
        "| licence | " + " | ".join(COLUMNS) + " | obligations per 1,000 words |",
        "|---|" + "---:|" * (len(COLUMNS) + 1),
        *(
            f"| {row['licence']} | " + " | ".join(str(row[column]) for column in COLUMNS) + f" | {density(row):.1f} |"
            for row in rows
        ),
        "",
        "## The first thing each obliges you to do",
        "",
        *(f"- **{row['licence']}**: {duties[row['licence']]}" for row in rows),
        "",
    ]
    return "\n".join(lines)


if __name__ == "__main__":
    run(queue="compare", handler=compare)
