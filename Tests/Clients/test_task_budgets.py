"""A task's own budget caps its model calls for its whole life; unmodified agents' calls count for what they hold."""

from collections.abc import Iterator
from pathlib import Path

import anthropic
import httpx
import openai
import pytest

from gateway_kit import running, script, started
from reeve_server import ENGINES, Api, Claim, Server, new_database, until
from test_budgets import COST, HELLO, MODEL, calls_of, settings, standing, storm  # noqa: F401

pytestmark = pytest.mark.usefixtures("plain")


@pytest.fixture(scope="module")
def reeve(settings: dict, engine: str, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Server]:  # noqa: F811
    with running(tmp_path_factory.mktemp(f"task-budgets-{engine}"), settings, engine) as server:
        yield server


def ask(reeve: Server, agent: Api, task: str | None = None, **fields) -> httpx.Response:
    headers = {"authorization": f"Bearer {agent.key}"}
    if task:
        headers["x-reeve-task"] = task
    body = {"model": MODEL, "messages": HELLO, "max_tokens": 4, **fields}
    return httpx.post(f"{reeve.url}/v1/chat/completions", json=body, headers=headers, timeout=30)


def given(reeve: Server, name: str, budget: dict | None, **fields) -> tuple[Api, Claim]:
    """A task with that budget in the hands of an agent of its own."""
    reeve.api().create(name, budget=budget, **fields)
    agent = reeve.make_agent(f"agent-{name}")
    return agent, agent.claim(name)


def record(reeve: Server, answer: httpx.Response) -> dict:
    path = f"/api/v1/calls/{answer.headers['x-reeve-call']}"
    return until(lambda: (call := reeve.api().get(path))["status"] != "running" and call, 5, "the call's record")


@pytest.mark.parametrize(("unit", "limit"), [("usd", 0.00001), ("tokens", 30), ("steps", 2)])
def test_every_unit_of_a_task_s_budget_caps_its_calls(reeve: Server, name: str, unit: str, limit: float) -> None:
    agent, claim = given(reeve, name, {unit: limit})
    answers = [ask(reeve, agent, claim.id) for _ in range(5)]
    codes = [answer.status_code for answer in answers]
    assert codes[0] == 200 and codes[-1] == 402 and sorted(codes) == codes, codes
    error = answers[-1].json()["error"]
    assert error["code"] == "budget_exceeded"
    assert f"task:{claim.id}" in error["message"] and f"PUT /api/v1/budgets/task:{claim.id}" in error["message"]
    found = standing(reeve, f"task:{claim.id}")
    used = codes.count(200)
    # Near the cap shorter answers are asked for.
    cost = sum(record(reeve, answer)["cost"]["nanoUSD"] for answer in answers[:used])
    assert (found["settled"]["nanoUSD"], found["settled"]["calls"], found["settled"]["steps"]) == (cost, used, used)
    assert found["settled"][{"usd": "nanoUSD"}.get(unit, unit)] <= limit * (1e9 if unit == "usd" else 1)
    assert found["limit"] == {unit: limit} and (found["period"], found["mode"]) == ("total", "strict")


def test_refusals_speak_both_dialects(reeve: Server, name: str) -> None:
    agent, claim = given(reeve, name, {"steps": 0})
    chat = openai.OpenAI(base_url=f"{reeve.url}/v1", api_key=agent.key, max_retries=0)
    with pytest.raises(openai.APIStatusError) as refused:
        chat.chat.completions.create(model=MODEL, messages=HELLO)
    assert (refused.value.status_code, refused.value.code) == (402, "budget_exceeded")
    claude = anthropic.Anthropic(base_url=reeve.url, api_key=agent.key, max_retries=0)
    with pytest.raises(anthropic.APIStatusError, match=claim.id) as told:
        claude.messages.create(model=MODEL, max_tokens=10, messages=HELLO)
    assert told.value.status_code == 402


