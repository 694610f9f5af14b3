"""Runbooks on the command line, and a server that is killed (SIGKILL) while one acts: it goes on, and acts once."""

import json
import random
import sqlite3
import subprocess
import time
from pathlib import Path

import pytest

from reeve_server import BINARY, Server, environment, until

ON_ENGINES = ["sqlite"]
KILLS = 4
GOOD = """
name: mine
alerts: [Mine]
diagnosis:
  - {title: How many, query: 'sum(reeve_agents)'}
actions:
  - {action: pauseAgent, parameters: {agents: "{{agents}}"}}
verify:
  - {title: None, query: 'count(reeve_agents)', expect: ">= 0"}
"""
BAD = """
name: mine
diagnosis:
  - {title: How many, query: 'sum(reeve_agents'}
"""


def command(*arguments: str, server: Server | None = None) -> subprocess.CompletedProcess:
    where = environment(REEVE_URL=server.url, REEVE_KEY=server.admin_key) if server else None
    return subprocess.run([BINARY, *arguments], env=where, capture_output=True, text=True, timeout=60)


def open_incident(data_dir: Path, number: int, agent: str) -> str:
    """An incident about one agent, as its own service writes it."""
    name = f"incident_019aa000000070008000{number:012x}"
    with sqlite3.connect(data_dir / "reeve.db", timeout=20) as store:
        store.execute(
            "INSERT INTO incidents (id, title, severity, group_key, subjects, opened_by, detected_at)"
            " VALUES (?, 'it goes in circles', 'critical', ?, ?, 'reeve', ?)",
            (name, name, f'["agent:{agent}"]', int(time.time() * 1_000_000)),
        )
    return name


@pytest.fixture(scope="module")
def own(tmp_path_factory: pytest.TempPathFactory):
    """A server whose data is this file's own."""
    server = Server(tmp_path_factory.mktemp("runbooks") / "data")
    server.start()
    yield server
    server.stop()


def test_files_are_checked_without_a_server(tmp_path: Path) -> None:
    good, bad = tmp_path / "good.yml", tmp_path / "bad.yml"
    good.write_text(GOOD)
    bad.write_text(BAD)
    done = command("runbooks", "check", str(good))
    assert done.returncode == 0 and "mine, 3 steps" in done.stdout, done.stdout + done.stderr
    done = command("runbooks", "check", "--json", str(good), str(bad))
    assert done.returncode == 1, done.stdout
    files = json.loads(done.stdout)["files"]
    assert [file["ok"] for file in files] == [True, False]
    assert (files[1]["line"], files[1]["column"]) == (4, 30), files[1]
    # A second one of the same name is a fault of the second.
    assert command("runbooks", "check", str(good), str(good)).returncode == 1
    assert command("runbooks", "check").returncode == 2
    assert command("runbooks", "check", str(tmp_path / "none.yml")).returncode == 1


def test_a_runbook_is_run_and_seen(own: Server) -> None:
    api = own.api()
    for name in ("seen", "healthy"):
        api.post("/api/v1/agents", {"name": name}, 201)
    incident = open_incident(own.data_dir, 100, "seen")
    listed = command("runbooks", "list", "--json", "--limit", "200", server=own)
    names = [item["name"] for item in json.loads(listed.stdout)["items"]]
    assert {"ToolStorm", "AgentDown", "llm-outage", "silent-drift"} <= set(names)
    assert command("incident", "run", incident, server=own).returncode == 1, "no runbook is for its alerts"

    # Without a yes it stops before the first action.
    asked = command("incident", "run", incident, "--runbook", "HighErrorRate", server=own)
    assert asked.returncode == 0 and "waits for a yes" in asked.stdout, asked.stdout + asked.stderr
    assert api.get("/api/v1/agents/seen")["status"] != "paused"
    shown = command("incident", "contain", incident, "--preview", server=own)
    assert shown.returncode == 0 and "1: seen" in shown.stdout, shown.stdout + shown.stderr
    done = command("incident", "contain", incident, "--approve", "--json", server=own)
    assert [item["state"] for item in json.loads(done.stdout)["items"]] == ["acting"], done.stdout
    until(lambda: api.get("/api/v1/agents/seen")["status"] == "paused", 10, "the pause")
    assert api.get("/api/v1/agents/healthy")["status"] != "paused"
    held = json.loads(command("incident", "contain", "--json", server=own).stdout)["items"]
    assert [item["incident"] for item in held] == [incident], held
    done = command("incident", "contain", "--only", held[0]["id"], "--reverse", server=own)
    assert done.returncode == 0, done.stderr
    until(lambda: api.get("/api/v1/agents/seen")["status"] != "paused", 10, "the way back")

    # Only to be read, and with people's items at its end.
    shown = command("incident", "run", incident, "--runbook", "silent-drift", "--yes", server=own)
    assert shown.returncode == 0 and "to tick" in shown.stdout and "checking" in shown.stdout, shown.stdout
    assert command("incident", "run", "incident_1", server=own).returncode == 1


