"""A real `reeve serve` for the tests, and a client that checks the shape of every refusal on its way."""

import ctypes
import os
import re
import signal
import subprocess
import threading
import time
import urllib.parse
import uuid
from pathlib import Path

import requests

ROOT = Path(__file__).resolve().parents[2]
BINARY = os.environ.get("REEVE_TEST_BINARY") or str(ROOT / ".build/debug/reeve")
POSTGRES = os.environ.get("REEVE_TEST_POSTGRES")
ENGINES = ["sqlite", "postgres"] if POSTGRES else ["sqlite"]
# Where there is one, tests that ask for it also run with telemetry in a ClickHouse.
CLICKHOUSE = os.environ.get("REEVE_TEST_CLICKHOUSE")
STORES = [*ENGINES, "clickhouse"] if CLICKHOUSE else ENGINES

_libc = ctypes.CDLL(None)


def environment(**more):
    """This process's environment without the settings that a developer may have in it, and with `more`."""
    kept = {name: value for name, value in os.environ.items() if not name.startswith("REEVE_")}
    return {**kept, **more}


def die_with_parent():
    """Runs in a child before it becomes its program: a test run that is killed leaves no process behind."""
    _libc.prctl(1, signal.SIGKILL)


def is_running(pid):
    """Whether a process lives; one that ended and was not collected yet does not."""
    try:
        return Path(f"/proc/{pid}/stat").read_text().rsplit(")", 1)[1].split()[0] != "Z"
    except OSError:
        return False


def until(check, seconds=10.0, what="the condition", every=0.05):
    """Polls until `check` returns something true, and returns that. `what` may be told in the end."""
    give_up_at = time.monotonic() + seconds
    while True:
        found = check()
        if found:
            return found
        if time.monotonic() >= give_up_at:
            raise AssertionError(f"{what() if callable(what) else what} did not come about in {seconds} s")
        time.sleep(every)


class Refused(AssertionError):
    """A status that the test did not expect."""


class Api:
    """Reeve's interface with one key. Every reply of 400 and above must be a problem document."""

    def __init__(self, url, key=None, agent=None):
        self.url, self.key, self.agent = url, key, agent
        self.session = requests.Session()
        if key:
            self.session.headers["Authorization"] = f"Bearer {key}"

    def send(self, method, path, **options):
        reply = self.session.request(method, self.url + path, timeout=options.pop("timeout", 60), **options)
        if reply.status_code >= 400 and not options.get("stream"):
            check_problem(reply)
        return reply

    def call(self, method, path, body=None, expect=None, **options):
        """Sends JSON, wants `expect` (or any 2xx), returns the reply's JSON."""
        if body is not None:
            options["json"] = body
        reply = self.send(method, path, **options)
        wanted = (200 <= reply.status_code < 300) if expect is None else reply.status_code == expect
        if not wanted:
            raise Refused(f"{method} {path}: {reply.status_code}, not {expect or '2xx'}: {reply.text[:600]}")
        return reply.json() if reply.content and "json" in reply.headers.get("content-type", "") else None

    def get(self, path, expect=None, **options):
        return self.call("GET", path, None, expect, **options)

    def post(self, path, body=None, expect=None, **options):
        return self.call("POST", path, {} if body is None else body, expect, **options)

    def refused(self, method, path, body=None, *, status, code=None, **options):
        """Sends what must be refused; returns the problem document."""
        problem = self.call(method, path, body, status, **options)
        if code:
            assert problem["code"] == code, problem
        return problem

    # The verbs that most tests need.

    def create(self, queue, expect=201, headers=None, **fields):
        fields.setdefault("project", "tests")
        fields.setdefault("type", "test")
        fields.setdefault("title", f"a task of {queue}")
        return self.post("/api/v1/tasks", {"queue": queue, **fields}, expect, headers=headers)

    def claim_all(self, *queues, limit=10, wait=0):
        return self.post("/api/v1/tasks/claim", {"queues": list(queues), "limit": limit, "waitSeconds": wait}, 200)[
            "items"
        ]

    def claim(self, *queues, wait=5):
        """Claims exactly one task."""
        items = self.claim_all(*queues, limit=1, wait=wait)
        assert len(items) == 1, f"nothing to claim in {queues}"
        return Claim(self, items[0])

    def task(self, task_id):
        return self.get(f"/api/v1/tasks/{task_id}", 200)

    def state(self, task_id):
        return self.task(task_id)["state"]

    def await_state(self, task_id, *states, seconds=10):
        return until(
            lambda: (task := self.task(task_id))["state"] in states and task,
            seconds,
            f"the state {' or '.join(states)} of {task_id}",
        )

    def explain(self, task_id):
        return self.get(f"/api/v1/tasks/{task_id}/explain", 200)

    def review(self, task_id, verdict, sha256, comment="", expect=200):
        return self.post(
            f"/api/v1/tasks/{task_id}/review", {"verdict": verdict, "sha256": sha256, "comment": comment}, expect
        )

    def events(self, after=0):
        """All events behind `after`, page by page."""
        found = []
        while True:
            page = self.get(f"/api/v1/events?after={after}&limit=500", 200)
            found += page["items"]
            if not page["items"] or not page.get("next"):
                return found
            after = page["next"]

    def last_seq(self):
        found = self.events()
        return found[-1]["seq"] if found else 0


