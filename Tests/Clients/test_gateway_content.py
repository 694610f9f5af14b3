"""What the gateway's own span of a call says of what was said: the same as an instrumentation, with none at work."""

import json
import subprocess
import sys
from pathlib import Path

import httpx
import openai
import pytest

from browser_page import logged_in
from gateway_kit import asked, running, scrape, serving
from reeve_server import environment, until

ON_ENGINES = ["sqlite"]
MODEL = "scripted"
# In the form of a provider's key, and none.
KEY = "sk-ant-api03-" + "Ab1" * 31 + "AA"
SCRIPT = {
    "rules": [
        {"contains": "sky", "say": "It rains."},
        {"contains": "weather", "calls": [{"name": "look_up", "arguments": {"city": "Oslo", "days": 2}}]},
        {"contains": "broken", "fault": {"status": 400, "message": "on purpose"}},
        {"contains": "cut", "say": "One two three four five six seven eight.", "fault": {"cutAfter": 4}},
        {"contains": "a key", "say": f"It is {KEY} indeed."},
        {"contains": "mail", "say": "Write to ada@example.com then."},
        {"contains": "long", "say": "y" * 40},
    ]
}
PRICED = {"targets": [{"provider": "local", "model": "scripted-2026-01-01"}], "price": {"input": 1, "output": 2}}
SETTINGS = {
    "providers": {"local": {"kind": "scripted", "script": "script.yaml"}},
    "models": {
        MODEL: PRICED,
        "careful": PRICED | {"output": {"secrets": True, "personalData": True}, "input": {"refuse": ["forbidden"]}},
    },
}


def text(role: str, content: str) -> dict:
    return {"role": role, "parts": [{"type": "text", "content": content}]}


@pytest.fixture(scope="module")
def reeve(tmp_path_factory):
    folder = tmp_path_factory.mktemp("content")
    (folder / "script.yaml").write_text(json.dumps(SCRIPT))
    with running(folder, SETTINGS) as server:
        yield server


@pytest.fixture(scope="module")
def agent(reeve):
    return reeve.make_agent("content-agent")


def models_of(reeve, trace: str, more=lambda head: True) -> list[dict]:
    """The spans of calls to models in a trace, the gateway's own last."""
    reply = reeve.api().send("GET", f"/api/v1/traces/{trace}")
    heads = reply.json()["spans"] if reply.status_code == 200 else []
    found = [head for head in heads if head["operation"] in ("model", "embeddings") and not head["name"].startswith("attempt")]
    return sorted(filter(more, found), key=lambda head: head["service"] == "reeve")


def detail(reeve, trace: str, head: dict) -> dict:
    return reeve.api().get(f"/api/v1/traces/{trace}/spans/{head['spanId']}")


def own(reeve, trace: str) -> dict:
    # A call that runs is shown too; what was said stands in its end.
    ended = lambda head: head["service"] == "reeve" and head["state"] == "ended"  # noqa: E731
    heads = until(lambda: models_of(reeve, trace, ended), 10, "Reeve's span")
    until(
        lambda: reeve.api().send("GET", f"/api/v1/traces/{trace}/spans/{heads[-1]['spanId']}").status_code == 200,
        10, "all of Reeve's span",
    )  # fmt: skip
    return detail(reeve, trace, heads[-1]) | {"trace": trace}


NUMBERS = iter(range(1, 1_000))


def ask(reeve, agent, content: str, **options) -> dict:
    """Asks with nothing but HTTP, in a trace of its own, and gives Reeve's span."""
    trace = f"{next(NUMBERS):032x}"
    headers = {"Authorization": f"Bearer {agent.key}", "traceparent": f"00-{trace}-{1:016x}-01"}
    body = {"model": options.pop("model", MODEL), "messages": asked(content)} | options.pop("body", {})
    httpx.post(f"{reeve.url}/v1/chat/completions", headers=headers | options, json=body, timeout=20)
    return own(reeve, trace)


@pytest.fixture(scope="module")
def told(reeve, agent):
    program = Path(__file__).with_name("instrumented_doors.py")
    done = subprocess.run(
        [sys.executable, program, reeve.url, agent.key, MODEL], capture_output=True, text=True, env=environment(), timeout=90
    )
    assert done.returncode == 0, done.stderr
    spans = {}
    for name, trace in json.loads(done.stdout).items():
        heads = until(lambda: (found := models_of(reeve, trace)) and len(found) >= 2 and found, 10, f"the spans of {name}")
        spans[name] = (detail(reeve, trace, heads[0]), detail(reeve, trace, heads[-1]))
    return spans


def test_every_door_tells_what_the_instrumentation_tells(told):
    for name, (theirs, ours) in told.items():
        assert theirs["service"] == "doors-agent" and ours["service"] == "reeve", name
        assert ours["input"] and ours["input"] == theirs["input"], name
        assert ours["dialect"] == "opentelemetry" and not ours["truncated"], name
        if name.startswith("embedding"):
            assert ours["output"] is None, name
        else:
            assert ours["output"] and ours["output"] == theirs["output"], name


