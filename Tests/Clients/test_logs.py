"""Log records come in as JSON lines and by OTLP, and are found by what they say and what they belong to."""

import gzip
import json
import logging
import os
import subprocess
import time

import pytest
from opentelemetry.exporter.otlp.proto.http._log_exporter import OTLPLogExporter
from opentelemetry.sdk._logs import LoggerProvider, LoggingHandler
from opentelemetry.sdk._logs.export import BatchLogRecordProcessor
from opentelemetry.sdk.resources import Resource
from opentelemetry.sdk.trace import TracerProvider
from reeve_server import BINARY, until

# Logs are kept beside the store, so one engine tells as much as two; in files or in ClickHouse.
ON_ENGINES = ["sqlite", "clickhouse"]

NDJSON = "application/x-ndjson"
_ids = iter(range(1, 1_000_000))


@pytest.fixture
def correlation():
    """A correlation id of the test's own."""
    return f"order-{next(_ids)}"


def send(api, body, kind="application/json", **headers):
    data = body if isinstance(body, bytes) else json.dumps(body).encode()
    every = {"content-type": kind} | {name.replace("_", "-"): value for name, value in headers.items()}
    return api.session.post(f"{api.url}/api/v1/logs", data=data, headers=every, timeout=60)


def found(api, count: int, **query) -> list[dict]:
    """The records that are as asked, once there are so many."""

    def look():
        items = api.get("/api/v1/logs", params=query)["items"]
        return items if len(items) >= count else None

    return until(look, what=f"{count} records of {query}")


def test_a_record_in_the_shared_schema_is_found_as_it_came(admin, correlation):
    record = {
        "timestamp": "2026-11-22T10:00:00.123456Z", "level": "WARNING", "service": "writer", "message": "slow answer",
        "correlation_id": correlation, "agent_id": "scribe", "session_id": "s-1", "turn": 3, "tool": "search",
        "duration_ms": 12.5, "trace_id": "4bf92f3577b34da6a3ce929d0e0e4736", "span_id": "00f067aa0ba902b7",
        "logger": "app.db", "retries": 2, "nested": {"a": [1, None]},
    }
    reply = send(admin, record)
    assert (reply.status_code, reply.json()) == (200, {"accepted": 1, "rejected": 0, "errors": []})
    expected = {name: value for name, value in record.items() if name not in ("retries", "nested")}
    expected |= {"category": "tool", "attributes": {"retries": 2, "nested": {"a": [1, None]}}}
    assert found(admin, 1, correlationId=correlation) == [expected]
    assert found(admin, 1, traceId="4BF92F3577B34DA6A3CE929D0E0E4736")[0]["message"] == "slow answer"


def test_fluent_bits_three_forms_come_in(admin, correlation):
    lines = [{"date": 1_763_800_000.5 + number, "log": f"line {number}"} for number in range(3)]
    forms = [
        (json.dumps(lines).encode(), "application/json"),
        ("\n".join(json.dumps(line) for line in lines).encode(), NDJSON),
        ("".join(json.dumps(line) for line in lines).encode(), "application/json"),
    ]
    for number, (body, kind) in enumerate(forms):
        reply = send(admin, gzip.compress(body), kind, content_encoding="gzip", x_correlation_id=f"{correlation}-{number}")
        assert reply.json() == {"accepted": 3, "rejected": 0, "errors": []}
        items = found(admin, 3, correlationId=f"{correlation}-{number}", order="asc")
        assert [item["message"] for item in items] == ["line 0", "line 1", "line 2"]
        assert items[0]["timestamp"] == "2025-11-22T08:26:40.500000Z"


