"""Spans come in by OTLP, from the real SDK and by hand, and are found by their trace."""

import gzip
import json

import pytest
from opentelemetry.exporter.otlp.proto.http import Compression
from opentelemetry.exporter.otlp.proto.http.trace_exporter import OTLPSpanExporter
from opentelemetry.sdk.resources import Resource
from opentelemetry.sdk.trace import TracerProvider
from opentelemetry.sdk.trace.export import BatchSpanProcessor
from reeve_server import until

# Traces are kept beside the store, so one engine tells as much as two; in files or in ClickHouse.
ON_ENGINES = ["sqlite", "clickhouse"]

JSON, PROTOBUF = "application/json", "application/x-protobuf"
# A time that no other test has spans of.
BASE = 1_600_000_000_000_000_000
_traces = iter(range(1, 1_000_000))


@pytest.fixture
def trace():
    """The id of a trace of the test's own."""
    return format(0x4BF92F3577B34DA6 << 64 | next(_traces), "032x")


def span(trace: str, number: int, **more) -> dict:
    times = {"startTimeUnixNano": "1700000000000000000", "endTimeUnixNano": "1700000000250000000"}
    return {"traceId": trace, "spanId": format(number, "016x"), "name": "step"} | times | more


def request_of(*spans: dict) -> bytes:
    return json.dumps({"resourceSpans": [{"scopeSpans": [{"spans": spans}]}]}).encode()


def send(api, body: bytes, kind: str = JSON, coding: str | None = None):
    """Past the look at problems: this door answers in its protocol's form."""
    headers = {"content-type": kind} | ({"content-encoding": coding} if coding else {})
    return api.session.post(f"{api.url}/v1/traces", data=body, headers=headers, timeout=60)


def found(api, trace: str, count: int) -> list[dict]:
    """The spans of a trace, once there are so many."""

    def look():
        reply = api.send("GET", f"/api/v1/traces/{trace}")
        spans = reply.json()["spans"] if reply.status_code == 200 else []
        return spans if len(spans) >= count else None

    return until(look, what=f"{count} spans")


@pytest.mark.parametrize("compression", [Compression.NoCompression, Compression.Gzip])
def test_the_sdk_exports_and_the_trace_is_found(server, admin, agent, compression):
    headers = {"Authorization": f"Bearer {agent.key}"}
    exporter = OTLPSpanExporter(f"{server.url}/v1/traces", headers=headers, compression=compression)
    provider = TracerProvider(resource=Resource.create({"service.name": "agent-service"}))
    provider.add_span_processor(BatchSpanProcessor(exporter))
    tracer = provider.get_tracer("tests", "1")
    with tracer.start_as_current_span("invoke_agent scribe") as root:
        with tracer.start_as_current_span("chat", attributes={"gen_ai.operation.name": "chat"}) as child:
            child.set_attribute("gen_ai.usage.input_tokens", 100)
            child.set_attribute("gen_ai.usage.output_tokens", 30)
            child.add_event("retry", {"attempt": 2})
    provider.shutdown()
    trace = format(root.get_span_context().trace_id, "032x")
    spans = {one["name"]: one for one in found(admin, trace, 2)}
    assert spans["chat"]["parentSpanId"] == spans["invoke_agent scribe"]["spanId"]
    assert spans["chat"]["service"] == "agent-service"
    assert spans["chat"]["agent"] == agent.agent
    assert spans["chat"]["category"] == "model"
    detail = admin.get(f"/api/v1/traces/{trace}/spans/{spans['chat']['spanId']}")
    assert detail["usage"]["inputTokens"] == 100 and detail["usage"]["outputTokens"] == 30
    assert [event["attributes"] for event in detail["events"]] == [{"attempt": 2}]
    assert detail["resource"]["service.name"] == "agent-service"
    assert detail["scope"] == {"name": "tests", "version": "1"}
    assert detail["correlationId"] == trace


def test_partial_success_names_what_was_not_taken(admin, agent, trace):
    before = ledger(admin)
    body = request_of(span(trace, 1), span(trace, 0), span("4bf9", 2))
    reply = send(agent, gzip.compress(body), coding="gzip")
    assert reply.status_code == 200 and reply.headers["content-type"] == JSON
    partial = reply.json()["partialSuccess"]
    assert partial["rejectedSpans"] == "2"
    assert "trace id" in partial["errorMessage"] and "span id" in partial["errorMessage"]
    found(admin, trace, 1)
    after = ledger(admin)
    assert {name: after[name] - before[name] for name in before} == {
        "received": 3, "rejected": 2, "stored": 1, "duplicate": 0, "pending": 0,
    }  # fmt: skip


def ledger(api) -> dict[str, int]:
    """The ledger of traces, once nothing waits for the archive."""

    def look():
        items = api.get("/api/v1/telemetry/ledger")["items"]
        item = next(one for one in items if one["signal"] == "traces")
        counts = {name: item[name] for name in ("received", "rejected", "stored", "duplicate", "pending")}
        return counts if counts["received"] == sum(counts.values()) - counts["received"] else None

    return until(look, what="a ledger that adds up")


