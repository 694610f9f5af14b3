"""Drills against a real server with a fleet at work: each fault is found, contained without touching anybody else, and
mended; some under settings that only suggest, some under settings that let Reeve act on the whole fleet."""

import http.server
import json
import subprocess
import threading
import uuid
from contextlib import nullcontext
from datetime import datetime, timedelta, timezone

import pytest
import yaml
from reeve_server import BINARY, Server, environment, until

# What drills need of the store has its tests on both engines.
ON_ENGINES = ["sqlite"]

NAMES = ["model-outage", "hung-agent", "looping-agent", "bad-deliverable", "cost-spike", "queue-backup", "tool-timeout"]
# How far Reeve may go by itself with the fleet, while each drill runs.
STANCES = dict(zip(NAMES, ["suggest", "suggest", "suggest", "suggest", "act", "act", "act"]))
SCRIPT = "rules: [{contains: hello, say: Hi., usage: {input: 100, output: 10}}]"

ONCALL = """\
people: [{name: ada, contact: {receivers: [phone]}}]
chains: [{name: people, steps: [{notify: {person: ada}}]}]
paths: {default: people}
"""


class Hooks(http.server.ThreadingHTTPServer):
    """Takes whatever is posted."""

    def __init__(self):
        self.taken = []
        super().__init__(("127.0.0.1", 0), Handler)
        threading.Thread(target=self.serve_forever, daemon=True).start()

    def about(self, word):
        return [(path, body) for path, body in list(self.taken) if word in body]


class Handler(http.server.BaseHTTPRequestHandler):
    def do_POST(self):
        self.server.taken.append((self.path, self.rfile.read(int(self.headers["content-length"])).decode()))
        self.send_response(200)
        self.send_header("content-length", "0")
        self.end_headers()

    def log_message(self, *arguments):
        pass


class Fleet:
    """Agents of other types than a drill's that do their work: they claim and complete, ask a model within sessions,
    call tools, and spend from budgets of their own. What is refused to one of them is kept."""

    NAMES = ["writer", "reader", "miller"]

    def __init__(self, server):
        self.server, self.wrong, self.rounds = server, [], 0
        api = server.api()
        self.operator = server.api(server.make_key("operator"))
        self.agents = [server.make_agent(name) for name in self.NAMES]
        for scope in ("agent:writer", "project:books"):
            api.call("PUT", f"/api/v1/budgets/{scope}", {"limit": {"usd": 5}}, expect=200)
        # One has a task in hand from before the first drill until behind the last.
        api.create("mill", leaseSeconds=600, timeoutSeconds=600, project="books", type="milling")
        self.beat(self.agents[2], "miller")
        self.kept = self.agents[2].claim("mill")
        self.kept.beat()
        # Held while the server is started anew.
        self.stopping, self.resting = threading.Event(), threading.Lock()
        self.thread = threading.Thread(target=self.run, daemon=True)

    def beat(self, agent, kind):
        beat = {"type": "agent.heartbeat", "agentType": kind, "project": "books"}
        agent.post("/api/events/ingest", beat, expect=200)

    def run(self):
        while not self.stopping.wait(0.5):
            try:
                with self.resting:
                    self.work()
                self.rounds += 1
            except Exception as error:  # noqa: BLE001: whatever stops one of them is what is looked for
                self.wrong.append(repr(error))

    def work(self):
        for agent, kind in zip(self.agents, ("author", "critic", "miller")):
            self.beat(agent, kind)
        for agent in self.agents[:2]:
            self.operator.create(f"desk-{agent.agent}", project="books", type="writing")
            for item in agent.claim_all(f"desk-{agent.agent}", limit=5, wait=0):
                agent.post(f"/api/v1/tasks/{item['task']['id']}/complete", {"fence": item["fence"]}, 200)
            agent.session.post(
                f"{agent.url}/v1/chat/completions", timeout=20, headers={"x-reeve-session": uuid.uuid4().hex},
                json={"model": "small", "messages": [{"role": "user", "content": "hello"}]},
            ).raise_for_status()  # fmt: skip
        self.kept.beat()

    def standing(self):
        """How everything stands that is nobody's drill's: what a drill must leave as it is."""
        api = self.server.api()
        reasons = ("pausedReason", "drainingReason", "quarantineReason", "project")
        mine = [one for one in api.get("/api/v1/agents?limit=500")["items"] if not one["name"].startswith("drill-")]
        return {
            "agents": {one["name"]: [one.get(reason) for reason in reasons] for one in mine},
            "budgets": {
                one["scope"]: one["limit"]
                for one in api.get("/api/v1/budgets?limit=500")["items"] if "drill-" not in one["scope"]
            },
            "queues": {
                one["name"]: one["paused"]
                for one in api.get("/api/v1/queues?limit=500")["items"] if not one["name"].startswith("drill-")
            },
            "held": api.get("/api/v1/tasks?project=books&status=held&limit=5")["items"],
            "kept": (self.kept.id, api.task(self.kept.id)["state"], api.task(self.kept.id)["agent"]),
        }  # fmt: skip

    def stop(self):
        self.stopping.set()
        self.thread.join(20)


