"""Answers to questions that mean the same: who may get them, what they save, and where they are never given."""

import http.server
import json
import re
import zlib
from collections.abc import Iterator

import httpx
import pytest

from gateway_kit import (
    FIRST, ROUND_PRICE, TOOL, anthropic_of, asked, bearer, deadlines, explained, openai_of, post, providers, received,
    record_of, running, script, served, text_of,
)
from reeve_server import ENGINES, Server

pytestmark = pytest.mark.usefixtures("plain")
EMBEDDER = "bag-of-words-2026-01-01"


class Embedder(http.server.BaseHTTPRequestHandler):
    """Texts with the same words have the same vector, whatever their order, case and points."""

    asked: list[str] = []
    is_down = False

    def do_POST(self):
        body = json.loads(self.rfile.read(int(self.headers["content-length"])))
        type(self).asked.append(body["input"])
        words = re.findall(r"[a-z0-9]+", body["input"].lower())
        vector = [0.0] * 64
        for word in words:
            vector[zlib.crc32(word.encode()) % 64] += 1
        answer = {
            "object": "list", "model": EMBEDDER, "usage": {"prompt_tokens": len(words), "total_tokens": len(words)},
            "data": [{"object": "embedding", "index": 0, "embedding": vector}],
        }
        sent = json.dumps({"error": {"message": "down"}} if self.is_down else answer).encode()
        self.send_response(500 if self.is_down else 200)
        self.send_header("content-type", "application/json")
        self.send_header("content-length", str(len(sent)))
        self.end_headers()
        self.wfile.write(sent)

    def log_message(self, *_):
        pass


@pytest.fixture(scope="module")
def embedder() -> Iterator[str]:
    with served(Embedder) as url:
        yield url


