"""ClickHouse goes away and comes back while a server uses it: nothing is lost, and nobody has to start anything."""

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest
import requests
from reeve_server import CLICKHOUSE, ROOT, die_with_parent, until

# Telemetry is kept beside the store, so one engine tells as much as two.
ON_ENGINES = ["sqlite"]
CHDB = next((ROOT / ".build/tools").glob("chdb-*/chdb"), None)
needs_clickhouse = pytest.mark.skipif(not CLICKHOUSE, reason="REEVE_TEST_CLICKHOUSE is not set")


class ClickHouse:
    """A ClickHouse of the test's own."""

    def __init__(self, folder):
        self.folder = folder

    def run(self, verb):
        done = subprocess.run(
            [ROOT / "script/clickhouse-server", verb, self.folder], capture_output=True, text=True, timeout=120)
        assert done.returncode == 0, done.stderr
        return done.stdout.strip()


@pytest.fixture
def clickhouse(tmp_path):
    server = ClickHouse(tmp_path / "clickhouse")
    yield server
    server.run("stop")


def messages(api):
    items = api.get("/api/v1/logs", params={"correlationId": "order-7", "order": "asc"})["items"]
    return [item["message"] for item in items]


@needs_clickhouse
def test_records_wait_while_clickhouse_is_away(own_server, clickhouse):
    address = clickhouse.run("start")
    clickhouse.run("halt")
    own_server.arguments += ["--telemetry", address]
    admin = own_server.start().api()

    def send(number):
        record = {"message": f"line {number}", "correlation_id": "order-7", "timestamp": 1_800_000_000 + number}
        reply = admin.send("POST", "/api/v1/logs", json=[record])
        assert (reply.status_code, reply.json()["accepted"]) == (200, 1)

    def is_said(state):
        return admin.get("/ready") == {"status": "ready", "telemetry": state}

    send(0)
    until(lambda: is_said("waiting"), what="a server that says what it waits for")
    admin.refused("GET", "/api/v1/logs", status=503, code="storage_unavailable")
    assert clickhouse.run("start") == address
    until(lambda: is_said("ready"), seconds=30, what="a server that has its store back")
    assert until(lambda: messages(admin), what="what was sent before") == ["line 0"]
    clickhouse.run("halt")
    send(1)
    until(lambda: is_said("waiting"), what="a server that says what it waits for")
    # Neither side remembers but by its disk.
    own_server.kill()
    admin = own_server.start().api()
    send(2)
    clickhouse.run("start")
    expected = [f"line {number}" for number in range(3)]
    assert until(lambda: len(messages(admin)) >= 3 and messages(admin), seconds=30, what="all of them") == expected
    password = address.split(":")[2].split("@")[0]
    log = own_server.log_path.read_text()
    assert password not in log
    # Said once each time, whatever was tried meanwhile.
    assert 2 <= log.count("takes no records") <= 3, log
    assert log.count("takes records again") == 2
    assert "telemetry.spans" not in log
    page = admin.send("GET", "/metrics").text
    failures = next(line for line in page.splitlines() if line.startswith("reeve_telemetry_store_failures_total "))
    assert float(failures.split()[1]) >= 1


@pytest.fixture
def newest(tmp_path):
    """The address of the newest ClickHouse, and the file with what it refused."""
    refused = tmp_path / "refused"
    with open(refused, "wb") as errors:
        process = subprocess.Popen(
            [sys.executable, Path(__file__).parent / "chdb_server.py", tmp_path / "chdb"], stdout=subprocess.PIPE,
            stderr=errors, env={**os.environ, "PYTHONPATH": str(CHDB.parent)}, preexec_fn=die_with_parent)
    yield f"clickhouse://127.0.0.1:{int(process.stdout.readline())}/default", refused
    process.kill()
    process.wait()