def test_a_line_that_is_broken_costs_itself_alone(admin, correlation):
    body = b"\n".join([
        b'{"message":"one"}', b'{"message":"tw', b"no json", b'{"note":"no message"}', b'{"message":"x","date":"soon"}',
        b'{"message":"\xff"}', b"[1]", b'{"message":"two"}',
    ])
    reply = send(admin, body, NDJSON, x_correlation_id=correlation).json()
    assert (reply["accepted"], reply["rejected"]) == (2, 6)
    reasons = {error["index"]: error["reason"] for error in reply["errors"]}
    assert reasons == {
        1: "malformed", 2: "malformed", 3: "no_message", 4: "bad_timestamp", 5: "malformed", 6: "not_an_object"}
    assert [item["message"] for item in found(admin, 2, correlationId=correlation, order="asc")] == ["one", "two"]
    ledger = {one["signal"]: one for one in admin.get("/api/v1/telemetry/ledger")["items"]}["logs"]
    assert ledger["received"] >= ledger["stored"] + ledger["rejected"]
    assert ledger["rejectedByReason"]["no_message"] >= 1


def test_what_the_door_refuses(server, admin):
    url = f"{server.url}/api/v1/logs"
    session = admin.session
    message = json.dumps({"message": "x"}).encode()
    assert send(admin, b"not json").status_code == 400
    assert send(admin, b"7").status_code == 400
    assert send(admin, message, "text/plain").status_code == 415
    assert session.post(url, data=message, headers={"content-type": None}).status_code == 415
    assert send(admin, message, content_encoding="br").status_code == 415
    assert send(admin, message, content_encoding="gzip").status_code == 400
    assert send(admin, gzip.compress(b" " * (65 << 20)), content_encoding="gzip").status_code == 413
    assert session.post(url, data=message, headers={"authorization": "Bearer nonsense"}).status_code == 401
    for query in ("level=loud", "category=gossip", "since=soon", "order=up", "limit=0", "limit=x", "after=x", "since=1h&until=2h"):
        problem = session.get(f"{url}?{query}")
        assert problem.status_code == 422, query
        assert problem.json()["detail"]


def test_the_category_is_what_the_record_is_about(admin, correlation):
    records = [
        {"message": "a", "level": "error", "tool": "x"}, {"message": "b", "tool": "x"}, {"message": "c"},
        {"message": "d", "category": "reasoning", "level": "error"}, {"message": "e", "level": 50},
        {"message": "f", "category": "gossip"},
    ]
    send(admin, records, x_correlation_id=correlation)
    items = found(admin, len(records), correlationId=correlation)
    categories = {item["message"]: item["category"] for item in items}
    assert categories == {"a": "error", "b": "tool", "c": "system", "d": "reasoning", "e": "error", "f": "system"}
    errors = admin.get("/api/v1/logs", params={"correlationId": correlation, "category": "error"})["items"]
    assert {item["message"] for item in errors} == {"a", "e"}
    grave = admin.get("/api/v1/logs", params={"correlationId": correlation, "level": "error"})["items"]
    assert {item["message"] for item in grave} == {"a", "d", "e"}


def test_words_times_and_pages(admin, correlation):
    now = time.time_ns()
    records = [
        {"date": str(now - number * 10**9), "message": f"Step {number} of the plan", "attributes": {"unit": "Ärger"}}
        for number in range(25)
    ]
    send(admin, records, x_correlation_id=correlation)
    found(admin, 25, correlationId=correlation, limit=100)

    def messages(**query):
        return [item["message"] for item in admin.get(
            "/api/v1/logs", params={"correlationId": correlation} | query)["items"]]

    assert messages(q="step 7") == ["Step 7 of the plan", "Step 17 of the plan"]
    assert messages(q='"step 7"') == ["Step 7 of the plan"]
    assert len(messages(q="Ärger", limit=100)) == 25
    assert messages(q="nowhere") == []
    assert len(messages(since="10s", limit=100)) <= 10
    pages, cursor = [], None
    while cursor is not None or not pages:
        query = {"correlationId": correlation, "limit": 10} | ({"after": cursor} if cursor else {})
        page = admin.get("/api/v1/logs", params=query)
        pages.append([item["message"] for item in page["items"]])
        cursor = page["next"]
    assert [len(page) for page in pages] == [10, 10, 5]
    assert sum(pages, []) == [f"Step {number} of the plan" for number in range(25)]


