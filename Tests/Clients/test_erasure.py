"""A subject's records go for good, also where the server is killed in the middle of it, again and again."""

import contextlib
import json
import random
import shutil
import sqlite3
import subprocess
import tempfile
import time
import uuid
from pathlib import Path

import pytest

from reeve_server import BINARY, Server, environment, until

ON_ENGINES = ["sqlite"]

SUBJECT = "ada.lovelace@erasure.example"
TRACES, SPANS = 40, 250
# What is left of them: every other trace has the subject in every other span.
LEFT = TRACES * SPANS * 3 // 4
# Seconds from the order, or from a start, to the kill; `None` waits for the next block that is rewritten.
MOMENTS = [0.0, None, None, 0.1, None, 0.6]


def words(random_, count=60):
    """A text that does not pack well, so that there is something to rewrite."""
    return " ".join(f"{random_.getrandbits(64):016x}" for _ in range(count))


def trace_id(number):
    return f"{number + 1:032x}"


def spans(number, random_):
    """Those of one trace: every other trace has the subject in every second span."""
    found = []
    for place in range(SPANS):
        hers = number % 2 == 0 and place % 2 == 0
        found.append(
            {
                "traceId": trace_id(number),
                "spanId": f"{number * SPANS + place + 1:016x}",
                "name": f"step {place}",
                "startTimeUnixNano": str(time.time_ns()),
                "endTimeUnixNano": str(time.time_ns()),
                "attributes": [
                    {"key": "user.id", "value": {"stringValue": SUBJECT if hers else "bob"}},
                    {"key": "gen_ai.operation.name", "value": {"stringValue": "chat"}},
                    {"key": "input.value", "value": {"stringValue": words(random_)}},
                    {"key": "place", "value": {"intValue": str(place)}},
                ],
            }
        )
    return found


def fill(api):
    random_ = random.Random(7)
    for number in range(TRACES):
        body = {"resourceSpans": [{"scopeSpans": [{"spans": spans(number, random_)}]}]}
        api.post("/v1/traces", body, 200)
    # A span that runs, lines of a log, a label of a stream, a series, and what a trace belongs to.
    running = dict(spans(0, random_)[0], traceId="ab" * 16, spanId="ab" * 8)
    running["attributes"] = running["attributes"] + [{"key": "reeve.span.state", "value": {"stringValue": "pending"}}]
    api.post("/v1/traces", {"resourceSpans": [{"scopeSpans": [{"spans": [running]}]}]}, 200)
    for user in (SUBJECT, "bob"):
        api.post("/api/v1/logs", [{"message": f"of {user[:3]} {n}", "session_id": user} for n in range(200)], 200)
        stream = {"stream": {"app": "mail", "owner": user}, "values": [[str(time.time_ns()), f"mail of {user[:3]}"]]}
        api.send("POST", "/loki/api/v1/push", json={"streams": [stream]})
        point = {
            "asInt": "3",
            "timeUnixNano": str(time.time_ns()),
            "attributes": [{"key": "owner", "value": {"stringValue": user}}],
        }
        metric = {"name": "mails", "gauge": {"dataPoints": [point]}}
        api.post("/v1/metrics", {"resourceMetrics": [{"scopeMetrics": [{"metrics": [metric]}]}]}, 200)
        headers = {"traceparent": f"00-{uuid.uuid4().hex}-{'1' * 16}-01", "x-correlation-id": user}
        api.post("/api/v1/logs", [{"message": f"bound by {user[:3]}"}], 200, headers=headers)


def kept(api, number):
    return len(api.get(f"/api/v1/traces/{trace_id(number)}", 200)["spans"])


def where(server, text):
    """The files of the data directory that have a text in their bytes."""
    found = []
    for path in server.data_dir.rglob("*"):
        if path.is_file() and text.encode() in path.read_bytes():
            found.append(str(path.relative_to(server.data_dir)))
    return found


def records(server):
    """How many spans the day's files have, as they say themselves: of copies, as to open one would change it."""
    found = 0
    with tempfile.TemporaryDirectory() as folder:
        for path in (server.data_dir / "telemetry").glob("model-*"):
            shutil.copy(path, folder)
        for path in Path(folder).glob("model-*.db"):
            with contextlib.closing(sqlite3.connect(path)) as file:
                found += file.execute("SELECT sum(records) FROM blocks").fetchone()[0]
    return found


def await_rewriting(server):
    """Waits until something is written to the spans' files, which nobody but the erasure does here."""
    paths = list((server.data_dir / "telemetry").glob("model-*.db-wal"))
    before = [path.stat().st_mtime_ns for path in paths]
    until(lambda: [path.stat().st_mtime_ns for path in paths] != before, 10, "a block that is rewritten", 0.001)


def is_stored(api, count):
    ledger = {one["signal"]: one for one in api.get("/api/v1/telemetry/ledger", 200)["items"]}
    return ledger["traces"]["stored"] >= count


@pytest.fixture
def filled(own_server):
    # Nobody takes the queue's records: they stay on the disk.
    own_server.settings["REEVE_TELEMETRY_KAFKA"] = "kafka://127.0.0.1:1/logs"
    own_server.start()
    api = own_server.api()
    fill(api)
    until(lambda: is_stored(api, TRACES * SPANS), 60, "all spans in their files")
    return own_server


