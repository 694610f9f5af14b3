"""Sessions: turn by turn, with what they cost, from the records of calls and from spans; and their page in a browser."""

import json
import time
from pathlib import Path

import pytest
from selenium.webdriver.common.keys import Keys

from browser_page import logged_in
from gateway_kit import running
from reeve_server import until
from test_trace_pages import attributes, text_of

ON_ENGINES = ["sqlite"]
MODEL, TARGET = "scripted", "scripted-2026-01-01"
SETTINGS = {
    "providers": {"local": {"kind": "scripted", "script": "script.yaml"}},
    "models": {
        MODEL: {
            "targets": [{"provider": "local", "model": TARGET}],
            "price": {"input": 1, "output": 2, "cacheRead": 0.5},
            "contextTokens": 1000,
        }
    },
}
SCRIPT = {"rules": [{"contains": "plan", "say": "First this.", "usage": {"input": 400, "output": 50}},
                    {"contains": "go on", "say": "Then that.", "usage": {"input": 700, "output": 20}}]}  # fmt: skip


@pytest.fixture(scope="module")
def reeve(tmp_path_factory):
    folder = tmp_path_factory.mktemp("sessions")
    (folder / "script.yaml").write_text(json.dumps(SCRIPT))
    with running(folder, SETTINGS) as server:
        yield server


@pytest.fixture(scope="module")
def scribe(reeve):
    return reeve.make_agent("scribe")


def span(trace: str, number: int, parent: int | None, name: str, begin: float, took: float, failed=None, **more) -> dict:
    told = {
        "traceId": trace, "spanId": format(number, "016x"), "name": name,
        "startTimeUnixNano": str(int(begin * 1e9)), "endTimeUnixNano": str(int((begin + took) * 1e9)),
        "attributes": attributes(**{key.replace("__", "."): value for key, value in more.items()}),
    }  # fmt: skip
    if parent:
        told["parentSpanId"] = format(parent, "016x")
    if failed:
        told["status"] = {"code": 2, "message": failed}
    return told


def send(server, key: str, *spans: dict) -> None:
    resource = {"attributes": attributes(**{"service.name": "writer-service"})}
    body = json.dumps({"resourceSpans": [{"resource": resource, "scopeSpans": [{"spans": spans}]}]})
    api = server.api(key)
    reply = api.session.post(f"{api.url}/v1/traces", data=body, headers={"content-type": "application/json"}, timeout=30)
    assert reply.status_code == 200, reply.text


def say(role: str, content: str) -> str:
    return json.dumps([{"role": role, "parts": [{"type": "text", "content": content}]}])


@pytest.fixture(scope="module")
def told(reeve, scribe):
    """A conversation of two traces: in the first the agent asks Reeve for a model twice, and tells of it once itself,
    calls a tool that fails, and logs; in the second it asks a model that Reeve knows the price of, and not Reeve."""
    now = time.time()
    first, second = "5e551011" + "0" * 23 + "1", "5e551011" + "0" * 23 + "2"
    for text, parent in (("plan", 2), ("go on", 1)):
        reply = scribe.session.post(
            f"{reeve.url}/v1/chat/completions", timeout=20,
            json={"model": MODEL, "messages": [{"role": "user", "content": text}]},
            headers={"X-Reeve-Session": "talk 1", "traceparent": f"00-{first}-{parent:016x}-01"},
        )  # fmt: skip
        assert reply.status_code == 200, reply.text
    common = {"session.id": "talk 1"}
    chat = {"gen_ai__operation__name": "chat", "gen_ai__request__model": TARGET, **common}
    send(
        reeve, scribe.key,
        span(first, 1, None, "invoke_agent scribe", now - 1, 3, gen_ai__operation__name="invoke_agent", **common),
        span(first, 2, 1, "chat", now - 0.5, 2, gen_ai__usage__input_tokens=400, gen_ai__usage__output_tokens=50,
             gen_ai__input__messages=say("user", "plan"), gen_ai__output__messages=say("assistant", "First this."), **chat),
        span(first, 3, 1, "execute_tool search", now + 1.6, 0.2, failed="quota exceeded",
             gen_ai__operation__name="execute_tool", gen_ai__tool__name="search",
             gen_ai__tool__call__arguments='{"q":"briefs"}', **common),
        span(second, 4, None, "invoke_agent scribe", now + 10, 2, gen_ai__operation__name="invoke_agent", **common),
        span(second, 5, 4, "chat", now + 10.5, 1, gen_ai__usage__input_tokens=900, gen_ai__usage__output_tokens=100,
             gen_ai__usage__cache_read__input_tokens=200, gen_ai__input__messages=say("user", "long " * 400),
             gen_ai__output__messages=say("assistant", "Done."), **chat),
    )  # fmt: skip
    line = {"timestamp": now + 1.7, "level": "error", "service": "writer-service", "message": "no luck with search",
            "correlation_id": first, "tool": "search"}  # fmt: skip
    assert scribe.session.post(f"{reeve.url}/api/v1/logs", json=line, timeout=20).status_code == 200
    api = reeve.api()
    until(lambda: len(steps(api)) == 4 or None, 15, "the steps")
    # The record of a call is kept a moment behind its span.
    priced = lambda: [step["costFrom"] for step in steps(api)] == ["calls", "calls", None, "prices"]  # noqa: E731
    until(priced, 10, "the costs")
    return first, second