@pytest.fixture(scope="module")
def yard(tmp_path_factory):
    """A server that pages somebody at once, by a route and by on-call, whose organisation has a budget, and whose fleet
    is at work."""
    folder, hooks = tmp_path_factory.mktemp("drills"), Hooks()
    (folder / "oncall.yaml").write_text(ONCALL)
    (folder / "script.yaml").write_text(SCRIPT)
    receivers = [
        {"name": name, "kind": "webhook", "url": f"http://127.0.0.1:{hooks.server_port}/{name}", "allowPrivate": True}
        for name in ("pager", "phone")
    ]
    route = {"receiver": "pager", "groupWait": "0s", "groupInterval": "1s", "groupBy": ["..."]}
    models = {
        "providers": {"local": {"kind": "scripted", "script": "script.yaml"}},
        "models": {"small": {
            "targets": [{"provider": "local", "model": "scripted-2026-01-01"}], "price": {"input": 1, "output": 2},
        }},
    }  # fmt: skip
    server = Server(folder / "data", "sqlite", ["--config", str(folder / "reeve.yaml")])

    def let(stance):
        """Starts it anew where the settings are to let it do something else."""
        if server.stance == stance:
            return
        alerts = {"receivers": receivers, "route": route, "containment": {"default": stance}}
        text = yaml.safe_dump({"alerts": alerts, "oncall": {"file": "oncall.yaml"}} | models)
        (folder / "reeve.yaml").write_text(text)
        with server.fleet.resting if server.fleet else nullcontext():
            if server.stance:
                assert server.stop() == 0
            server.start()
        server.stance = stance

    server.hooks, server.fleet, server.stance, server.let = hooks, None, None, let
    let("suggest")
    # The cost spike spends more than this: it counts for nobody but itself.
    server.api().call("PUT", "/api/v1/budgets/org", {"limit": {"usd": 0.4}, "softPercent": 50}, expect=200)
    server.fleet = Fleet(server)
    server.fleet.work()
    server.standing = server.fleet.standing()
    server.fleet.thread.start()
    yield server
    server.fleet.stop()
    assert server.stop() == 0
    hooks.shutdown()


def drill(server, name, *arguments):
    return subprocess.run(
        [BINARY, "drill", name, "--url", server.url, "--key", server.admin_key, *arguments],
        capture_output=True, text=True, timeout=50, env=environment(),
    )  # fmt: skip


@pytest.mark.parametrize("name", NAMES)
def test_a_drill_is_found_contained_and_over(yard, name):
    yard.let(STANCES[name])
    before = yard.fleet.rounds
    run = drill(yard, name, "--json")
    assert run.returncode == 0, run.stdout + run.stderr + yard.tail()
    report, api = json.loads(run.stdout), yard.api()
    bounds = report["bounds"]
    assert report["drill"] == name and report["detected"] and report["contained"] and report["recovered"]
    assert 0 < report["detectedAfterSeconds"] <= bounds["detectSeconds"]
    assert report["detectedAfterSeconds"] < report["containedAfterSeconds"] <= bounds["containSeconds"]
    assert report["containedAfterSeconds"] < report["recoveredAfterSeconds"] <= bounds["recoverSeconds"] < 40
    assert report["agents"]["touched"] == [] and report["agents"]["healthy"] and report["agents"]["faulty"]
    # Whoever paused that queue's worker is a person: Reeve asks one before it takes that back.
    assert report["containedBy"] == ("person" if name == "queue-backup" else "policy")
    assert yard.fleet.standing() == yard.standing and yard.fleet.wrong == []
    assert yard.fleet.rounds > before + 3, "the fleet was not at work"

    incident = api.get(f"/api/v1/incidents/{report['incident']}", 200)
    reached = incident["milestones"]
    assert all(reached[f"{word}At"] for word in ("detected", "contained", "mitigated", "verified", "resolved"))
    assert {entry["kind"] for entry in incident["timeline"]} >= {"alert", "milestone", "containment"}
    acted = api.get(f"/api/v1/incidents/{report['incident']}/containments", 200)["items"]
    assert acted and not any(one["inForce"] or one["state"] in ("proposed", "asked") for one in acted), acted
    assert {one["origin"] for one in acted} == {"plan"}, "the drill's command ordered it itself"

    nothing_is_left(yard, report["agents"]["healthy"][0].removesuffix("steady"))


