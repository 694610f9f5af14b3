"""The ledger of the kill tests can fail: each kind of damage, planted in a store of its own, is found and named."""

import contextlib
import sqlite3

import pytest

from fault_hostile import STILL
from fault_ledger import Ledger, finish_all, inspect
from fault_load import FAST_RETURN, Load
from reeve_server import Server, until

ON_ENGINES = ["sqlite"]
TABLES = ("tasks_finished", "events", "access_keys", "audit")


class Store:
    """What a load left behind: its server, its ledger, and a way to hurt it and to heal it again."""

    def __init__(self, server):
        self.server, self.ledger = server, Ledger()
        self.blobs = server.data_dir / "blobs"

    def fill(self):
        with Load(self.server, self.ledger) as load:
            until(self.has_all_kinds, 60, f"some of everything ({self.ledger.acknowledged})")
        # With nothing left to do, the store changes by our hand alone.
        finish_all(self.server.api(), self.server.api(load.agents[0]), load.queue)
        assert self.ledger.wrong == []

    def has_all_kinds(self):
        ledger = self.ledger
        kinds = (ledger.outputs, ledger.approved, ledger.sealed, ledger.keys, ledger.streamed)
        has_notes = any(ledger.notes.values()) and ledger.tasks.keys() & ledger.outputs.keys()
        return all(kinds) and has_notes and any(marker in ledger.repeatable for marker in ledger.tasks.values())

    def inspect(self):
        return inspect(self.server, self.ledger)

    @contextlib.contextmanager
    def damaged(self, damage):
        """The rows and blobs as they are after `damage`, and afterwards as they were."""
        files = {path: path.read_bytes() for path in self.blobs.rglob("*") if path.is_file()}
        with contextlib.closing(sqlite3.connect(self.server.data_dir / "reeve.db", timeout=10)) as database:
            rows = {table: database.execute(f"SELECT * FROM {table}").fetchall() for table in TABLES}
            with database:
                changed = damage(database, self)
            assert changed is None or changed.rowcount > 0, "the damage hit nothing"
            try:
                yield
            finally:
                with database:
                    for table, kept in rows.items():
                        database.execute(f"DELETE FROM {table}")
                        places = ", ".join("?" * len(kept[0]))
                        database.executemany(f"INSERT INTO {table} VALUES ({places})", kept)
                for path, content in files.items():
                    path.write_bytes(content)


@pytest.fixture(scope="module")
def store(engine, tmp_path_factory):
    server = Server(tmp_path_factory.mktemp("ledger") / "data", engine, settings=FAST_RETURN).start()
    try:
        store = Store(server)
        store.fill()
        assert server.stop() == 0
        server.settings = STILL
        server.start()
        yield store
    finally:
        if server.process.poll() is None:
            server.kill()


def some(found):
    return min(found)


def repeat_event(database, where, values):
    """Writes an event a second time, with the next numbers, so that the log has no gap."""
    row = database.execute(f"SELECT seq, task_id FROM events WHERE {where}", values).fetchone()
    assert row, f"no event where {where}"
    return database.execute(
        "INSERT INTO events SELECT (SELECT max(seq) + 1 FROM events), at, type, actor, project, agent, task_id, "
        "(SELECT max(task_seq) + 1 FROM events WHERE task_id = ?), correlation_id, data FROM events WHERE seq = ?",
        (row[1], row[0]),
    )


def lose_task(database, store):
    return database.execute("DELETE FROM tasks_finished WHERE id = ?", (some(store.ledger.tasks),))


def lose_event(database, store):
    return database.execute("DELETE FROM events WHERE seq = (SELECT max(seq) / 2 FROM events)")


def lose_newest_events(database, store):
    """No gap: the log only ends too early, as after a commit that was not synced."""
    marker = store.ledger.notes and list(store.ledger.notes)[-1]
    return database.execute(
        "DELETE FROM events WHERE seq >= (SELECT max(seq) FROM events WHERE data LIKE ?)", (f"%{marker}%",)
    )


def change_event(database, store):
    return database.execute(
        "UPDATE events SET data = '{\"marker\":\"other\"}' WHERE data LIKE ?", (f"%{some(store.ledger.notes)}%",)
    )


def change_streamed_event(database, store):
    return database.execute("UPDATE events SET type = 'other.made' WHERE seq = ?", (max(store.ledger.streamed),))


def change_output(database, store):
    return database.execute(
        "UPDATE tasks_finished SET output = '\"other\"' WHERE id = ?", (some(store.ledger.outputs),)
    )


