"""Metrics come in by OTLP, from the real SDK and by hand, and are found by PromQL."""

import gzip
import json
import time
from datetime import datetime, timedelta

import pytest
import requests
from opentelemetry.exporter.otlp.proto.http import Compression
from opentelemetry.exporter.otlp.proto.http.metric_exporter import OTLPMetricExporter
from opentelemetry.sdk.metrics import Counter, Histogram, MeterProvider
from opentelemetry.sdk.metrics.export import AggregationTemporality, PeriodicExportingMetricReader
from opentelemetry.sdk.metrics.view import ExponentialBucketHistogramAggregation, View
from opentelemetry.sdk.resources import Resource
from prometheus_api_client import PrometheusConnect
from reeve_server import until

# Series are kept beside the store, so one engine tells as much as two.
ON_ENGINES = ["sqlite"]

JSON, PROTOBUF = "application/json", "application/x-protobuf"
DELTA = {Counter: AggregationTemporality.DELTA, Histogram: AggregationTemporality.DELTA}


def ask(api, query: str, **more) -> dict[tuple, float]:
    """The values of an instant query by their labels."""
    reply = api.session.post(f"{api.url}/prometheus/api/v1/query", data={"query": query, **more}, timeout=60)
    assert reply.status_code == 200, reply.text
    return {tuple(sorted(one["metric"].items())): float(one["value"][1]) for one in reply.json()["data"]["result"]}


def value(api, query: str, **more) -> float | None:
    found = list(ask(api, query, **more).values())
    assert len(found) <= 1, found
    return found[0] if found else None


def ledger(api) -> dict[str, int]:
    items = api.get("/api/v1/telemetry/ledger")["items"]
    (item,) = [one for one in items if one["signal"] == "metrics"]
    counts = {name: item[name] for name in ("received", "rejected", "stored", "duplicate")}
    assert counts["received"] == sum(counts.values()) - counts["received"], item
    return counts


def changed(api, before: dict[str, int]) -> dict[str, int]:
    return {name: count - before[name] for name, count in ledger(api).items() if count != before[name]}


def meter(server, agent, name: str, compression=Compression.Gzip, temporality=None, views=()):
    exporter = OTLPMetricExporter(
        f"{server.url}/v1/metrics", headers={"Authorization": f"Bearer {agent.key}"}, compression=compression,
        preferred_temporality=temporality,
    )  # fmt: skip
    reader = PeriodicExportingMetricReader(exporter, export_interval_millis=60_000_000)
    resource = Resource.create(
        {"service.name": name, "service.namespace": "tests", "service.instance.id": "one", "service.version": "2"}
    )
    provider = MeterProvider(metric_readers=[reader], resource=resource, views=views)
    return provider, provider.get_meter("tests")