def nothing_is_left(yard, prefix):
    """No alert, no hold, no agent, no task, no key, no budget."""
    api = yard.api()
    until(lambda: not [one for one in api.get("/api/v1/alerts")["items"] if one["labels"].get("drill")], 20)
    until(
        lambda: not [one for one in api.get("/api/v1/agents?limit=500")["items"] if one["name"].startswith(prefix)], 10
    )
    keys = api.get("/api/v1/keys?limit=500")["items"]
    assert all(key["revokedAt"] for key in keys if (key.get("agent") or "").startswith(prefix))
    tasks = api.get(f"/api/v1/tasks?project={prefix.removesuffix('-')}&limit=500")["items"]
    assert tasks and all(task["state"] in ("done", "failed", "canceled", "skipped", "expired") for task in tasks)
    assert not [one for one in api.get("/api/v1/budgets?limit=500")["items"] if "drill-" in one["scope"]]
    assert not [one for one in api.get("/api/v1/incidents?state=open")["items"] if "drill:" in str(one["subjects"])]


def test_drills_wake_nobody_and_cost_nobody_anything(yard):
    """Behind all seven: what pages people was tried, and hears of what is real."""
    api = yard.api()
    assert yard.hooks.about("drill") == []
    start = datetime.now(timezone.utc)
    api.post(
        "/api/v2/alerts",
        [{
            "labels": {"alertname": "Real", "severity": "critical", "agent": "writer"},
            "endsAt": (start + timedelta(hours=1)).isoformat(),
        }], expect=200,
    )  # fmt: skip
    until(lambda: {path for path, _ in yard.hooks.about("Real")} == {"/pager", "/phone"}, 15)
    assert yard.hooks.about("drill") == []
    # The cost spike spent dollars: they are the drill's own. The fleet's are its own too.
    calls = api.get("/api/v1/calls?limit=500")["items"]
    assert sum(call["cost"]["nanoUSD"] for call in calls if call["model"] == "reeve-drill" and call["cost"]) > 500_000_000
    org = api.get("/api/v1/budgets/org")
    assert 0 < org["settled"]["nanoUSD"] < 100_000_000, org
    told = [event for event in api.events() if event["type"] in ("budget.soft_limit", "budget.exhausted")]
    assert [event for event in told if "drill-" not in event["data"]["scope"]] == [], told
    budgets = [one for one in api.get("/api/v1/alerts?limit=500")["items"] if "udget" in one["labels"]["alertname"]]
    assert budgets == []
    assert set(one["name"] for one in api.get("/api/v1/costs?by=model")["items"]) == {"small"}


def test_a_drill_whose_command_and_server_are_killed_leaves_nothing(yard):
    running, incident, command = killed(yard)
    command.kill()
    command.wait()
    with yard.fleet.resting:
        yard.kill()
        yard.start()
    # It would end by itself 40 s after its beginning (`DrillServiceTests`).
    yard.api().post(f"/api/v1/drills/{running['id']}/end", expect=200)
    is_over(yard.api(), incident)
    nothing_is_left(yard, running["prefix"])
    assert yard.hooks.about("drill") == []
    assert yard.fleet.standing() == yard.standing


def killed(yard):
    """A drill whose command is about to be killed, once something acted against its fault."""
    # With a key of its own: who asks so often uses up what one key may ask for in a second.
    api = yard.api(yard.make_key("viewer"))
    command = subprocess.Popen(
        [BINARY, "drill", "model-outage", "--url", yard.url, "--key", yard.admin_key],
        stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True, env=environment(),
    )  # fmt: skip
    running = until(lambda: [one for one in api.get("/api/v1/drills")["items"] if not one["endedAt"]])[0]

    def acted():
        for incident in api.get("/api/v1/incidents?state=open")["items"]:
            for one in api.get(f"/api/v1/incidents/{incident['id']}/containments")["items"]:
                if one["inForce"]:
                    return incident["id"]
        return None

    def story():
        command.kill()
        return f"that something acts ({command.communicate()[0]}, {api.get('/api/v1/incidents?state=open')['items']})"

    return running, until(acted, 20, story), command


def is_over(api, incident):
    def standing():
        return [
            one for one in api.get(f"/api/v1/incidents/{incident}/containments")["items"]
            if one["inForce"] or one["state"] in ("proposed", "asked")
        ]  # fmt: skip

    until(lambda: not standing(), 20, standing)
    until(lambda: api.get(f"/api/v1/incidents/{incident}")["milestones"]["resolvedAt"], 20)


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
