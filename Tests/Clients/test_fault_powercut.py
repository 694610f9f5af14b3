"""A power cut takes what was not synced: nothing acknowledged is among it. A sync that is only pretended is found."""

import collections
import random
import shutil
import time
import uuid

import pytest

from fault_ledger import Ledger, finish_all, inspect
from fault_load import FAST_RETURN, Load
from fault_powercut import Disk, build, differences
from fault_record import IS_WHOLE_RUN, KILLS, Outcome
from reeve_server import Server, until

# PostgreSQL's commits are its own affair.
ON_ENGINES = ["sqlite"]
CUTS = KILLS if IS_WHOLE_RUN else 2
# Every so many cuts the log is filled before, so that it has begun anew when the power goes.
CUTS_A_FULL_LOG = 5
NOTES_MAX = 3_000
# A fault that loses the newest commit alone shows unless the cut comes between two commits that matter.
CUTS_UNTIL_FOUND_MAX = 10


@pytest.fixture(scope="module")
def library(tmp_path_factory):
    return build(tmp_path_factory.mktemp("powercut"))


class Machine:
    """A server on a disk that forgets; after each cut another one goes on from what is left."""

    def __init__(self, folder, library, **lie):
        self.folder, self.library, self.lie, self.boots = folder, library, lie, 0
        self.server = Server(folder / "data-0", "sqlite")
        # The test's own log survives every cut.
        self.server.log_path = folder / "server.log"

    def boot(self, **options):
        self.disk = Disk(self.folder / f"disk-{self.boots}", self.server.data_dir)
        self.server.settings = FAST_RETURN | self.disk.settings(self.library, **self.lie)
        self.server.start(**options)

    def cut(self):
        """The power goes: what comes next finds what was synced."""
        self.server.kill()
        self.seen = self.disk.syncs()
        before, self.boots = self.server.data_dir, self.boots + 1
        self.server.data_dir = self.disk.read(self.folder / f"data-{self.boots}")
        shutil.rmtree(before)
        shutil.rmtree(self.disk.folder)


@pytest.fixture
def make_machine(tmp_path, library):
    made = []

    def make(**lie):
        made.append(Machine(tmp_path, library, **lie))
        made[-1].boot()
        return made[-1]

    yield make
    for machine in made:
        if machine.server.process.poll() is None:
            machine.server.kill()


def fill_log(machine, ledger):
    """Notes until SQLite's log is full and written to the database, so that it begins anew (wal_autocheckpoint)."""
    api, before = machine.server.make_agent("scribe"), machine.disk.syncs()["reeve.db"]
    for n in range(NOTES_MAX):
        if n % 50 == 0 and machine.disk.syncs()["reeve.db"] > before:
            return
        marker = str(uuid.uuid4())
        reply = api.post("/api/events/ingest", {"type": "note.made", "data": {"marker": marker}}, 200)
        assert reply["accepted"] == 1, reply
        ledger.keep("event", lambda marker=marker: ledger.notes.__setitem__(marker, False))
    raise AssertionError(f"{NOTES_MAX} notes did not fill the log: {machine.disk.syncs()}")


def work_on(ledger, changes=25):
    enough = ledger.total + changes
    until(lambda: ledger.total >= enough, 60, f"{changes} more acknowledged changes", 0.01)


@pytest.mark.timeout(120 + 15 * CUTS)
def test_power_cuts_lose_nothing(make_machine, engine, tmp_path):
    ledger, chance = Ledger(), random.Random(29)
    with Outcome("power_cut", engine) as outcome:
        machine = make_machine()
        outcome.recovery_of = "start after the cut, a copy of the whole store included, to the first 200 of /ready"
        syncs = collections.Counter()
        with Load(machine.server, ledger) as load:
            for n in range(CUTS):
                if n % CUTS_A_FULL_LOG == 0:
                    fill_log(machine, ledger)
                work_on(ledger)
                # Any moment: within a request, a commit, a sync, or between them.
                load.stopping.wait(chance.random() * 0.2)
                machine.cut()
                syncs += machine.seen
                started = time.monotonic()
                machine.boot(every=0.005)
                outcome.recoveries.append(time.monotonic() - started)
            work_on(ledger)
        finish_all(machine.server.api(), machine.server.api(load.agents[0]), load.queue)
        found = inspect(machine.server, ledger)
        outcome.note = (
            f"{CUTS} cuts, {sum(syncs.values()):,} syncs before them; {ledger.acknowledged['completion']} completions, "
            f"{len(ledger.deliverables)} deliverables and {len(ledger.streamed)} streamed events compared"
        )
        outcome.judge(ledger, found)
        kinds = ("reeve.db", "reeve.db-wal", "blobs", "folders")
        assert all(syncs[kind] for kind in kinds), f"the disk saw too little: {syncs}"
        assert machine.server.stop() == 0
        # After an orderly end everything is durable, or the disk has missed writes and the cuts meant little.
        assert differences(machine.server.data_dir, machine.disk.read(tmp_path / "left")) == []


FAULTS = {
    "log is never synced": {"lie": "file /reeve.db-wal"},
    "commit acknowledged before its sync": {"lie": "file /reeve.db-wal", "kind": "late"},
    "database is never synced": {"lie": "file /reeve.db"},
    "content is never synced": {"lie": "file /blobs/*"},
    "names of contents are never synced": {"lie": "folder /blobs/*"},
}


@pytest.mark.parametrize("lie", FAULTS.values(), ids=[name.replace(" ", "-") for name in FAULTS])
def test_a_pretended_sync_is_found(make_machine, engine, lie):
    """The proof that the cuts above can fail."""
    ledger, chance = Ledger(), random.Random(31)
    machine = make_machine(**lie)
    for _ in range(CUTS_UNTIL_FOUND_MAX):
        with Load(machine.server, ledger) as load:
            if lie["lie"] == "file /reeve.db":
                fill_log(machine, ledger)
            work_on(ledger)
            until(lambda: ledger.deliverables, 60, "a deliverable", 0.01)
            load.stopping.wait(chance.random() * 0.2)
            machine.cut()
            machine.boot()
        found = inspect(machine.server, ledger)
        if found.lost:
            break
    assert found.lost, f"{CUTS_UNTIL_FOUND_MAX} cuts, {ledger.total} acknowledged changes, and nothing was lost"
    with pytest.raises(AssertionError, match="lost"):
        found.check()