def test_a_span_that_comes_again_is_a_duplicate(admin, agent, trace):
    before = ledger(admin)
    for _ in range(3):
        assert send(agent, request_of(span(trace, 1))).status_code == 200
    after = ledger(admin)
    assert after["stored"] - before["stored"] == 1 and after["duplicate"] - before["duplicate"] == 2
    assert len(found(admin, trace, 1)) == 1


@pytest.mark.parametrize(
    ("body", "kind", "coding", "status"),
    [
        (b"{}", JSON, None, 200),
        (b"{}", JSON + "; charset=utf-8", None, 200),
        (b"", PROTOBUF, None, 200),
        (b"{", JSON, None, 400),
        (b'{"resourceSpans":7}', JSON, None, 400),
        (b"\x0a\x05", PROTOBUF, None, 400),
        (b"{}", "text/plain", None, 415),
        (b"{}", "", None, 415),
        (b"{}", JSON, "br", 415),
        (b"{}", JSON, "gzip", 400),
        (gzip.compress(b" " * (65 << 20)), JSON, "gzip", 413),
    ],
)
def test_what_is_no_request_is_refused_in_its_own_type(agent, body, kind, coding, status):
    reply = send(agent, body, kind, coding)
    assert reply.status_code == status
    if status == 400 and kind == JSON:
        assert reply.json()["code"] == 3 and reply.json()["message"]
    if status == 400 and kind == PROTOBUF:
        assert reply.headers["content-type"] == PROTOBUF and reply.content[:2] == b"\x08\x03"


def test_who_may_not_is_refused(server, viewer, agent, ingest, trace):
    assert send(server.api("no-key"), request_of(span(trace, 1))).status_code == 401
    assert send(viewer, request_of(span(trace, 1))).status_code == 403
    assert send(ingest, request_of(span(trace, 1))).status_code == 200
    assert agent.send("GET", f"/api/v1/traces/{trace}").status_code == 403
    assert viewer.send("GET", "/v1/traces").status_code == 405
    for wrong in (f"{trace}/spans/00", f"{trace}/spans/zz", "0" * 32, "..%2f"):
        assert viewer.send("GET", f"/api/v1/traces/{wrong}").status_code == 404


def test_a_killed_server_has_every_span_that_it_took(own_server, trace):
    server = own_server.start()
    agent = server.make_agent("scribe")
    for number in range(1, 41):
        assert send(agent, request_of(span(trace, number))).status_code == 200
    server.kill()
    server.start()
    assert len(found(server.api(), trace, 40)) == 40


def test_traces_are_listed_by_what_they_have(admin, agent, trace):
    # Several traces, of which no other test has any.
    trace = f"feed{trace[4:]}"

    def one(number: int, **more) -> dict:
        times = {"startTimeUnixNano": str(BASE + number * 10**9), "endTimeUnixNano": str(BASE + (number + 1) * 10**9)}
        return span(trace[:-2] + format(number, "02x"), 1, **(times | more))

    def attribute(name: str, value: str) -> dict:
        return {"key": name, "value": {"stringValue": value}}

    child = span(trace[:-2] + "00", 2, parentSpanId=format(1, "016x"), name="child", status={"code": 2})
    child |= {"startTimeUnixNano": str(BASE), "endTimeUnixNano": str(BASE + 1), "attributes": [
        attribute("correlation_id", f"c-{trace}"), {"key": "gen_ai.usage.input_tokens", "value": {"intValue": 40}}]}  # fmt: skip
    assert send(agent, request_of(one(0, name="root"), child, *(one(number) for number in range(1, 6)))).status_code == 200
    found(admin, trace[:-2] + "00", 2)
    until(lambda: admin.send("GET", f"/api/v1/traces/{trace[:-2]}05").status_code == 200 or None, what="the last trace")
    window = {"since": str(BASE), "until": str(BASE + 10**10)}

    def listed(**query) -> list[dict]:
        page = admin.get("/api/v1/traces", params=window | query)
        assert page["complete"]
        return [item for item in page["items"] if item["traceId"].startswith(trace[:-2])]

    assert [item["traceId"][-2:] for item in listed(agent=agent.agent)] == ["05", "04", "03", "02", "01", "00"]
    (item,) = listed(correlationId=f"c-{trace}")
    assert (item["rootName"], item["spans"], item["errors"], item["tokens"]) == ("root", 2, 1, 40)
    assert (item["status"], item["correlationId"], item["durationMs"]) == ("error", f"c-{trace}", 1000.0)
    assert listed(status="error") == [item]
    assert listed(service="elsewhere") == listed(agent="nobody") == listed(correlationId="nothing") == []
    assert [item["traceId"][-2:] for item in listed(correlationId=trace[:-2] + "03")] == ["03"]
    assert len(admin.get("/api/v1/traces", params=window | {"limit": 2})["items"]) == 2
    for query in ("status=ok", "since=soon", "limit=0", "since=1h&until=2h"):
        assert admin.send("GET", f"/api/v1/traces?{query}").status_code == 422