def test_what_both_sides_said(told):
    rain, question = text("assistant", "It rains."), text("user", "and the sky?")
    for name in ("chat", "chat-stream", "responses", "responses-stream", "messages", "messages-stream"):
        span = told[name][1]
        assert span["input"] == [text("system", "Be brief."), question], name
        assert (span["output"], span["finishReasons"]) == ([rain], ["stop"]), name
    assert told["embeddings"][1]["input"] == [text("user", "the mill"), text("user", "the weir")]


def test_without_any_instrumentation_there_is_a_replay(reeve, agent, driver):
    client = openai.OpenAI(base_url=f"{reeve.url}/v1", api_key=agent.key, max_retries=0)
    headers = {"x-reeve-session": "plain-1"}
    client.chat.completions.create(model=MODEL, messages=asked("and the sky?"), extra_headers=headers)
    steps = until(
        lambda: (reply := reeve.api().send("GET", "/api/v1/sessions/plain-1")).status_code == 200
        and reply.json()["steps"], 10, "the session's step",
    )  # fmt: skip
    assert len(steps) == 1
    span = detail(reeve, steps[0]["traceId"], steps[0])
    assert (span["input"], span["output"]) == ([text("user", "and the sky?")], [text("assistant", "It rains.")])
    with logged_in(driver, reeve) as page:
        page.open("/sessions/plain-1")
        shown = lambda: page.find("#replay").text  # noqa: E731
        until(lambda: "and the sky?" in shown() and "It rains." in shown(), 10, "both sides on the page")
        page.shot("replay-of-the-gateway")


def test_a_failure_has_its_question_and_a_broken_stream_what_came(reeve, agent):
    failed = ask(reeve, agent, "broken")
    assert failed["status"] == "error"
    assert (failed["input"], failed["output"]) == ([text("user", "broken")], None)
    cut = ask(reeve, agent, "cut", body={"stream": True})
    assert cut["output"][0]["parts"][0]["content"].startswith("One two")
    assert "eight" not in json.dumps(cut["output"])


def test_keys_are_not_kept_nor_what_a_model_hides(reeve, agent):
    span = ask(reeve, agent, f"a key: {KEY}")
    assert span["input"] == [text("user", "a key: [redacted:anthropic_key]")]
    assert span["output"] == [text("assistant", "It is [redacted:anthropic_key] indeed.")]
    plain = ask(reeve, agent, "mail of bob@example.com")
    assert "bob@example.com" in json.dumps(plain["input"]) and "ada@example.com" in json.dumps(plain["output"])
    for body in ({}, {"stream": True}):
        hidden = ask(reeve, agent, "mail of bob@example.com", model="careful", body=body)
        assert "[redacted:" in json.dumps(hidden["input"]) and "[redacted:" in json.dumps(hidden["output"])
        assert "@example.com" not in json.dumps(hidden)
    refused = ask(reeve, agent, "forbidden", model="careful")
    assert refused["status"] == "error" and "forbidden" not in json.dumps(refused["attributes"])
    assert refused["input"] is None


def test_who_wants_nothing_stored_is_obeyed(reeve, agent):
    span = ask(reeve, agent, "and the sky?", **{"Cache-Control": "no-store"})
    assert (span["input"], span["output"]) == (None, None)


def test_what_is_long_is_cut_and_says_so(reeve, agent):
    span = ask(reeve, agent, "", body={"messages": [*asked("old " * 300_000), *asked("long " + "x" * 1_000)]})
    assert span["truncated"]
    first, last = span["input"]
    assert last == text("user", "long " + "x" * 1_000)
    assert first["parts"][0]["content"].startswith("old old") and len(first["parts"][0]["content"]) < 1 << 20
    assert span["output"] == [text("assistant", "y" * 40)]


def test_an_erasure_takes_it_like_other_content(reeve, agent):
    span = ask(reeve, agent, "and the sky over Gudrun-4711?")
    assert "Gudrun-4711" in json.dumps(span["input"])
    api = reeve.api()
    order = api.post("/api/v1/telemetry/erasures", {"subject": "Gudrun-4711", "text": True, "reason": "she asked"})
    done = until(
        lambda: (found := api.get(f"/api/v1/telemetry/erasures/{order['id']}"))["state"] != "running" and found,
        20, "the erasure's end",
    )  # fmt: skip
    assert done["state"] == "done", done
    assert not models_of(reeve, span["trace"], lambda head: head["spanId"] == span["spanId"])


def test_it_can_be_turned_off(tmp_path):
    (tmp_path / "script.yaml").write_text(json.dumps(SCRIPT))
    with running(tmp_path, SETTINGS | {"telemetry": {"gatewayContent": False}}) as server:
        span = ask(server, server.make_agent("quiet"), "and the sky?")
        assert (span["input"], span["output"]) == (None, None)
        assert not any(name.startswith("gen_ai.input") for name in span["attributes"])
        assert not any(name == "reeve_gateway_contents_total" and value for (name, _), value in scrape(server).items())