def test_an_agents_key_says_whose_records_they_are(admin, agent, correlation):
    reply = agent.session.post(
        f"{agent.url}/api/v1/logs", json={"message": "mine", "agent_id": "someone-else", "correlation_id": correlation})
    assert reply.status_code == 200
    assert found(admin, 1, correlationId=correlation)[0]["agent_id"] == agent.agent
    assert agent.session.get(f"{agent.url}/api/v1/logs").status_code == 403


def test_the_sdks_handler_sends_logs_that_join_their_trace(server, admin, agent, correlation):
    headers = {"Authorization": f"Bearer {agent.key}"}
    provider = LoggerProvider(resource=Resource.create({"service.name": "otel-writer", "host.name": "h1"}))
    provider.add_log_record_processor(
        BatchLogRecordProcessor(OTLPLogExporter(f"{server.url}/v1/logs", headers=headers)))
    logger = logging.getLogger(f"tests.{correlation}")
    logger.setLevel(logging.DEBUG)
    handler = LoggingHandler(logger_provider=provider)
    logger.addHandler(handler)
    with TracerProvider().get_tracer("tests").start_as_current_span("step") as span:
        logger.warning("slow %s", "answer", extra={"correlation_id": correlation, "tool": "search", "retries": 2})
        logger.error("gone", extra={"correlation_id": correlation})
    provider.shutdown()
    logger.removeHandler(handler)
    trace = format(span.get_span_context().trace_id, "032x")
    warning, error = found(admin, 2, correlationId=correlation, order="asc")
    assert (warning["message"], warning["level"], warning["category"]) == ("slow answer", "WARN", "tool")
    assert (warning["service"], warning["tool"], warning["trace_id"]) == ("otel-writer", "search", trace)
    assert warning["agent_id"] == agent.agent
    assert (warning["attributes"]["retries"], warning["attributes"]["host.name"]) == (2, "h1")
    assert (error["category"], error["logger"]) == ("error", f"tests.{correlation}")
    assert {item["message"] for item in found(admin, 2, correlationId=trace)} == {"slow answer", "gone"}


def test_otlp_in_json_and_what_its_door_refuses(server, admin, correlation):
    url = f"{server.url}/v1/logs"

    def post(body, kind="application/json"):
        data = body if isinstance(body, bytes) else json.dumps(body).encode()
        return admin.session.post(url, data=data, headers={"content-type": kind})

    record = {
        "timeUnixNano": "1763800000000000000", "severityNumber": 17, "body": {"stringValue": "boom"},
        "traceId": "4BF92F3577B34DA6A3CE929D0E0E4736", "spanId": "00f067aa0ba902b7",
        "attributes": [{"key": "correlation_id", "value": {"stringValue": correlation}}],
    }
    structured = {
        "body": {"kvlistValue": {"values": [{"key": "k", "value": {"intValue": 7}}]}}, "attributes": record["attributes"],
        "eventName": "tick"}
    broken = {"body": {"intValue": "seven"}}
    reply = post({"resourceLogs": [{"scopeLogs": [{"logRecords": [record, structured, broken]}]}]})
    assert reply.status_code == 200
    assert reply.json()["partialSuccess"]["rejectedLogRecords"] == "1"
    items = found(admin, 2, correlationId=correlation, order="asc")
    assert (items[0]["level"], items[0]["category"], items[0]["span_id"]) == ("error", "error", "00f067aa0ba902b7")
    assert items[0]["service"] == "unknown_service"
    assert (items[1]["message"], items[1]["attributes"]) == ('{"k":7}', {"event.name": "tick"})
    assert post({}).status_code == 200
    assert post(b"\x0a\x05", "application/x-protobuf").status_code == 400
    assert post(b"{}", "text/plain").status_code == 415
    assert admin.session.get(url).status_code == 405


def test_an_acknowledged_record_survives_a_kill(own_server):
    server = own_server.start()
    admin = server.api()
    for number in range(30):
        assert send(admin, {"message": f"line {number}", "correlation_id": "kill"}).status_code == 200
    server.kill()
    server.start()
    items = found(server.api(), 30, correlationId="kill", order="asc")
    assert [item["message"] for item in items] == [f"line {number}" for number in range(30)]


