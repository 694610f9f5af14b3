"""A full disk: writes are refused with a clear problem, reads go on, nothing acknowledged is lost, and it passes."""

import hashlib
import subprocess
import time
import uuid

import requests

from fault_disk import Cluster, fill, make_postgres_folder, open_folder, small_disk
from fault_record import Outcome
from reeve_server import BINARY, Server, environment, until

FULL = {(507, "storage_full"), (503, "storage_unavailable"), (503, "outcome_unknown")}
QUIET = {"REEVE_AGENTS_FAILOVER_GRACE_SECONDS": "3600", "REEVE_AGENTS_HEARTBEAT_GRACE_SECONDS": "3600"}


class Witness:
    """One client of a server whose disk fills up: what was acknowledged to it, and how it was refused."""

    def __init__(self, server):
        self.server, self.api, self.agent = server, server.api(), server.make_agent("scribe")
        self.tasks, self.deliverables = {}, {}
        self.refusals = []
        self.claim_one()

    def claim_one(self):
        self.api.create("held", leaseSeconds=3600, timeoutSeconds=3600)
        self.claim = self.agent.claim("held")

    def note_refusal(self, reply):
        problem = reply.json()
        assert (reply.status_code, problem["code"]) in FULL, reply.text
        if reply.status_code == 503:
            assert int(reply.headers["Retry-After"]) > 0
        self.refusals.append(problem["code"])

    def create(self, size, key=None):
        """Whether a task with an input of `size` bytes was taken."""
        text = uuid.uuid4().hex + "x" * size
        body = {"queue": "filling", "project": "p", "type": "t", "title": "t", "input": text}
        reply = self.api.send("POST", "/api/v1/tasks", json=body, headers={"Idempotency-Key": key} if key else {})
        if reply.status_code == 201:
            self.tasks[reply.json()["id"]] = text
            return True
        self.note_refusal(reply)
        return False

    def deliver(self, size):
        content = uuid.uuid4().hex + "y" * size
        body = {"fence": self.claim.fence, "name": "report.txt", "content": content}
        reply = self.agent.send("POST", f"/api/v1/tasks/{self.claim.id}/deliverables", json=body)
        if reply.status_code == 201:
            self.deliverables[reply.json()["id"]] = hashlib.sha256(content.encode()).hexdigest()
            return True
        self.note_refusal(reply)
        return False

    def lost(self):
        """What was acknowledged and is not there."""
        lost = []
        for task_id, text in self.tasks.items():
            if self.api.send("GET", f"/api/v1/tasks/{task_id}").json().get("input") != text:
                lost.append(task_id)
        for deliverable_id, sha256 in self.deliverables.items():
            reply = self.api.send("GET", f"/api/v1/deliverables/{deliverable_id}/content")
            if reply.status_code != 200 or hashlib.sha256(reply.content).hexdigest() != sha256:
                lost.append(deliverable_id)
        seqs = [event["seq"] for event in self.api.events()]
        if seqs != list(range(1, len(seqs) + 1)):
            lost.append("events")
        if not self.api.get("/api/v1/audit/verify", 200)["valid"]:
            lost.append("audit")
        return lost

    def duplicated(self):
        """Tasks beside those acknowledged: what was refused must not be there."""
        kept, after = set(), ""
        for _ in range(1_000):
            page = self.api.get(f"/api/v1/tasks?queue=filling&limit=500{after}", 200)
            kept |= {task["id"] for task in page["items"]}
            if not page.get("next"):
                break
            after = f"&after={page['next']}"
        return sorted(kept - set(self.tasks))


def fill_until_refused(witness, write, what):
    """Writes until the disk is full and the refusals last; returns how many writes went through meanwhile."""
    taken, refused = 0, 0
    for _ in range(2_000):
        if write():
            taken, refused = taken + 1, 0
        else:
            refused += 1
        if refused == 10:
            return taken
    raise AssertionError(f"{what} was never refused on a full disk")


def check_reads(witness):
    """Everything that was there can be read while the disk is full."""
    assert witness.lost() == []
    for path in ("/api/v1/tasks?limit=5", "/api/v1/queues", "/api/v1/agents", "/api/v1/events?limit=5"):
        witness.api.get(path, 200)
    assert requests.get(witness.server.url + "/health", timeout=5).status_code == 200


def check_recovery(witness, filler, write, outcome):
    """Frees the disk and waits for the first write that goes through, in the same process."""
    pid, freed_at = witness.server.process.pid, time.monotonic()
    filler.unlink()
    until(write, 20, "a write after space was freed", 0.01)
    outcome.recoveries.append(time.monotonic() - freed_at)
    for _ in range(20):
        assert write(), "writes fail again although there is room"
    assert witness.server.process.pid == pid and witness.server.process.poll() is None