class Claim:
    """A task in an agent's hands."""

    def __init__(self, api, item):
        self.api, self.item = api, item
        self.task, self.fence = item["task"], item["fence"]
        self.id = self.task["id"]

    def write(self, verb, expect=None, fence=None, headers=None, **fields):
        return self.api.post(
            f"/api/v1/tasks/{self.id}/{verb}",
            {"fence": self.fence if fence is None else fence, **fields},
            expect,
            headers=headers,
        )

    def refused(self, verb, *, status, code=None, **fields):
        problem = self.write(verb, status, **fields)
        if code:
            assert problem["code"] == code, problem
        return problem

    def beat(self, **fields):
        return self.write("heartbeat", 200, **fields)

    def deliver(self, name, content, content_type="text/markdown", expect=None):
        return self.write("deliverables", expect, name=name, contentType=content_type, content=content)

    def complete(self, output=None, expect=None, **options):
        return self.write("complete", expect, output=output, **options)

    def submit(self, expect=None):
        return self.write("submit", expect)


def check_problem(reply):
    """RFC 9457, with the members that every refusal of Reeve has."""
    assert reply.headers.get("content-type", "").startswith("application/problem+json"), (
        reply.status_code,
        dict(reply.headers),
        reply.text[:300],
    )
    problem = reply.json()
    assert problem["status"] == reply.status_code, problem
    assert re.fullmatch(r"[a-z][a-z0-9_]*", problem["code"]), problem
    assert problem["detail"] and "requestId" in problem, problem


def new_clickhouse_database():
    """The address of a database of its own in the ClickHouse of the tests."""
    parts, name = urllib.parse.urlsplit(CLICKHOUSE), f"reeve_client_{uuid.uuid4().hex[:16]}"
    reply = requests.post(
        f"http://{parts.hostname}:{parts.port}/",
        data=f"CREATE DATABASE {name}",
        headers={"X-ClickHouse-User": parts.username, "X-ClickHouse-Key": parts.password},
        timeout=30,
    )
    assert reply.status_code == 200, reply.text
    return parts._replace(path=f"/{name}").geturl()