@pytest.mark.skipif(not CHDB, reason="script/test clients fetches chdb")
def test_the_newest_clickhouse_understands_what_it_is_told(own_server, newest):
    address, refused = newest
    own_server.arguments += ["--telemetry", address]
    admin = own_server.start().api()
    trace = "4bf92f3577b34da6a3ce929d0e0e4736"

    def send(number):
        span = {
            "traceId": trace, "spanId": format(number, "016x"), "name": f"step {number}",
            "startTimeUnixNano": "1700000000000000000", "endTimeUnixNano": "1700000000250000000",
            "status": {"code": 2}, "attributes": [{"key": "correlation_id", "value": {"stringValue": "order-9"}}],
        }
        body = {"resourceSpans": [{"scopeSpans": [{"spans": [span]}]}]}
        assert admin.send("POST", "/v1/traces", json=body).status_code == 200
        record = {
            "message": f"it's line {number}", "correlation_id": "order-9", "level": "error", "service": "writer",
            "attributes": {"place": "here"}, "turn": number, "duration_ms": 1.5,
        }
        admin.post("/api/v1/logs", [record])

    def found(count, path="/api/v1/logs", **query):
        return until(lambda: len(items := admin.get(path, params=query)["items"]) >= count and items, what=f"{query}")

    send(1)
    assert found(1, correlationId="order-9")[0]["duration_ms"] == 1.5
    # What is in the spool is looked for in ClickHouse after this.
    own_server.kill()
    admin = own_server.start().api()
    send(2)
    assert [item["message"] for item in found(2, correlationId="order-9")] == ["it's line 2", "it's line 1"]
    for query in [
        {"q": "IT'S"}, {"q": "here"}, {"service": "writer"}, {"level": "error", "q": "line"}, {"category": "error"},
        {"q": "line", "order": "asc"}, {"since": "1h", "q": "line"},
    ]:
        assert {"it's line 1", "it's line 2"} <= {item["message"] for item in found(2, **query)}, query
    labels = admin.send("GET", "/loki/api/v1/label/service_name/values").json()["data"]
    assert "writer" in labels
    line = admin.send("GET", "/loki/api/v1/query_range", params={"query": '{service_name="writer"} |= "it\'s" != "2"'})
    assert len(line.json()["data"]["result"]) == 1
    for query in [{"correlationId": "order-9"}, {"status": "error"}, {"service": "unknown_service"}]:
        assert any(item["traceId"] == trace for item in found(1, "/api/v1/traces", **query)), query
    spans = admin.get(f"/api/v1/traces/{trace}")["spans"]
    assert [span["name"] for span in spans] == ["step 1", "step 2"]
    detail = admin.get(f"/api/v1/traces/{trace}/spans/{spans[0]['spanId']}")
    assert detail["attributes"] == {"correlation_id": "order-9"}, json.dumps(detail)
    # What is a subject's goes by a mutation, and is gone at once.
    record = {"message": "hers", "correlation_id": "order-10", "attributes": {"user": "ada@example.org"}}
    admin.post("/api/v1/logs", [record])
    found(1, correlationId="order-10")
    for dry_run, removed in [(True, 0), (False, 1)]:
        order = admin.post("/api/v1/telemetry/erasures", {"subject": "ada@example.org", "dryRun": dry_run})
        report = until(
            lambda path=f"/api/v1/telemetry/erasures/{order['id']}": (
                (one := admin.get(path))["state"] != "running" and one), seconds=60, what="an erasure")
        assert (report["state"], report["found"], report["removed"]) == ("done", 1, removed), report
        assert report["foundIn"] == {"user": 1}
    assert report["remaining"] == 0
    assert len(report["files"][0]["sha256"]) == 64
    assert admin.get("/api/v1/logs", params={"correlationId": "order-10"})["items"] == []
    # A span that comes again is known.
    send(2)
    traces = lambda: {one["signal"]: one for one in admin.get("/api/v1/telemetry/ledger")["items"]}["traces"]  # noqa: E731
    until(lambda: traces()["duplicate"] == 1, what="a duplicate")
    # Days that are over go but for what failed: the same rows as of long ago, which a start comes upon.
    admin.post("/api/v1/logs", [{"message": "nobody's", "service": "loner"}])
    found(1, service="loner")
    sql = lambda text: requests.post(address.replace("clickhouse", "http", 1), files={"query": (None, text)}).text  # noqa: E731
    for table in ["reeve_spans", "reeve_logs"]:
        assert sql(f"INSERT INTO {table} SELECT * REPLACE (today() - 40 AS day, 'system' AS category) FROM {table}") == ""
    own_server.kill()
    admin = own_server.start().api()
    old = "SELECT count() FROM {} WHERE day < today() - 1 AND category = '{}'"
    until(lambda: sql(old.format("reeve_logs", "system")) == "0\n", seconds=60, what="a day that is over")
    assert sql(old.format("reeve_spans", "system-kept")) == "2\n"
    assert sql(old.format("reeve_logs", "system-kept")) == "3\n"
    assert len(found(1, service="loner")) == 1
    assert len(admin.get(f"/api/v1/traces/{trace}")["spans"]) == 2
    assert refused.read_text() == ""
