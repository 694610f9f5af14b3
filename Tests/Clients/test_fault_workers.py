"""Workers that are killed or stand still with leases in their hands: the work goes on, and they cannot disturb it."""

import json
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

from fault_record import Outcome
from reeve_server import BINARY, die_with_parent, environment, is_running, until

LEASES = 50
LEASE_SECONDS = 2
# A lease is swept at most half a second late; the rest is for a machine that is busy with other things.
RERUN_SECONDS_MAX = LEASE_SECONDS + 0.5 + 4


@pytest.fixture
def start_worker(server):
    """Starts a raw worker that takes `count` tasks of a queue, and returns it with what it holds."""
    started = []

    def start(key, queue, count):
        process = subprocess.Popen(
            [sys.executable, str(Path(__file__).parent / "fault_worker.py"), server.url, key, queue, str(count)],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
            env=environment(),
            preexec_fn=die_with_parent,
        )
        started.append(process)
        return process, json.loads(process.stdout.readline())

    yield start
    for process in started:
        process.kill()
        process.communicate(timeout=20)


def take_over(agent, queue, held, since, outcome):
    """Claims and completes what comes free; notes for each task how long after `since` it was claimed again."""
    taken = {}
    give_up_at = time.monotonic() + 30
    while len(taken) < len(held) and time.monotonic() < give_up_at:
        for item in agent.claim_all(queue, limit=LEASES, wait=1):
            task_id = item["task"]["id"]
            assert task_id not in taken, f"{task_id} was handed out twice"
            taken[task_id] = item["fence"]
            outcome.recoveries.append(time.monotonic() - since)
            agent.post(f"/api/v1/tasks/{task_id}/complete", {"fence": item["fence"], "output": "taken over"}, 200)
    outcome.acknowledged, outcome.lost = len(taken), len(held) - len(taken)
    assert taken == {item["id"]: item["fence"] + 1 for item in held}
    return taken


def check_done_once(admin, taken, outcome):
    """Each task is done once, by who took it over, and the log says nothing else."""
    outcome.duplicated = 0
    for task_id in taken:
        task = admin.task(task_id)
        assert (task["state"], task["output"], task["deliverables"]) == ("done", "taken over", [])
        done = [event for event in admin.get(f"/api/v1/events?task={task_id}&limit=500")["items"]]
        outcome.duplicated += sum(event["type"] == "task.done" for event in done) - 1
    assert outcome.duplicated == 0


def test_a_killed_worker_with_fifty_leases(admin, agent, other, name, engine, start_worker):
    with Outcome("crash_recovery", engine) as outcome:
        outcome.recovery_of = "kill of the worker to the next claim of its task"
        for _ in range(LEASES):
            admin.create(name, leaseSeconds=LEASE_SECONDS)
        worker, held = start_worker(other.key, name, LEASES)
        assert len(held) == LEASES
        worker.kill()
        taken = take_over(agent, name, held, time.monotonic(), outcome)
        assert max(outcome.recoveries) < RERUN_SECONDS_MAX
        # Its results were only slow on the way: they come now, after the tasks went to another.
        outcome.refused = 0
        for item in held:
            for verb, fields in (("complete", {"output": "zombie"}), ("fail", {}), ("release", {})):
                body = {"fence": item["fence"], **fields}
                reply = other.send("POST", f"/api/v1/tasks/{item['id']}/{verb}", json=body)
                assert (reply.status_code, reply.json()["code"]) == (409, "stale_fence"), reply.text
                outcome.refused += 1
        check_done_once(admin, taken, outcome)
        outcome.note = f"{LEASES} leases of {LEASE_SECONDS} s in one killed worker"


