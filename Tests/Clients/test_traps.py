"""Where senders and doors of telemetry are known to misunderstand each other: each trap is stepped into once.

What is tried elsewhere, with the real SDKs, is not tried again here: batches that come again, delta and exponential
metrics (test_otlp_metrics), framed snappy and labels with dashes (test_loki), queries of stale series (test_promql).
"""

import gzip
import json
import os
import time
from datetime import datetime

import pytest
from opentelemetry.exporter.otlp.proto.common._internal import _encode_value
from opentelemetry.proto.collector.logs.v1.logs_service_pb2 import ExportLogsServiceRequest
from opentelemetry.proto.collector.metrics.v1.metrics_service_pb2 import ExportMetricsServiceRequest
from opentelemetry.proto.collector.trace.v1.trace_service_pb2 import (
    ExportTraceServiceRequest,
    ExportTraceServiceResponse,
)
from reeve_server import until

# Telemetry is kept beside the store, so one engine tells as much as two.
ON_ENGINES = ["sqlite"]

JSON, PROTOBUF = "application/json", "application/x-protobuf"


@pytest.fixture
def trace() -> bytes:
    return os.urandom(16)


def send(api, path: str, body: bytes, **headers: str):
    """Exactly these headers; past the look at problems, as these doors answer in their protocols' forms."""
    own = {"Authorization": f"Bearer {api.key}", "Content-Type": PROTOBUF}
    given = own | {name.replace("_", "-"): value for name, value in headers.items()}
    return api.session.post(f"{api.url}{path}", data=body, headers=given, timeout=60)


def batch(trace: bytes, *spans: dict, service: str | None = "traps") -> ExportTraceServiceRequest:
    """A request with a span for each of what is given."""
    request = ExportTraceServiceRequest()
    resource = request.resource_spans.add()
    if service is not None:
        resource.resource.attributes.add(key="service.name").value.string_value = service
    spans_of = resource.scope_spans.add().spans
    now = time.time_ns()
    for number, more in enumerate(spans, 1):
        attributes = more.pop("attributes", {})
        times = {"start_time_unix_nano": now - 10**9, "end_time_unix_nano": now}
        one = spans_of.add(**({"trace_id": trace, "span_id": number.to_bytes(8, "big"), "name": "step"} | times | more))
        for key, value in attributes.items():
            one.attributes.add(key=key).value.CopyFrom(_encode_value(value))
    return request


def found(api, trace: bytes, count: int = 1) -> list[dict]:
    def look():
        reply = api.send("GET", f"/api/v1/traces/{trace.hex()}")
        spans = reply.json()["spans"] if reply.status_code == 200 else []
        return spans if len(spans) >= count else None

    return until(look, what=f"{count} spans of a trace")


def detail(api, trace: bytes, number: int = 1) -> dict:
    return api.get(f"/api/v1/traces/{trace.hex()}/spans/{number:016x}")


def answer(reply) -> tuple[int, str]:
    """How many spans were refused, and why."""
    assert reply.status_code == 200, reply.text
    partial = ExportTraceServiceResponse.FromString(reply.content).partial_success
    return partial.rejected_spans, partial.error_message


@pytest.mark.parametrize("kind", ["application/json; charset=utf-8", 'Application/JSON; charset="UTF-8"'])
def test_a_charset_behind_the_type_is_no_other_type(admin, agent, trace, kind):
    span = {"traceId": trace.hex(), "spanId": "00" * 7 + "01", "name": "step", "startTimeUnixNano": "1"}
    body = json.dumps({"resourceSpans": [{"scopeSpans": [{"spans": [span]}]}]}).encode()
    assert send(agent, "/v1/traces", body, Content_Type=kind).json() == {}
    found(admin, trace)


@pytest.mark.parametrize("path", ["/v1/traces", "/v1/logs", "/v1/metrics"])
def test_without_a_type_nothing_is_guessed(agent, path):
    reply = send(agent, path, b"", Content_Type=None)
    assert reply.status_code == 415 and b"Content-Type" in reply.content


@pytest.mark.parametrize("path", ["/v1/traces", "/v1/logs", "/v1/metrics"])
@pytest.mark.parametrize("packed, coding", [(True, None), (False, "gzip")], ids=["unsaid", "untrue"])
def test_packed_bytes_must_be_named_so(agent, trace, path, packed, coding):
    body = batch(trace, {}).SerializeToString()
    headers = {"Content_Encoding": coding} if coding else {}
    reply = send(agent, path, gzip.compress(body) if packed else body, **headers)
    assert reply.status_code == 400 and reply.headers["content-type"] == PROTOBUF