@pytest.mark.parametrize("compression", [Compression.NoCompression, Compression.Gzip])
def test_the_sdk_exports_and_queries_find_it(server, viewer, agent, name, compression):
    provider, tests = meter(server, agent, name, compression)
    counter = tests.create_counter("agent.tokens.used", unit="{token}", description="Tokens")
    histogram = tests.create_histogram(
        "agent.step.duration", unit="s", explicit_bucket_boundaries_advisory=[0.1, 0.5, 2.5]
    )
    up_down = tests.create_up_down_counter("agent.queue.depth")
    tests.create_gauge("agent.context.utilization", unit="1").set(0.75, {"agent.type": "writer"})
    tests.create_gauge("agent.memory", unit="By").set(2**40)
    for amount, model in ((5, "a"), (7, "a"), (1, "b")):
        counter.add(amount, {"gen_ai.request.model": model})
    for seconds in (0.05, 0.3, 0.4, 9):
        histogram.record(seconds)
    up_down.add(3)
    up_down.add(-1)
    before = ledger(server.api())
    assert provider.force_flush()
    assert changed(server.api(), before) == {"received": 6, "stored": 6}
    who = f'job="tests/{name}",instance="one",agent="{agent.agent}"'
    assert value(viewer, f'agent_tokens_used_total{{{who},gen_ai_request_model="a"}}') == 12
    assert value(viewer, f"sum(agent_tokens_used_total{{{who}}})") == 13
    assert value(viewer, f'agent_context_utilization_ratio{{{who},agent_type="writer"}}') == 0.75
    assert value(viewer, f"agent_memory_bytes{{{who}}}") == 2**40
    assert value(viewer, f"agent_queue_depth{{{who}}}") == 2
    buckets = ask(viewer, f"agent_step_duration_seconds_bucket{{{who}}}")
    assert {dict(labels)["le"]: count for labels, count in buckets.items()} == {
        "0.1": 1, "0.5": 3, "2.5": 3, "+Inf": 4,
    }  # fmt: skip
    assert value(viewer, f"agent_step_duration_seconds_count{{{who}}}") == 4
    assert value(viewer, f"agent_step_duration_seconds_sum{{{who}}}") == pytest.approx(9.75)
    assert value(viewer, f"histogram_quantile(0.5, agent_step_duration_seconds_bucket{{{who}}})") == pytest.approx(0.3)
    about = viewer.get("/prometheus/api/v1/metadata", params={"metric": "agent_tokens_used_total"})["data"]
    assert about == {"agent_tokens_used_total": [{"type": "counter", "help": "Tokens", "unit": ""}]}
    counter.add(100, {"gen_ai.request.model": "a"})
    assert provider.force_flush()
    assert value(viewer, f'agent_tokens_used_total{{{who},gen_ai_request_model="a"}}') == 112
    provider.shutdown()


def test_deltas_add_up_also_over_a_start(own_server, name):
    server = own_server.start()
    agent = server.make_agent("scribe")
    provider, tests = meter(server, agent, name, temporality=DELTA)
    counter, histogram = tests.create_counter("work.done"), tests.create_histogram("work.size")
    for amount in (5, 7, 1):
        counter.add(amount)
        histogram.record(amount)
        assert provider.force_flush()
        time.sleep(0.01)
    assert value(server.api(), "work_done_total") == 13
    assert value(server.api(), "work_size_sum") == 13
    server.kill()
    server.start()
    assert value(server.api(), "work_done_total") == 13
    provider._sdk_config.metric_readers = ()
    again, tests = meter(server, agent, name, temporality=DELTA)
    tests.create_counter("work.done").add(10)
    assert again.force_flush()
    assert value(server.api(), "work_done_total") == 23
    again.shutdown()


def test_exponential_histograms_keep_their_count_and_sum(server, viewer, agent, name):
    view = View(instrument_name="*", aggregation=ExponentialBucketHistogramAggregation())
    provider, tests = meter(server, agent, name, views=[view])
    histogram = tests.create_histogram("exponential.size", unit="By")
    for size in (1, 10, 100):
        histogram.record(size)
    assert provider.force_flush()
    assert value(viewer, f'exponential_size_bytes_count{{job="tests/{name}"}}') == 3
    assert value(viewer, f'exponential_size_bytes_sum{{job="tests/{name}"}}') == 111
    provider.shutdown()


# By hand


def attribute(key: str, text: str) -> dict:
    return {"key": key, "value": {"stringValue": text}}


def point(number, at: int, **labels) -> dict:
    some = [attribute(key, text) for key, text in labels.items()]
    return {"asDouble": number, "timeUnixNano": str(at * 1_000_000), "attributes": some}


def request_of(*metrics: dict) -> bytes:
    return json.dumps({"resourceMetrics": [{"scopeMetrics": [{"metrics": metrics}]}]}).encode()


def gauge(name: str, *points: dict) -> dict:
    return {"name": name, "gauge": {"dataPoints": points}}