def test_reeves_own_lines_are_found_like_all_others(own_server):
    own_server.settings["REEVE_LOG_LEVEL"] = "debug"
    admin = own_server.start().api()
    admin.call("GET", "/api/v1/agents", headers={"X-Correlation-ID": "look-at-me"})
    (item,) = found(admin, 1, correlationId="look-at-me", service="reeve")
    assert (item["logger"], item["level"], item["message"]) == ("reeve.http", "debug", "request")


def command(server, *words):
    environment = {**os.environ, "REEVE_URL": server.url, "REEVE_KEY": server.admin_key}
    return subprocess.run([BINARY, *words], env=environment, capture_output=True, text=True, timeout=60)


def test_a_supervised_programs_output_is_found_by_its_agent(server, admin, correlation):
    script = f"""echo plain line; echo '{{"level":"error","msg":"structured","correlation_id":"{correlation}"}}' >&2"""
    ran = command(server, "run", "--agent", f"ship-{correlation}", "--restart", "never", "--", "sh", "-c", script)
    assert ran.returncode == 0, ran.stderr
    items = found(admin, 2, agent=f"ship-{correlation}")
    plain = next(item for item in items if item["message"] == "plain line")
    assert (plain["service"], plain["logger"], plain["category"]) == (f"ship-{correlation}", "stdout", "system")
    structured = next(item for item in items if item["message"] == "structured")
    assert (structured["level"], structured["correlation_id"], structured["category"]) == ("error", correlation, "error")
    # The program's span and its lines are one story.
    timeline = admin.get("/api/v1/timeline", params={"correlationId": plain["correlation_id"]})["items"]
    assert any(item["kind"] == "log" and item["title"] == "plain line" for item in timeline)


def test_the_command_shows_and_follows(server, admin, correlation):
    send(admin, {"message": "first", "service": "writer", "level": "warning"}, x_correlation_id=correlation)
    found(admin, 1, correlationId=correlation)
    shown = command(server, "logs", "--correlation", correlation)
    assert shown.stdout.split(maxsplit=1)[1] == f"WARNING writer first  ({correlation})\n"
    document = json.loads(command(server, "logs", "--correlation", correlation, "--json").stdout)
    assert document == admin.get("/api/v1/logs", params={"correlationId": correlation, "limit": 100})
    assert command(server, "logs", "--level", "loud").returncode == 1
    environment = {**os.environ, "REEVE_URL": server.url, "REEVE_KEY": server.admin_key}
    words = [BINARY, "logs", "--correlation", correlation, "-f", "--json"]
    with subprocess.Popen(words, env=environment, stdout=subprocess.PIPE, text=True) as following:
        assert json.loads(following.stdout.readline())["message"] == "first"
        send(admin, {"message": "second"}, x_correlation_id=correlation)
        assert json.loads(following.stdout.readline())["message"] == "second"
        following.terminate()


def test_a_full_disk_sheds_by_category_and_says_so(own_server):
    own_server.settings["REEVE_TELEMETRY_DISK_QUOTA"] = str(1 << 20)
    admin = own_server.start().api()
    send(admin, [{"message": os.urandom(40_000).hex()} for _ in range(30)])

    def shed():
        reply = send(admin, [{"message": "thought", "category": "reasoning"}, {"message": "broken", "level": "error"}])
        assert reply.status_code == 200
        return reply.json() if reply.json()["rejected"] else None

    reply = until(shed, seconds=30, what="a quota that is used up")
    assert (reply["accepted"], reply["rejected"], reply["errors"][0]["reason"]) == (1, 1, "shed")
    items = {one["signal"]: one for one in admin.get("/api/v1/telemetry/ledger")["items"]}
    assert items["logs"]["shedByCategory"]["reasoning"] >= 1
    assert "error" not in items["logs"]["shedByCategory"]
    metric = 'reeve_telemetry_records_total{signal="logs",outcome="shed"}'
    assert any(line.startswith(metric) and line.split()[1] != "0" for line in admin.send("GET", "/metrics").text.splitlines())
