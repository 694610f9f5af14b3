"""Clients that go on while their server is hurt: they create, claim, beat, deliver, submit, review, complete."""

import hashlib
import json
import random
import threading
import time
import uuid

import requests

BACKLOG_MAX = 60
REPEAT_SECONDS = 60
REQUEST_SECONDS = 30

# Settings of a server under load and fault: what a lost reply left claimed comes back soon, and to anybody.
FAST_RETURN = {
    "REEVE_AGENTS_FAILOVER_GRACE_SECONDS": "2",
    "REEVE_TASKS_AFFINITY_SECONDS": "1",
    "REEVE_TASKS_LEASE_LOSSES_MAX": "1000",
}


class LostReply(Exception):
    """The connection broke, or the server said that it does not know: the change may have happened or not."""


class Stopped(Exception):
    """The load was told to stop."""


class Load:
    """Threads of clients over one queue. What they were told is in `ledger`."""

    def __init__(self, server, ledger, queue="faults", seed=1, workers=3, lease_seconds=3):
        self.server, self.ledger, self.queue, self.lease_seconds = server, ledger, queue, lease_seconds
        self.stopping = threading.Event()
        self.agents = [server.make_key("agent", f"worker {n}", f"worker-{n}") for n in range(workers)]
        self.reviewer = server.make_key("operator", "the reviewer")
        admin = server.admin_key
        jobs = [(self.create, admin), (self.create, admin), (self.review, self.reviewer), (self.note, self.agents[0])]
        jobs += [(self.work, key) for key in self.agents] + [(self.make_key, admin), (self.follow, admin)]
        self.threads = [
            threading.Thread(target=self.repeat, args=(Client(self, key, random.Random(f"{seed}/{n}")), job))
            for n, (job, key) in enumerate(jobs)
        ]

    def __enter__(self):
        for thread in self.threads:
            thread.start()
        return self

    def __exit__(self, *_):
        self.stopping.set()
        for thread in self.threads:
            thread.join(90)
            assert not thread.is_alive(), "a client hangs"

    def repeat(self, client, job):
        while not self.stopping.is_set():
            try:
                job(client)
            except LostReply:
                self.stopping.wait(0.02)
            except Stopped:
                return
            except Exception as error:  # noqa: BLE001: a client that dies silently would make the test mean nothing
                self.ledger.wrong.append(f"{job.__name__}: {error!r}")
                self.stopping.wait(0.1)

    def create(self, client):
        ledger = self.ledger
        if ledger.acknowledged["task"] - ledger.acknowledged["completion"] > BACKLOG_MAX:
            return self.stopping.wait(0.02)
        marker, is_repeatable = str(uuid.uuid4()), client.random.random() < 0.7
        body = {"queue": self.queue, "project": "faults", "type": "t", "title": "hurt", "input": marker}
        body |= {"leaseSeconds": self.lease_seconds, "review": client.random.random() < 0.3}
        body |= {"startSeconds": self.lease_seconds, "maxAttempts": 1_000}
        if is_repeatable:
            ledger.repeatable.add(marker)
        status, made, _ = client.post("/api/v1/tasks", body, marker if is_repeatable else None)
        if status == 201:
            ledger.keep("task", lambda: ledger.tasks.__setitem__(made["id"], marker))

    def work(self, client):
        key = str(uuid.uuid4()) if client.random.random() < 0.5 else None
        claim = {"queues": [self.queue], "limit": 2, "waitSeconds": 1}
        status, reply, _ = client.post("/api/v1/tasks/claim", claim, key)
        if status != 200:
            return
        items = reply["items"]
        self.ledger.keep("claim") if items else None
        for item in items:
            self.serve(client, item["task"], item["fence"])

    def serve(self, client, task, fence):
        """One task, from the first heartbeat to its completion; gives up where the task is not its own any more."""
        ledger, path, name = self.ledger, f"/api/v1/tasks/{task['id']}", f"proof-{uuid.uuid4()}.txt"
        status, _, _ = client.post(f"{path}/heartbeat", {"fence": fence, "progress": 0.5}, None)
        if status != 200:
            return
        ledger.keep("heartbeat")
        text = f"{task['id']} under fence {fence}: {name}" * client.random.choice((1, 20, 400))
        is_repeatable = client.random.random() < 0.7
        key = str(uuid.uuid4()) if is_repeatable else None
        status, made, _ = client.post(f"{path}/deliverables", {"fence": fence, "name": name, "content": text}, key)
        if status != 201:
            return
        sha256 = hashlib.sha256(text.encode()).hexdigest()
        ledger.keep("deliverable", lambda: ledger.deliverables.__setitem__(made["id"], (task["id"], sha256)))
        if is_repeatable:
            ledger.sealed.add((task["id"], name))
        if task["review"]:
            status, _, _ = client.post(f"{path}/submit", {"fence": fence}, str(uuid.uuid4()))
            return ledger.keep("submission") if status == 200 else None
        self.complete(client, task["id"], fence, name)

    def complete(self, client, task_id, fence, output):
        form = client.random.random()
        if form < 0.3:
            body = {"items": [{"id": task_id, "fence": fence, "output": output}]}
            status, reply, replayed = client.post("/api/v1/tasks/complete", body, str(uuid.uuid4()))
            if status != 200:
                return
            item = reply["items"][0]
            if item.get("code"):
                return self.ledger.refuse(item["code"])
            return self.ledger.accept(task_id, output, replayed)
        body, key = {"fence": fence, "output": output}, str(uuid.uuid4()) if form < 0.8 else None
        path = f"/api/v1/tasks/{task_id}/complete"
        try:
            status, _, replayed = client.post(path, body, key)
        except LostReply:
            # Without a key the same request again either is the first to arrive, or is refused.
            status, _, replayed = client.post(path, body, str(uuid.uuid4()))
        if status == 200:
            self.ledger.accept(task_id, output, replayed)

    def review(self, client):
        waiting = client.get("/api/v1/reviews?limit=20")["items"]
        for task in waiting:
            verdict = "changes" if client.random.random() < 0.1 else "approve"
            body = {"verdict": verdict, "sha256": task["submission"]["sha256"], "comment": "once more"}
            status, _, _ = client.post(f"/api/v1/tasks/{task['id']}/review", body, str(uuid.uuid4()))
            if status == 200 and verdict == "approve":
                self.ledger.keep("completion", lambda task=task: self.ledger.approved.add(task["id"]))
            elif status == 200:
                self.ledger.keep("verdict")
        if not waiting:
            self.stopping.wait(0.05)

    def note(self, client):
        marker, is_repeatable = str(uuid.uuid4()), client.random.random() < 0.7
        body = {"type": "note.made", "data": {"marker": marker}}
        status, reply, _ = client.post("/api/events/ingest", body, marker if is_repeatable else None)
        if status == 200 and reply.get("accepted") == 1:
            self.ledger.keep("event", lambda: self.ledger.notes.__setitem__(marker, is_repeatable))
        self.stopping.wait(0.01)

    def make_key(self, client):
        name = str(uuid.uuid4())
        status, made, _ = client.post("/api/v1/keys", {"role": "viewer", "name": name}, name)
        if status == 201:
            self.ledger.keep("key", lambda: self.ledger.keys.add(made["id"]))
        self.stopping.wait(0.1)

    def follow(self, client):
        """Reads the live stream, and goes on behind the newest event that it has seen."""
        newest = max(self.ledger.streamed, default=0)
        headers = {"Last-Event-ID": str(newest)}
        try:
            url = self.server.url + "/api/v1/events/stream"
            with client.session.get(url, headers=headers, stream=True, timeout=(5, 1)) as reply:
                for line in reply.iter_lines():
                    if line.startswith(b"data: ") and b'"seq"' in line:
                        event = json.loads(line[6:])
                        self.ledger.streamed[event["seq"]] = event["type"]
                    if self.stopping.is_set():
                        return
        except (requests.RequestException, ValueError) as error:
            raise LostReply from error


