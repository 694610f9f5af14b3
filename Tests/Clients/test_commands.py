"""The command line: any program becomes an agent or a worker, without a line of Reeve in it."""

import json
import os
import signal
import subprocess
import sys

import pytest
import requests

from reeve_server import BINARY, die_with_parent, environment, until

ON_ENGINES = ["sqlite"]


@pytest.fixture
def reeve(server, tmp_path):
    """Runs `reeve …` against the server; `reeve.start` leaves it running."""
    started = []

    class Command:
        def environment(self, key=None):
            return environment(REEVE_URL=server.url, REEVE_KEY=key or server.admin_key, NO_COLOR="1")

        def __call__(self, *arguments, key=None, timeout=60, stdin=None):
            return subprocess.run(
                [BINARY, *arguments],
                env=self.environment(key),
                capture_output=True,
                text=True,
                timeout=timeout,
                input=stdin,
                cwd=tmp_path,
            )

        def start(self, *arguments, key=None):
            log = open(tmp_path / f"command-{len(started)}.log", "w")
            started.append(
                subprocess.Popen(
                    [BINARY, *arguments],
                    env=self.environment(key),
                    stdin=subprocess.DEVNULL,
                    stdout=log,
                    stderr=log,
                    cwd=tmp_path,
                    preexec_fn=die_with_parent,
                )
            )
            log.close()
            return started[-1]

        def json(self, *arguments):
            done = self(*arguments, "--json")
            assert done.returncode == 0, done.stdout + done.stderr
            return json.loads(done.stdout)

    yield Command()
    for process in started:
        # How they stop when they are asked to is a test of its own.
        process.kill()
        process.wait(20)


def script(folder, text):
    path = folder / "program.py"
    path.write_text(text)
    return [sys.executable, str(path)]


def test_lists_are_one_json_document(reeve, admin, agent, name):
    admin.create(name)
    agent.post("/api/events/ingest", {"type": "agent.heartbeat"}, 200)
    for noun in ("agents", "tasks", "queues", "reviews", "events", "audit", "keys"):
        document = reeve.json(noun, "list")
        assert isinstance(document["items"], list), noun


def test_a_command_that_does_not_exist_is_a_usage_error(reeve):
    assert reeve("fly").returncode in (2, 64)
    assert reeve("tasks", "list", key="reeve_admin_" + "0" * 40).returncode not in (0, 2)


def test_run_gives_a_program_what_it_needs(reeve, admin, name, tmp_path):
    wanted = (
        "REEVE_URL REEVE_KEY OPENAI_BASE_URL OPENAI_API_KEY ANTHROPIC_BASE_URL ANTHROPIC_API_KEY "
        "OTEL_EXPORTER_OTLP_ENDPOINT OTEL_EXPORTER_OTLP_HEADERS OTEL_SERVICE_NAME"
    ).split()
    program = script(
        tmp_path,
        f"""
import json, os, time
json.dump({{name: os.environ.get(name) for name in {wanted!r}}}, open("environment.json.part", "w"))
os.rename("environment.json.part", "environment.json")
time.sleep(600)
""",
    )
    supervisor = reeve.start("run", "--agent", name, "--", *program)
    written = tmp_path / "environment.json"
    until(written.exists, 20, "the program's environment")
    seen = json.loads(written.read_text())
    assert all(seen.values()), seen
    assert seen["OPENAI_BASE_URL"].endswith("/v1") and not seen["ANTHROPIC_BASE_URL"].endswith("/v1")
    assert seen["OTEL_SERVICE_NAME"] == name
    assert seen["REEVE_KEY"] != (admin.key), "the program has the admin's key"
    shown = until(
        lambda: (a := admin.send("GET", f"/api/v1/agents/{name}")).status_code == 200 and a.json(), 20, "the agent"
    )
    assert shown["status"] in ("idle", "busy")
    supervisor.terminate()
    assert supervisor.wait(20) is not None
    left = subprocess.run(["ps", "-e", "-o", "args"], capture_output=True, text=True).stdout
    assert program[1] not in left, "the program outlived its supervisor"


def test_run_starts_a_program_again_that_died(reeve, name, tmp_path):
    program = script(
        tmp_path,
        """
import os, sys, time
with open("starts.txt", "a") as file:
    file.write(f"{os.getpid()}\\n")
time.sleep(600)
""",
    )
    reeve.start("run", "--agent", name, "--", *program)
    starts = tmp_path / "starts.txt"

    def pids():
        return [int(line) for line in starts.read_text().split()] if starts.exists() else []

    until(lambda: len(pids()) == 1, 20, "the first start")
    os.kill(pids()[0], signal.SIGKILL)
    until(lambda: len(pids()) == 2, 30, "the second start")


def test_work_turns_a_command_into_a_worker(reeve, admin, name, tmp_path):
    made = admin.create(name, input={"n": 20})
    program = script(
        tmp_path,
        """
import json, os, sys
task = json.load(sys.stdin)
assert json.load(open(os.environ["REEVE_TASK_FILE"]))["id"] == task["id"]
with open(os.path.join(os.environ["REEVE_OUTPUT_DIR"], "twice.txt"), "w") as file:
    file.write(str(task["input"]["n"] * 2))
""",
    )
    reeve.start("work", "--queue", name, "--agent", f"worker-{name}", "--", *program)
    done = admin.await_state(made["id"], "done", seconds=30)
    (item,) = done["deliverables"]
    assert item["name"] == "twice.txt"
    assert admin.send("GET", item["url"].removeprefix(admin.url)).text == "40"