def test_a_run_goes_on_after_each_kill_and_acts_once(own: Server) -> None:
    chance = random.Random(20261123)
    for number in range(KILLS):
        api = own.api()
        agent, healthy = f"looping-{number}", f"steady-{number}"
        for name in (agent, healthy):
            api.post("/api/v1/agents", {"name": name}, 201)
        parent = api.create(f"queue-{number}")
        child = api.create(f"queue-{number}", dependsOn=[parent["id"]])
        incident = open_incident(own.data_dir, number, agent)
        run = api.post(f"/api/v1/incidents/{incident}/run", {"runbook": "infinite-loop", "approve": True}, 201)
        order = {"action": "holdDownstream", "parameters": {"tasks": [parent["id"]]}, "approve": True}
        held = api.post(f"/api/v1/incidents/{incident}/containments", order, 201)

        # The loops take their steps a quarter of a second apart.
        time.sleep(chance.uniform(0, 0.8))
        own.kill()
        own.start()
        api = own.api()

        def acted(api=api, run=run, held=held) -> bool:
            steps = api.get(f"/api/v1/runs/{run['id']}")["steps"]
            over = all(s["state"] in ("done", "skipped") for s in steps if s["kind"] == "action")
            return over and api.get(f"/api/v1/containments/{held['id']}")["state"] == "acted"

        until(acted, 20, "all actions")
        events = api.events()
        paused = [event["agent"] for event in events if event["type"] == "agent.paused"]
        assert paused.count(agent) == 1 and healthy not in paused, paused
        holds = [e for e in events if e["type"] == "task.hold_set" and e.get("taskId") == child["id"]]
        assert len(holds) == 1, holds
        ends = [e for e in events if e["type"] == "containment.acted" and e["data"]["containment"] == held["id"]]
        assert len(ends) == 1, ends
        api.post(f"/api/v1/containments/{held['id']}/reverse", {}, 200)


def claims(data_dir: Path, containment: str) -> int:
    """What is held by a containment, as the store says."""
    with sqlite3.connect(data_dir / "reeve.db", timeout=20) as store:
        return store.execute(
            "SELECT count(*) FROM containment_claims WHERE step LIKE ?", (f"{containment}/%",)
        ).fetchone()[0]


def test_a_plan_goes_on_after_each_kill_acts_once_and_is_taken_back_once(own: Server) -> None:
    chance = random.Random(20261124)
    for number in range(KILLS):
        api = own.api()
        agent, healthy, queue = f"circling-{number}", f"working-{number}", f"circles-{number}"
        for name in (agent, healthy):
            api.post("/api/v1/agents", {"name": name}, 201)
        task = api.create(queue)
        claimed = api.post("/api/v1/tasks/claim", {"queues": [queue], "agent": agent, "limit": 1}, 200)
        fence = claimed["items"][0]["fence"]
        labels = {"alertname": f"Circles{number}", "severity": "critical", "agent": agent,
                  "failure_mode": "infinite-loop"}
        assert api.send("POST", "/api/v2/alerts", json=[{"labels": labels}]).status_code == 200
        known = api.get("/api/v1/alerts?limit=200")["items"]
        incident = next(item["incident"] for item in known if item["labels"]["alertname"] == f"Circles{number}")
        plan = api.get(f"/api/v1/incidents/{incident}/containments")["items"][0]
        one = f"/api/v1/containments/{plan['id']}"

        for verb, end in (("approve", "acted"), ("reverse", "reversed")):
            own.api().post(f"{one}/{verb}", {}, 200)
            time.sleep(chance.uniform(0, 0.4))
            own.kill()
            own.start()
            until(lambda: own.api().get(one)["state"] == end, 20, end)
            if verb == "approve":
                assert {step["state"] for step in own.api().get(one)["steps"]} == {"done"}
                assert own.api().get(f"/api/v1/agents/{agent}")["status"] == "paused"
                assert own.api().task(task["id"])["holds"] == ["incident"]

        api = own.api()
        now = api.task(task["id"])
        assert now["fence"] == fence + 1 and now["holds"] == [], now
        assert api.get(f"/api/v1/agents/{agent}")["status"] != "paused"
        assert claims(own.data_dir, plan["id"]) == 0
        mine = [event for event in api.events() if agent in json.dumps(event) or task["id"] in json.dumps(event)]
        kinds = [event["type"] for event in mine]
        for kind in ("agent.paused", "agent.resumed", "task.hold_set", "task.reassigned"):
            assert kinds.count(kind) == 1, (kind, kinds)
        ends = [e["type"] for e in api.events() if e.get("data", {}).get("containment") == plan["id"]]
        assert ends.count("containment.acted") == 1 and ends.count("containment.reversed") == 1, ends
        assert not any(healthy in json.dumps(event) for event in mine), "the healthy one was touched"