class Server:
    """One `reeve serve` on a free port, with its data in `data_dir`."""

    def __init__(self, data_dir, engine="sqlite", arguments=(), database=None, settings=None):
        self.data_dir = Path(data_dir)
        self.log_path = self.data_dir / "test-server.log"
        self.engine = engine
        self.arguments = list(arguments)
        if engine == "clickhouse":
            self.arguments += ["--telemetry", new_clickhouse_database()]
        # Settings as the environment has them, `REEVE_AGENTS_…`.
        self.settings = dict(settings or {})
        self.database = database or (new_database() if engine == "postgres" else None)
        self.process = None
        self.url = None
        self.output = []
        self.login_link = None

    def command(self, port=0):
        command = [BINARY, "serve", "--host", "127.0.0.1", "--port", str(port), "--data-dir", str(self.data_dir)]
        if self.database:
            command += ["--database", self.database]
        return command + self.arguments

    def start(self, seconds=40, every=0.05):
        self.data_dir.mkdir(parents=True, exist_ok=True)
        self.output, self.login_link = [], None
        log = open(self.log_path, "ab")
        # A later start keeps the port of the first one, as agents keep the address that they were given.
        port = urllib.parse.urlsplit(self.url).port if self.url else 0
        self.process = subprocess.Popen(
            self.command(port),
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=log,
            env=environment(**self.settings),
            preexec_fn=die_with_parent,
        )
        log.close()
        threading.Thread(target=self.read, args=(self.process.stdout,), daemon=True).start()
        url = until(self.printed_url, seconds, f"the address that the server prints ({self.tail()})", every)
        self.url = url
        until(self.is_ready, seconds, f"a server that is ready ({self.tail()})", every)
        return self

    def read(self, stream):
        for line in stream:
            self.output.append(line.decode(errors="replace"))

    def printed_url(self):
        assert self.process.poll() is None, f"the server ended: {''.join(self.output)}{self.tail()}"
        for address in re.findall(r"https?://127\.0\.0\.1:\d+\S*", "".join(self.output)):
            if "/login?token=" in address:
                self.login_link = address
                return re.match(r"https?://[^/]+", address)[0]
        return None

    def is_ready(self):
        assert self.process.poll() is None, f"the server ended: {self.tail()}"
        try:
            return requests.get(self.url + "/ready", timeout=2).status_code == 200
        except requests.RequestException:
            return False

    def tail(self):
        try:
            text = self.log_path.read_text(errors="replace")
            # What the crashed thread was at comes first in a crash's report; the end of it is registers.
            crash = max(text.rfind(sign) for sign in ("Fatal error", "*** Program crashed", "*** Signal"))
            return text[crash : crash + 6000] if crash >= 0 else text[-2000:]
        except OSError:
            return ""

    @property
    def admin_key(self):
        return (self.data_dir / "admin.key").read_text().strip()

    def api(self, key=None):
        return Api(self.url, key or self.admin_key)

    def make_key(self, role, name=None, agent=None):
        body = {"role": role, "name": name or f"a test's {role}"}
        if agent:
            body["agent"] = agent
        return self.api().post("/api/v1/keys", body, 201)["key"]

    def make_agent(self, name):
        return Api(self.url, self.make_key("agent", f"key of {name}", name), name)

    def kill(self):
        """As a power cut would: no signal handler runs."""
        self.process.kill()
        self.process.wait(20)

    def stop(self, seconds=30):
        """As an operator would. Returns the exit code."""
        if self.process and self.process.poll() is None:
            self.process.terminate()
            try:
                self.process.wait(seconds)
            except subprocess.TimeoutExpired:
                self.kill()
                raise AssertionError(f"the server did not stop within {seconds} s of SIGTERM: {self.tail()}") from None
        return self.process.returncode if self.process else None


def new_database():
    """A fresh database in the test cluster."""
    name = f"clients_{uuid.uuid4().hex[:12]}"
    subprocess.run(["psql", POSTGRES, "-qc", f"CREATE DATABASE {name}"], check=True, capture_output=True)
    parts = urllib.parse.urlsplit(POSTGRES)
    return urllib.parse.urlunsplit(parts._replace(path=f"/{name}"))
