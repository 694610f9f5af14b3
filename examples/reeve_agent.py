"""A worker for Reeve in one file of plain Python: no package to install.

    from reeve_agent import run

    def summarise(task):
        task.progress(0.5, "reading")
        task.deliver("summary.md", "# In short\\n…")
        task.complete({"words": 120})

    run(queue="summaries", handler=summarise)

It is started with two environment variables, REEVE_URL and REEVE_KEY; `reeve run --agent NAME -- python3 agent.py`
sets both.

What it takes care of, so that a handler need not:

* It waits for work with a long poll: no busy loop, and a new task starts at once.
* While a task is worked on, a thread sends heartbeats for it and for the agent. The heartbeat's reply says when the
  task was cancelled or belongs to somebody else; the handler then ends at its next `task.progress(…)`.
* Every write carries the fence of the claim, so a worker that was away for too long can never overwrite its successor.
* Every write carries an Idempotency-Key, so one that is repeated after a broken connection happens once.
* When it is asked to stop (SIGTERM, Ctrl-C) it hands its task back, and somebody else has it a moment later.
"""

import http.client
import json
import os
import random
import signal
import threading
import time
import urllib.error
import urllib.request
import uuid

# A demo is nicer to watch when its steps take a while. Tests set this to 0.
STEP_SECONDS = float(os.environ.get("DEMO_STEP_SECONDS", "0.8"))


class Refused(Exception):
    """Reeve answered with a 4xx: `code` is its stable word, `document` the whole explanation."""

    def __init__(self, status, document):
        self.status, self.document = status, document
        self.code = document.get("code", "")
        super().__init__(f"{status} {self.code}: {document.get('detail', '')} {document.get('hint', '')}".strip())


class Stopped(Exception):
    """This task is no longer ours to work on: cancelled, or its lease went to another agent."""


class Permanent(Exception):
    """Raised by a handler when trying again cannot help."""


class Reeve:
    """Reeve's HTTP interface: one method that sends JSON, and repeats until an answer comes."""

    def __init__(self, url=None, key=None):
        self.url = (url or os.environ["REEVE_URL"]).rstrip("/")
        self.key = key or os.environ["REEVE_KEY"]

    def call(self, method, path, body=None, timeout=40, patience=60, raw=False):
        """Sends one request and returns the reply's JSON (or with `raw` its bytes).

        A lost connection, an overloaded server (5xx) and a full bucket (429) are tried again for `patience` seconds,
        with the same Idempotency-Key, so that a change whose answer got lost is not made twice.
        """
        headers = {"Authorization": f"Bearer {self.key}", "Idempotency-Key": str(uuid.uuid4())}
        data = None
        if body is not None:
            data = json.dumps(body).encode()
            headers["Content-Type"] = "application/json"
        address = path if path.startswith("http") else self.url + path
        give_up_at = time.monotonic() + patience
        pause = 0.1
        while True:
            request = urllib.request.Request(address, data=data, headers=headers, method=method)
            try:
                with urllib.request.urlopen(request, timeout=timeout) as reply:
                    content = reply.read()
                    return content if raw else json.loads(content) if content else None
            except urllib.error.HTTPError as error:
                if error.code < 500 and error.code != 429:
                    raise Refused(error.code, problem_of(error)) from None
                wait = float(error.headers.get("Retry-After") or 0)
                trouble = error
            except (OSError, http.client.HTTPException) as error:
                wait, trouble = 0, error
            if time.monotonic() + pause > give_up_at:
                raise trouble
            # Full jitter: many agents that lost one server do not come back in step.
            time.sleep(max(wait, random.uniform(0, pause)))
            pause = min(pause * 2, 5)

    def post(self, path, body=None, **options):
        return self.call("POST", path, body if body is not None else {}, **options)

    def get(self, path, **options):
        return self.call("GET", path, **options)


def problem_of(error):
    try:
        return json.loads(error.read())
    except ValueError:
        return {}


