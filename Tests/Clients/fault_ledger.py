"""What a server under fault has promised its clients, and whether it kept that."""

import collections
import hashlib
import subprocess
import threading
import time

from reeve_server import BINARY, die_with_parent, environment


class Ledger:
    """Every acknowledged change, as the clients saw it. Whatever is in here must be there afterwards."""

    def __init__(self):
        self.lock = threading.Lock()
        self.tasks = {}  # id → the input that it was made with
        self.repeatable = set()  # inputs that were sent with an idempotency key
        self.deliverables = {}  # id → (task, SHA-256 of the bytes sent)
        self.sealed = set()  # (task, name) sent once, with an idempotency key
        self.outputs = {}  # task → the output of its accepted completion
        self.acceptances = collections.Counter()  # task → completions accepted as new
        self.approved = set()  # tasks whose approval was acknowledged
        self.notes = {}  # marker → whether it had an idempotency key
        self.keys = set()  # ids of keys that were made
        self.streamed = {}  # seq → type, as the live stream told
        self.acknowledged = collections.Counter()
        self.refused = collections.Counter()
        self.lost_replies = 0
        self.acknowledged_at = 0.0  # time.monotonic() of the newest one
        self.wrong = []

    def keep(self, kind, change=None):
        """Notes an acknowledged change; `change` runs under the lock."""
        with self.lock:
            self.acknowledged[kind] += 1
            self.acknowledged_at = time.monotonic()
            if change:
                change()

    def refuse(self, code):
        with self.lock:
            self.refused[code] += 1

    def accept(self, task_id, output, replayed):
        """A completion that the server took. A replayed reply is the same acceptance once more."""

        def change():
            self.outputs[task_id] = output
            self.acceptances[task_id] += 0 if replayed else 1

        self.keep("completion", change)

    @property
    def total(self):
        return sum(self.acknowledged.values())


class Findings:
    """What the server lost and what it did twice, in sentences."""

    def __init__(self):
        self.lost, self.duplicated = [], []

    def check(self):
        assert not self.lost, f"{len(self.lost)} lost: {self.lost[:5]}"
        assert not self.duplicated, f"{len(self.duplicated)} duplicated: {self.duplicated[:5]}"


def inspect(server, ledger):
    """Reads everything again and compares it with the ledger."""
    found = Findings()
    api = server.api()
    events = api.events()
    inspect_log(events, ledger, found)
    inspect_tasks(api, events, ledger, found)
    inspect_deliverables(api, events, ledger, found)
    inspect_audit(server, api, ledger, found)
    return found


def inspect_log(events, ledger, found):
    """The log has no gap, nor has any task's part of it, and it is what the live stream told."""
    numbers = [event["seq"] for event in events]
    if numbers != list(range(1, len(events) + 1)):
        found.lost.append(f"the log of {len(events)} events has a gap or a repetition")
    of_task = collections.defaultdict(list)
    for event in events:
        if event.get("taskId"):
            of_task[event["taskId"]].append(event["taskSeq"])
    for task_id, numbers in of_task.items():
        if numbers != list(range(1, len(numbers) + 1)):
            found.lost.append(f"the events of {task_id} are numbered {numbers}")
    types = {event["seq"]: event["type"] for event in events}
    for seq, kind in ledger.streamed.items():
        if types.get(seq) != kind:
            found.lost.append(f"event {seq} was streamed as {kind} and is {types.get(seq)} in the log")
    notes = collections.Counter(
        event["data"].get("marker") for event in events if event["type"] == "note.made"
    )
    for marker, is_repeatable in ledger.notes.items():
        if notes[marker] == 0:
            found.lost.append(f"the event {marker}")
        if notes[marker] > 1 and is_repeatable:
            found.duplicated.append(f"the event {marker}, {notes[marker]} times")