def send(api, body: bytes, kind: str = JSON, coding: str | None = None):
    """Past the look at problems: this door answers in its protocol's form."""
    headers = {"content-type": kind} | ({"content-encoding": coding} if coding else {})
    return api.session.post(f"{api.url}/v1/metrics", data=body, headers=headers, timeout=120)


def now() -> int:
    return int(time.time() * 1_000)


@pytest.fixture
def metric(name):
    """A metric of the test's own, as it is called on both sides."""
    return "m_" + "_".join(word for word in name.replace("-", "_").split("_") if word)


def test_partial_success_names_what_was_not_taken(admin, agent, metric):
    before, at = ledger(admin), now()
    body = request_of(
        gauge(metric, point(1, at), point(2, at), point(3, at - 1), point(4, at + 3_600_000), point(5, 1), point(6, at + 1)),
        {"name": metric, "sum": {"dataPoints": [point(1, at, a="b")]}},
        {"name": metric, "histogram": {"aggregationTemporality": 2, "dataPoints": [
            {"count": "3", "bucketCounts": ["1", "2"], "explicitBounds": [1, 2], "timeUnixNano": str(at * 1_000_000)}]}},
        gauge(metric, {"asDouble": "x", "timeUnixNano": "5"}, point(1, at, long="x" * 3_000)),
    )  # fmt: skip
    reply = send(agent, gzip.compress(body), coding="gzip")
    assert reply.status_code == 200 and reply.headers["content-type"] == JSON
    partial = reply.json()["partialSuccess"]
    assert partial["rejectedDataPoints"] == "8"
    for word in ("older than the last one", "ahead of the clock", "neither cumulative nor a delta", "no valid message"):
        assert word in partial["errorMessage"], partial
    assert changed(admin, before) == {"received": 10, "stored": 2, "rejected": 8}
    assert value(admin, metric, time=str(at / 1_000 + 1)) == 6


def test_points_that_come_again_are_duplicates(admin, agent, metric):
    before, at = ledger(admin), now()
    body = request_of(gauge(metric, point(1, at, a="b"), point(2, at, a="c")))
    for _ in range(3):
        reply = send(agent, body)
        assert reply.status_code == 200 and reply.json() == {}
    assert changed(admin, before) == {"received": 6, "stored": 2, "duplicate": 4}
    assert value(admin, f"sum({metric})") == 3


def test_a_point_without_a_value_ends_its_series(admin, agent, metric):
    at = now()
    ended = {"flags": 1, "timeUnixNano": str((at - 1_000) * 1_000_000)}
    assert send(agent, request_of(gauge(metric, point(1, at - 20_000), ended))).json() == {}
    assert value(admin, metric, time=str((at - 2_000) / 1_000)) == 1
    assert value(admin, metric) is None


def test_invalid_text_costs_its_own_point(admin, agent, metric):
    def field(number, content):
        return bytes([number << 3 | 2]) + varint(len(content)) + content

    def varint(number):
        return bytes([number]) if number < 128 else bytes([number & 127 | 128, number >> 7])

    def bare(text):
        pair = field(1, b"k") + field(2, field(1, text))
        nanoseconds = (now() * 1_000_000).to_bytes(8, "little")
        return field(1, field(7, pair) + b"\x19" + nanoseconds + b"\x31" + (5).to_bytes(8, "little"))

    before = ledger(admin)
    data = bare(b"good") + bare(b"\xff\xfe")
    body = field(1, field(2, field(2, field(1, metric.encode()) + field(5, data))))
    reply = send(agent, body, PROTOBUF)
    assert reply.status_code == 200 and b"UTF-8" in reply.content
    assert changed(admin, before) == {"received": 2, "stored": 1, "rejected": 1}
    assert list(ask(admin, metric)) == [tuple(sorted({"__name__": metric, "k": "good", "agent": agent.agent}.items()))]