def steps(api) -> list[dict]:
    reply = api.send("GET", "/api/v1/sessions/talk%201")
    return reply.json()["steps"] if reply.status_code == 200 else []


def test_a_session_is_told_turn_by_turn_with_its_cost(reeve, told):
    api = reeve.api()
    session = api.get("/api/v1/sessions/talk%201")
    assert (session["kind"], session["agent"], session["state"]) == ("conversation", "scribe", "ended")
    assert set(session["traceIds"]) == set(told)
    assert (session["turns"], session["toolCalls"], session["errors"], session["tokens"]) == (3, 1, 1, 2170)
    assert session["costUSD"] == pytest.approx(0.00224) and session["unpricedCalls"] == 0
    assert session["usage"]["cacheReadTokens"] == 200
    told_as = [(step["step"], step["turn"], step["operation"], step["service"]) for step in session["steps"]]
    # Of a call that both tell of, the agent's span stays: it has the messages.
    assert told_as == [
        (1, 1, "model", "writer-service"), (2, 2, "model", "reeve"), (3, 2, "tool", "writer-service"),
        (4, 3, "model", "writer-service"),
    ]  # fmt: skip
    assert [step["costUSD"] for step in session["steps"]] == [
        pytest.approx(0.0005), pytest.approx(0.00074), None, pytest.approx(0.001)
    ]  # fmt: skip
    assert [step["contextUtilization"] for step in session["steps"]] == [0.4, 0.7, None, 0.9]
    trace = api.get(f"/api/v1/sessions/{told[1]}")
    assert (trace["kind"], trace["turns"], trace["id"]) == ("trace", 1, told[1])


def test_a_trace_without_a_conversation_is_a_session(reeve, scribe):
    trace, now = "5e551011" + "0" * 23 + "9", time.time() - 100
    send(
        reeve, scribe.key,
        span(trace, 1, None, "invoke_agent scribe", now, 3, gen_ai__operation__name="invoke_agent", agent__name="lone"),
        span(trace, 2, 1, "chat", now + 1, 1, gen_ai__operation__name="chat", gen_ai__usage__input_tokens=5,
             gen_ai__request__model="unknown"),
    )  # fmt: skip
    api = reeve.api()
    mine = lambda: [one for one in api.get("/api/v1/sessions")["items"] if one["id"] == trace]  # noqa: E731
    (session,) = until(mine, 10, "the session")
    assert (session["kind"], session["turns"], session["costUSD"], session["unpricedCalls"]) == ("trace", 1, None, 1)


@pytest.fixture
def page(driver, reeve):
    with logged_in(driver, reeve) as page:
        yield page


def test_the_page_goes_through_it_step_by_step(page, told):
    page.open("/traces")
    page.find("#side [data-nav=sessions]").click()
    until(lambda: page.has("#session-list tbody tr"), 10, "the list of sessions")
    assert page.find("#side [aria-current]").get_attribute("data-nav") == "sessions"
    row = page.find("#session-list tbody tr").text
    assert "talk 1" in page.find("#session-list").text and "scribe" in row
    page.shot("sessions")
    page.open("/sessions/talk%201")
    text = lambda: text_of(page, "#replay")  # noqa: E731
    until(lambda: "First this." in text(), 10, "the first step")
    assert "Step 1 of 4" in text() and "Turn 1 of 3" in text() and "context 40 % full" in text()
    assert "$0.00050 so far" in text() and "450 tokens so far" in text()
    summary = page.find("#replay-sub").text
    assert "3 turns" in summary and "1 tool call" in summary and "1 error" in summary and "$0.0022" in summary
    page.shot("session-1")
    page.keys("e")
    until(lambda: "quota exceeded" in text(), 5, "the failed tool")
    until(lambda: "no luck with search" in text(), 5, "what was logged meanwhile")
    assert page.script("return location.hash") == "#step-3"
    page.shot("session-3")
    page.keys(Keys.ARROW_DOWN)
    until(lambda: "Done." in text(), 5, "the next turn")
    assert page.script("return document.querySelectorAll('.message details.long').length") == 1
    assert "all 2,000 characters" in text()
    page.scheme("dark")
    page.shot("session-4-dark")
    page.open("/sessions/talk%201#step-2")
    until(lambda: "Step 2 of 4" in text(), 5, "the step that the address names")


def test_lists_and_refusals(reeve, told, scribe):
    api = reeve.api()
    (item,) = [one for one in api.get("/api/v1/sessions?agent=scribe")["items"] if one["id"] == "talk 1"]
    whole = api.get("/api/v1/sessions/talk%201")
    assert {name: whole[name] for name in item} == item
    assert api.get("/api/v1/sessions?agent=nobody")["items"] == []
    assert api.get("/api/v1/sessions?until=1h")["items"] == []
    assert api.send("GET", "/api/v1/sessions/nothing").status_code == 404
    for query in ("limit=0", "since=soon"):
        assert api.send("GET", f"/api/v1/sessions?{query}").status_code == 422
    assert scribe.send("GET", "/api/v1/sessions").status_code == 403