def test_a_worker_without_work_stops_when_it_is_asked_to(reeve, admin, name, tmp_path):
    worker = reeve.start("work", "--queue", name, "--agent", f"worker-{name}", "--", "true")
    until(lambda: admin.send("GET", f"/api/v1/agents/worker-{name}").status_code == 200, 20, "the worker's arrival")
    worker.terminate()
    assert worker.wait(20) == 0


@pytest.mark.parametrize(
    "code, review, state",
    [
        (0, False, "done"),
        (0, True, "in_review"),
        (75, False, "ready scheduled claimed running"),
        (64, False, "held"),
        (78, False, "held"),
        (1, False, "scheduled"),
    ],
)
def test_the_exit_code_decides(reeve, admin, name, tmp_path, code, review, state):
    made = admin.create(name, review=review, maxAttempts=3)
    program = script(
        tmp_path,
        f"""
import os, sys
open(os.path.join(os.environ["REEVE_OUTPUT_DIR"], "out.txt"), "w").write("x")
open("ran", "w").close()
sys.exit({code})
""",
    )
    reeve.start("work", "--queue", name, "--agent", f"worker-{name}", "--", *program)
    until((tmp_path / "ran").exists, 30, "the program's run")
    task = admin.await_state(made["id"], *state.split(), seconds=10)
    if code == 75:
        assert task["attempts"] == 0
    if code == 1:
        assert task["attempts"] == 1


def test_a_cancelled_task_stops_the_program(reeve, admin, name, tmp_path):
    made = admin.create(name, leaseSeconds=2)
    program = script(
        tmp_path,
        """
import os, time
open("pid.part", "w").write(str(os.getpid()))
os.rename("pid.part", "pid")
time.sleep(600)
""",
    )
    reeve.start("work", "--queue", name, "--agent", f"worker-{name}", "--", *program)
    until((tmp_path / "pid").exists, 30, "the program's start")
    pid = int((tmp_path / "pid").read_text())
    admin.await_state(made["id"], "running", seconds=10)
    admin.post(f"/api/v1/tasks/{made['id']}/cancel")
    admin.await_state(made["id"], "canceled", seconds=20)
    until(lambda: not os.path.exists(f"/proc/{pid}"), 15, "the program's end")


def test_tasks_and_queues_say_which_model_they_need(reeve, admin, name):
    made = reeve.json("tasks", "create", "--title", "Draft", "--queue", name, "--tier", "cheap")
    assert (made["model"], made["tier"]) == ("tier:cheap", "cheap")
    assert reeve.json("queues", "set", name, "--model", "gpt-4o-mini", "--concurrency", "3")["model"] == "gpt-4o-mini"
    assert reeve.json("tasks", "create", "--title", "Draft", "--queue", name)["model"] == "gpt-4o-mini"
    queue = reeve.json("queues", "set", name, "--model", "none")
    assert (queue["model"], queue["concurrency"]) == (None, 3)
    done = reeve("queues", "set", name, "--model", "tier:cheap")
    assert done.stdout == f"{name}: its tasks ask for tier:cheap.\n"
    assert reeve("queues", "set", name).returncode == 2


def told_of(server, trace, user):
    """One span of somebody, as an instrumented program sends it."""
    attribute = {"key": "user.id", "value": {"stringValue": user}}
    span = {
        "traceId": trace, "spanId": "00f067aa0ba902b7", "name": "step", "attributes": [attribute],
        "startTimeUnixNano": "1700000000000000000", "endTimeUnixNano": "1700000001000000000",
    }  # fmt: skip
    reply = requests.post(
        f"{server.url}/v1/traces",
        json={"resourceSpans": [{"scopeSpans": [{"spans": [span]}]}]},
        headers={"authorization": f"Bearer {server.admin_key}"},
        timeout=30,
    )
    assert reply.status_code == 200, reply.text


def test_telemetry_is_labelled_held_and_erased(server, reeve, admin):
    hers, theirs = "7c" * 16, "7d" * 16
    told_of(server, hers, "ada.lovelace@example.org")
    told_of(server, theirs, "bob")
    until(lambda: "golden" in reeve("telemetry", "label", hers, "golden").stdout, 15, "the label")
    assert admin.get(f"/api/v1/traces/{hers}")["labels"] == ["golden"]
    assert reeve("telemetry", "label", hers, "golden", "--remove").returncode == 0
    hold = reeve.json("telemetry", "hold", "place", "--trace", hers, "--reason", "case 12")
    assert "case 12" in reeve("telemetry", "hold").stdout
    refused = reeve("telemetry", "erase", "--subject", "ada.lovelace@example.org")
    assert refused.returncode == 1 and "held 1" in refused.stdout and hold["id"] in refused.stdout
    assert reeve.json("telemetry", "hold", "lift", hold["id"])["liftedBy"]
    looked = reeve.json("telemetry", "erase", "--subject", "ada.lovelace@example.org", "--dry-run")
    assert (looked["found"], looked["removed"]) == (1, 0)
    proof = reeve("telemetry", "erase", "--subject", "ada.lovelace@example.org", "--reason", "asked for")
    assert proof.returncode == 0, proof.stdout + proof.stderr
    assert "found 1, removed 1, a second search found 0" in proof.stdout and "sha256" in proof.stdout
    assert "lovelace" not in proof.stdout
    assert reeve("trace", hers).returncode == 1
    assert reeve("trace", theirs).returncode == 0
    assert reeve("telemetry", "erase", "--subject", "ok").returncode == 1