def check_nothing_left(server, api, erasure):
    """Nothing of the subject by its bytes or through the interface, and all of the others."""
    assert where(server, SUBJECT) == []
    for query in (f"q={SUBJECT}", "q=of+ada", f"correlationId={SUBJECT}"):
        assert api.get(f"/api/v1/logs?{query}", 200)["items"] == [], query
    assert SUBJECT not in json.dumps(api.get("/api/v1/sessions", 200))
    assert api.get("/loki/api/v1/label/owner/values", 200)["data"] == ["bob"]
    assert api.get("/prometheus/api/v1/series?match[]=mails", 200)["data"][0]["owner"] == "bob"
    api.refused("GET", f"/api/v1/traces/{'ab' * 16}", status=404)
    for number in range(TRACES):
        assert kept(api, number) == (SPANS // 2 if number % 2 == 0 else SPANS), number
    random_ = random.Random(7)
    for number in range(0, TRACES):
        for place, span in enumerate(spans(number, random_)):
            if place % 50 != 1:
                continue
            detail = api.get(f"/api/v1/traces/{span['traceId']}/spans/{span['spanId']}", 200)
            expected = {one["key"]: next(iter(one["value"].values())) for one in span["attributes"]}
            assert detail["attributes"]["input.value"] == expected["input.value"]
            assert detail["attributes"]["user.id"] == "bob"
    assert len(api.get("/api/v1/logs?q=of+bob&limit=500", 200)["items"]) == 201
    assert erasure["remaining"] == 0 and erasure["held"] == 0, erasure
    places = {"live", "bindings", "labels", "kafka", "agents", "deltas", "metrics"}
    assert places <= set(erasure["searched"]["places"]), erasure["searched"]
    # Only from the last start on: what went before was counted there.
    again = api.post("/api/v1/telemetry/erasures", {"subject": SUBJECT, "dryRun": True}, 202)
    ended = until(lambda: ended_erasure(api, again["id"]), 60, "the look")
    assert ended["state"] == "done" and ended["found"] == 0, ended


def ended_erasure(api, order):
    erasure = api.get(f"/api/v1/telemetry/erasures/{order}", 200)
    return erasure["state"] != "running" and erasure


def test_a_kill_in_the_middle_of_an_erasure_costs_nothing_but_time(filled):
    assert set(where(filled, SUBJECT)) & {"telemetry/bindings", "telemetry/live"}
    api = filled.api()
    order = api.post("/api/v1/telemetry/erasures", {"subject": SUBJECT, "reason": "asked for"}, 202)["id"]
    went_on, left = 0, [TRACES * SPANS]
    for seconds in MOMENTS:
        if seconds is None and left[-1] > LEFT:
            await_rewriting(filled)
        else:
            time.sleep(seconds or 0)
        if ended_erasure(api, order):
            break
        filled.kill()
        left.append(records(filled))
        filled.start()
        went_on += 1
    assert left == sorted(left, reverse=True) and left[-1] >= LEFT, left
    assert any(LEFT < count < TRACES * SPANS for count in left), f"it was never killed among its blocks: {left}"
    assert went_on >= 3, "there is too little to erase to be killed in the middle of it"
    erasure = until(lambda: ended_erasure(api, order), 120, "the erasure's end")
    assert erasure["state"] == "done", erasure
    assert erasure["starts"] == went_on + 1, erasure
    actions = [row["action"] for row in api.get("/api/v1/audit?limit=200", 200)["items"]]
    assert actions.count("telemetry.erasure_resumed") == went_on
    check_nothing_left(filled, api, erasure)
    # Nor after a last one without a word.
    filled.kill()
    filled.start()
    check_nothing_left(filled, api, erasure)
    assert filled.stop() == 0
    assert where(filled, SUBJECT) == []


def test_the_command_says_what_it_left_and_what_can_be_done(own_server):
    api = own_server.start().api()
    api.post("/api/v1/tasks", {"queue": "mail", "project": "p", "type": "t", "title": f"Write to {SUBJECT}"}, 201)
    api.post("/api/v1/logs", [{"message": "hers", "session_id": SUBJECT}], 200)
    ended = subprocess.run(
        [BINARY, "telemetry", "erase", "--subject", SUBJECT],
        env=environment(REEVE_URL=own_server.url, REEVE_KEY=own_server.admin_key),
        capture_output=True,
        text=True,
        timeout=60,
    )
    assert ended.returncode == 0, ended.stderr
    assert "found 1, removed 1, a second search found 0" in ended.stdout
    assert "searched  " in ended.stdout and ", live, bindings, labels, agents, deltas, metrics" in ended.stdout
    assert "tasks: 1 rows of the table tasks (title, input, correlation id, unique key)" in ended.stdout
    assert "reeve tasks list --query TEXT" in ended.stdout
    assert "tasks.finishedRetentionDays (90)" in ended.stdout
    assert "Reeve's own calls, holds, alerts, incidents do not have the text." in ended.stdout, ended.stdout
    assert SUBJECT not in ended.stdout


def test_a_trace_keeps_its_correlation_id_over_a_kill(own_server):
    """Said by one request, needed by spans that come after the start."""
    api = own_server.start().api()
    trace = uuid.uuid4().hex
    headers = {"traceparent": f"00-{trace}-{'2' * 16}-01", "x-correlation-id": "order-4711"}
    api.post("/api/v1/logs", [{"message": "begun"}], 200, headers=headers)
    own_server.kill()
    own_server.start()
    span = {"traceId": trace, "spanId": "3" * 16, "name": "later", "startTimeUnixNano": str(time.time_ns())}
    span["endTimeUnixNano"] = span["startTimeUnixNano"]
    api.post("/v1/traces", {"resourceSpans": [{"scopeSpans": [{"spans": [span]}]}]}, 200)
    path = "/api/v1/traces?correlationId=order-4711"
    found = until(lambda: api.get(path, 200)["items"], 10, "the trace by its correlation id")
    assert [one["traceId"] for one in found] == [trace]
