"""The field's two instrumentations of OpenAI's client, as they are: what they tell of the same calls is told alike."""

import json
import subprocess
import sys
from pathlib import Path

import pytest

from gateway_kit import running, scrape
from reeve_server import environment, until

ON_ENGINES = ["sqlite"]
DIALECTS = ["openinference", "openllmetry"]
MODEL = "scripted"
TARGET = "scripted-2026-01-01"
SCRIPT = {
    "rules": [
        {"contains": "sky", "say": "It rains."},
        {"contains": "weather", "calls": [{"name": "look_up", "arguments": {"city": "Oslo", "days": 2}}]},
        {"contains": "broken", "fault": {"status": 400, "message": "on purpose"}},
        {"contains": "cached", "say": "Again.", "usage": {"input": 100, "output": 30, "cacheRead": 60, "reasoning": 10}},
        {"contains": "alone", "say": "Alone.", "usage": {"input": 77, "output": 7}},
        {"contains": "look at", "say": "A dot."},
        {"contains": "streamed", "say": "One two three."},
    ]
}
SETTINGS = {
    "providers": {"local": {"kind": "scripted", "script": "script.yaml"}},
    "models": {
        MODEL: {
            "targets": [{"provider": "local", "model": TARGET}],
            "price": {"input": 1, "output": 2},
            "contextTokens": 1000,
        }
    },
}


def text(role: str, content: str) -> dict:
    return {"role": role, "parts": [{"type": "text", "content": content}]}


QUESTION = [text("system", "Be brief."), text("user", "weather in Oslo?")]
IMAGE = {"type": "uri", "modality": "image", "mimeType": None, "uri": "https://example.com/a.png"}


def call(tool: str) -> dict:
    parts = [{"type": "tool_call", "id": tool, "name": "look_up", "arguments": {"city": "Oslo", "days": 2}}]
    return {"role": "assistant", "parts": parts}


def response(tool: str) -> dict:
    return {"role": "tool", "parts": [{"type": "tool_call_response", "id": tool, "response": {"sky": "rain"}}]}


@pytest.fixture(scope="module")
def reeve(tmp_path_factory):
    folder = tmp_path_factory.mktemp("instrumented")
    (folder / "script.yaml").write_text(json.dumps(SCRIPT))
    with running(folder, SETTINGS) as server:
        yield server


@pytest.fixture(scope="module")
def told(reeve):
    """By dialect: what the agent did, and the spans of each of its calls, the instrumentation's and Reeve's own."""
    agents = {dialect: reeve.make_agent(f"{dialect}-agent") for dialect in DIALECTS}
    program = Path(__file__).with_name("instrumented_agent.py")
    # At once: most of their time is Python's start.
    processes = {
        dialect: subprocess.Popen(
            [sys.executable, program, dialect, reeve.url, agents[dialect].key, MODEL],
            stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, env=environment(),
        )
        for dialect in DIALECTS
    }  # fmt: skip
    found = {}
    for dialect, process in processes.items():
        output, errors = process.communicate(timeout=60)
        assert process.returncode == 0, errors
        done = json.loads(output)
        found[dialect] = done | {"spans": {name: spans_of(reeve, name, trace) for name, trace in done["calls"].items()}}
    return found


def spans_of(server, name: str, trace: str) -> tuple[dict, dict | None]:
    """What the instrumentation told of a call, and what Reeve did; the latter is in a trace of its own for one that
    came without any."""
    api = server.api()

    def look():
        reply = api.send("GET", f"/api/v1/traces/{trace}")
        heads = reply.json()["spans"] if reply.status_code == 200 else []
        models = [head for head in heads if head["operation"] == "model"]
        theirs = [head for head in models if head["service"] != "reeve"]
        ours = [head for head in models if head["service"] == "reeve" and not head["name"].startswith("attempt")]
        return (theirs[0], ours[0] if ours else None) if theirs and (ours or name == "alone") else None

    theirs, ours = until(look, 10, f"the spans of {name}")
    detail = lambda head: head and api.get(f"/api/v1/traces/{trace}/spans/{head['spanId']}")  # noqa: E731
    return detail(theirs), detail(ours)


