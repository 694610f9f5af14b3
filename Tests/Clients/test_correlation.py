"""One id across all hops: whoever asks, Reeve, the agent, its model, its deliverables. And a trace without an SDK for it."""

import uuid

import pytest
from gateway_kit import HELLO, PINNED, openai_agent, openai_of, received, record_of, running, serving
from reeve_server import until


def traced() -> tuple[str, str, str]:
    """A trace's id, a span's, and the header that names both."""
    trace, span = uuid.uuid4().hex, uuid.uuid4().hex[:16]
    return trace, span, f"00-{trace}-{span}-01"


def trace_of(api, trace: str, count: int) -> dict[str, dict]:
    """The spans of a trace by their names, once so many have ended."""

    def look():
        reply = api.send("GET", f"/api/v1/traces/{trace}")
        spans = reply.json()["spans"] if reply.status_code == 200 else []
        ended = [span for span in spans if span["state"] == "ended"]
        return {span["name"]: span for span in ended} if len(ended) >= count else None

    return until(look, what=f"{count} spans of {trace}")


@pytest.fixture(scope="module")
def model():
    with serving() as address:
        yield address


@pytest.fixture(scope="module")
def reeve(engine, model, tmp_path_factory):
    settings = {
        "providers": {"main": {"kind": "openai", "baseURL": f"{model}/v1"}},
        "models": {"mini": {"targets": [{"provider": "main", "model": PINNED}]}},
    }
    with running(tmp_path_factory.mktemp("correlation"), settings, engine) as server:
        yield server


def test_an_agent_without_instrumentation_has_a_trace(reeve, name):
    agent = openai_agent(reeve, name)
    reply = agent.ask()
    record = record_of(reeve, reply.headers["x-reeve-call"])
    assert record["correlationId"] == record["traceId"] == reply.headers["x-correlation-id"]
    api = reeve.api()
    spans = trace_of(api, record["traceId"], 2)
    call, attempt = spans["chat mini"], spans[f"attempt main/{PINNED}"]
    assert call["spanId"] == record["spanId"] and call["parentSpanId"] is None
    assert (call["agent"], call["service"], call["operation"], call["category"]) == (name, "reeve", "model", "model")
    assert attempt["parentSpanId"] == call["spanId"] and attempt["category"] == "model"
    detail = api.get(f"/api/v1/traces/{record['traceId']}/spans/{call['spanId']}")
    buckets = record["usage"]["buckets"]
    assert detail["usage"]["inputTokens"] == buckets["input"] and detail["usage"]["outputTokens"] == buckets["output"]
    assert detail["attributes"]["gen_ai.response.model"] == PINNED
    assert detail["attributes"]["reeve.call"] == record["id"] and detail["scope"]["name"] == "reeve"
    below = api.get(f"/api/v1/traces/{record['traceId']}/spans/{attempt['spanId']}")
    assert below["usage"] is None, "tokens are told once"


def test_the_provider_hears_of_the_trace_and_of_the_id(reeve, model, name):
    trace, span, header = traced()
    agent = openai_agent(reeve, name)
    reply = agent.ask(
        extra_headers={"traceparent": header, "tracestate": "vendor=1", "x-correlation-id": f"order-{name}"[:200]}
    )
    assert reply.headers["x-correlation-id"] == f"order-{name}"[:200]
    record = record_of(reeve, reply.headers["x-reeve-call"])
    assert record["traceId"] == trace and record["correlationId"] == f"order-{name}"[:200]
    headers = {key.lower(): value for key, value in received(model)[-1]["headers"].items()}
    spans = trace_of(reeve.api(), trace, 2)
    assert spans["chat mini"]["parentSpanId"] == span
    attempt = spans[f"attempt main/{PINNED}"]
    assert headers["traceparent"] == f"00-{trace}-{attempt['spanId']}-01"
    assert headers["tracestate"] == "vendor=1"
    assert headers["x-correlation-id"] == f"order-{name}"[:200]
    found = reeve.api().get(f"/api/v1/calls?correlationId=order-{name}"[:260])["items"]
    assert [call["id"] for call in found] == [record["id"]]


