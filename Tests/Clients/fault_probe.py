"""Clients that work, and a probe that asks without pause, while PostgreSQL is in trouble."""

import contextlib
import threading
import time

import requests

from fault_ledger import finish_all, inspect
from fault_load import Load
from reeve_server import until

# A server that is away refuses connections, or takes up to libpq's connect_timeout of 5 s to find that out.
ANSWER_SECONDS_MAX = 8.0


class Probe:
    """Asks without pause, one reading and one writing client, and keeps every answer with its time."""

    def __init__(self, server):
        self.server = server
        self.stopping = threading.Event()
        self.answers, self.wrong = [], []
        self.threads = [threading.Thread(target=self.ask, args=(n == 0,)) for n in range(2)]

    def __enter__(self):
        for thread in self.threads:
            thread.start()
        return self

    def __exit__(self, *_):
        self.stopping.set()
        for thread in self.threads:
            thread.join(60)
            assert not thread.is_alive(), "a request hangs"

    def ask(self, is_write):
        api = self.server.api()
        body = {"queue": "probe", "project": "p", "type": "t", "title": "t"}
        while not self.stopping.wait(0.05):
            started = time.monotonic()
            try:
                if is_write:
                    reply = api.send("POST", "/api/v1/tasks", json=body, timeout=90)
                else:
                    reply = api.send("GET", "/api/v1/queues", timeout=90)
            except (requests.RequestException, AssertionError) as error:
                self.wrong.append(repr(error))
                continue
            self.answers.append((started, time.monotonic() - started, reply.status_code))
            if reply.status_code >= 400:
                self.judge(reply)

    def judge(self, reply):
        code = reply.json()["code"]
        if reply.status_code != 503 or code not in ("storage_unavailable", "outcome_unknown", "overloaded"):
            self.wrong.append(reply.text)
        elif int(reply.headers.get("Retry-After", 0)) < 1:
            self.wrong.append(f"no Retry-After: {reply.text}")

    def slowest(self):
        return max(seconds for _, seconds, _ in self.answers)

    def refusals(self):
        return sum(status == 503 for _, _, status in self.answers)


@contextlib.contextmanager
def load_and_probe(server, outcome, ledger):
    """Clients work and a probe asks; afterwards everything is read again and compared."""
    pid = server.process.pid
    with Load(server, ledger) as load, Probe(server) as probe:
        begin_work(ledger)
        yield probe
        begin_work(ledger)
    finish_all(server.api(), server.api(load.agents[0]), load.queue)
    found = inspect(server, ledger)
    outcome.note += f"; slowest answer {probe.slowest():.1f} s, {probe.refusals()} probes got 503 with Retry-After"
    outcome.judge(ledger, found)
    assert probe.wrong == []
    assert probe.slowest() < ANSWER_SECONDS_MAX
    assert server.process.pid == pid and server.process.poll() is None, "it recovers without a restart"


def begin_work(ledger):
    enough = ledger.total + 30
    until(lambda: ledger.total >= enough, 60, "30 more acknowledged changes", 0.01)


def recovery(ledger, since):
    """Seconds from `since` to the first change that was acknowledged after this call."""
    called = time.monotonic()
    until(lambda: ledger.acknowledged_at > called, 60, "an acknowledged change", 0.005)
    return ledger.acknowledged_at - since
