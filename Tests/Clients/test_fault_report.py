"""The page of `script/chaos` says what the record says, also where that is bad."""

import json
import re
import subprocess
import sys
from pathlib import Path

import pytest

import chaos_report
from fault_catalogue import CHAPTERS

DATE, PROGRAM = "2026-01-02", "a program"


def line(scenario, engine="sqlite", **more):
    """A line as `Outcome` writes one."""
    known = {"scenario": scenario, "engine": engine, "acknowledged": 1_000, "lost": 0, "duplicated": 0, "refused": 3}
    known |= {"recoveries": [0.5, 0.1, 0.3], "recovery_of": "kill to ready", "note": "a note", "seconds": 9.0}
    return known | {"passed": True, "skipped": False, "error": None} | more


FAILING = {"passed": False, "lost": 2, "error": "2 lost: the event 7 | in /some/where/data/reeve.db\nassert 2 == 0"}
SKIPPED = {"passed": False, "skipped": True, "error": "no root here", "acknowledged": None, "lost": None}
SKIPPED |= {"duplicated": None, "refused": None, "recoveries": [], "recovery_of": "", "note": ""}
LINES = [
    line("repeated_kills"),
    line("repeated_kills", "postgres", **FAILING),
    line("disk_full_blobs", **SKIPPED),
    line("never_heard_of", acknowledged=23),
]
JUNIT = """<testsuites><testsuite tests="4">
<testcase classname="Tests.Clients.test_fault_kills" name="test_a[sqlite]"/>
<testcase classname="Tests.Clients.test_fault_kills" name="test_a[postgres]">
  <failure message="AssertionError: 2 lost">…</failure></testcase>
<testcase classname="Tests.Clients.test_fault_input" name="test_b"><error message="no server">…</error></testcase>
<testcase classname="Tests.Clients.test_fault_disk" name="test_c"><skipped message="no root here"/></testcase>
</testsuite></testsuites>"""


@pytest.fixture
def cases(tmp_path):
    (tmp_path / "tests.xml").write_text(JUNIT)
    return chaos_report.read_junit(tmp_path / "tests.xml")


@pytest.fixture
def text(cases):
    return chaos_report.page(LINES, cases, DATE, PROGRAM)


@pytest.fixture
def words(text):
    """The page without its line breaks."""
    return " ".join(text.split())


def rows(text, heading):
    """The rows of the first table below a heading."""
    table = text.split(f"### {heading}\n", 1)[1].split("|---", 1)[1].split("\n\n", 1)[0]
    return [[part.strip() for part in re.split(r"(?<!\\)\|", row)[1:-1]] for row in table.splitlines()[1:]]


def test_a_good_line_has_its_figures(text):
    good = rows(text, "Killed again and again under load")[0]
    assert good == ["SQLite", "passed", "1,000", "0", "0", "3", "0.30 s / 0.50 s (3)", "a note"]
    assert "Recovery is measured from kill to ready." in text


def test_a_failure_is_shown_as_one(text, words):
    bad = rows(text, "Killed again and again under load")[1]
    assert bad[:4] == ["PostgreSQL", "**failed**", "1,000", "2"]
    assert bad[-1] == "failed: 2 lost: the event 7 \\| in …; a note"
    assert "2 were lost and 0 duplicated" in words
    assert "- `test_fault_kills` test_a[postgres]: AssertionError: 2 lost" in text
    assert "- `test_fault_input` test_b: no server" in text


def test_what_was_skipped_is_shown_as_such(text, words):
    assert rows(text, "No room for deliverables") == [
        ["SQLite", "**skipped**", "–", "–", "–", "–", "–", "skipped: no root here"]
    ]
    assert "2 scenarios passed, 1 failed and 1 were skipped" in words


def test_a_scenario_that_the_catalogue_does_not_know_is_not_left_out(text):
    assert rows(text, "`never_heard_of`")[0][2] == "23"


def test_short_times_are_in_milliseconds():
    assert chaos_report.recovery([0.004, 0.25, 0.02]) == "20 ms / 0.25 s (3)"


def test_the_totals_are_sums(words):
    assert "4 scenarios of faults ran against a program" in words and f"On {DATE}" in words
    assert "of 2,023 acknowledged changes" in words and "9 requests were refused" in words
    assert "of 4 tests in all 2 failed" in words


def test_the_page_says_nothing_of_the_place_where_it_ran(text):
    assert "/some/where" not in text and str(Path.home()) not in text
    assert text.count("\n# ") + text.startswith("# ") == 1, "one first heading"


def test_it_fails_where_anything_failed(cases):
    good = [case for case in cases if case.state == "passed"]
    assert not chaos_report.has_failed([LINES[0], LINES[2]], good)
    assert chaos_report.has_failed(LINES, good)
    assert chaos_report.has_failed([LINES[0]], cases)
    assert chaos_report.has_failed([], []), "nothing ran"


def test_a_run_that_left_nothing_is_a_failure(tmp_path):
    record = tmp_path / "record.jsonl"
    record.write_text(json.dumps(LINES[0]) + "\n")
    program = Path(__file__).parent / "chaos_report.py"
    command = [sys.executable, str(program), str(record), str(tmp_path / "absent.xml"), "its build"]
    done = subprocess.run(command, capture_output=True, text=True, timeout=30)
    assert done.returncode == 1 and "the run itself: it left no result" in done.stdout, done.stderr


def test_no_fault_is_described_twice():
    scenarios = [fault.scenario for chapter in CHAPTERS for fault in chapter.faults]
    assert len(scenarios) == len(set(scenarios))