@pytest.mark.parametrize("dialect", DIALECTS)
def test_both_tell_of_the_same_messages(told, dialect):
    tool, spans = told[dialect]["tool"], told[dialect]["spans"]
    expected = {
        "tool": (QUESTION, [call(tool)]),
        "result": (
            [*QUESTION, call(tool), response(tool), text("user", "and the sky?")],
            [text("assistant", "It rains.")],
        ),
        "cached": ([text("user", "cached")], [text("assistant", "Again.")]),
        "alone": ([text("user", "alone")], [text("assistant", "Alone.")]),
        "image": (
            [{"role": "user", "parts": [{"type": "text", "content": "look at this"}, IMAGE]}],
            [text("assistant", "A dot.")],
        ),
        "stream": ([text("user", "streamed")], [text("assistant", "One two three.")]),
    }
    for name, (asked, answered) in expected.items():
        span = spans[name][0]
        assert span["dialect"] == ("opentelemetry" if dialect == "openllmetry" else dialect), name
        assert (span["input"], span["output"]) == (asked, answered), name
        assert span["normalised"] == 1 and not span["truncated"]
        assert span["status"] != "error" and span["operation"] == "model" and span["provider"] == "openai"
        assert span["finishReasons"] == (["tool_call"] if name == "tool" else ["stop"]), name
        # As they came: each dialect by its own names.
        raw = "llm.input_messages.0.message.role" if dialect == "openinference" else "gen_ai.input.messages"
        assert raw in span["attributes"]


@pytest.mark.parametrize("dialect", DIALECTS)
def test_both_count_the_same_tokens_as_reeve(told, dialect):
    for name, (theirs, ours) in told[dialect]["spans"].items():
        if name == "error":
            continue
        assert theirs["model"] in (MODEL, TARGET)
        if ours is None:
            assert theirs["usage"] == usage(77, 7)
        else:
            assert theirs["usage"] == ours["usage"], name
            assert ours["correlationId"] == theirs["correlationId"]
            assert ours["costUSD"] > 0
    assert told[dialect]["spans"]["cached"][0]["usage"] == usage(40, 20, read=60, reasoning=10)


def usage(asked: int, answered: int, read: int = 0, reasoning: int = 0) -> dict:
    return {
        "inputTokens": asked, "cacheReadTokens": read, "cacheWriteTokens": 0, "outputTokens": answered,
        "reasoningTokens": reasoning,
    }  # fmt: skip


@pytest.mark.parametrize("dialect", DIALECTS)
def test_an_error_is_one_in_both(told, dialect):
    theirs, ours = told[dialect]["spans"]["error"]
    assert theirs["status"] == ours["status"] == "error"
    assert "on purpose" in theirs["statusMessage"]
    assert theirs["input"] == [text("user", "broken")] and theirs["output"] in (None, [])


@pytest.mark.parametrize("dialect", DIALECTS)
def test_what_reeve_passed_on_is_counted_once(reeve, told, dialect):
    """Six calls with an answer: each had a span of the instrumentation's and a record of Reeve's."""
    agent = f"{dialect}-agent"
    spans = [theirs for name, (theirs, _) in told[dialect]["spans"].items() if name != "error"]
    expected = {"input": 0, "output": 0, "cache_read": 60, "reasoning": 10}
    for span in spans:
        expected["input"] += span["usage"]["inputTokens"]
        expected["output"] += span["usage"]["outputTokens"]
    samples = scrape(reeve)
    counted: dict[str, float] = {}
    for (name, labels), value in samples.items():
        labels = dict(labels)
        if name == "agent_tokens_consumed_total" and labels["agent"] == agent:
            counted[labels["type"]] = counted.get(labels["type"], 0) + value
    assert counted == expected
