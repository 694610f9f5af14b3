"""While no target of a model takes calls its tasks wait, unspent, others go on, and all come back in steps."""

import threading
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from gateway_kit import FIRST, ROUND_PRICE, SECOND, asked, post, providers, running, script, started
from reeve_server import POSTGRES, Api, Claim, Server, new_database, until

ILL = {"fault": {"status": 500}}
MODEL = "small"
RAMP_SECONDS = 6
pytestmark = pytest.mark.usefixtures("plain")


@pytest.fixture(scope="module")
def settings(main: str, backup: str) -> dict:
    fast = {"failures": 2, "openSeconds": 0.5, "rampSeconds": RAMP_SECONDS}
    model = {"price": ROUND_PRICE, "retries": 0, "breaker": fast}
    models = {
        MODEL: {"targets": [FIRST], "tier": "cheap", **model},
        "other": {"targets": [SECOND], "tier": "premium", **model},
        "lasting": {"targets": [FIRST], **model, "breaker": {**fast, "openSeconds": 60}},
    }
    types = {"draft": {"tier": "cheap"}, "proof": {"model": "other"}}
    return {"providers": providers(main, backup), "models": models, "taskTypes": types}


@pytest.fixture(scope="module")
def reeve(settings: dict, engine: str, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Server]:
    with running(tmp_path_factory.mktemp(f"outage-{engine}"), settings, engine) as server:
        yield server


def ask(reeve: Server, agent: Api, model: str = MODEL, **headers: str) -> int:
    return post(reeve, agent.key, {"model": model, "messages": asked("hello")}, **headers).status_code


def dispatch(reeve: Server, model: str = MODEL) -> dict:
    return reeve.api().get(f"/api/v1/models/{model}")["dispatch"]


def fell(reeve: Server, agent: Api, main: str, model: str = MODEL) -> None:
    """Its only target fails until its breaker opens."""
    script(main, ILL)
    until(lambda: ask(reeve, agent, model) and dispatch(reeve, model)["state"] == "outage", what="the outage")


def heal(reeve: Server, main: str, model: str = MODEL) -> None:
    """As it was before the test."""
    script(main)
    reeve.api().post(f"/api/v1/models/{model}/reset")
    until(lambda: dispatch(reeve, model)["state"] == "normal", 20, "the end of the ramp")


def work(reeve: Server, agent: Api, claim: Claim) -> None:
    """As an agent does that asks its model and says whose fault it is."""
    if ask(reeve, agent, claim.task["model"], x_reeve_task=claim.id) == 200:
        claim.complete()
    else:
        claim.write("fail", 200, **{"class": "provider"})


def untouched(reeve: Server, task: dict) -> bool:
    found = reeve.api().task(task["id"])
    return (found["state"], found["attempts"], found["fence"]) == ("ready", 0, 0)


def events_of(reeve: Server, model: str, after: int) -> list[dict]:
    return [
        event
        for event in reeve.api().events(after)
        if event["type"].startswith("model.outage.") and event["data"]["model"] == model
    ]