def test_ids_of_another_length_cost_their_span_alone(admin, agent, trace):
    request = batch(
        trace, {}, {"trace_id": b""}, {"span_id": b""}, {"trace_id": trace[:8]}, {"span_id": bytes(8)},
        {"trace_id": bytes(16)}, {"parent_span_id": b"short"},
    )  # fmt: skip
    refused, why = answer(send(agent, "/v1/traces", request.SerializeToString()))
    assert refused == 5 or refused == 6, why
    assert "trace id" in why and "span id" in why
    assert found(admin, trace)[0]["spanId"] == "0000000000000001"


def test_a_parent_may_come_late_or_never(admin, agent, trace):
    for number, parent in ((3, 2), (2, 1), (9, 8)):
        own, above = (one.to_bytes(8, "big") for one in (number, parent))
        request = batch(trace, {"span_id": own, "parent_span_id": above})
        assert answer(send(agent, "/v1/traces", request.SerializeToString())) == (0, "")
    assert len(found(admin, trace, 3)) == 3
    answer(send(agent, "/v1/traces", batch(trace, {}).SerializeToString()))
    parents = {int(one["spanId"], 16): one["parentSpanId"] for one in found(admin, trace, 4)}
    assert parents[3] == f"{2:016x}" and parents[2] == f"{1:016x}" and parents[9] == f"{8:016x}" and not parents[1]


@pytest.mark.parametrize(
    "start, end, duration",
    [(10**18, 10**18 - 5, 0), (1, 2, 0), (4 * 10**18, 4 * 10**18 + 10**9, 1000), (2**64 - 2, 2**64 - 1, 0), (0, 0, 0)],
)
def test_clocks_that_are_wrong_lose_nothing(admin, agent, trace, start, end, duration):
    before = time.time()
    request = batch(trace, {"start_time_unix_nano": start, "end_time_unix_nano": end})
    assert answer(send(agent, "/v1/traces", request.SerializeToString())) == (0, "")
    (span,) = found(admin, trace)
    assert round(span["durationMs"]) == duration
    # When it came is known whatever the sender's clock says.
    assert before - 5 <= seconds(detail(admin, trace)["ingestedAt"]) <= time.time() + 5


def seconds(text: str) -> float:
    return datetime.fromisoformat(text.replace("Z", "+00:00")).timestamp()


def test_logs_at_the_door_of_traces_are_no_spans(admin, agent, trace):
    """Both messages nest alike under the same numbers of fields."""
    request = ExportLogsServiceRequest()
    record = request.resource_logs.add().scope_logs.add().log_records.add(time_unix_nano=time.time_ns(), trace_id=trace)
    record.body.string_value = "a line"
    reply = send(agent, "/v1/traces", request.SerializeToString())
    if reply.status_code == 200:
        refused, why = answer(reply)
        assert refused == 1 and why
    else:
        assert reply.status_code == 400
    # And the other way round.
    reply = send(agent, "/v1/logs", batch(trace, {}).SerializeToString())
    assert reply.status_code == 400 or b"1" in reply.content
    reply = send(agent, "/v1/metrics", batch(trace, {}).SerializeToString())
    assert reply.status_code == 400 or reply.content
    assert admin.send("GET", f"/api/v1/traces/{trace.hex()}").status_code == 404


def test_numbers_in_json_may_be_texts_or_not(admin, agent, trace):
    integers = [{"intValue": 7}, {"intValue": "7"}, {"intValue": "9007199254740993"}]
    values = [*integers, {"doubleValue": 1}, {"doubleValue": "NaN"}]
    attributes = [{"key": f"n{place}", "value": value} for place, value in enumerate(values)]
    span = {"traceId": trace.hex(), "spanId": f"{1:016x}", "name": "step", "attributes": attributes, "kind": 3}
    times = {"startTimeUnixNano": 1700000000000000000, "endTimeUnixNano": "1700000001000000000"}
    body = json.dumps({"resourceSpans": [{"scopeSpans": [{"spans": [span | times]}]}]}).encode()
    assert send(agent, "/v1/traces", body, Content_Type=JSON).json() == {}
    (head,) = found(admin, trace)
    assert head["durationMs"] == 1000
    shown = detail(admin, trace)["attributes"]
    assert (shown["n0"], shown["n1"], shown["n2"], shown["n3"]) == (7, 7, 9007199254740993, 1)