def test_budgets_without_money_tokens_or_steps_cap_nothing(reeve: Server, name: str) -> None:
    agent, claim = given(reeve, name, {"toolCalls": 0, "seconds": 60})
    assert ask(reeve, agent, claim.id).status_code == 200
    reeve.api().refused("GET", f"/api/v1/budgets/task:{claim.id}", status=404)


def test_dollars_are_exact_to_the_last_billionth(reeve: Server, name: str) -> None:
    made = reeve.api().create(name, budget={"usd": "123456789.000000001"})
    assert made["budget"]["usd"] == "123456789.000000001"
    assert standing(reeve, f"task:{made['id']}")["remaining"]["nanoUSD"] == 123456789_000000001
    body = {"queue": name, "project": "tests", "type": "test", "title": "too fine", "budget": {"usd": "0.0000000001"}}
    reeve.api().refused("POST", "/api/v1/tasks", body, status=422, code="invalid")


def test_a_storm_stays_within_the_task_s_cap(reeve: Server, name: str) -> None:
    cap = 50 * COST
    agent, claim = given(reeve, name, {"usd": cap / 1e9})
    # None of these calls names the task: the claim says it.
    statuses = storm([reeve], [agent.key], 250)
    found = standing(reeve, f"task:{claim.id}")
    assert set(statuses) == {200, 402}
    assert cap - 3 * COST < found["settled"]["nanoUSD"] <= cap and found["held"]["nanoUSD"] == 0
    assert found["settled"]["calls"] == statuses.count(200) and found["breaches"] == 0
    booked = until(
        lambda: len(calls := calls_of(reeve, agent.agent)) == statuses.count(200) and calls, 10, "all records"
    )
    assert found["settled"]["nanoUSD"] == sum(call["cost"]["nanoUSD"] for call in booked)
    assert {call["task"] for call in booked} == {claim.id}


def test_the_cap_lives_over_attempts_and_a_kill(settings: dict, engine: str, tmp_path: Path) -> None:  # noqa: F811
    server = started(tmp_path, settings, engine)
    cap = 60 * COST
    agent, claim = given(server, "work", {"usd": cap / 1e9}, maxAttempts=5)
    assert [ask(server, agent, claim.id).status_code for _ in range(4)] == [200] * 4
    server.kill()
    server.start()
    assert ask(server, agent).status_code == 200, "the claim is known at once after a start"
    found = until(
        lambda: (now := standing(server, f"task:{claim.id}"))["settled"]["calls"] == 5 and now, 20, "the replay"
    )
    # What had just ended may be booked at what it held, and nothing below what it cost.
    assert 5 * COST <= found["settled"]["nanoUSD"] <= 5 * COST + 4 * 20_000
    claim.write("fail", message="once more", **{"class": "retryable"})
    again = until(lambda: (items := agent.claim_all("work", wait=5)) and items[0], 60, "the second attempt")
    assert again["task"]["id"] == claim.id and again["fence"] > claim.fence
    codes = [ask(server, agent).status_code for _ in range(62)]
    assert codes == sorted(codes) and codes[0] == 200 and codes[-1] == 402
    found = standing(server, f"task:{claim.id}")
    assert cap - 3 * COST <= found["settled"]["nanoUSD"] <= cap and found["breaches"] == 0
    assert found["settled"]["calls"] == 5 + codes.count(200)
    server.stop()


def test_a_raised_cap_lets_the_task_go_on(reeve: Server, name: str) -> None:
    agent, claim = given(reeve, name, {"steps": 1})
    assert [ask(reeve, agent, claim.id).status_code for _ in range(2)] == [200, 402]
    limit = {"limit": {"steps": 2}, "period": "total", "mode": "strict"}
    reeve.api().call("PUT", f"/api/v1/budgets/task:{claim.id}", limit)
    assert [ask(reeve, agent, claim.id).status_code for _ in range(2)] == [200, 402]


