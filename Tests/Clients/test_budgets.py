"""Budgets hold for every call: no nano-dollar beyond them, and no honest caller refused while money is left."""

import threading
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import anthropic
import httpx
import openai
import pytest

from gateway_kit import (
    FIRST, anthropic_of, asked, bearer, explained, openai_of, post, providers, record_of, running, script, started,
)
from reeve_server import ENGINES, Server, new_database, until

HELLO = asked("hello there")
MODEL = "gpt-4o-mini"
# Two tokens in at 150 billionths of a dollar each, four out at 600.
COST = 2700
ON_ENGINES = ["sqlite"]
pytestmark = pytest.mark.usefixtures("plain")


@pytest.fixture(scope="module")
def settings(main: str, backup: str) -> dict:
    models = {MODEL: {"targets": [FIRST], "price": {"input": 0.15, "output": 0.60}}}
    return {"providers": providers(main, backup), "models": models}


@pytest.fixture(scope="module")
def reeve(settings: dict, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Server]:
    with running(tmp_path_factory.mktemp("budgets"), settings) as server:
        yield server


def put(reeve: Server, scope: str, limit: dict, mode: str = "strict", period: str = "total") -> dict:
    return reeve.api().call("PUT", f"/api/v1/budgets/{scope}", {"limit": limit, "period": period, "mode": mode})


def standing(reeve: Server, scope: str) -> dict:
    return reeve.api().get(f"/api/v1/budgets/{scope}")


def ask(reeve: Server, key: str, **fields) -> httpx.Response:
    return post(reeve, key, {"model": MODEL, "messages": HELLO, **fields}, timeout=30)


def test_a_call_is_settled_at_what_it_cost(reeve: Server, name: str) -> None:
    put(reeve, f"agent:{name}", {"usd": 1})
    key = reeve.make_agent(name).key
    assert ask(reeve, key).status_code == 200
    found = standing(reeve, f"agent:{name}")
    assert found["settled"] == {"nanoUSD": COST, "tokens": 6, "calls": 1, "steps": 1}
    assert found["held"]["nanoUSD"] == 0


def test_what_was_held_and_what_refused_is_told(reeve: Server, name: str) -> None:
    put(reeve, f"agent:{name}", {"calls": 1})
    key = reeve.make_agent(name).key
    paid, refused = (ask(reeve, key, max_tokens=5).headers["x-reeve-call"] for _ in range(2))
    assert record_of(reeve, paid)["status"] == "done"
    texts = {step["kind"]: step["text"] for step in explained(reeve, paid)}
    assert f"agent:{name} up to $" in texts["held"] and "its breaker was closed" in texts["candidate"]
    texts = {step["kind"]: step["text"] for step in explained(reeve, refused)}
    assert f"The budget agent:{name} refused it" in texts["refused"]


@pytest.mark.parametrize("unit, limit", [("calls", 2), ("steps", 2), ("tokens", 30), ("usd", 0.00001)])
def test_every_unit_is_a_limit(reeve: Server, name: str, unit: str, limit: float) -> None:
    put(reeve, f"agent:{name}", {unit: limit})
    key = reeve.make_agent(name).key
    answers = [ask(reeve, key, max_tokens=5) for _ in range(4)]
    codes = [answer.status_code for answer in answers]
    assert codes[0] == 200 and codes[-1] == 402 and sorted(codes) == codes, codes
    error = answers[-1].json()["error"]
    assert error["code"] == "budget_exceeded" and f"agent:{name}" in error["message"]
    settled = standing(reeve, f"agent:{name}")["settled"]
    assert settled["nanoUSD" if unit == "usd" else unit] <= (limit * 1e9 if unit == "usd" else limit)


def test_refusals_speak_the_caller_s_dialect(reeve: Server, name: str) -> None:
    put(reeve, f"agent:{name}", {"calls": 0})
    key = reeve.make_agent(name).key
    with pytest.raises(openai.APIStatusError) as refused:
        openai_of(reeve, key).chat.completions.create(model=MODEL, messages=HELLO)
    assert (refused.value.status_code, refused.value.code) == (402, "budget_exceeded")
    with pytest.raises(anthropic.APIStatusError) as told:
        anthropic_of(reeve, key).messages.create(model=MODEL, max_tokens=10, messages=HELLO)
    assert told.value.status_code == 402
    assert "PUT /api/v1/budgets" in told.value.body["error"]["message"]