def test_values_of_every_kind_come_back(admin, agent, trace):
    attributes = {"list": [1, "two", True], "map": {"a": {"b": [1.5]}}, "bytes": b"\x00\xff", "empty": "", "none": []}
    assert answer(send(agent, "/v1/traces", batch(trace, {"attributes": attributes}).SerializeToString())) == (0, "")
    found(admin, trace)
    shown = detail(admin, trace)["attributes"]
    assert shown == {"list": [1, "two", True], "map": {"a": {"b": [1.5]}}, "bytes": "AP8=", "empty": "", "none": []}


def test_an_attribute_of_ten_megabytes_costs_its_span_alone(admin, agent, trace):
    request = batch(trace, {}, {"attributes": {"all": "x" * (10 << 20)}})
    body = gzip.compress(request.SerializeToString())
    refused, why = answer(send(agent, "/v1/traces", body, Content_Encoding="gzip"))
    assert refused == 1 and "large" in why
    assert len(found(admin, trace)) == 1


@pytest.mark.parametrize("where", ["name", "attribute", "key"])
def test_text_that_is_none_costs_its_span_alone(admin, agent, trace, where):
    bad = {
        "name": {"name": "BROKEN"},
        "attribute": {"attributes": {"a": "BROKEN"}},
        "key": {"attributes": {"BROKEN": 1}},
    }
    body = batch(trace, {}, bad[where]).SerializeToString().replace(b"BROKEN", b"BR\xff\xfeEN")
    refused, _ = answer(send(agent, "/v1/traces", body))
    spans = found(admin, trace, 2 - refused)
    assert len(spans) == 2 - refused and spans[0]["name"] == "step"


def test_who_does_not_say_who_it_is_is_unknown(admin, agent, trace):
    answer(send(agent, "/v1/traces", batch(trace, {}, service=None).SerializeToString()))
    assert found(admin, trace)[0]["service"] == "unknown_service"


def test_loki_takes_lines_out_of_order_and_of_one_moment(admin, name):
    now = time.time_ns()
    values = [[str(now), "second"], [str(now - 10**9), "first"], [str(now), "also second"], [str(now), "second"]]
    body = json.dumps({"streams": [{"stream": {"app": name}, "values": values}]}).encode()
    assert send(admin, "/loki/api/v1/push", body, Content_Type=JSON).status_code == 204

    def look():
        times = {"start": str(now - 10**10), "end": str(now + 10**10)}
        query = times | {"query": f'{{app="{name}"}}', "direction": "forward"}
        reply = admin.session.get(f"{admin.url}/loki/api/v1/query_range", params=query, timeout=60).json()
        lines = [value for stream in reply["data"]["result"] for value in stream["values"]]
        return lines if len(lines) == len(values) else None

    lines = until(look, what="four lines")
    assert [line for _, line in lines] == ["first", "second", "also second", "second"]


def test_a_point_that_says_that_it_has_no_value_is_no_zero(admin, agent, name):
    """What Prometheus calls stale: OTLP says it with a flag."""
    request = ExportMetricsServiceRequest()
    metric = request.resource_metrics.add().scope_metrics.add().metrics.add(name="traps.gauge")
    now = time.time_ns()
    for ago, more in ((2, {"as_double": 5}), (1, {"flags": 1})):
        point = metric.gauge.data_points.add(time_unix_nano=now - ago * 10**9, **more)
        point.attributes.add(key="trap").value.string_value = name
    assert send(agent, "/v1/metrics", request.SerializeToString()).status_code == 200

    def values(moment: int) -> list[str]:
        query = {"query": f'traps_gauge{{trap="{name}"}}', "time": moment / 10**9}
        reply = admin.session.get(f"{admin.url}/prometheus/api/v1/query", params=query, timeout=60).json()
        return [one["value"][1] for one in reply["data"]["result"]]

    assert values(now - 15 * 10**8) == ["5"] and values(now) == []


def test_a_scrape_is_packed_where_the_scraper_takes_it(server, admin):
    headers = {"Authorization": f"Bearer {admin.key}", "Accept-Encoding": "gzip"}
    reply = admin.session.get(f"{server.url}/metrics", headers=headers, stream=True, timeout=60)
    # A browser's session has a cookie: what it is told is not packed beside its secrets.
    cookie = admin.session.get(f"{server.url}/metrics", headers=headers | {"Cookie": "a=b"}, timeout=60)
    assert "content-encoding" not in cookie.headers
    raw = reply.raw.read(decode_content=False)
    assert reply.headers["content-encoding"] == "gzip" and reply.headers["vary"]
    assert b"reeve_" in gzip.decompress(raw)
    plain = admin.session.get(f"{server.url}/metrics", headers=headers | {"Accept-Encoding": "identity"}, timeout=60)
    assert "content-encoding" not in plain.headers
