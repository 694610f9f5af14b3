"""A real `reeve serve` to measure, and the few requests that prepare it."""

import http.client
import json
import os
import sqlite3
import subprocess
import time
from pathlib import Path

from . import children
from .machine import BINARY

GRAPH_TASKS = 1000
"""Tasks of one graph, events of one batch: the server's default limits."""

KEPT_SECONDS = 5
"""How long a connection may rest before a new one is made: the server closes those that rest."""


class Refused(AssertionError):
    """A reply that the benchmark did not expect."""


class Server:
    """One server on a free port of the loopback, with its data in `folder`; on PostgreSQL where `database` is given."""

    def __init__(self, folder: Path, database: str | None = None, settings: dict[str, object] | None = None):
        self.folder, self.database = folder, database
        self.settings = {name: str(value) for name, value in (settings or {}).items()}
        self.port = children.free_port()
        self.process: subprocess.Popen | None = None
        self.connection: http.client.HTTPConnection | None = None
        self.used_at = 0.0
        self.ready_seconds = 0.0

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.port}"

    @property
    def pid(self) -> int:
        return self.process.pid

    @property
    def admin_key(self) -> str:
        return (self.folder / "admin.key").read_text().strip()

    def start(self, seconds: float = 120) -> "Server":
        """Starts the process and waits for `GET /ready`; keeps how long that took in `ready_seconds`."""
        self.folder.mkdir(parents=True, exist_ok=True)
        command = [BINARY, "serve", "--host", "127.0.0.1", "--port", str(self.port), "--data-dir", str(self.folder)]
        if self.database:
            command += ["--database", self.database]
        kept = {name: value for name, value in os.environ.items() if not name.startswith("REEVE_")}
        with open(self.folder / "server.log", "ab") as log:
            begun = time.perf_counter()
            self.process = children.start(
                command, stdin=subprocess.DEVNULL, stdout=log, stderr=log, env={**kept, **self.settings}
            )
        children.until(self.is_ready, seconds, "a server that is ready", every=0.001)
        self.ready_seconds = time.perf_counter() - begun
        return self

    def is_ready(self) -> bool:
        if self.process.poll() is not None:
            raise Refused(f"the server ended: {(self.folder / 'server.log').read_text()[-2000:]}")
        try:
            probe = http.client.HTTPConnection("127.0.0.1", self.port, timeout=5)
            probe.request("GET", "/ready")
            status = probe.getresponse().status
            probe.close()
            return status == 200
        except OSError:
            return False

    def stop(self) -> None:
        if self.connection:
            self.connection.close()
            self.connection = None
        if self.process and children.stop(self.process) != 0:
            raise Refused(f"the server ended with {self.process.returncode}")

    def call(self, method: str, path: str, body: object = None, key: str | None = None) -> object:
        """Sends a request on a kept connection; returns the reply's JSON, or its bytes where it is none."""
        if self.connection is None or time.monotonic() - self.used_at > KEPT_SECONDS:
            self.connection = http.client.HTTPConnection("127.0.0.1", self.port, timeout=120)
        headers = {"Authorization": f"Bearer {key or self.admin_key}", "Content-Type": "application/json"}
        payload = None if body is None else json.dumps(body, separators=(",", ":"))
        self.connection.request(method, path, payload, headers)
        reply = self.connection.getresponse()
        content = reply.read()
        self.used_at = time.monotonic()
        if reply.status >= 300:
            raise Refused(f"{method} {path}: {reply.status} {content[:500]!r}")
        return json.loads(content) if "json" in reply.headers.get("content-type", "") else content

    def make_key(self, role: str, name: str, agent: str | None = None) -> str:
        body = {"role": role, "name": name, **({"agent": agent} if agent else {})}
        return self.call("POST", "/api/v1/keys", body)["key"]

    def make_agents(self, count: int, prefix: str = "worker") -> list[str]:
        """The keys of so many agents."""
        return [self.make_key("agent", f"{prefix}-{n}", f"{prefix}-{n}") for n in range(count)]

    def preload(self, queue: str, count: int) -> None:
        """Creates tasks that do nothing, a thousand a request."""
        for begin in range(0, count, GRAPH_TASKS):
            tasks = [{"queue": queue, "project": "bench", "type": "noop"}] * min(GRAPH_TASKS, count - begin)
            self.call("POST", "/api/v1/tasks/graph", {"tasks": tasks})

    def rows(self, sql: str) -> list[tuple]:
        """Asks the store itself, beside the server."""
        if self.database:
            text = subprocess.run(
                ["psql", self.database, "-qAtX", "-F", "\t", "-c", sql], check=True, capture_output=True, text=True
            ).stdout
            return [tuple(line.split("\t")) for line in text.splitlines()]
        store = sqlite3.connect(f"file:{self.folder / 'reeve.db'}?mode=ro", uri=True, timeout=30)
        try:
            return store.execute(sql).fetchall()
        finally:
            store.close()

    def check_done(self, queue: str, count: int) -> None:
        """Every task of the queue is done, by one attempt, and nothing is left."""
        mine = f"SELECT id FROM tasks_finished WHERE queue = '{queue}' AND state = 'done'"
        done = int(self.rows(f"SELECT COUNT(DISTINCT id) FROM ({mine}) AS mine")[0][0])
        attempts = self.rows(
            f"SELECT COUNT(*), COUNT(DISTINCT task_id) FROM task_attempts WHERE task_id IN ({mine})"
        )[0]
        left = int(self.rows(f"SELECT COUNT(*) FROM tasks WHERE queue = '{queue}'")[0][0])
        found = (done, int(attempts[0]), int(attempts[1]), left)
        if found != (count, count, count, 0):
            raise Refused(f"{queue}: done, attempts, tasks with attempts, left are {found}, of {count} tasks")