@pytest.mark.parametrize("scope", ["org", "project:default", "agent:{}", "task:t-{}", "session:s-{}", "tag:x-{}", "key:"])
def test_every_scope_counts(reeve: Server, name: str, scope: str) -> None:
    agent = reeve.make_agent(name)
    if scope == "key:":
        keys = reeve.api().get("/api/v1/keys")["items"]
        scope += next(item["id"] for item in keys if item.get("agent") == name)
    scope = scope.format(name)
    put(reeve, scope, {"usd": 1})
    named = {"x_reeve_task": f"t-{name}", "x_reeve_session": f"s-{name}", "x_reeve_tags": f"x-{name}"}
    assert post(reeve, agent.key, {"model": MODEL, "messages": HELLO}, **named).status_code == 200
    assert standing(reeve, scope)["settled"]["calls"] == 1
    reeve.api().call("DELETE", f"/api/v1/budgets/{scope}")


def test_a_heartbeat_tells_of_the_budget(reeve: Server, name: str) -> None:
    limit = {"limit": {"usd": 0.00001}, "period": "total", "mode": "strict", "softPercent": 50}
    reeve.api().call("PUT", f"/api/v1/budgets/agent:{name}", limit)
    agent = reeve.make_agent(name)
    ask(reeve, agent.key, max_tokens=5)
    told = agent.post("/api/events/ingest", {"type": "agent.heartbeat"})["budget"]
    assert told["scope"] == f"agent:{name}" and told["settled"]["nanoUSD"] == COST
    assert told["fraction"] == 0.27 and told["softLimitReached"] is False
    ask(reeve, agent.key, max_tokens=5)
    told = agent.post("/api/events/ingest", {"type": "agent.heartbeat"})["budget"]
    assert told["softLimitReached"] is True


def test_near_the_cap_a_shorter_answer_is_asked_for(reeve: Server, name: str, main: str) -> None:
    put(reeve, f"agent:{name}", {"tokens": 60})
    key = reeve.make_agent(name).key
    script(main, {"say": "word " * 200})
    answer = ask(reeve, key)
    assert answer.status_code == 200 and answer.json()["choices"][0]["finish_reason"] == "length"
    assert 4 < standing(reeve, f"agent:{name}")["settled"]["tokens"] <= 60


def test_a_stream_is_stopped_at_the_cap(reeve: Server, name: str, main: str) -> None:
    cap = 0.00015
    put(reeve, f"agent:{name}", {"usd": cap})
    key = reeve.make_agent(name).key
    script(main, {"say": "word " * 1000})
    answer = ask(reeve, key, stream=True)
    assert answer.status_code == 200 and "budget_exceeded" in answer.text and "[DONE]" not in answer.text
    found = standing(reeve, f"agent:{name}")
    assert cap * 1e9 / 3 < found["settled"]["nanoUSD"] <= cap * 1e9 and found["held"]["nanoUSD"] == 0
    call = reeve.api().get(f"/api/v1/calls/{answer.headers['x-reeve-call']}")
    assert call["cost"]["nanoUSD"] == found["settled"]["nanoUSD"] and call["usage"]["estimated"] is True


def test_observe_counts_and_elastic_stretches(reeve: Server, name: str) -> None:
    put(reeve, f"agent:{name}", {"calls": 1}, mode="observe")
    key = reeve.make_agent(name).key
    assert [ask(reeve, key).status_code for _ in range(3)] == [200] * 3
    assert standing(reeve, f"agent:{name}")["settled"]["calls"] == 3
    put(reeve, f"agent:{name}-2", {"calls": 10}, mode="elastic(20%)")
    key = reeve.make_agent(f"{name}-2").key
    assert [ask(reeve, key).status_code for _ in range(13)] == [200] * 12 + [402]


def test_held_money_is_said_to_be_held(reeve: Server, name: str, main: str) -> None:
    put(reeve, f"agent:{name}", {"calls": 1})
    key = reeve.make_agent(name).key
    script(main, {"fault": {"hang": True}})
    first = threading.Thread(target=lambda: pytest.raises(httpx.TimeoutException, ask_briefly, reeve, key))
    first.start()
    until(lambda: standing(reeve, f"agent:{name}")["held"]["calls"] == 1, what="the first call to be held for")
    answer = ask(reeve, key)
    assert answer.status_code == 429 and answer.json()["error"]["code"] == "budget_in_flight"
    assert int(answer.headers["retry-after"]) >= 1
    first.join()
    until(lambda: standing(reeve, f"agent:{name}")["held"]["calls"] == 0, what="the first call's end")


def test_a_client_that_leaves_leaves_nothing_open(tmp_path: Path, settings: dict, main: str) -> None:
    server = started(tmp_path, settings)
    key = server.make_agent("leaver").key
    script(main, {"fault": {"hang": True}})
    with pytest.raises(httpx.TimeoutException):
        ask_briefly(server, key, 0.5)
    began = time.monotonic()
    assert server.stop() == 0 and time.monotonic() - began < 5


def ask_briefly(reeve: Server, key: str, seconds: float = 5) -> None:
    post(reeve, key, {"model": MODEL, "messages": HELLO}, timeout=seconds)


