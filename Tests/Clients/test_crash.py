"""A server that is killed loses nothing that it acknowledged, and does nothing twice."""

import subprocess
import threading
import time
import uuid

import requests

from reeve_server import Refused, die_with_parent, environment, until

ROUNDS = 5


class Load:
    """Clients that work until they are told to stop, and remember every acknowledged change."""

    def __init__(self, server, keys):
        self.server, self.keys = server, keys
        self.stopping = threading.Event()
        self.lock = threading.Lock()
        self.created, self.completed, self.delivered = set(), {}, {}
        self.wrong = []
        self.threads = [threading.Thread(target=self.guard, args=(self.create,)) for _ in range(2)]
        self.threads += [threading.Thread(target=self.guard, args=(self.work, key)) for key in keys]

    def guard(self, body, *arguments):
        while not self.stopping.is_set():
            try:
                body(*arguments)
            except (requests.RequestException, ValueError, KeyError, OSError):
                # The server is down at this moment.
                self.stopping.wait(0.05)
            except (Refused, AssertionError) as error:
                if not any(
                    word in str(error) for word in ("503", "429", "lease_lost", "stale_fence", "bad_transition")
                ):
                    self.wrong.append(str(error))
                self.stopping.wait(0.05)

    def create(self):
        api = self.server.api()
        key = str(uuid.uuid4())
        while not self.stopping.is_set():
            try:
                made = api.create("crash", headers={"Idempotency-Key": key}, input=key, leaseSeconds=3)
            except requests.RequestException:
                # The answer got lost: the same request again must give the same task.
                self.stopping.wait(0.05)
                continue
            with self.lock:
                self.created.add((made["id"], key))
            return

    def work(self, key):
        api = self.server.api(key)
        for item in api.claim_all("crash", limit=2, wait=1):
            task_id, body = item["task"]["id"], {"fence": item["fence"]}
            text = f"{task_id} under fence {item['fence']}"
            made = api.post(
                f"/api/v1/tasks/{task_id}/deliverables",
                {**body, "name": "proof.txt", "contentType": "text/plain", "content": text},
            )
            with self.lock:
                self.delivered[made["id"]] = text
            api.post(f"/api/v1/tasks/{task_id}/complete", {**body, "output": text}, 200)
            with self.lock:
                if task_id in self.completed:
                    self.wrong.append(f"{task_id} was completed twice")
                self.completed[task_id] = text

    def start(self):
        for thread in self.threads:
            thread.start()

    def stop(self):
        self.stopping.set()
        for thread in self.threads:
            thread.join(60)

    def total(self):
        return len(self.created) + len(self.completed)


def test_killed_under_load_it_loses_nothing(own_server):
    server = own_server.start()
    keys = [server.make_key("agent", f"worker {n}", f"worker-{n}") for n in range(3)]
    load = Load(server, keys)
    load.start()
    try:
        for _ in range(ROUNDS):
            enough = load.total() + 40
            until(lambda: load.total() >= enough, 60, "forty more acknowledged changes")
            server.kill()
            server.start()
        enough = load.total() + 20
        until(lambda: load.total() >= enough, 60, "work after the last restart")
    finally:
        load.stop()
    assert not load.wrong, load.wrong[:5]

    api = server.api()
    for task_id, key in load.created:
        task = api.task(task_id)
        assert task["input"] == key
    by_key = {}
    for task_id, key in load.created:
        assert by_key.setdefault(key, task_id) == task_id, "one request made two tasks"
    for task_id, text in load.completed.items():
        task = api.task(task_id)
        assert task["state"] == "done" and task["output"] == text
    for deliverable_id, text in load.delivered.items():
        content = api.send("GET", f"/api/v1/deliverables/{deliverable_id}/content").content
        assert content == text.encode()

    events = api.events()
    assert [event["seq"] for event in events] == list(range(1, len(events) + 1))
    done = [event["taskId"] for event in events if event["type"] == "task.done"]
    assert len(done) == len(set(done)), "a task was done twice"
    assert set(load.completed) <= set(done)
    made = [event["taskId"] for event in events if event["type"] == "task.created"]
    assert {task_id for task_id, _ in load.created} <= set(made) and len(made) == len(set(made))

    # Everything that is left can still be done.
    worker = server.api(keys[0])
    give_up_at = time.monotonic() + 60
    while api.get("/api/v1/tasks?queue=crash&status=ready,claimed,running,scheduled&limit=1")["items"]:
        assert time.monotonic() < give_up_at, api.get(
            "/api/v1/tasks?queue=crash&status=ready,claimed,running,scheduled&limit=3"
        )
        for item in worker.claim_all("crash", limit=200, wait=1):
            worker.post(
                f"/api/v1/tasks/{item['task']['id']}/complete", {"fence": item["fence"], "output": "swept up"}, 200
            )
    assert api.get("/api/v1/tasks?queue=crash&status=held&limit=5")["items"] == []
    assert server.stop() == 0


def test_nobody_is_declared_dead_for_a_restart(own_server):
    """Leases that were granted before a restart get the failover grace before they are swept."""
    server = own_server.start()
    agent = server.make_agent("patient")
    server.api().create("grace", leaseSeconds=2)
    claim = agent.claim("grace")
    claim.beat()
    server.kill()
    time.sleep(2.5)  # The lease runs out while nobody is there to see it.
    server.start()
    reply = claim.beat()
    assert reply["cancel"] is False
    claim.complete("still mine")
    assert server.api().task(claim.id)["output"] == "still mine"


def test_a_second_server_on_the_same_data_is_refused(own_server):
    server = own_server.start()
    second = subprocess.run(
        server.command(),
        stdin=subprocess.DEVNULL,
        capture_output=True,
        text=True,
        timeout=60,
        env=environment(),
        preexec_fn=die_with_parent,
    )
    assert second.returncode not in (0, None)
    assert str(server.data_dir) in second.stdout + second.stderr or "data" in (second.stdout + second.stderr).lower()
    server.api().create("still-there")


def test_sigterm_ends_a_waiting_claim_and_leaves_with_zero(own_server):
    server = own_server.start()
    agent = server.make_agent("waiting")
    result = {}

    def wait():
        try:
            result["reply"] = agent.send("POST", "/api/v1/tasks/claim", json={"queues": ["none"], "waitSeconds": 30})
        except (requests.RequestException, AssertionError) as error:
            result["error"] = error

    waiter = threading.Thread(target=wait)
    waiter.start()
    waiter.join(0.5)
    started = time.monotonic()
    assert server.stop(seconds=20) == 0
    assert time.monotonic() - started < 15, "it waited for a client that waits for work"
    waiter.join(10)
    assert not waiter.is_alive()


def test_a_restart_keeps_the_key_and_prints_a_new_login_link(own_server):
    server = own_server.start()
    key, link = server.admin_key, server.login_link
    assert link
    server.stop()
    server.start()
    assert server.admin_key == key
    server.api().get("/api/v1/tasks", 200)
    assert server.login_link and server.login_link != link