def test_a_model_s_tasks_wait_while_others_go_on(reeve: Server, main: str, name: str) -> None:
    agent, since = reeve.make_agent(name), reeve.api().last_seq()
    fell(reeve, agent, main, "lasting")
    # The model's tasks stand first in the queue, and keep nobody.
    waiting = [reeve.api().create(name, model="lasting", priority=100) for _ in range(5)]
    others = [reeve.api().create(name), reeve.api().create(name, model="other")]
    assert [task["model"] for task in (waiting[0], *others)] == ["lasting", None, "other"]
    claimed = agent.claim_all(name, limit=10)
    assert {item["task"]["id"] for item in claimed} == {task["id"] for task in others}
    assert agent.claim_all(name, limit=10, wait=1) == []
    assert all(untouched(reeve, task) for task in waiting)

    explained = reeve.api().explain(waiting[0]["id"])
    assert (explained["state"], explained["claimable"]) == ("ready", False)
    assert explained["unmet"][0]["code"] == "model_outage" and "lasting" in explained["unmet"][0]["detail"]
    assert dispatch(reeve, "lasting")["share"] == 0 and dispatch(reeve, "other") == {
        "state": "normal", "share": 1.0, "since": None,
    }
    metrics = reeve.api().send("GET", "/metrics").text
    assert '\nreeve_model_dispatch_share{model="lasting"} 0\n' in metrics
    assert '\nreeve_model_dispatch_share{model="other"} 1\n' in metrics
    began = until(lambda: events_of(reeve, "lasting", since), what="the event")[0]
    assert began["type"] == "model.outage.began" and began["data"]["targets"] == ["main/gpt-4o-mini-2024-07-18"]

    # A claim that waits is woken when the outage ends, long before its own next look.
    found: list = []
    waiter = threading.Thread(target=lambda: found.extend(agent.claim_all(name, wait=20)))
    waiter.start()
    script(main)
    reeve.api().post("/api/v1/models/lasting/reset")
    healed_at = time.monotonic()
    waiter.join()
    assert [item["task"]["model"] for item in found] == ["lasting"] and time.monotonic() - healed_at < 3
    finish(reeve, agent, name, waiting, found)
    ended = until(lambda: events_of(reeve, "lasting", since)[1:], what="the end's event")[0]
    assert ended["type"] == "model.outage.ended" and ended["data"]["since"] == began["data"]["since"]
    assert ended["data"]["seconds"] > 0
    until(lambda: dispatch(reeve, "lasting")["state"] == "normal", what="the end of the ramp")


def finish(reeve: Server, agent: Api, queue: str, tasks: list[dict], items: list[dict] = []) -> None:
    """Works until all are done; none of them was ever counted as failed."""
    for item in items:
        work(reeve, agent, Claim(agent, item))
    end = time.monotonic() + 40
    while not all(reeve.api().state(task["id"]) == "done" for task in tasks):
        assert time.monotonic() < end, [reeve.api().task(task["id"])["state"] for task in tasks]
        for item in agent.claim_all(queue, limit=5, wait=1):
            work(reeve, agent, Claim(agent, item))
    assert [reeve.api().task(task["id"])["attempts"] for task in tasks] == [0] * len(tasks)


def test_one_probe_at_a_time_then_a_rising_share(reeve: Server, main: str, name: str) -> None:
    agent = reeve.make_agent(name)
    tasks = [reeve.api().create(name, model=MODEL) for _ in range(30)]
    fell(reeve, agent, main)
    # Its breaker takes a probe again: one task goes, and no second one beside it.
    first = until(lambda: agent.claim_all(name, limit=30), what="the first probe")
    assert len(first) == 1 and agent.claim_all(name, limit=30) == []
    # Still ill: nothing was counted against the task, and the others are as they were.
    work(reeve, agent, Claim(agent, first[0]))
    back = reeve.api().task(first[0]["task"]["id"])
    assert (back["state"], back["attempts"]) == ("scheduled", 0)
    assert sum(untouched(reeve, task) for task in tasks) == 29

    script(main)
    probe = until(lambda: agent.claim_all(name, limit=30), what="the second probe")
    assert len(probe) == 1
    work(reeve, agent, Claim(agent, probe[0]))
    found = dispatch(reeve)
    assert found["state"] == "ramping" and found["share"] in (0.1, 0.25)
    assert "model_ramp" in [unmet["code"] for unmet in reeve.api().explain(tasks[-1]["id"])["unmet"]]
    # Of the 28 or 29 that are ready, the first one and a tenth of the others; a quarter where the machine was slow.
    herd = agent.claim_all(name, limit=30)
    assert 1 <= len(herd) <= 8, len(herd)
    finish(reeve, agent, name, tasks, herd)
    until(lambda: dispatch(reeve) == {"state": "normal", "share": 1.0, "since": None}, what="the end of the ramp")


