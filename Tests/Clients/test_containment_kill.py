"""A program that goes round in circles under `reeve work` is ended by a containment, though the server is killed right
between the request and its answer."""

import json
import socket
import subprocess
import sys
import time
import urllib.parse
import uuid
from pathlib import Path

import pytest

from reeve_server import BINARY, die_with_parent, environment, is_running, until

LEASE_SECONDS = 5
# While the request is on its way, before a loop took its first step, between two steps, and behind the last one.
DELAYS = [0, 0.004, 0.02, 0.12, 0.3, 0.6]

COMMAND = """
import json, os, pathlib, sys, time
folder = pathlib.Path(sys.argv[1])
first = folder / "first.json"
if first.exists():
    print("taken over")
    sys.exit(0)
(folder / "part").write_text(json.dumps({"pid": os.getpid(), "fence": int(os.environ["REEVE_TASK_FENCE"])}))
(folder / "part").rename(first)
while True:
    time.sleep(0.02)
"""


def ask_and_not_listen(server, path, body, key):
    """Sends a request whose answer nobody reads; the connection stays open as long as what is returned."""
    url, content = urllib.parse.urlsplit(server.url), json.dumps(body).encode()
    head = [
        f"POST {path} HTTP/1.1", f"Host: {url.netloc}", f"Authorization: Bearer {server.admin_key}",
        f"Idempotency-Key: {key}", "Content-Type: application/json", f"Content-Length: {len(content)}", "", "",
    ]  # fmt: skip
    connection = socket.create_connection((url.hostname, url.port), 10)
    connection.sendall("\r\n".join(head).encode() + content)
    return connection


@pytest.fixture
def work(own_server, tmp_path):
    started = []

    def start(agent, queue, folder):
        folder.mkdir(exist_ok=True)
        program = folder / "command.py"
        program.write_text(COMMAND)
        with open(folder / f"{agent}.log", "w") as log:
            command = [BINARY, "work", "--queue", queue, "--agent", agent, "--", sys.executable]
            started.append(
                subprocess.Popen(
                    [*command, str(program), str(folder)],
                    env=environment(REEVE_URL=own_server.url, REEVE_KEY=own_server.admin_key),
                    stdin=subprocess.DEVNULL,
                    stdout=log,
                    stderr=log,
                    preexec_fn=die_with_parent,
                )
            )

    yield start
    for process in started:
        process.kill()
        process.wait(20)


def test_a_looping_child_is_ended_once_though_the_server_is_killed_before_it_answers(own_server, work, tmp_path):
    own_server.start()
    for number, delay in enumerate(DELAYS):
        looping, steady, queue, folder = f"looping-{number}", f"steady-{number}", f"q{number}", tmp_path / f"{number}"
        api = own_server.api()
        task = api.create(queue, leaseSeconds=LEASE_SECONDS)["id"]
        work(looping, queue, folder)
        until((folder / "first.json").exists, 30, "the start of the program")
        child = json.loads((folder / "first.json").read_text())
        api.await_state(task, "running", seconds=20)
        incident = {"title": "Round and round", "severity": "critical", "subjects": [f"agent:{looping}"]}
        room = f"/api/v1/incidents/{api.post('/api/v1/incidents', incident, 201)['id']}/containments"
        # What it has it keeps; that it takes nothing further is what gives the task to another one.
        pause = {"action": "pauseAgent", "parameters": {"agents": [looping]}, "approve": True}
        paused = api.post(room, pause, 201)["id"]
        until(lambda api=api, one=paused: api.get(f"/api/v1/containments/{one}")["state"] == "acted", 20, "the pause")
        assert is_running(child["pid"])

        kill, key = {"action": "killProcess", "parameters": {"tasks": [task]}, "approve": True}, str(uuid.uuid4())
        connection = ask_and_not_listen(own_server, room, kill, key)
        time.sleep(delay)
        own_server.kill()
        connection.close()
        own_server.start()

        api = own_server.api()
        asked = api.post(room, kill, 201, headers={"Idempotency-Key": key})["id"]
        until(lambda api=api, one=asked: api.get(f"/api/v1/containments/{one}")["state"] == "acted", 20, "the act")
        until(lambda pid=child["pid"]: not is_running(pid), 20, "the end of the child")
        work(steady, queue, folder)
        done = api.await_state(task, "done", seconds=30)
        assert done["fence"] > child["fence"]

        listed = [one for one in api.get(room)["items"] if one["name"] == "killProcess"]
        assert [one["id"] for one in listed] == [asked], "it was proposed twice"
        assert not listed[0]["inForce"] and [one["outcome"] for one in listed[0]["steps"][0]["outcomes"]] == ["acted"]
        events = api.get(f"/api/v1/events?task={task}&limit=500")["items"]
        kinds = [event["type"] for event in events]
        assert kinds.count("task.reassigned") == 1 and kinds.count("task.done") == 1, kinds
        agents = [event["agent"] for event in events if event["type"] == "task.claimed"]
        assert agents == [looping, steady], kinds
        acted = [e for e in api.events() if e["type"] == "containment.acted" and e["data"]["containment"] == asked]
        assert len(acted) == 1
        assert api.get(f"/api/v1/agents/{looping}")["status"] == "paused"
