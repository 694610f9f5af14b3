"""PostgreSQL is restarted, stopped, frozen, crowded, and its sessions are ended, while clients work."""

import contextlib
import os
import random
import signal
import socket
import struct
import time
import urllib.parse

import pytest
import requests

from fault_disk import Cluster, open_folder
from fault_ledger import Ledger
from fault_load import FAST_RETURN
from fault_probe import begin_work, load_and_probe, recovery
from fault_record import IS_WHOLE_RUN, KILLS, Outcome
from reeve_server import Server, until

ON_ENGINES = ["postgres"]


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