def judge(witness, outcome):
    """After a kill as well: what was acknowledged on the full disk was on the disk."""
    witness.server.kill()
    witness.server.start()
    witness.api = witness.server.api()
    lost, more = witness.lost(), witness.duplicated()
    outcome.acknowledged = len(witness.tasks) + len(witness.deliverables)
    outcome.lost, outcome.duplicated, outcome.refused = len(lost), len(more), len(witness.refusals)
    outcome.recovery_of = "space freed to the first write that goes through"
    outcome.note += "; refusals: " + ", ".join(
        f"{witness.refusals.count(code)} {code}" for code in sorted(set(witness.refusals))
    )
    assert lost == []
    assert more == [], "what was refused is there"


def run_full_database(server, disk, outcome, size=20_000):
    """A database whose disk is full for a while: to the last byte, and with a little room that is used up first."""
    witness = Witness(server)
    for _ in range(20):
        assert witness.create(size)
    for keep_bytes in (0, 300_000):
        filler = fill(disk, keep_bytes)
        taken = fill_until_refused(witness, lambda: witness.create(size), "a task")
        outcome.note += f"{'; ' if outcome.note else ''}{taken} writes fitted into {keep_bytes:,} B"
        key = uuid.uuid4().hex
        assert not witness.create(size, key)
        check_reads(witness)
        check_recovery(witness, filler, lambda: witness.create(size), outcome)
        # A refusal is not kept under its key: the same request is done now.
        assert witness.create(size, key)
    judge(witness, outcome)
    return witness


def run_start_on_full_disk(witness, disk):
    """A server that is started on a full disk serves what it has, or says what is missing; nothing is harmed."""
    server = witness.server
    server.kill()
    filler = fill(disk)
    try:
        server.start(seconds=20)
        witness.api = server.api()
        check_reads(witness)
        server.kill()
    except AssertionError:
        assert server.process.wait(20) == 1, server.tail()
        assert "full" in server.tail().lower() or "space" in server.tail().lower(), server.tail()
    filler.unlink()
    server.start()
    witness.api = server.api()
    assert witness.lost() == [] and witness.create(100)


def test_a_full_disk_under_the_database(engine, tmp_path):
    with Outcome("disk_full_database", engine) as outcome:
        if engine == "sqlite":
            with small_disk(tmp_path / "disk", 16) as disk:
                server = Server(disk / "data", engine, settings=QUIET)
                # The test's own files need room when the disk has none.
                server.log_path = tmp_path / "server.log"
                run_server(server, disk, outcome)
        else:
            run_on_a_small_tablespace(tmp_path, outcome)


def run_on_a_small_tablespace(tmp_path, outcome):
    """The cluster's log has room, its tables have not: a cluster without room for its log ends by itself."""
    with open_folder() as folder, small_disk(folder / "disk", 40) as disk:
        cluster = Cluster(folder / "cluster")
        try:
            cluster.sql(f"CREATE TABLESPACE small LOCATION '{make_postgres_folder(disk / 'tables')}'")
            server = Server(tmp_path / "data", "postgres", database=cluster.database("small"), settings=QUIET)
            run_server(server, disk, outcome)
        finally:
            cluster.remove()


def run_server(server, disk, outcome):
    server.start()
    try:
        witness = run_full_database(server, disk, outcome)
        run_start_on_full_disk(witness, disk)
        assert server.stop() == 0
    finally:
        if server.process.poll() is None:
            server.kill()


def test_a_full_disk_under_the_blobs(engine, tmp_path):
    """Deliverables are refused, and everything that needs no blob goes on."""
    with Outcome("disk_full_blobs", engine) as outcome, small_disk(tmp_path / "disk", 8) as disk:
        server = Server(tmp_path / "data", engine, settings=QUIET)
        (tmp_path / "data").mkdir(mode=0o700)
        (tmp_path / "data/blobs").symlink_to(disk)
        server.start()
        try:
            witness = Witness(server)
            for _ in range(10):
                assert witness.deliver(10_000)
            filler = fill(disk)
            taken = fill_until_refused(witness, lambda: witness.deliver(200_000), "a deliverable")
            outcome.note = f"{taken} deliverables still fitted"
            assert witness.create(100), "tasks need no blobs"
            assert witness.claim.beat()["state"] == "running"
            check_reads(witness)
            check_recovery(witness, filler, lambda: witness.deliver(200_000), outcome)
            assert not list(disk.rglob("*.part")), "refused content was left behind"
            judge(witness, outcome)
            assert server.stop() == 0
        finally:
            if server.process.poll() is None:
                server.kill()



def test_a_start_that_fails_where_its_words_find_no_room(tmp_path):
    """Standard error is a file on the full disk: the exit code still tells."""
    command = [BINARY, "serve", "--port", "0", "--data-dir", "/proc/no-such-folder"]
    with open("/dev/full", "w") as full:
        done = subprocess.run(
            command, stdin=subprocess.DEVNULL, stdout=full, stderr=full, env=environment(), timeout=30
        )
    assert done.returncode == 1