def test_a_worker_that_stood_still_comes_back_as_a_zombie(admin, agent, other, name, engine, start_worker):
    """Stopped and continued by signals: it knows nothing of the time that passed, and goes on where it was."""
    with Outcome("zombie_completion", engine) as outcome:
        outcome.recovery_of = "stop of the worker to the next claim of its task"
        for _ in range(LEASES):
            admin.create(name, leaseSeconds=LEASE_SECONDS)
        worker, held = start_worker(other.key, name, LEASES)
        worker.send_signal(signal.SIGSTOP)
        taken = take_over(agent, name, held, time.monotonic(), outcome)
        worker.send_signal(signal.SIGCONT)
        worker.stdin.write("finish\n")
        worker.stdin.flush()
        answers = json.loads(worker.stdout.readline())
        assert len(answers) == 3 * LEASES
        outcome.refused = sum(status >= 400 for _, status, _ in answers)
        wrong = [answer for answer in answers if answer[1:] not in ([409, "stale_fence"], [410, "lease_lost"])]
        assert wrong == []
        assert all(answer[1:] == [409, "stale_fence"] for answer in answers if answer[0] == "complete")
        check_done_once(admin, taken, outcome)
        outcome.note = f"{LEASES} tasks; each zombie tries to beat, to deliver and to complete"


COMMAND = """
import json, os, pathlib, sys, time
folder = pathlib.Path(sys.argv[1])
mine = {name: os.environ[name] for name in ("REEVE_TASK_ID", "REEVE_TASK_FENCE", "REEVE_KEY")}
first = folder / "first.json"
if not first.exists():
    (folder / "part").write_text(json.dumps(mine | {"pid": os.getpid()}))
    (folder / "part").rename(first)
    time.sleep(600)
print("taken over")
"""


def test_a_killed_reeve_work(server, admin, name, engine, tmp_path):
    program = tmp_path / "command.py"
    program.write_text(COMMAND)
    started = []

    def work(agent_name):
        log = open(tmp_path / f"{agent_name}.log", "w")
        command = [BINARY, "work", "--queue", name, "--agent", agent_name, "--", sys.executable, str(program)]
        started.append(
            subprocess.Popen(
                [*command, str(tmp_path)],
                env=environment(REEVE_URL=server.url, REEVE_KEY=server.admin_key),
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=log,
                preexec_fn=die_with_parent,
            )
        )
        log.close()
        return started[-1]

    try:
        with Outcome("killed_reeve_work", engine) as outcome:
            outcome.recovery_of = "kill of the worker to the task's end by another"
            task = admin.create(name, leaseSeconds=LEASE_SECONDS)
            first = work(f"first-{name}")
            seen = tmp_path / "first.json"
            until(seen.exists, 20, "the command's start")
            zombie = json.loads(seen.read_text())
            admin.await_state(task["id"], "running")
            killed_at = time.monotonic()
            first.kill()
            work(f"second-{name}")
            done = admin.await_state(task["id"], "done", seconds=RERUN_SECONDS_MAX + 10)
            outcome.recoveries.append(time.monotonic() - killed_at)
            assert done["agent"] == f"second-{name}" or done["deliverables"][0]["agent"] == f"second-{name}"
            refusal = server.api(zombie["REEVE_KEY"]).send(
                "POST",
                f"/api/v1/tasks/{task['id']}/complete",
                json={"fence": int(zombie["REEVE_TASK_FENCE"]), "output": "zombie"},
            )
            assert refusal.json()["code"] in ("stale_fence", "unauthenticated"), refusal.text
            until(lambda: not is_running(zombie["pid"]), 10, "the end of the command of the killed `reeve work`")
            events = admin.get(f"/api/v1/events?task={task['id']}&limit=500")["items"]
            outcome.acknowledged, outcome.lost, outcome.refused = 1, 0, 1
            outcome.duplicated = sum(event["type"] == "task.done" for event in events) - 1
            outcome.note = "the command's completion under its old fence is refused, and the command is ended"
            assert outcome.duplicated == 0
    finally:
        for process in started:
            process.kill()
            process.wait(20)
