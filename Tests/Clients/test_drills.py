"""Drills against a real server: each fault is found, contained without touching healthy agents, and mended."""

import json
import subprocess

import pytest
from reeve_server import BINARY, Server, environment, until

# What drills need of the store has its tests on both engines.
ON_ENGINES = ["sqlite"]

NAMES = ["model-outage", "hung-agent", "looping-agent", "bad-deliverable", "cost-spike", "queue-backup", "tool-timeout"]


@pytest.fixture(scope="module")
def yard(tmp_path_factory):
    server = Server(tmp_path_factory.mktemp("drills") / "data").start()
    yield server
    server.stop()


def drill(server, name, *arguments):
    return subprocess.run(
        [BINARY, "drill", name, "--url", server.url, "--key", server.admin_key, *arguments],
        capture_output=True, text=True, timeout=50, env=environment(),
    )  # fmt: skip


@pytest.mark.parametrize("name", NAMES)
def test_a_drill_is_found_contained_and_over(yard, name):
    run = drill(yard, name, "--json")
    assert run.returncode == 0, run.stdout + run.stderr + yard.tail()
    report, api = json.loads(run.stdout), yard.api()
    bounds = report["bounds"]
    assert report["drill"] == name and report["detected"] and report["contained"] and report["recovered"]
    assert 0 < report["detectedAfterSeconds"] <= bounds["detectSeconds"]
    assert report["detectedAfterSeconds"] < report["containedAfterSeconds"] <= bounds["containSeconds"]
    assert report["containedAfterSeconds"] < report["recoveredAfterSeconds"] <= bounds["recoverSeconds"] < 40
    assert report["agents"]["touched"] == [] and report["agents"]["healthy"] and report["agents"]["faulty"]

    incident = api.get(f"/api/v1/incidents/{report['incident']}", 200)
    reached = incident["milestones"]
    assert all(reached[f"{word}At"] for word in ("detected", "contained", "mitigated", "verified", "resolved"))
    assert {entry["kind"] for entry in incident["timeline"]} >= {"alert", "milestone", "containment"}
    acted = api.get(f"/api/v1/incidents/{report['incident']}/containments", 200)["items"]
    assert acted and all(one["state"] not in ("proposed", "asked", "acting", "acted") for one in acted), acted

    # Nothing is left: no alert, no hold, no agent, no task, no key.
    until(lambda: not [one for one in api.get("/api/v1/alerts")["items"] if one["labels"].get("drill")], 20)
    prefix = report["agents"]["healthy"][0].removesuffix("steady")
    until(
        lambda: not [one for one in api.get("/api/v1/agents?limit=500")["items"] if one["name"].startswith(prefix)], 45
    )
    keys = api.get("/api/v1/keys?limit=500")["items"]
    assert all(key["revokedAt"] for key in keys if (key.get("agent") or "").startswith(prefix))
    tasks = api.get(f"/api/v1/tasks?project={prefix.removesuffix('-')}&limit=500")["items"]
    assert tasks and all(task["state"] in ("done", "failed", "canceled", "skipped", "expired") for task in tasks)


def test_a_drill_whose_command_is_killed_leaves_nothing(yard):
    api = yard.api()
    command = subprocess.Popen(
        [BINARY, "drill", "model-outage", "--url", yard.url, "--key", yard.admin_key],
        stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL, env=environment(),
    )  # fmt: skip
    running = until(lambda: [one for one in api.get("/api/v1/drills")["items"] if not one["endedAt"]])[0]

    def acted():
        for incident in api.get("/api/v1/incidents?state=open")["items"]:
            for one in api.get(f"/api/v1/incidents/{incident['id']}/containments")["items"]:
                if one["state"] == "acted":
                    return incident["id"]
        return None

    incident = until(acted, 20)
    command.kill()
    command.wait()
    api.post(f"/api/v1/drills/{running['id']}/end", expect=200)
    states = lambda: {  # noqa: E731
        one["state"] for one in api.get(f"/api/v1/incidents/{incident}/containments")["items"]
    }
    until(lambda: not states() & {"proposed", "asked", "acting", "acted", "reversing"}, 20)
    until(lambda: api.get(f"/api/v1/incidents/{incident}")["milestones"]["resolvedAt"], 20)
    until(lambda: not [one for one in api.get("/api/v1/alerts")["items"] if one["labels"].get("drill")], 20)


def test_one_drill_at_a_time_and_names_that_are_known(yard):
    api = yard.api()
    begun = api.post("/api/v1/drills", {"name": "hung-agent"}, 201)
    problem = api.refused("POST", "/api/v1/drills", {"name": "cost-spike"}, status=409, code="conflict")
    assert begun["id"] in problem["detail"]
    groups = api.get("/prometheus/api/v1/rules")["data"]["groups"]
    until(lambda: begun["id"] in {group["name"] for group in api.get("/prometheus/api/v1/rules")["data"]["groups"]})
    assert api.post(f"/api/v1/drills/{begun['id']}/end", expect=200)["endedAt"]
    until(lambda: len(api.get("/prometheus/api/v1/rules")["data"]["groups"]) == len(groups))
    # The model of drills is nobody else's.
    assert "reeve-drill" not in [model["id"] for model in api.get("/v1/models")["data"]]
    reply = api.session.post(
        f"{yard.url}/v1/chat/completions", timeout=20,
        json={"model": "reeve-drill", "messages": [{"role": "user", "content": "hello"}]},
    )  # fmt: skip
    assert reply.status_code == 404
    run = drill(yard, "no-such-drill")
    assert run.returncode == 2 and all(name in run.stderr for name in NAMES)