class Client:
    """A client with manners: after a lost connection, 429 or 503 it sends the same again with the same key."""

    def __init__(self, load, key, chance):
        self.load, self.random = load, chance
        self.session = requests.Session()
        self.session.headers["Authorization"] = f"Bearer {key}"

    def get(self, path):
        try:
            reply = self.session.get(self.load.server.url + path, timeout=REQUEST_SECONDS)
        except requests.RequestException as error:
            raise LostReply from error
        if reply.status_code != 200:
            self.load.ledger.refuse(reply.json()["code"])
            raise LostReply
        return reply.json()

    def post(self, path, body, key):
        """Status, reply, and whether it was replayed. Without a key a lost reply is `LostReply`."""
        ledger, headers = self.load.ledger, {"Idempotency-Key": key} if key else {}
        give_up_at = time.monotonic() + REPEAT_SECONDS
        while time.monotonic() < give_up_at:
            try:
                url = self.load.server.url + path
                reply = self.session.post(url, json=body, headers=headers, timeout=REQUEST_SECONDS)
                answer = reply.json()
            except (requests.RequestException, ValueError) as error:
                with ledger.lock:
                    ledger.lost_replies += 1
                if not key:
                    raise LostReply from error
            else:
                if reply.status_code < 400:
                    return reply.status_code, answer, reply.headers.get("Idempotency-Replayed") == "true"
                self.judge(path, reply.status_code, answer)
                if reply.status_code not in (429, 503):
                    return reply.status_code, answer, False
                if not key:
                    raise LostReply
            # Also after the load was stopped: what is under way is brought to its end.
            self.load.stopping.wait(0.02) or time.sleep(0.02)
        raise AssertionError(f"{path} was not answered within {REPEAT_SECONDS} s")

    def judge(self, path, status, problem):
        """A refusal under fault is one of a few; anything else is a finding."""
        self.load.ledger.refuse(problem.get("code", str(status)))
        expected = {409: {"stale_fence", "bad_transition", "conflict"}, 410: {"lease_lost"}, 429: {"rate_limited"}}
        expected[503] = {"overloaded", "storage_unavailable", "outcome_unknown"}
        if problem.get("code") not in expected.get(status, ()):
            self.load.ledger.wrong.append(f"{path}: {status} {problem}")