def test_a_task_takes_its_calls_and_deliverables_with_it(reeve, model, name):
    api = reeve.api()
    trace, span, header = traced()
    order = f"order-{uuid.uuid4().hex}"
    task = api.create(name, headers={"traceparent": header, "X-Correlation-ID": order}, type="letter")
    assert task["correlationId"] == order and task["traceparent"] == header
    agent = openai_agent(reeve, name)
    claim = agent.claim(name)
    assert claim.item["correlationId"] == order
    place = claim.item["traceparent"].split("-")
    assert place[1] == trace and place[2] != span
    # The SDK names neither task nor trace: the gateway knows whose work it is.
    reply = agent.ask()
    assert reply.headers["x-correlation-id"] == order
    record = record_of(reeve, reply.headers["x-reeve-call"])
    assert (record["task"], record["traceId"], record["correlationId"]) == (task["id"], trace, order)
    made = claim.deliver("letter.md", "Dear miller")
    assert made["correlationId"] == order
    claim.complete()
    spans = trace_of(api, trace, 4)
    attempt = spans["task letter"]
    assert attempt["spanId"] == place[2] and attempt["parentSpanId"] == span and attempt["agent"] == name
    assert spans["chat mini"]["parentSpanId"] == attempt["spanId"]
    assert spans["deliverable letter.md"]["parentSpanId"] == attempt["spanId"]
    assert [one["id"] for one in api.get(f"/api/v1/tasks?correlationId={order}")["items"]] == [task["id"]]
    events = api.get(f"/api/v1/events?correlationId={order}")["items"]
    assert [event["type"] for event in events][:2] == ["task.created", "task.claimed"]
    assert {event["correlationId"] for event in events} == {order}
    assert api.get("/api/v1/tasks?correlationId=nobodys")["items"] == []


def test_what_follows_a_task_belongs_to_the_same(reeve, name):
    api = reeve.api()
    _, _, header = traced()
    order = f"order-{uuid.uuid4().hex}"
    first = api.create(name, correlationId=order, traceparent=header, tracestate="a=1")
    assert (first["correlationId"], first["traceparent"], first["tracestate"]) == (order, header, "a=1")
    second = api.create(name, dependsOn=[first["id"]])
    assert (second["correlationId"], second["traceparent"]) == (order, header)
    api.post(f"/api/v1/tasks/{first['id']}/cancel", {})
    again = api.post(f"/api/v1/tasks/{first['id']}/retry", {}, 201)
    assert (again["correlationId"], again["traceparent"]) == (order, header)
    alone = api.create(name)
    assert alone["correlationId"] == alone["traceparent"].split("-")[1] != first["traceparent"].split("-")[1]
    spans = trace_of(api, alone["correlationId"], 1)
    assert spans["create task test"]["spanId"] == alone["traceparent"].split("-")[2]


def test_spans_belong_to_what_their_trace_was_bound_to(reeve, name):
    api, agent = reeve.api(), openai_agent(reeve, name)
    trace, span, header = traced()
    order = f"order-{uuid.uuid4().hex}"
    api.create(name, headers={"traceparent": header, "X-Correlation-ID": order})

    def step(number: int, **attributes: str) -> dict:
        return {
            "traceId": trace,
            "spanId": format(number, "016x"),
            "name": f"step {number}",
            "startTimeUnixNano": "1700000000000000000",
            "endTimeUnixNano": "1700000000250000000",
            "attributes": [{"key": key, "value": {"stringValue": value}} for key, value in attributes.items()],
        }

    spans = [step(1), step(2, correlation_id="its own")]
    agent.post("/v1/traces", {"resourceSpans": [{"scopeSpans": [{"spans": spans}]}]})
    trace_of(api, trace, 2)
    found = [api.get(f"/api/v1/traces/{trace}/spans/{number:016x}")["correlationId"] for number in (1, 2)]
    assert found == [order, "its own"]
    later = agent.ask(extra_headers={"traceparent": header})
    assert later.headers["x-correlation-id"] == order, "one of them is enough from then on"
    items = api.get(f"/api/v1/timeline?correlationId={order}")["items"]
    assert [(item["kind"], item["title"]) for item in items if item["kind"] == "span"] == [("span", "step 1")]


