"""The main job on real input: a fleet takes up this system's licences, is reviewed, loses a worker, and finishes."""

import csv
import io
import json
import os
import re
import signal
import subprocess
import sys
import time
import uuid
from pathlib import Path

import jsonschema
import pytest

import demo
from reeve_server import BINARY, ROOT, die_with_parent, environment, until

ON_ENGINES = ["sqlite"]
EXAMPLES = ROOT / "examples"
# With them the demo would ask real models, and spend real money.
WITHOUT_KEYS = {"OPENAI_API_KEY": "", "ANTHROPIC_API_KEY": ""}
REMARK = "Please say more about patents."


@pytest.fixture
def fleet(own_server, tmp_path):
    """Starts agents from examples/ and ends them with the test."""
    server = own_server.start()
    started = []

    def start(name, script, step_seconds=0.0):
        variables = environment(
            REEVE_URL=server.url,
            REEVE_KEY=server.make_key("agent", name, name),
            DEMO_STEP_SECONDS=str(step_seconds),
            PYTHONUNBUFFERED="1",
            PYTHONDONTWRITEBYTECODE="1",
        )
        with open(tmp_path / f"{name}.log", "w") as log:
            started.append(
                subprocess.Popen(
                    [sys.executable, str(EXAMPLES / script)],
                    env=variables,
                    stdout=log,
                    stderr=log,
                    stdin=subprocess.DEVNULL,
                    preexec_fn=die_with_parent,
                )
            )
        return started[-1]

    yield server, start, tmp_path
    for process in started:
        process.kill()
        process.wait()


def contents(api, task):
    """The newest revision of each of a task's deliverables, as text."""
    newest = {}
    for item in sorted(task["deliverables"], key=lambda item: item["revision"]):
        newest[item["name"]] = item
    return {name: api.send("GET", item["url"].removeprefix(api.url)).text for name, item in newest.items()}


def review_everything(api, reviewer, asked):
    """Approves every brief, but asks for changes on the GPL-3's first revision."""
    for task in api.get("/api/v1/tasks?project=licences&status=in_review&limit=500")["items"]:
        (brief,) = [max(task["deliverables"], key=lambda item: item["revision"])]
        if task["title"].endswith("GPL-3") and "LGPL" not in task["title"] and not asked:
            reviewer.review(task["id"], "changes", brief["sha256"], REMARK)
            asked.append(task["id"])
        else:
            reviewer.review(task["id"], "approve", brief["sha256"])


@pytest.mark.timeout(170)
def test_the_fleet_compares_the_licences_of_this_system(fleet):
    server, start, logs = fleet
    api, reviewer = server.api(), server.api(server.make_key("operator", "the reviewer"))
    texts = demo.licences()
    assert len(texts) >= 10, "every Debian has its common licences"
    api.post("/api/v1/tasks/graph", demo.graph(texts, lease_seconds=2), 201)

    # One worker alone, so slow that it is in the middle of a task when it is killed.
    victim = start("victim", "extractor.py", step_seconds=60)

    def held_by_victim():
        tasks = api.get("/api/v1/tasks?project=licences&agent=victim&status=running")["items"]
        return tasks and tasks[0]

    lost = until(held_by_victim, 20, "a task in the victim's hands")
    victim.send_signal(signal.SIGKILL)
    victim.wait(10)

    start("extractor-1", "extractor.py")
    start("extractor-2", "extractor.py")
    start("writer-1", "writer.py")
    start("writer-2", "writer.py")
    start("comparer-1", "comparer.py")

    asked = []
    give_up_at = time.monotonic() + 120
    while True:
        review_everything(api, reviewer, asked)
        (compare,) = api.get("/api/v1/tasks?project=licences&queue=compare")["items"]
        if compare["state"] == "done":
            break
        assert time.monotonic() < give_up_at, states(api) + tails(logs)
        time.sleep(0.1)

    tasks = {task["id"]: task for task in api.get("/api/v1/tasks?project=licences&limit=500")["items"]}
    assert {task["state"] for task in tasks.values()} == {"done"} and len(tasks) == 2 * len(texts) + 1

    # Nothing is lost: the killed worker's task was done by another, from the beginning.
    taken_up = tasks[lost["id"]]
    assert taken_up["agent"] != "victim" and taken_up["fence"] > lost["fence"]
    # Nothing is done twice: each task ended once, and left one revision for each round of review.
    done = [event["taskId"] for event in api.events() if event["type"] == "task.done"]
    assert sorted(done) == sorted(tasks)
    for task in tasks.values():
        assert {item["revision"] for item in task["deliverables"]} <= ({1, 2} if task["id"] in asked else {1}), task

    for task in tasks.values():
        made = contents(api, task)
        if task["queue"] == "extract":
            found = json.loads(made["obligations.json"])
            jsonschema.validate(found, demo.OBLIGATIONS_SCHEMA)
            text = re.sub(r"\s+", " ", Path(task["input"]["path"]).read_text(errors="replace"))
            quoted = [statement["text"] for statement in found["obligations"]]
            assert sum(quote in text for quote in quoted) >= 0.7 * len(quoted), "it must quote, not invent"
        elif task["queue"] == "brief":
            assert task["input"]["name"] in made["brief.md"]
    (changed,) = asked
    brief = contents(api, tasks[changed])["brief.md"]
    assert REMARK in brief and "On patents" in brief and "Revision 2" in brief

    made = contents(api, compare)
    rows = list(csv.DictReader(io.StringIO(made["comparison.csv"])))
    assert {row["licence"] for row in rows} == {path.name for path in texts}
    assert all(path.name in made["comparison.md"] for path in texts)
    assert all(int(row["words"]) > 0 for row in rows)


