"""PostgreSQL has no room for its log: it ends itself. Reeve stays up and goes on when PostgreSQL does."""

import contextlib
import os
import subprocess
import time

import pytest
import requests

from fault_disk import Cluster, fill, open_folder, small_disk
from fault_ledger import Ledger
from fault_load import FAST_RETURN
from fault_probe import load_and_probe, recovery
from fault_record import IS_WHOLE_RUN, Outcome
from reeve_server import Server, until

ON_ENGINES = ["postgres"]
# A segment of the log has 16 MiB; a cluster keeps a few of them.
DISK_MIB = 192


@contextlib.contextmanager
def cluster_with_small_log():
    """A cluster of its own, whose log is on a disk that can be filled."""
    with open_folder() as folder, small_disk(folder / "disk", DISK_MIB) as disk:
        cluster = Cluster(folder / "cluster")
        try:
            cluster.control("stop", "-m", "fast")
            log = cluster.home / "data/pg_wal"
            subprocess.run(["cp", "--archive", str(log), str(disk)], check=True, timeout=60)
            log.rename(log.with_name("pg_wal.before"))
            log.symlink_to(disk / "pg_wal")
            cluster.start()
            yield cluster, disk
        finally:
            cluster.remove()


def is_running(pid):
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return False
    return True


def fill_log(cluster, disk):
    """Fills the disk and uses the segments up that are there; returns when PostgreSQL has ended."""
    pid = int((cluster.home / "data/postmaster.pid").read_text().split()[0])
    filler = fill(disk)

    def has_ended():
        cluster.sql("SELECT pg_switch_wal()", check=False)
        return not is_running(pid)

    until(has_ended, 60, "the end of a PostgreSQL that cannot write its log", 0.02)
    return filler


@pytest.mark.timeout(240)
def test_no_room_for_the_log(engine, tmp_path):
    if not IS_WHOLE_RUN:
        pytest.skip("a cluster with a log of its own takes its time: script/chaos runs this")
    away_seconds, ledger = 2.0, Ledger()
    with Outcome("postgres_wal_full", engine) as outcome, cluster_with_small_log() as (cluster, disk):
        server = Server(tmp_path / "data", engine, database=cluster.database(), settings=FAST_RETURN).start()
        try:
            outcome.recovery_of = "PostgreSQL answers again to the first acknowledged change"
            outcome.note = f"PostgreSQL ended itself and was away for {away_seconds} s more"
            with load_and_probe(server, outcome, ledger) as probe:
                filler = fill_log(cluster, disk)
                ended = time.monotonic()
                until(lambda: time.monotonic() > ended + away_seconds, away_seconds + 5)
                assert server.api().send("GET", "/ready").status_code == 503
                assert requests.get(server.url + "/health", timeout=5).status_code == 200
                filler.unlink()
                cluster.start()
                outcome.recoveries.append(recovery(ledger, time.monotonic()))
            within = [status for began, _, status in probe.answers if ended < began < ended + away_seconds - 0.5]
            assert within and set(within) == {503}, set(within)
            assert "No space left" in (cluster.home / "server.log").read_text()
            assert server.stop() == 0
        finally:
            if server.process.poll() is None:
                server.kill()
