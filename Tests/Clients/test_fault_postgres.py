"""PostgreSQL is restarted, stopped, frozen, crowded, and its sessions are ended, while clients work."""

import contextlib
import os
import random
import signal
import socket
import struct
import threading
import time
import urllib.parse

import pytest
import requests

from fault_disk import Cluster, open_folder
from fault_ledger import Ledger, finish_all, inspect
from fault_load import FAST_RETURN, Load
from fault_record import IS_WHOLE_RUN, KILLS, Outcome
from reeve_server import Server, until

ON_ENGINES = ["postgres"]
# A server that is away refuses connections, or takes up to libpq's connect_timeout of 5 s to find that out.
ANSWER_SECONDS_MAX = 8.0


@pytest.fixture(scope="module")
def cluster(engine):
    with open_folder() as folder:
        cluster = Cluster(folder / "cluster")
        yield cluster
        cluster.remove()


@pytest.fixture
def hurt_server(cluster, tmp_path):
    server = Server(tmp_path / "data", "postgres", database=cluster.database(), settings=FAST_RETURN)
    yield server.start()
    if server.process.poll() is None:
        server.kill()


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


@pytest.mark.timeout(180 + 15 * KILLS)
def test_restarted_under_load(cluster, hurt_server, engine):
    ledger, chance = Ledger(), random.Random(23)
    restarts = max(2, KILLS // 5)
    with Outcome("postgres_restart", engine) as outcome:
        outcome.recovery_of = "restart of PostgreSQL begun to the first acknowledged change"
        outcome.note = f"{restarts} immediate restarts"
        with load_and_probe(hurt_server, outcome, ledger):
            for _ in range(restarts):
                begin_work(ledger)
                time.sleep(chance.random() * 0.2)  # Any moment of a commit.
                began = time.monotonic()
                cluster.restart()
                outcome.recoveries.append(recovery(ledger, began))


def test_stopped_for_several_seconds(cluster, hurt_server, engine):
    ledger, away_seconds = Ledger(), 4.0
    with Outcome("postgres_away", engine) as outcome:
        outcome.recovery_of = "PostgreSQL answers again to the first acknowledged change"
        outcome.note = f"{away_seconds} s without PostgreSQL"
        with load_and_probe(hurt_server, outcome, ledger) as probe:
            cluster.stop()
            stopped = time.monotonic()
            until(lambda: time.monotonic() > stopped + away_seconds, away_seconds + 5)
            assert hurt_server.api().send("GET", "/ready").status_code == 503
            assert requests.get(hurt_server.url + "/health", timeout=5).status_code == 200
            cluster.start()
            outcome.recoveries.append(recovery(ledger, time.monotonic()))
        within = [status for started, _, status in probe.answers if stopped < started < stopped + away_seconds - 0.5]
        assert within and set(within) == {503}, set(within)


def test_sessions_that_are_ended(cluster, hurt_server, engine):
    ledger = Ledger()
    rounds = 40 if IS_WHOLE_RUN else 10
    with Outcome("pg_backend_kill", engine) as outcome:
        outcome.recovery_of = "all sessions ended to the first acknowledged change"
        outcome.note = f"pg_terminate_backend on all of its sessions, {rounds} times"
        with load_and_probe(hurt_server, outcome, ledger):
            for _ in range(rounds):
                began = time.monotonic()
                cluster.terminate_backends(hurt_server.database)
                outcome.recoveries.append(recovery(ledger, began))


def crowd(cluster, count_max=600):
    """Takes up every session that PostgreSQL has: connections that say who they are and never give a password."""
    parts = urllib.parse.urlsplit(cluster.url)
    words = b"user\0postgres\0database\0postgres\0\0"
    startup = struct.pack("!ii", 8 + len(words), 196_608) + words
    held = []
    for _ in range(count_max):
        connection = socket.create_connection((parts.hostname, parts.port), timeout=20)
        connection.sendall(startup)
        if connection.recv(1) == b"E":
            connection.close()
            break
        held.append(connection)
    return held


def test_no_session_is_free(cluster, hurt_server, engine):
    """Sessions that it has go on; one that it needs anew is not to be had until others leave."""
    ledger = Ledger()
    with Outcome("pool_exhaustion", engine) as outcome:
        outcome.recovery_of = "the others leave to the first acknowledged change"
        with load_and_probe(hurt_server, outcome, ledger):
            victims = cluster.backends(hurt_server.database)
            held = crowd(cluster)
            try:
                outcome.note = f"{len(held)} sessions taken by others, its own ended by signal"
                begin_work(ledger)
                for pid in victims:
                    with contextlib.suppress(ProcessLookupError):
                        os.kill(pid, signal.SIGTERM)
                    held += crowd(cluster, 5)
            finally:
                for connection in held:
                    connection.close()
            outcome.recoveries.append(recovery(ledger, time.monotonic()))


def test_frozen_for_several_seconds(cluster, hurt_server, engine):
    """Its processes stand still: nobody refuses, nobody answers. Afterwards all goes on."""
    ledger, still_seconds = Ledger(), 3.0
    with Outcome("postgres_frozen", engine) as outcome:
        outcome.recovery_of = "PostgreSQL goes on to the first acknowledged change"
        outcome.note = f"its processes stand still for {still_seconds} s"
        with load_and_probe(hurt_server, outcome, ledger):
            with cluster.frozen(hurt_server.database):
                frozen = time.monotonic()
                until(lambda: time.monotonic() > frozen + still_seconds, still_seconds + 5)
                assert requests.get(hurt_server.url + "/health", timeout=5).status_code == 200
            outcome.recoveries.append(recovery(ledger, time.monotonic()))
