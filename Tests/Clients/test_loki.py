"""Senders of Loki's protocol and Grafana's log queries find what they know."""

import json
import logging
import time

import logging_loki
import pytest
import snappy
from reeve_server import until

# Logs are kept beside the store, so one engine tells as much as two; in files or in ClickHouse.
ON_ENGINES = ["sqlite", "clickhouse"]

_ids = iter(range(1, 1_000_000))


@pytest.fixture
def app():
    """A stream of the test's own."""
    return f"app-{next(_ids)}"


def push(api, body, kind="application/json", **headers):
    data = body if isinstance(body, bytes) else json.dumps(body).encode()
    every = {"content-type": kind} | {name.replace("_", "-"): value for name, value in headers.items()}
    return api.session.post(f"{api.url}/loki/api/v1/push", data=data, headers=every, timeout=60)


def stream(labels, *values):
    return {"streams": [{"stream": labels, "values": list(values)}]}


def nanoseconds(ago: float = 0) -> str:
    return str(time.time_ns() - int(ago * 10**9))


def look(api, query, **more):
    reply = api.session.get(f"{api.url}/loki/api/v1/query_range", params={"query": query} | more)
    assert reply.status_code == 200, reply.text
    assert reply.json()["status"] == "success"
    assert reply.json()["data"]["resultType"] == "streams"
    return reply.json()["data"]["result"]


def lines(api, query, **more):
    values = [value for one in look(api, query, **more) for value in one["values"]]
    values.sort(key=lambda value: int(value[0]), reverse=more.get("direction") != "forward")
    return [value[1] for value in values]


def found(api, query, count):
    def enough():
        texts = lines(api, query)
        return texts if len(texts) >= count else None

    return until(enough, what=f"{count} lines of {query}")


def test_pythons_loki_handler_sends_and_grafanas_query_finds(server, admin, agent, app):
    handler = logging_loki.LokiHandler(
        url=f"{server.url}/loki/api/v1/push", tags={"app": app}, auth=("reeve", agent.key), version="1")
    logger = logging.getLogger(f"loki.{app}")
    logger.setLevel(logging.INFO)
    logger.addHandler(handler)
    logger.info("plain line", extra={"tags": {"trace_id": "4bf92f3577b34da6a3ce929d0e0e4736"}})
    logger.error(json.dumps({"level": "error", "message": "boom", "correlation_id": app, "n": 7}))
    logger.removeHandler(handler)
    assert found(admin, f'{{app="{app}"}}', 2) == ["boom", "plain line"]
    result = look(admin, f'{{app="{app}", level="error"}} | json | n="7"')
    assert [value[1] for value in result[0]["values"]] == ["boom"]
    assert result[0]["stream"] | {"n": "7", "correlation_id": app, "agent_id": agent.agent} == result[0]["stream"]
    names = admin.get("/loki/api/v1/labels")["data"]
    assert {"app", "level", "service_name", "agent_id"} <= set(names)
    assert not {"trace_id", "correlation_id"} & set(names)
    assert app in admin.get("/loki/api/v1/label/app/values")["data"]
    # The same records, by Reeve's own door.
    (record,) = admin.get("/api/v1/logs", params={"correlationId": app})["items"]
    assert (record["message"], record["service"], record["category"]) == ("boom", app, "error")
    assert record["attributes"] == {"n": 7}


def varint(value):
    out = b""
    while value >= 0x80:
        out += bytes([value & 0x7F | 0x80])
        value >>= 7
    return out + bytes([value])


def field(number, content):
    return varint(number << 3 | 2) + varint(len(content)) + content


def push_request(labels, *entries):
    body = field(1, labels.encode())
    for seconds, nanos, line, metadata in entries:
        stamp = varint(1 << 3) + varint(seconds) + varint(2 << 3) + varint(nanos)
        pairs = b"".join(field(3, field(1, k.encode()) + field(2, v.encode())) for k, v in metadata.items())
        body += field(2, field(1, stamp) + field(2, line.encode()) + pairs)
    return field(1, body)