@pytest.fixture(scope="module", params=ENGINES)
def reeve(
    request, main: str, backup: str, embedder: str, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[Server]:
    common = {"price": ROUND_PRICE, "deadlines": deadlines(), "retries": 0}
    semantic = {"model": "embedder", "temperatureMax": 1}
    models = {
        "kept": {"targets": [FIRST], "cache": {"semantic": semantic}},
        "cool": {"targets": [FIRST], "cache": {"semantic": {"model": "embedder"}}},
        "exact": {"targets": [FIRST], "cache": True},
        "shared": {"targets": [FIRST], "cache": {"scope": "shared", "semantic": semantic}},
        "embedder": {"targets": [{"provider": "words", "model": EMBEDDER}], "breaker": {"callsMin": 10000}},
    }
    known = providers(main, backup, words={"kind": "openai", "baseURL": f"{embedder}/v1"})
    settings = {"providers": known, "models": {name: {**common, **model} for name, model in models.items()}}
    with running(tmp_path_factory.mktemp("semantic"), settings, request.param) as server:
        yield server


@pytest.fixture
def asker(reeve: Server, name: str):
    agent = reeve.make_agent(f"asker-{name}")

    def ask(text: str, model: str = "kept", key: str = agent.key, headers: dict = {}, **more) -> httpx.Response:
        reply = post(reeve, key, {"model": model, "messages": asked(text), **more}, **headers)
        assert reply.status_code == 200, reply.text
        return reply

    agent.ask = ask
    return agent


def verdict(reply: httpx.Response) -> str:
    return reply.headers["x-reeve-cache"]


@pytest.mark.parametrize("is_streamed", [False, True])
def test_a_question_that_means_the_same(reeve: Server, asker, main: str, is_streamed: bool) -> None:
    script(main, {"say": "It is Paris."})
    before = len(received(main))
    first = asker.ask(f"What is the capital of France? {is_streamed}", stream=is_streamed)
    second = asker.ask(f"{is_streamed} what is the CAPITAL of france", stream=is_streamed)
    assert (verdict(first), verdict(second)) == ("miss", "semantic")
    assert first.content == second.content and len(received(main)) == before + 1
    record = record_of(reeve, second.headers["x-reeve-call"])
    paid = record_of(reeve, first.headers["x-reeve-call"])["cost"]["nanoUSD"]
    assert (record["cache"], record["cost"]["nanoUSD"], record["savedNanoUSD"]) == ("semantic", 0, paid)
    assert record["semantic"] == {"similarity": 1.0} and paid > 0
    assert any("means the same" in step["text"] for step in explained(reeve, record["id"]))
    # The very same call is found without asking what it means.
    count = len(Embedder.asked)
    assert verdict(asker.ask(f"What is the capital of France? {is_streamed}", stream=is_streamed)) == "hit"
    assert len(Embedder.asked) == count


def test_each_sdk_reads_it(reeve: Server, asker, main: str) -> None:
    script(main, {"say": "It is Rome."})
    chat, claude = openai_of(reeve, asker.key), anthropic_of(reeve, asker.key)
    for text in ("capital of Italy?", "of Italy, capital"):
        assert text_of(chat.chat.completions.create(model="kept", messages=asked(text), stream=True)) == "It is Rome."
        assert chat.responses.create(model="kept", input=text).output_text == "It is Rome."
        message = claude.messages.create(model="kept", max_tokens=50, messages=asked(text))
        assert message.content[0].text == "It is Rome."
    items = reeve.api().get(f"/api/v1/calls?agent={asker.agent}&model=kept")["items"]
    assert sorted(item["cache"] for item in items) == ["miss"] * 3 + ["semantic"] * 3


def test_another_question_is_asked(reeve: Server, asker) -> None:
    asker.ask("What is the capital of Norway?")
    assert verdict(asker.ask("What is the capital of Sweden?")) == "miss"


def test_never_across_tenants(reeve: Server, asker, name: str) -> None:
    other = reeve.make_agent(f"another-{name}")
    asker.ask("What is our secret plan?")
    assert verdict(asker.ask("our secret plan: what is", key=other.key)) == "miss"
    assert verdict(asker.ask("our secret plan: what is")) == "semantic"
    asker.ask("What do all know?", model="shared")
    assert verdict(asker.ask("all know what, do", model="shared", key=other.key)) == "semantic"


def test_never_with_other_words_around_it(reeve: Server, asker) -> None:
    def ask(text: str, system: str, **more) -> str:
        body = {"model": "kept", "messages": [{"role": "system", "content": system}, *asked(text)], **more}
        return verdict(post(reeve, asker.key, body))

    assert ask("why is the sky blue", "Be brief.") == "miss"
    assert ask("is the sky blue, why", "Be long.") == "miss"
    assert ask("is the sky blue, why", "Be brief.", tools=[TOOL]) == "miss"
    assert ask("is the sky blue, why", "Be brief.", max_tokens=40) == "miss"
    assert ask("is the sky blue, why", "Be brief.") == "semantic"


def test_never_where_tools_are_called(reeve: Server, asker, main: str) -> None:
    script(main, {"calls": [{"name": "look_up", "arguments": {"city": "Oslo", "days": 2}}]})
    asker.ask("weather in Oslo tomorrow", tools=[TOOL])
    assert verdict(asker.ask("tomorrow weather in Oslo", tools=[TOOL])) == "miss"
    script(main)
    call = {"id": "1", "type": "function", "function": {"name": "look_up", "arguments": "{}"}}

    def ask(text: str) -> str:
        turns = [
            *asked("hi"), {"role": "assistant", "tool_calls": [call]},
            {"role": "tool", "tool_call_id": "1", "content": "sun"}, *asked(text),
        ]
        return verdict(post(reeve, asker.key, {"model": "kept", "messages": turns}))

    count = len(Embedder.asked)
    assert [ask("and then what"), ask("what and then")] == ["miss", "miss"] and len(Embedder.asked) == count


def test_never_where_chance_is_wanted(reeve: Server, asker) -> None:
    def ask(text: str, **more) -> str:
        return verdict(asker.ask(text, model="cool", **more))

    # Without a temperature it is 1, which is above the bound.
    assert [ask("tell a joke"), ask("a joke tell")] == ["miss", "miss"]
    assert [ask("tell a joke", temperature=0.9), ask("a joke tell", temperature=0.9)] == ["miss", "miss"]
    assert [ask("tell a joke", temperature=0.2), ask("a joke tell", temperature=0.2)] == ["miss", "semantic"]


def test_who_wants_it_fresh_gets_it(reeve: Server, asker) -> None:
    asker.ask("how late is it")
    fresh = asker.ask("late is it how", headers={"cache_control": "no-cache"})
    assert verdict(fresh) == "miss"
    asker.ask("keep this nowhere please", headers={"cache_control": "no-store"})
    assert verdict(asker.ask("please keep this nowhere")) == "miss"


def test_a_question_that_cannot_be_embedded_is_asked(reeve: Server, asker) -> None:
    asker.ask("which way is north")
    Embedder.is_down = True
    try:
        assert verdict(asker.ask("north is which way")) == "miss"
    finally:
        Embedder.is_down = False
    assert verdict(asker.ask("way north which is")) == "semantic"


def test_what_it_costs_to_ask_is_booked_on_the_caller(reeve: Server, asker) -> None:
    asker.ask("four words are here")
    calls = reeve.api().get(f"/api/v1/calls?agent={asker.agent}")["items"]
    costs = {call["door"]: (call["model"], call["cost"]["nanoUSD"]) for call in calls}
    assert costs["openai.embeddings"] == ("embedder", 4 * 1000)


def test_it_is_off_by_default(reeve: Server, asker) -> None:
    count = len(Embedder.asked)
    asker.ask("is it on", model="exact")
    assert verdict(asker.ask("it is on", model="exact")) == "miss" and len(Embedder.asked) == count


def test_it_is_counted(reeve: Server, asker) -> None:
    def value(line: str) -> float:
        text = httpx.get(f"{reeve.url}/metrics", headers=bearer(reeve.admin_key)).text
        found = [row for row in text.splitlines() if row.startswith(line)]
        return float(found[0].rsplit(" ", 1)[1]) if found else 0

    hits = 'reeve_gateway_cache_hits_total{model="kept",kind="semantic"}'
    saved = 'reeve_gateway_saved_dollars_total{model="kept",by="semantic"}'
    before = (value(hits), value(saved))
    asker.ask("to be counted or not")
    asker.ask("or not to be counted")
    assert value(hits) == before[0] + 1 and value(saved) > before[1]