def inspect_tasks(api, events, ledger, found):
    made = collections.Counter(event["taskId"] for event in events if event["type"] == "task.created")
    done = collections.Counter(event["taskId"] for event in events if event["type"] == "task.done")
    found.duplicated += [f"{task_id} was created {n} times" for task_id, n in made.items() if n > 1]
    found.duplicated += [f"{task_id} was done {n} times" for task_id, n in done.items() if n > 1]
    found.duplicated += [f"{task_id} was accepted {n} times" for task_id, n in ledger.acceptances.items() if n > 1]
    by_input = collections.defaultdict(set)
    for task_id in made:
        reply = api.send("GET", f"/api/v1/tasks/{task_id}")
        task = reply.json() if reply.status_code == 200 else {}
        by_input[task.get("input")].add(task_id)
        if task_id in ledger.tasks and task.get("input") != ledger.tasks[task_id]:
            found.lost.append(f"the input of {task_id}")
        if task_id in ledger.outputs and (task.get("state"), task.get("output")) != ("done", ledger.outputs[task_id]):
            found.lost.append(f"the completion of {task_id}: it is {task.get('state')}")
        if task_id in ledger.approved and task.get("state") != "done":
            found.lost.append(f"the approval of {task_id}: it is {task.get('state')}")
    found.lost += [f"{task_id} was never created" for task_id in ledger.tasks if task_id not in made]
    found.lost += [f"{task_id} was never done" for task_id in ledger.outputs if task_id not in done]
    for marker in ledger.repeatable:
        if len(by_input[marker]) > 1:
            found.duplicated.append(f"the request {marker} made {len(by_input[marker])} tasks")


def inspect_deliverables(api, events, ledger, found):
    for deliverable_id, (task_id, sha256) in ledger.deliverables.items():
        reply = api.send("GET", f"/api/v1/deliverables/{deliverable_id}/content")
        if reply.status_code != 200 or hashlib.sha256(reply.content).hexdigest() != sha256:
            found.lost.append(f"the deliverable {deliverable_id} of {task_id}: {reply.status_code}")
    sealed = collections.Counter(
        (event["taskId"], event["data"]["name"]) for event in events if event["type"] == "task.deliverable_sealed"
    )
    for task_and_name in ledger.sealed:
        if sealed[task_and_name] > 1:
            found.duplicated.append(f"the deliverable {task_and_name}, {sealed[task_and_name]} revisions")


def inspect_audit(server, api, ledger, found):
    """Administrative acts are in the log of keys and in the audit log, whose chain of hashes is whole."""
    kept = set()
    after = ""
    for _ in range(1_000):
        page = api.get(f"/api/v1/keys?limit=500{after}", 200)
        kept |= {key["id"] for key in page["items"]}
        if not page.get("next"):
            break
        after = f"&after={page['next']}"
    found.lost += [f"the key {key_id}" for key_id in ledger.keys - kept]
    done = subprocess.run(
        [BINARY, "audit", "verify"],
        env=environment(REEVE_URL=server.url, REEVE_KEY=server.admin_key, NO_COLOR="1"),
        capture_output=True,
        text=True,
        timeout=60,
        preexec_fn=die_with_parent,
    )
    if done.returncode != 0:
        found.lost.append(f"the audit log's chain: {done.stdout}{done.stderr}")


def finish_all(api, worker, queue, seconds=60):
    """What is left can still be done: nothing hangs that nobody could ever take up."""
    give_up_at = time.monotonic() + seconds
    while True:
        for task in api.get("/api/v1/reviews?limit=500", 200)["items"]:
            if task["queue"] == queue:
                api.review(task["id"], "approve", task["submission"]["sha256"])
        left = api.get(f"/api/v1/tasks?queue={queue}&status=ready,claimed,running,scheduled,in_review&limit=5")["items"]
        if not left:
            break
        assert time.monotonic() < give_up_at, f"these do not end: {[(t['id'], t['state']) for t in left]}"
        for item in worker.claim_all(queue, limit=200, wait=1):
            task_id, fence = item["task"]["id"], item["fence"]
            if item["task"]["review"]:
                worker.post(f"/api/v1/tasks/{task_id}/deliverables", {"fence": fence, "name": "end", "content": "end"})
                worker.post(f"/api/v1/tasks/{task_id}/submit", {"fence": fence}, 200)
            else:
                worker.post(f"/api/v1/tasks/{task_id}/complete", {"fence": fence, "output": "end"}, 200)
    held = api.get(f"/api/v1/tasks?queue={queue}&status=held&limit=5")["items"]
    assert held == [], f"set aside: {[(task['id'], task['reason']) for task in held]}"