def test_protobuf_with_snappy_comes_in(admin, app):
    now = time.time_ns()
    request = push_request(
        f'{{app="{app}", level="warn"}}', (now // 10**9, now % 10**9, "first", {"correlation_id": f"c-{app}", "pod": "p1"}),
        (now // 10**9, now % 10**9 + 1 if now % 10**9 < 999_999_999 else now % 10**9, "second", {}))
    reply = push(admin, snappy.compress(request), "application/x-protobuf")
    assert (reply.status_code, reply.content) == (204, b"")
    assert set(found(admin, f'{{app="{app}"}}', 2)) == {"first", "second"}
    (record,) = admin.get("/api/v1/logs", params={"correlationId": f"c-{app}"})["items"]
    assert (record["message"], record["level"], record["attributes"]) == ("first", "warn", {"pod": "p1"})
    framed = snappy.StreamCompressor().compress(request)
    for body in (framed, request, snappy.compress(b"\x0a\x05"), b""):
        assert push(admin, body, "application/x-protobuf").status_code in (400, 204)
    assert push(admin, framed, "application/x-protobuf").status_code == 400
    broken = snappy.compress(push_request("{app=x}", (1, 1, "x", {})))
    assert push(admin, broken, "application/x-protobuf").status_code == 400


@pytest.mark.parametrize(
    ("body", "says"),
    [
        (stream({"app": "x"}, [1763800000000000000, "line"]), "timestamp"),
        (stream({"app": "x"}, ["soon", "line"]), "timestamp"),
        (stream({}, ["1", "line"]), "no labels"),
        (stream({"my-app": "x"}, ["1", "line"]), "name of a label"),
        (stream({"app": "x"}), "values"),
        (stream({"app": 7}, ["1", "line"]), "no text"),
        (stream({"app": "x"}, ["1", 7]), "value is"),
        (stream({"app": "x"}, ["1", "line", []]), "metadata"),
        (stream({"app": "x" * 3000}, ["1", "line"]), "bytes"),
        ({"streams": []}, "streams"),
        (b"{", "JSON"),
    ],
)
def test_a_push_that_is_none_is_refused_whole(admin, body, says):
    reply = push(admin, body)
    assert reply.status_code == 400
    assert says in reply.text


def test_what_else_the_door_refuses(server, admin):
    body = stream({"app": "x"}, [nanoseconds(), "line"])
    assert push(admin, body, "text/plain").status_code == 415
    assert push(admin, b"x", content_encoding="gzip").status_code == 400
    assert push(admin, body, authorization="Bearer nonsense").status_code == 401
    assert admin.session.get(f"{server.url}/loki/api/v1/push").status_code == 405


def test_a_label_of_many_values_is_metadata_from_then_on(admin, app):
    name = f"shard_{app.replace('-', '_')}"
    for number in range(130):
        assert push(admin, stream({"app": app, name: f"v{number}"}, [nanoseconds(), f"line {number}"])).status_code == 204
    found(admin, f'{{app="{app}"}}', 100)
    until(lambda: name not in admin.get("/loki/api/v1/labels")["data"] or None, what="the label to leave")
    # It is found by it all the same.
    assert lines(admin, f'{{app="{app}", {name}="v7"}}') == ["line 7"]
    assert found(admin, f'{{app="{app}"}} | {name}="v120"', 1) == ["line 120"]


def test_queries_mean_what_they_mean_there(admin, app):
    values = [[nanoseconds(400 - 100 * number), text] for number, text in enumerate(
        ["GET /a 200", "GET /b 500 timeout", 'POST /a "quoted"', "GET /c 404"])]
    push(admin, stream({"app": app, "env": "prod"}, *values))
    found(admin, f'{{app="{app}"}}', 4)
    select = f'{{app="{app}"}}'
    assert lines(admin, f'{select} |= "GET"', direction="forward") == ["GET /a 200", "GET /b 500 timeout", "GET /c 404"]
    assert lines(admin, f'{select} |= "GET" != "timeout"') == ["GET /c 404", "GET /a 200"]
    assert lines(admin, f'{select} |~ "/(a|b) [0-9]+"') == ["GET /b 500 timeout", "GET /a 200"]
    assert lines(admin, f"{select} !~ `GET .*`") == ['POST /a "quoted"']
    assert lines(admin, f'{select} |= "\\"quoted\\""') == ['POST /a "quoted"']
    assert lines(admin, f'{select} |~ "(?i)get /B.*TIMEOUT$"') == ["GET /b 500 timeout"]
    assert lines(admin, f'{{app="{app}", env=~"pro.*"}} |= "404"') == ["GET /c 404"]
    assert lines(admin, f'{{app="{app}", env=~"(?i)PRO.*"}} |= "404"') == ["GET /c 404"]
    assert lines(admin, f'{{app="{app}", env!="prod"}}') == []
    assert lines(admin, f'{{app="{app}", env=~"pro"}}') == []
    assert lines(admin, select, limit=2) == ["GET /c 404", 'POST /a "quoted"']
    assert lines(admin, select, limit=2, direction="forward") == ["GET /b 500 timeout", "GET /a 200"][::-1]
    assert lines(admin, select, start=nanoseconds(250)) == ["GET /c 404", 'POST /a "quoted"']
    series = admin.session.get(f"{admin.url}/loki/api/v1/series", params={"match[]": select}).json()["data"]
    assert [one["env"] for one in series] == ["prod"]


@pytest.mark.parametrize(
    "query",
    [
        "", "{", "{}", '{app="x"', '{app=~".*"}', '{app="x"} |', '{app="x"} | logfmt', 'rate({app="x"})',
        'sum(rate({app="x"}[1m])) / 2', 'quantile_over_time(0.5, {app="x"} | unwrap n [1m])',
        '{my-app="x"}', '{app="x"} |~ "("', '{app="x"} |= "open', '{app=x}',
        '{app="x"} | line_format "{{.x}}"', '{app="x"}' + ' |= "y"' * 40,
    ],
)
def test_a_query_that_is_not_answered_is_refused_with_its_place(admin, query):
    reply = admin.session.get(f"{admin.url}/loki/api/v1/query_range", params={"query": query})
    assert reply.status_code == 400
    assert "cannot be answered" in reply.json()["detail"]


@pytest.mark.parametrize("more", [{"direction": "up"}, {"limit": "0"}, {"start": "soon"}, {"start": "2", "end": "1"}])
def test_parameters_that_are_none_are_refused(admin, more):
    reply = admin.session.get(f"{admin.url}/loki/api/v1/query_range", params={"query": '{app="x"}'} | more)
    assert reply.status_code == 400


def asked(api, path, **parameters):
    reply = api.session.get(f"{api.url}/loki/api/v1/{path}", params=parameters)
    assert reply.status_code == 200, reply.text
    assert reply.json()["status"] == "success"
    return reply.json()["data"]


def test_grafanas_log_volume_and_panels(admin, app):
    """Lines of the last hour: one a minute, every fifth an error, and what Explore asks of them."""
    minute = 60 * 10**9
    end = time.time_ns() // minute * minute
    for level in ("info", "error"):
        values = [
            [str(end - n * minute), f"line {n} {'late' if n % 2 else 'soon'}"]
            for n in range(60) if (n % 5 == 0) == (level == "error")
        ]  # fmt: skip
        assert push(admin, stream({"app": app, "level": level}, *values)).status_code == 204
    found(admin, f'{{app="{app}"}}', 60)
    times = {"start": str(end - 59 * minute), "end": str(end), "step": "60000ms"}
    volume = asked(
        admin, "query_range", direction="backward", **times,
        query=f'sum by (level, detected_level) (count_over_time({{app="{app}"}} |= "line" | drop __error__[1m]))')
    assert volume["resultType"] == "matrix"
    by_level = {one["metric"]["level"]: one["values"] for one in volume["result"]}
    assert {level: len(values) for level, values in by_level.items()} == {"info": 48, "error": 12}
    assert {value for values in by_level.values() for _, value in values} == {"1"}
    assert by_level["error"][-1] == [end // 10**9, "1"]
    # The whole hour at once, and of it what is late.
    (one,) = asked(admin, "query", query=f'sum(count_over_time({{app="{app}"}} |= "late" [1h]))', time=str(end))["result"]
    assert (one["metric"], one["value"]) == ({}, [end // 10**9, "30"])
    top = asked(admin, "query", query=f'topk(1, sum by (level) (rate({{app="{app}"}}[1h])))', time=str(end))["result"]
    assert [(one["metric"], float(one["value"][1])) for one in top] == [({"level": "info"}, pytest.approx(48 / 3600))]
    assert asked(admin, "query", query=f'sum(count_over_time({{app="{app}"}}[1h])) > 60', time=str(end))["result"] == []
    # Grafana's "Save & test".
    (one,) = asked(admin, "query", query="vector(1)+vector(1)", time="4000000000")["result"]
    assert one == {"metric": {}, "value": [4_000_000_000, "2"]}


def test_volumes_by_label(admin, app):
    values = [[nanoseconds(n), f"line {n} {'x' * 100}"] for n in range(1, 11)]
    for env, count in (("prod", 10), ("test", 5)):
        assert push(admin, stream({"app": app, "env": env}, *values[:count])).status_code == 204
    found(admin, f'{{app="{app}"}}', 15)
    select = f'{{app="{app}", env=~".+"}}'
    data = asked(admin, "index/volume", query=select)
    assert data["resultType"] == "vector"
    assert [one["metric"] for one in data["result"]] == [{"app": app, "env": "prod"}, {"app": app, "env": "test"}]
    sizes = [int(one["value"][1]) for one in data["result"]]
    assert 1_000 < sizes[0] < 10_000 and sizes[0] > sizes[1] > 0
    (one,) = asked(admin, "index/volume", query=select, targetLabels="app")["result"]
    assert (one["metric"], int(one["value"][1])) == ({"app": app}, sum(sizes))
    (one,) = asked(admin, "index/volume", query=select, limit=1)["result"]
    assert one["metric"]["env"] == "prod"
    by_name = asked(admin, "index/volume", query=select, aggregateBy="labels")["result"]
    assert [one["metric"] for one in by_name] in ([{"app": ""}, {"env": ""}], [{"env": ""}, {"app": ""}])
    data = asked(admin, "index/volume_range", query=select, step="5s", start=nanoseconds(60))
    assert data["resultType"] == "matrix"
    assert sum(int(value) for one in data["result"] for _, value in one["values"]) == pytest.approx(sum(sizes), abs=2)
    for wrong in ({"query": select + ' |= "x"'}, {"query": "rate({}[1m])"}, {"query": select, "aggregateBy": "x"}):
        reply = admin.session.get(f"{admin.url}/loki/api/v1/index/volume", params=wrong)
        assert reply.status_code == 400, reply.text


@pytest.mark.parametrize(
    ("more", "says"),
    [
        ({"step": "soon"}, "step"), ({"step": "0"}, "step"), ({"step": "-1"}, "step"),
        ({"start": "1", "end": "1000000", "step": "1s"}, "moments"), ({"start": "2", "end": "1"}, "before"),
        ({"end": "9223372036854775807"}, "moment"),
    ],
)  # fmt: skip
def test_metric_queries_have_bounds(admin, more, says):
    parameters = {"query": 'rate({app="x"}[1m])'} | more
    reply = admin.session.get(f"{admin.url}/loki/api/v1/query_range", params=parameters)
    assert reply.status_code == 400
    assert says in reply.json()["detail"]