def test_a_task_that_has_ended_keeps_its_cap(reeve: Server, name: str) -> None:
    agent, claim = given(reeve, name, {"steps": 2})
    assert ask(reeve, agent).status_code == 200
    claim.complete({}, 200)
    # Nothing is held any more, so a call that names nothing counts for nothing.
    assert record(reeve, ask(reeve, agent))["task"] is None
    assert [ask(reeve, agent, claim.id).status_code for _ in range(2)] == [200, 402]
    assert standing(reeve, f"task:{claim.id}")["settled"]["steps"] == 2


def test_calls_count_for_the_one_task_that_the_agent_holds(reeve: Server, name: str) -> None:
    agent = reeve.make_agent(f"agent-{name}")
    assert record(reeve, ask(reeve, agent))["task"] is None
    reeve.api().create(name, budget={"steps": 10})
    first = agent.claim(name)
    assert record(reeve, ask(reeve, agent))["task"] == first.id
    reeve.api().create(name)
    second = agent.claim(name)
    assert record(reeve, ask(reeve, agent))["task"] is None, "of two nobody knows which"
    assert record(reeve, ask(reeve, agent, second.id))["task"] == second.id
    assert record(reeve, ask(reeve, agent, "elsewhere"))["task"] == "elsewhere"
    second.complete({}, 200)
    assert record(reeve, ask(reeve, agent))["task"] == first.id
    assert standing(reeve, f"task:{first.id}")["settled"]["calls"] == 2
    # Another agent's calls are its own.
    assert record(reeve, ask(reeve, reeve.make_agent(f"other-{name}")))["task"] is None


def test_a_lease_that_ran_out_takes_the_calls_with_it(reeve: Server, name: str) -> None:
    agent, claim = given(reeve, name, {"steps": 10}, leaseSeconds=1, onLeaseLost="hold")
    assert record(reeve, ask(reeve, agent))["task"] == claim.id
    reeve.api().await_state(claim.id, "held")
    assert record(reeve, ask(reeve, agent))["task"] is None


def test_a_canceled_task_s_unnamed_calls_are_stopped(reeve: Server, name: str, main: str) -> None:
    agent, claim = given(reeve, name, {"steps": 10})
    script(main, {"say": "word " * 400, "fault": {"pauseSeconds": 0.05}})
    chat = openai.OpenAI(base_url=f"{reeve.url}/v1", api_key=agent.key, max_retries=0)
    stream = chat.chat.completions.create(model=MODEL, messages=HELLO, stream=True)
    next(iter(stream))
    reeve.api().post(f"/api/v1/tasks/{claim.id}/cancel")
    with pytest.raises(openai.APIError, match="was canceled"):
        list(stream)


@pytest.mark.skipif("postgres" not in ENGINES, reason="needs PostgreSQL")
def test_two_replicas_hold_one_task_to_its_cap(tmp_path: Path, settings: dict) -> None:  # noqa: F811
    database = new_database()
    servers = [started(tmp_path / name, settings, "postgres", database=database) for name in ("one", "two")]
    cap = 60 * COST
    servers[0].api().create("shared", budget={"usd": cap / 1e9})
    key = servers[0].make_key("agent", "the worker's", "worker")
    worker = Api(servers[1].url, key, "worker")
    claim = worker.claim("shared", wait=10)
    # The replica that did not hand it out hears of it within about a second.
    until(lambda: record(servers[0], ask(servers[0], worker))["task"] == claim.id, 5, "the other replica's knowledge")
    statuses = storm(servers, [key, key], 200)
    servers[1].kill()
    servers[1].start()
    statuses += storm(servers, [key, key], 100)
    found = until(
        lambda: (now := standing(servers[0], f"task:{claim.id}"))["held"]["nanoUSD"] == 0 and now, 20, "the last settle"
    )
    assert set(statuses) <= {200, 402, 503}, set(statuses)
    assert cap - 3 * COST < found["settled"]["nanoUSD"] <= cap and found["breaches"] == 0, found
    for server in servers:
        server.stop()