def test_a_metric_with_too_many_series_keeps_its_sums(admin, agent, metric):
    before, at = ledger(admin), now()
    for round_, moment in enumerate((at - 1_000, at)):
        points = [point(number + round_, moment, user=f"u{number}") for number in range(6_000)]
        counts = [{"name": metric, "sum": {"aggregationTemporality": 2, "isMonotonic": True, "dataPoints": points}}]
        assert send(agent, request_of(*counts)).json() == {}
    assert changed(admin, before) == {"received": 12_000, "stored": 12_000}
    assert value(admin, f"count({metric}_total)") == 5_001
    assert value(admin, f"sum({metric}_total)") == sum(range(6_001)) - 0
    other = value(admin, f'{metric}_total{{user="__other__"}}')
    assert other == sum(range(5_001, 6_001))
    deltas = [{"name": f"{metric}_total", "sum": {"aggregationTemporality": 1, "isMonotonic": True, "dataPoints": [
        point(2, at + 1, user="new"), point(3, at + 1, user="newer")]}}]  # fmt: skip
    assert send(agent, request_of(*deltas)).json() == {}
    assert value(admin, f'{metric}_total{{user="__other__"}}', time=str(at / 1_000 + 1)) == other + 5


@pytest.mark.parametrize(
    ("body", "kind", "coding", "status"),
    [
        (b"{}", JSON, None, 200), (b"{}", JSON + "; charset=utf-8", None, 200), (b"", PROTOBUF, None, 200),
        (b"{", JSON, None, 400), (b'{"resourceMetrics":7}', JSON, None, 400), (b"\x0a\x05", PROTOBUF, None, 400),
        (b'{"resourceMetrics":[{"scopeMetrics":[{"metrics":[{"name":5}]}]}]}', JSON, None, 400),
        (b"{}", "text/plain", None, 415), (b"{}", "", None, 415), (b"{}", JSON, "br", 415),
        (b"{}", JSON, "gzip", 400), (gzip.compress(b" " * (65 << 20)), JSON, "gzip", 413),
    ],
)  # fmt: skip
def test_what_is_no_request_is_refused_in_its_own_type(agent, body, kind, coding, status):
    reply = send(agent, body, kind, coding)
    assert reply.status_code == status
    if status == 400 and kind == JSON:
        assert reply.json()["code"] == 3 and reply.json()["message"]
    if status == 400 and kind == PROTOBUF:
        assert reply.headers["content-type"] == PROTOBUF and reply.content[:2] == b"\x08\x03"


def test_who_may_not_is_refused(server, viewer, agent, ingest, metric):
    body = request_of(gauge(metric, point(1, now())))
    assert send(server.api("no-key"), body).status_code == 401
    assert send(viewer, body).status_code == 403
    assert send(ingest, body).status_code == 200
    assert viewer.send("GET", "/v1/metrics").status_code == 405
    for asker, status in ((agent, 403), (ingest, 403), (server.api("no-key"), 401), (viewer, 200)):
        reply = asker.session.get(f"{asker.url}/prometheus/api/v1/query", params={"query": "1"}, timeout=60)
        assert reply.status_code == status and reply.json()["status"] == ("success" if status == 200 else "error")


def test_a_killed_server_has_every_point_that_it_took(own_server, metric):
    server = own_server.start()
    agent = server.make_agent("scribe")
    at = now() - 60_000
    for number in range(40):
        assert send(agent, request_of(gauge(metric, point(number, at + number)))).status_code == 200
    server.kill()
    server.start()
    assert value(server.api(), f"count_over_time({metric}[5m])") == 40
    assert value(server.api(), f"sum_over_time({metric}[5m])") == sum(range(40))


# What asks