def states(api):
    count = {}
    for task in api.get("/api/v1/tasks?project=licences&limit=500")["items"]:
        key = f"{task['queue']} {task['state']}"
        count[key] = count.get(key, 0) + 1
    return f"it did not finish: {count}\n"


def tails(folder):
    return "\n".join(f"--- {path.name}\n{path.read_text()[-800:]}" for path in folder.glob("*.log"))


def test_an_agent_that_is_asked_to_stop_hands_its_task_back(fleet):
    server, start, _ = fleet
    api = server.api()
    api.create("extract", input={"name": "slow", "text": "You must wait. You may leave."}, leaseSeconds=60)
    agent = start("polite", "extractor.py", step_seconds=60)
    (task,) = until(lambda: api.get("/api/v1/tasks?queue=extract&status=running")["items"], 20, "a running task")
    agent.terminate()
    assert agent.wait(10) == 0
    api.await_state(task["id"], "ready", seconds=5)


def test_a_cancelled_agent_stops_its_work(fleet):
    server, start, _ = fleet
    api = server.api()
    made = api.create("extract", input={"name": "slow", "text": "You must wait."}, leaseSeconds=3)
    start("stopped", "extractor.py", step_seconds=2)
    api.await_state(made["id"], "running", seconds=20)
    api.post(f"/api/v1/tasks/{made['id']}/cancel")
    api.await_state(made["id"], "canceled", seconds=15)


def test_a_text_that_is_not_there_fails_for_good(fleet):
    server, start, _ = fleet
    api = server.api()
    made = api.create("extract", input={"name": "gone", "path": "/nowhere/at/all"})
    start("reader", "extractor.py")
    api.await_state(made["id"], "held", seconds=20)


def hear_interrupts():
    """A run in the background has Ctrl-C switched off for all its children, and a shell cannot switch it on again."""
    signal.signal(signal.SIGINT, signal.SIG_DFL)


class Run:
    """`script/run` as a person starts it, in a folder with a space in its name."""

    def __init__(self, folder, *arguments):
        self.mark = f"REEVE_TEST_MARK={uuid.uuid4().hex}"
        name, value = self.mark.split("=")
        folder.mkdir(exist_ok=True)
        self.data_dir = folder / "reeve data"
        self.output = folder / "output.txt"
        with open(self.output, "w") as output:
            self.process = subprocess.Popen(
                [str(ROOT / "script/run"), "--port", "0", "--data-dir", str(self.data_dir), *arguments],
                cwd=folder,
                env=environment(
                    **{name: value, **WITHOUT_KEYS, "REEVE_TEST_BINARY": BINARY, "DEMO_STEP_SECONDS": "0.3"}
                ),
                stdin=subprocess.DEVNULL,
                stdout=output,
                stderr=subprocess.STDOUT,
                start_new_session=True,
                preexec_fn=hear_interrupts,
            )

    def text(self):
        return self.output.read_text(errors="replace")

    def processes(self):
        """Every process that inherited this run's mark, wherever it moved to."""
        found = {}
        for path in Path("/proc").glob("[0-9]*"):
            try:
                if self.mark.encode() in (path / "environ").read_bytes():
                    found[int(path.name)] = (path / "cmdline").read_bytes().replace(b"\0", b" ").decode()
            except OSError:
                pass
        return found

    def wait_for_work(self, server_api):
        until(lambda: "at work" in self.text(), 60, f"the demo fleet: {self.text()}")
        until(
            lambda: server_api().get("/api/v1/tasks?project=licences&status=in_review")["items"],
            60,
            "a deliverable to review",
        )

    def api(self):
        from reeve_server import Api

        url = re.search(r"http://127\.0\.0\.1:\d+", self.text())[0]
        return Api(url, (self.data_dir / "admin.key").read_text().strip())

    def end(self):
        for pid in self.processes():
            try:
                os.kill(pid, signal.SIGKILL)
            except ProcessLookupError:
                pass
        self.process.wait(10)