def test_a_timeline_has_everything_in_its_order_page_by_page(reeve, name):
    api, agent = reeve.api(), openai_agent(reeve, name)
    order = f"order-{uuid.uuid4().hex}"
    task = api.create(name, headers={"X-Correlation-ID": order}, title="Write")
    claim = agent.claim(name)
    reply = agent.ask()
    made = claim.deliver("letter.md", "Dear miller")
    claim.complete()
    call = record_of(reeve, reply.headers["x-reeve-call"])
    whole = until(
        lambda: len(items := api.get(f"/api/v1/timeline?correlationId={order}")["items"]) >= 6 and items,
        what="six items",
    )
    shown = [(item["kind"], item["title"]) for item in whole]
    assert shown[0] == ("task", "Write") and shown[-1] == ("event", "task.done")
    assert ("event", "task.claimed") in shown and ("deliverable", "letter.md, revision 1") in shown
    assert {item["id"] for item in whole} >= {task["id"], call["id"], made["id"]}
    assert {item["traceId"] for item in whole if item["kind"] != "event"} == {call["traceId"]}
    pages, after = [], ""
    while True:
        page = api.get(f"/api/v1/timeline?correlationId={order}&limit=1&after={after}")
        pages += page["items"]
        if not page["next"]:
            break
        after = page["next"]
    assert pages == whole
    assert api.get("/api/v1/timeline?correlationId=nobodys")["items"] == []
    api.refused("GET", "/api/v1/timeline", status=422)
    api.refused("GET", f"/api/v1/timeline?correlationId={order}&after=nonsense", status=422)


def test_what_is_no_id_is_refused_in_a_body_and_passed_over_in_a_header(reeve, name):
    api = reeve.api()
    for field, value in (
        ("correlationId", "two words"),
        ("correlationId", "x" * 201),
        ("correlationId", ""),
        ("traceparent", "00-" + "0" * 32 + "-" + "1" * 16 + "-01"),
        ("traceparent", "00-" + "A" * 32 + "-" + "1" * 16 + "-01"),
        ("tracestate", "a=1"),
    ):
        api.refused("POST", "/api/v1/tasks", {"queue": name, field: value}, status=422)
    task = api.create(name, headers={"X-Correlation-ID": "two words", "traceparent": "00-nonsense"})
    assert task["correlationId"] == task["traceparent"].split("-")[1]


def test_the_audit_says_what_an_act_belonged_to(reeve, name):
    api = reeve.api()
    order = f"order-{uuid.uuid4().hex}"
    api.post("/api/v1/keys", {"role": "viewer", "name": name[:60]}, 201, headers={"X-Correlation-ID": order})
    entries = api.get("/api/v1/audit?limit=1000")["items"]
    assert [entry["action"] for entry in entries if entry["detail"].get("correlationId") == order] == ["key.created"]


def test_own_spans_can_be_switched_off(model, tmp_path, engine):
    settings = {
        "providers": {"main": {"kind": "openai", "baseURL": f"{model}/v1"}},
        "models": {"mini": {"targets": [{"provider": "main", "model": PINNED}]}},
        "telemetry": {"ownSpans": False},
    }
    with running(tmp_path / "off", settings, engine) as server:
        agent = server.make_agent("quiet")
        chat = openai_of(server, agent.key)
        reply = chat.chat.completions.with_raw_response.create(model="mini", messages=HELLO)
        trace = record_of(server, reply.headers["x-reeve-call"])["traceId"]
        assert server.api().send("GET", f"/api/v1/traces/{trace}").status_code == 404
        ledger = server.api().get("/api/v1/telemetry/ledger")
        assert ledger["items"][0]["received"] == 0