def test_reeves_own_metrics_become_samples(own_server):
    own_server.settings["REEVE_TELEMETRY_SAMPLE_INTERVAL"] = "1"
    server = own_server.start()
    api = server.api()
    until(lambda: (value(api, "count_over_time(reeve_build_info[5m])") or 0) >= 3, 20, "three samples")
    assert value(api, 'reeve_build_info{job="reeve"}') == 1
    samples = value(api, "count_over_time(reeve_build_info[5m])")
    server.stop()
    server.start()
    # It may have another port, which tells its series apart.
    assert value(server.api(), "sum(count_over_time(reeve_build_info[5m]))") >= samples


def test_the_clients_of_prometheus_ask_here(server, viewer, agent, metric):
    # The client rounds its times to whole seconds.
    at = now() - 5_000
    assert send(agent, request_of(gauge(metric, point(1, at - 30_000), point(4, at)))).json() == {}
    connection = PrometheusConnect(
        f"{server.url}/prometheus", headers={"Authorization": f"Bearer {viewer.key}"}
    )
    assert connection.check_prometheus_connection()
    assert metric in connection.all_metrics()
    assert connection.get_label_values("agent") and "agent" in connection.get_label_names()
    (current,) = connection.get_current_metric_value(metric)
    assert float(current["value"][1]) == 4
    (found,) = connection.custom_query(f"sum by (agent) ({metric})")
    assert found["metric"] == {"agent": agent.agent}
    (ranged,) = connection.custom_query_range(metric, datetime.now() - timedelta(minutes=1), datetime.now(), step="5")
    assert {float(number) for _, number in ranged["values"]} == {1, 4}
    assert connection.get_metric_aggregation(f"max_over_time({metric}[2m])", ["max", "average"])["max"] == 4


def test_grafana_asks_what_it_asks(server, viewer, agent, metric):
    """The requests of Grafana's data source, with its basic authentication."""
    assert send(agent, request_of(gauge(metric, point(1, now())))).json() == {}
    who = ("grafana", viewer.key)
    root = f"{server.url}/prometheus/api/v1"
    end = time.time()
    moment = {"start": str(end - 60), "end": str(end + 60)}
    for method, path, parameters in (
        ("POST", "query", {"query": "1+1", "time": str(end)}), ("GET", "status/buildinfo", {}),
        ("POST", "query_range", {"query": metric, "step": "15", **moment}), ("GET", "rules", {}), ("GET", "alerts", {}),
        ("POST", "labels", {"match[]": metric, **moment}), ("GET", "label/agent/values", moment),
        ("POST", "series", {"match[]": metric, **moment}), ("GET", "metadata", {"limit": "10"}),
        ("POST", "query_exemplars", {"query": metric, **moment}), ("GET", "format_query", {"query": metric}),
    ):  # fmt: skip
        kind = {"data": parameters} if method == "POST" else {"params": parameters}
        reply = requests.request(method, f"{root}/{path}", auth=who, timeout=60, **kind)
        assert reply.status_code == 200 and reply.json()["status"] == "success", (path, reply.text)
    wrong = requests.get(f"{root}/query", auth=("grafana", "no-key"), timeout=60)
    assert wrong.status_code == 401 and wrong.json()["status"] == "error"
    for path, parameters, status in (
        ("series", {}, 400), ("label/a-b/values", {}, 400), ("query", {"query": "sum("}, 400), ("query", {}, 400),
        ("query", {"query": "1", "time": "x"}, 400), ("query", {"query": f"{metric} + on (z) group_left (a) 1"}, 400),
        ("query", {"query": f'label_replace({metric}, "-", "", "", "")'}, 422),
        ("query", {"query": "sum_over_time(vector(1)[20d:1s])", "timeout": "1ms"}, 503),
        ("query", {"query": "sum_over_time(vector(1)[2y:1s])"}, 422),
    ):  # fmt: skip
        reply = requests.get(f"{root}/{path}", params=parameters, auth=who, timeout=60)
        assert reply.status_code == status, (path, parameters, reply.text)
        assert set(reply.json()) == {"status", "errorType", "error"} and reply.json()["error"]