@pytest.fixture
def run(tmp_path):
    runs = []

    def start(*arguments, folder="a folder"):
        runs.append(Run(tmp_path / folder, *arguments))
        return runs[-1]

    yield start
    for each in runs:
        each.end()


@pytest.mark.parametrize("sign", [signal.SIGINT, signal.SIGTERM])
def test_script_run_shows_work_within_a_minute_and_leaves_nothing_behind(run, sign):
    started = run()
    started.wait_for_work(started.api)
    assert len(re.findall(r"/login\S*token=", started.text())) == 1, started.text()
    agents = started.api().get("/api/v1/agents?limit=50")["items"]
    assert {agent["name"] for agent in agents} >= {name for name, _ in demo.AGENTS}
    assert len(started.processes()) >= 1 + 1 + 1 + len(demo.AGENTS)

    started.process.send_signal(sign)
    started.process.wait(60)
    left = until(lambda: not started.processes() or None, 5, f"an end of {started.processes()}")
    assert left
    assert started.process.returncode in (0, 128 + sign), started.text()


def test_the_fleet_s_models_are_asked_through_the_gateway_priced_and_capped(run):
    started = run()
    started.wait_for_work(started.api)
    api = started.api()

    def refused_calls():
        items = api.get(f"/api/v1/calls?agent={demo.CAPPED}&status=failed&limit=50")["items"]
        return [call for call in items if call["failure"] == "budget_exceeded"]

    until(refused_calls, 90, "the end of the capped agent's budget")
    capped = api.get(f"/api/v1/budgets/agent:{demo.CAPPED}")
    assert capped["settled"]["calls"] == 2 and capped["remaining"]["calls"] == 0
    assert capped["settled"]["nanoUSD"] > 0 and capped["held"]["calls"] == 0

    calls = [call for call in api.get("/api/v1/calls?limit=200")["items"] if call["status"] == "done"]
    assert {call["agent"] for call in calls} >= {"extractor-1", "extractor-2", "writer-1", demo.CAPPED}
    tasks = {task["id"]: task for task in api.get(f"/api/v1/tasks?project={demo.PROJECT}&limit=500")["items"]}
    for call in calls:
        assert call["target"] == "scripted/scripted-2026-01-01" and call["project"] == demo.PROJECT, call
        assert call["cost"]["nanoUSD"] > 0 and call["usage"]["estimated"] is False, call
        assert call["task"] in tasks, "nobody named a task: the claim says it"
    # What is told of agents, tasks and calls is the same money; the sums follow the calls by a moment.
    for scope in ["agent", "task"]:
        spent = {}
        for call in calls:
            spent[call[scope]] = spent.get(call[scope], 0) + call["cost"]["nanoUSD"]
        assert min(spent.values()) > 0

        def sums_follow(scope=scope, spent=spent):
            rows = api.get(f"/api/v1/costs?by={scope}&limit=200")["items"]
            told = {row["name"]: row["nanoUSD"] for row in rows}
            return all(told.get(name, 0) >= amount for name, amount in spent.items())

        until(sums_follow, 10, f"sums by {scope} that hold what the calls cost")
    task = calls[-1]["task"]
    assert 0 < api.get(f"/api/v1/budgets/task:{task}")["settled"]["nanoUSD"] <= 20_000_000

    def said_by_the_capped():
        for task in api.get(f"/api/v1/tasks?project={demo.PROJECT}&agent={demo.CAPPED}&limit=200")["items"]:
            brief = contents(api, task).get("brief.md", "") if task["deliverables"] else ""
            if "Written without the model: its budget is used up" in brief and f"agent:{demo.CAPPED}" in brief:
                return brief
        return None

    until(said_by_the_capped, 60, "a brief that says why it is without the model")
    others = [task for task in api.get(f"/api/v1/tasks?project={demo.PROJECT}&agent=writer-1&limit=200")["items"]]
    briefs = [contents(api, task).get("brief.md", "") for task in others if task["deliverables"]]
    assert any("## In one sentence" in brief and "*(the model)*" in brief for brief in briefs)