def storm(servers: list[Server], keys: list[str], calls: int, is_streamed: bool = False) -> list[int]:
    """So many calls at once; the status of each, 0 where the server went away."""
    body = {"model": MODEL, "messages": HELLO, "max_tokens": 8, "stream": is_streamed}

    clients = [httpx.Client(timeout=30, limits=httpx.Limits(max_connections=64)) for _ in servers]

    def one(number: int) -> int:
        which = number % len(servers)
        headers = bearer(keys[which])
        for _ in range(20):
            try:
                answer = clients[which].post(f"{servers[which].url}/v1/chat/completions", json=body, headers=headers)
            except httpx.HTTPError:
                return 0
            if answer.status_code != 429:
                return answer.status_code
        return 429

    with ThreadPoolExecutor(64) as pool:
        return list(pool.map(one, range(calls)))


@pytest.mark.parametrize("is_streamed", [False, True])
def test_a_storm_of_calls_stays_within_the_cap(reeve: Server, name: str, is_streamed: bool) -> None:
    cap = 100 * COST
    put(reeve, f"agent:{name}", {"usd": cap / 1e9})
    key = reeve.make_agent(name).key
    statuses = storm([reeve], [key], 500, is_streamed)
    found = standing(reeve, f"agent:{name}")
    assert set(statuses) <= {200, 402}, set(statuses)
    assert found["settled"]["nanoUSD"] <= cap and found["held"]["nanoUSD"] == 0
    # What is left would not have been enough for the bound of another call.
    assert found["settled"]["nanoUSD"] > cap - 3 * COST, found
    if not is_streamed:
        assert found["settled"]["nanoUSD"] == sum(c["cost"]["nanoUSD"] for c in calls_of(reeve, name))


def calls_of(reeve: Server, agent: str) -> list[dict]:
    found, after = [], ""
    while True:
        page = reeve.api().get(f"/api/v1/calls?agent={agent}&limit=200{after}")
        found += [call for call in page["items"] if call["cost"]]
        if not page.get("next"):
            return found
        after = f"&after={page['next']}"


def test_a_killed_server_forgets_no_money(tmp_path: Path, settings: dict, main: str) -> None:
    """What was in flight is booked at what it held, everything else at what it cost; no record is missing."""
    server = started(tmp_path, settings)
    cap = 1000 * COST
    put(server, "agent:victim", {"usd": cap / 1e9})
    agent = server.make_agent("victim")
    done = [ask(server, agent.key).status_code for _ in range(20)]
    script(main, {"fault": {"hang": True}})
    hanging = threading.Thread(target=lambda: pytest.raises(httpx.HTTPError, ask, server, agent.key))
    hanging.start()
    until(lambda: standing(server, "agent:victim")["held"]["calls"] == 1, what="the call to be held for")
    held = standing(server, "agent:victim")["held"]["nanoUSD"]
    server.kill()
    hanging.join()
    server.start()
    found = until(
        lambda: (now := standing(server, "agent:victim"))["settled"]["calls"] == 21 and now, what="the journal's replay"
    )
    assert done == [200] * 20 and held > 0
    assert 20 * COST + held >= found["settled"]["nanoUSD"] >= 20 * COST and found["held"]["nanoUSD"] == 0
    records = until(lambda: len(all_calls := calls_of(server, "victim")) == 21 and all_calls, what="all records")
    assert sum(call["cost"]["nanoUSD"] for call in records) == found["settled"]["nanoUSD"]
    server.stop()


@pytest.mark.skipif("postgres" not in ENGINES, reason="needs PostgreSQL")
def test_two_replicas_and_one_killed_stay_within_one_cap(tmp_path: Path, settings: dict) -> None:
    database = new_database()
    servers = [started(tmp_path / name, settings, "postgres", database=database) for name in ("one", "two")]
    cap = 200 * COST
    put(servers[0], "project:default", {"usd": cap / 1e9})
    keys = [servers[0].make_agent(f"agent-{number}").key for number in range(2)]
    killer = threading.Timer(1.0, servers[1].kill)
    killer.start()
    statuses = storm(servers, keys, 500)
    killer.join()
    # What the killed one had borrowed is back with its return, but for what was in flight.
    servers[1].start()
    after = storm(servers, keys, 200)
    found = until(
        lambda: (now := standing(servers[0], "project:default"))["held"]["nanoUSD"] == 0 and now, what="the last settle"
    )
    assert set(statuses) <= {200, 402, 429, 503, 0} and set(after) <= {200, 402, 503}, (set(statuses), set(after))
    assert cap - 3 * COST < found["settled"]["nanoUSD"] <= cap, found
    for server in servers:
        server.stop()