class Task:
    """A claimed task, as its handler sees it."""

    def __init__(self, reeve, claim):
        self.reeve = reeve
        self.fence = claim["fence"]
        self.document = claim["task"]
        self.id = self.document["id"]
        self.title = self.document.get("title") or self.id
        self.input = self.document.get("input") or {}
        self.feedback = self.document.get("feedback") or []
        self.done = 0.0
        self.note = "starting"
        self.ended = False
        # Why the work should stop, once somebody said so.
        self.stop_reason = None

    def write(self, verb, body=None, **options):
        """One fenced write. A refusal that says the task is not ours any more becomes `Stopped`."""
        try:
            return self.reeve.post(f"/api/v1/tasks/{self.id}/{verb}", {"fence": self.fence, **(body or {})}, **options)
        except Refused as refusal:
            if refusal.code in ("stale_fence", "lease_lost") or (refusal.status in (404, 410)):
                self.stop_reason = refusal.code
                raise Stopped(str(refusal)) from None
            raise

    def beat(self):
        """Extends the lease, says how far the work is, and listens to what the reply asks for."""
        reply = self.write("heartbeat", {"progress": round(self.done, 3), "note": self.note}, patience=5)
        if reply.get("cancel"):
            self.stop_reason = "cancelled"
        return reply

    def progress(self, done, note, pause=True):
        """Says how far the work is (0 to 1) and what comes now; raises `Stopped` when it should end."""
        self.check()
        self.done, self.note = done, note
        self.beat()
        if pause and STEP_SECONDS:
            time.sleep(STEP_SECONDS)
        self.check()

    def check(self):
        if self.stop_reason:
            raise Stopped(self.stop_reason)

    def ask(self, model, question, tokens=80):
        """What a model answers, asked through Reeve: priced, and held to the budgets of this task, agent and project.

        The task need not be named: Reeve knows from the claim what this agent works on. Returns `(answer, None)`, or
        `(None, why)` where there is none to be had and the work has to do without.
        """
        body = {"model": model, "max_tokens": tokens, "messages": [{"role": "user", "content": question}]}
        try:
            reply = self.reeve.post("/v1/chat/completions", body, patience=20)
            return (reply["choices"][0]["message"]["content"] or "").strip() or None, None
        except Refused as refusal:
            error = refusal.document.get("error") or {}
            if error.get("code") == "model_not_found":
                return None, None
            if error.get("code") == "budget_exceeded":
                return None, f"its budget is used up: {error.get('message', '')}"
            return None, f"the model gave no answer: {error.get('message') or refusal}"
        except (OSError, http.client.HTTPException) as error:
            return None, f"the model gave no answer: {error}"

    def deliver(self, name, content, content_type="text/markdown"):
        """Stores a result. The same name again is a new revision of it. Returns its id, sha256 and revision."""
        return self.write("deliverables", {"name": name, "contentType": content_type, "content": content})

    def deliver_json(self, name, value):
        return self.deliver(name, value, "application/json")

    def complete(self, output=None):
        """Done, and nobody needs to look at it."""
        self.write("complete", {"output": output})
        self.ended = True

    def submit(self):
        """Done; now a person reviews it."""
        self.write("submit")
        self.ended = True

    def parents(self):
        """What this task depends on: `(parent, {name: text})` pairs with the content of each deliverable."""
        for parent in self.document.get("parents") or []:
            texts = {}
            for deliverable in parent.get("deliverables") or []:
                texts[deliverable["name"]] = self.reeve.get(deliverable["url"], raw=True).decode()
            yield parent, texts


class Heart(threading.Thread):
    """Beats for the agent, and for the task that it works on, as often as Reeve asks for it."""

    def __init__(self, reeve):
        super().__init__(daemon=True)
        self.reeve = reeve
        self.task = None
        self.changed = threading.Event()

    def work_on(self, task):
        self.task = task
        self.changed.set()

    def run(self):
        while True:
            interval = min(self.beat_agent(), self.beat_task())
            self.changed.wait(max(0.2, interval))
            self.changed.clear()

    def beat_agent(self):
        task = self.task
        message = f"{task.title}: {task.note}" if task else "waiting for work"
        try:
            reply = self.reeve.post(
                "/api/events/ingest", {"type": "agent.heartbeat", "statusMessage": message}, patience=5, timeout=10
            )
            return float((reply or {}).get("nextHeartbeatSeconds") or 15)
        except (Refused, OSError):
            return 5

    def beat_task(self):
        task = self.task
        if task is None or task.ended or task.stop_reason:
            return 60
        try:
            return float(task.beat().get("nextHeartbeatSeconds") or 5)
        except (Refused, Stopped, OSError):
            return 1


def run(queue, handler):
    """Claims tasks of the queue, one at a time, and hands each to `handler`, until the process is asked to stop."""
    reeve = Reeve()
    heart = Heart(reeve)

    def leave(signum, frame):
        raise SystemExit(0)

    signal.signal(signal.SIGTERM, leave)
    signal.signal(signal.SIGINT, leave)
    heart.start()
    print(f"at work on the queue {queue}", flush=True)
    while True:
        try:
            reply = reeve.post(
                "/api/v1/tasks/claim", {"queues": [queue], "limit": 1, "waitSeconds": 20}, patience=float("inf")
            )
        except Refused as refusal:
            # An operator paused or removed this agent, or the key was revoked: ask again later rather than in a circle.
            print(f"no work: {refusal}", flush=True)
            time.sleep(5)
            continue
        for claim in reply["items"]:
            work_on(Task(reeve, claim), handler, heart)


def work_on(task, handler, heart):
    print(f"{task.id}: {task.title}", flush=True)
    heart.work_on(task)
    try:
        handler(task)
        task.check()
        print(f"{task.id}: finished", flush=True)
    except SystemExit:
        # Asked to stop: the task goes back at once instead of when its lease ends.
        give_back(task)
        raise
    except Stopped as reason:
        print(f"{task.id}: stopped ({reason})", flush=True)
        give_back(task)
    except Permanent as reason:
        end_badly(task, "permanent", str(reason))
    except Exception as error:
        end_badly(task, "retryable", f"{type(error).__name__}: {error}")
    finally:
        heart.work_on(None)


def give_back(task):
    """Lets go of the task. For a cancelled one this is the acknowledgement that the work has ended."""
    if task.ended or task.stop_reason in ("stale_fence", "lease_lost"):
        return
    try:
        task.write("release", {"delaySeconds": 0}, patience=3, timeout=3)
    except (Refused, Stopped, OSError) as error:
        print(f"{task.id}: could not be handed back: {error}", flush=True)


def end_badly(task, kind, message):
    print(f"{task.id}: failed ({kind}): {message}", flush=True)
    if task.ended:
        return
    try:
        task.write("fail", {"class": kind, "message": message[:1000]})
    except (Refused, Stopped, OSError) as error:
        print(f"{task.id}: the failure could not be reported: {error}", flush=True)