def test_types_and_queues_say_it_for_their_tasks(reeve: Server, main: str, name: str) -> None:
    api, agent = reeve.api(), reeve.make_agent(name)
    made = api.create(name, type="draft")
    assert (made["model"], made["tier"]) == ("tier:cheap", "cheap")
    assert api.create(name, type="draft", model="other")["model"] == "other"
    assert api.create(name, type="proof")["model"] == "other"
    assert api.create(name, tier="premium")["model"] == "tier:premium"
    assert api.create(name)["model"] is None
    queue = api.call("PATCH", f"/api/v1/queues/{name}", {"concurrency": 100}, 200)
    queue = api.call("PATCH", f"/api/v1/queues/{name}", {"model": "cheap"}, 200)
    assert (queue["model"], queue["concurrency"]) == ("tier:cheap", 100)
    by_queue = api.create(name)
    assert by_queue["model"] == "tier:cheap"
    fell(reeve, agent, main)
    claimed = agent.claim_all(name, limit=10)
    assert sorted(str(item["task"]["model"]) for item in claimed) == ["None", "other", "other", "tier:premium"]
    assert untouched(reeve, made) and untouched(reeve, by_queue)
    heal(reeve, main)
    api.call("PATCH", f"/api/v1/queues/{name}", {"model": None}, 200)
    assert api.create(name)["model"] is None


@pytest.mark.parametrize(
    "fields",
    [
        {"model": "none-such"}, {"tier": "standard"}, {"tier": "dear"}, {"model": "tier:dear"}, {"model": "tier:task"},
        {"model": MODEL, "tier": "cheap"}, {"model": 5}, {"model": "a b"}, {"model": ""}, {"model": "x" * 201},
    ],
)
def test_a_model_that_nobody_has_is_refused(reeve: Server, name: str, fields: dict) -> None:
    body = {"queue": name, "project": "tests", "type": "test", "title": "a task", **fields}
    reeve.api().refused("POST", "/api/v1/tasks", body, status=422, code="invalid")
    if "tier" not in fields:
        reeve.api().refused("PATCH", f"/api/v1/queues/{name}", fields, status=422, code="invalid")
    assert reeve.api().get(f"/api/v1/tasks?queue={name}")["items"] == []


def test_a_server_that_is_killed_in_an_outage_goes_on_in_it(
    settings: dict, engine: str, main: str, tmp_path: Path
) -> None:
    server = started(tmp_path, settings, engine)
    try:
        agent = server.make_agent("worker")
        fell(server, agent, main, "lasting")
        tasks = [server.api().create("work", model="lasting") for _ in range(8)]
        until(lambda: events_of(server, "lasting", 0), what="the outage's event")
        server.kill()
        server.start()
        # Its breaker's minute is forgotten, the outage is not: a single task goes, to see.
        assert dispatch(server, "lasting")["state"] == "outage"
        probe = agent.claim_all("work", limit=10)
        assert len(probe) == 1 and agent.claim_all("work", limit=10) == []
        work(server, agent, Claim(agent, probe[0]))
        assert server.api().task(probe[0]["task"]["id"])["attempts"] == 0
        assert agent.claim_all("work", limit=10) == [], "the probe failed, and its breaker is open for a minute"
        assert sum(untouched(server, task) for task in tasks) == 7
        # Once more, and it is well again this time.
        server.kill()
        script(main)
        server.start()
        finish(server, agent, "work", tasks)
        until(lambda: dispatch(server, "lasting")["state"] == "normal", 20, "the end of the ramp")
        told = until(lambda: len(found := events_of(server, "lasting", 0)) == 2 and found, what="both events")
        assert [event["type"] for event in told] == ["model.outage.began", "model.outage.ended"]
        # What is over is over at the next start too.
        server.kill()
        server.start()
        assert dispatch(server, "lasting")["state"] == "normal"
    finally:
        server.stop()


@pytest.mark.skipif(not POSTGRES, reason="two replicas need PostgreSQL")
def test_each_replica_goes_by_its_own_breakers(settings: dict, main: str, tmp_path: Path) -> None:
    database = new_database()
    servers = [started(tmp_path / part, settings, "postgres", database=database) for part in ("one", "two")]
    try:
        agent = servers[0].make_agent("worker")
        there = Api(servers[1].url, agent.key, agent.agent)
        fell(servers[0], agent, main, "lasting")
        servers[0].api().create("work", model="lasting")
        assert agent.claim_all("work") == [] and dispatch(servers[0], "lasting")["state"] == "outage"
        seen = servers[1].api(servers[0].admin_key).get("/api/v1/models/lasting")["dispatch"]
        assert seen["state"] == "normal"
        assert len(there.claim_all("work")) == 1
    finally:
        for server in servers:
            server.stop()