@pytest.mark.timeout(200)
def test_a_drill_beside_the_fleet_leaves_it_alone(run):
    started = run()
    started.wait_for_work(started.api)
    api = started.api()
    names = {name for name, _ in demo.AGENTS}
    reasons = ("pausedReason", "drainingReason", "quarantineReason")

    def standing():
        agents = api.get("/api/v1/agents?limit=500")["items"]
        budgets = api.get("/api/v1/budgets?limit=500")["items"]
        return (
            {one["name"]: [one.get(reason) for reason in reasons] for one in agents if one["name"] in names},
            {one["scope"]: one["limit"] for one in budgets if "drill-" not in one["scope"]},
            api.get(f"/api/v1/tasks?project={demo.PROJECT}&status=held&limit=50")["items"],
        )

    def last():
        return max((event["seq"] for event in api.events()), default=0)

    def spent():
        """What the fleet's own models cost so far."""
        return {row["name"]: row["nanoUSD"] for row in api.get("/api/v1/costs?by=agent&limit=200")["items"]}

    before, begin, costs = standing(), last(), spent()
    assert set(before[0]) == names
    done = subprocess.run(
        [BINARY, "drill", "cost-spike", "--url", api.url, "--key", api.key, "--json"],
        capture_output=True,
        text=True,
        timeout=60,
        env=environment(),
    )
    assert done.returncode == 0, done.stdout + done.stderr
    report = json.loads(done.stdout)
    assert report["agents"]["touched"] == [] and report["containedBy"] == "policy"
    assert standing() == before
    # They went on with their work, and nothing befell them meanwhile.
    events = [event for event in api.events() if event["seq"] > begin and event.get("agent") in names]
    assert {event["type"] for event in events} & {"task.claimed", "task.started", "task.submitted", "task.done"}, events
    stops = {"agent.paused", "agent.quarantined", "agent.draining", "task.held", "task.lease_lost", "task.canceled"}
    assert not [event for event in events if event["type"] in stops]
    # The drill's dollars are its own: half a dollar would stand out among what the licences cost.
    after = spent()
    assert set(after) <= names and sum(after.values()) - sum(costs.values()) < 100_000_000, after
    budget = api.get(f"/api/v1/budgets/project:{demo.PROJECT}")
    assert budget["settled"]["nanoUSD"] < 500_000_000, budget
    told = {event["data"]["scope"] for event in api.events() if event["type"] == "budget.soft_limit"}
    assert not {scope for scope in told if scope == "org" or scope.startswith("project:")}, told


@pytest.mark.parametrize(
    ("variable", "provider"), [("OPENAI_API_KEY", "openai"), ("ANTHROPIC_API_KEY", "anthropic"), (None, "scripted")]
)
def test_a_provider_s_key_is_named_and_never_told(tmp_path, variable, provider):
    keys = {**WITHOUT_KEYS, **({variable: "sk-very-secret"} if variable else {})}
    done = subprocess.run(
        [sys.executable, str(EXAMPLES / "demo_models.py")], env=environment(**keys), capture_output=True, text=True
    )
    assert done.returncode == 0 and "sk-very-secret" not in done.stdout + done.stderr
    settings = json.loads(done.stdout)
    assert list(settings["providers"]) == [provider]
    assert settings["providers"][provider].get("apiKeyEnvironment") == variable
    (tmp_path / "models.yaml").write_text(done.stdout)
    judged = subprocess.run(
        [BINARY, "settings", "check", "--config", str(tmp_path / "models.yaml")],
        env=environment(**keys),
        capture_output=True,
        text=True,
    )
    assert judged.returncode == 0, judged.stderr
    assert "sk-very-secret" not in judged.stdout + judged.stderr


def test_a_second_start_is_quick_and_makes_nothing_twice(run):
    first = run()
    first.wait_for_work(first.api)
    count = len(first.api().get("/api/v1/tasks?project=licences&limit=500")["items"])
    keys = len(first.api().get("/api/v1/keys?limit=500")["items"])
    first.process.send_signal(signal.SIGINT)
    first.process.wait(60)

    began = time.monotonic()
    second = run()
    until(lambda: "at work" in second.text(), 30, f"the second start: {second.text()}")
    assert time.monotonic() - began < 15
    assert len(second.api().get("/api/v1/tasks?project=licences&limit=500")["items"]) == count
    assert len(second.api().get("/api/v1/keys?limit=500")["items"]) <= keys + len(demo.AGENTS)


def test_if_the_server_dies_everything_ends_with_its_exit_code(run):
    started = run()
    until(lambda: "at work" in started.text(), 60, f"the demo fleet: {started.text()}")
    (server,) = [pid for pid, line in started.processes().items() if line.startswith(BINARY + " serve")]
    os.kill(server, signal.SIGKILL)
    started.process.wait(60)
    assert started.process.returncode == 128 + signal.SIGKILL, started.text()
    until(lambda: not started.processes(), 5, "the end of all processes")


def test_a_port_that_is_taken_is_said_and_nothing_stays(run, own_server):
    server = own_server.start()
    started = run("--port", server.url.rsplit(":", 1)[1])
    started.process.wait(60)
    assert started.process.returncode not in (0, None)
    assert started.text().strip(), "it must say why"
    until(lambda: not started.processes(), 5, "the end of all processes")