def change_input(database, store):
    return database.execute("UPDATE tasks_finished SET input = '\"other\"' WHERE id = ?", (some(store.ledger.tasks),))


def undo_approval(database, store):
    return database.execute(
        "UPDATE tasks_finished SET state = 'failed' WHERE id = ?", (some(store.ledger.approved),)
    )


def blob_of(store):
    _, sha256 = store.ledger.deliverables[some(store.ledger.deliverables)]
    return store.blobs / sha256[:2] / sha256


def lose_blob(database, store):
    blob_of(store).unlink()


def change_blob(database, store):
    content = bytearray(blob_of(store).read_bytes())
    content[-1] ^= 1
    blob_of(store).write_bytes(content)


def empty_blob(database, store):
    """A name that was synced before its content."""
    blob_of(store).write_bytes(b"")


def lose_key(database, store):
    return database.execute("DELETE FROM access_keys WHERE id = ?", (some(store.ledger.keys),))


def change_audit(database, store):
    return database.execute("UPDATE audit SET actor = 'nobody' WHERE number = 2")


def repeat_completion(database, store):
    return repeat_event(database, "type = 'task.done' AND task_id = ?", (some(store.ledger.outputs),))


def repeat_note(database, store):
    marker = some(marker for marker, is_repeatable in store.ledger.notes.items() if is_repeatable)
    return repeat_event(database, "data LIKE ?", (f"%{marker}%",))


def repeat_deliverable(database, store):
    task_id, name = some(store.ledger.sealed)
    return repeat_event(
        database, "type = 'task.deliverable_sealed' AND task_id = ? AND data LIKE ?", (task_id, f"%{name}%")
    )


def repeat_task(database, store):
    """One request made two tasks: another row with the same input, and its event."""
    ledger = store.ledger
    task_id = some(task_id for task_id, marker in ledger.tasks.items() if marker in ledger.repeatable)
    other = task_id[:-4] + ("0000" if task_id[-4:] != "0000" else "1111")
    columns = [row[1] for row in database.execute("PRAGMA table_info(tasks_finished)")]
    chosen = ", ".join("?" if name == "id" else name for name in columns)
    database.execute(f"INSERT INTO tasks_finished SELECT {chosen} FROM tasks_finished WHERE id = ?", (other, task_id))
    return database.execute(
        "INSERT INTO events SELECT (SELECT max(seq) + 1 FROM events), at, type, actor, project, agent, ?, 1, "
        "correlation_id, data FROM events WHERE type = 'task.created' AND task_id = ?",
        (other, task_id),
    )


DAMAGES = {
    lose_task: ("lost", "the input of"),
    lose_event: ("lost", "has a gap"),
    lose_newest_events: ("lost", "the event"),
    change_event: ("lost", "the event"),
    change_streamed_event: ("lost", "was streamed as"),
    change_output: ("lost", "the completion of"),
    change_input: ("lost", "the input of"),
    undo_approval: ("lost", "the approval of"),
    lose_blob: ("lost", "the deliverable"),
    change_blob: ("lost", "the deliverable"),
    empty_blob: ("lost", "the deliverable"),
    lose_key: ("lost", "the key"),
    change_audit: ("lost", "the audit log's chain"),
    repeat_completion: ("duplicated", "was done 2 times"),
    repeat_note: ("duplicated", "the event"),
    repeat_deliverable: ("duplicated", "the deliverable"),
    repeat_task: ("duplicated", "made 2 tasks"),
}


@pytest.mark.parametrize("damage", DAMAGES, ids=lambda damage: damage.__name__)
def test_damage_is_found(store, damage):
    kind, sentence = DAMAGES[damage]
    with store.damaged(damage):
        found = store.inspect()
    assert any(sentence in line for line in getattr(found, kind)), vars(found)
    with pytest.raises(AssertionError, match=kind):
        found.check()


def test_a_second_acceptance_is_found(store):
    """A client under an old fence was told that its completion counts."""
    task_id = some(store.ledger.outputs)
    store.ledger.accept(task_id, store.ledger.outputs[task_id], replayed=False)
    try:
        assert any("was accepted 2 times" in line for line in store.inspect().duplicated)
    finally:
        store.ledger.acceptances[task_id] -= 1


def test_without_damage_nothing_is_found(store):
    """Last, so that it also says that each damage was healed and the findings were its own."""
    found = store.inspect()
    found.check()
    assert (found.lost, found.duplicated) == ([], [])
