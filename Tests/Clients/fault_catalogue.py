"""What each fault is and what Reeve promises under it, in the order of the page that `script/chaos` writes."""

from dataclasses import dataclass


@dataclass(frozen=True)
class Fault:
    """One scenario, as `Outcome` names it."""

    scenario: str
    title: str
    prose: str


@dataclass(frozen=True)
class Chapter:
    title: str
    promise: str
    faults: tuple[Fault, ...]


CHAPTERS = (
    Chapter(
        "The server dies",
        "Whatever was acknowledged is there after the next start, and nothing was done twice. A client that lost its "
        "reply sends the same request again with the same `Idempotency-Key` and gets the answer that it missed.",
        (
            Fault(
                "repeated_kills",
                "Killed again and again under load",
                "Clients create, claim, beat, deliver, submit, review and complete, and one follows the live stream. "
                "Meanwhile the server is ended with SIGKILL at moments of chance and started again. Afterwards all "
                "that the clients were told is compared with what the server has: each task with its input, each "
                "completion with its output, each deliverable byte by byte, each event in a log without a gap, and "
                "the chain of the audit log.",
            ),
            Fault(
                "power_cut",
                "The power goes",
                "A killed process leaves its writes in the system's memory; a power cut takes them. Here the server "
                "runs over a disk that keeps exactly what was synced: a file has the bytes of its last sync, a folder "
                "the names of its last sync. The server is killed under load, and the next one starts from that disk.",
            ),
            Fault(
                "second_server",
                "A second server on the same data",
                "It must refuse to start, name the process that has the data, and leave the first one in peace. The "
                "lock dies with its process, so that a killed server is in nobody's way.",
            ),
        ),
    ),
    Chapter(
        "Workers die",
        "A task whose worker is gone goes to another one when its lease runs out, and is done once. Whatever the old "
        "worker still sends is refused by its fence.",
        (
            Fault(
                "crash_recovery",
                "A worker is killed with fifty leases in its hands",
                "Another worker takes the tasks over and completes them. Then the results of the dead one arrive, as "
                "if they had only been slow on their way: all are refused.",
            ),
            Fault(
                "zombie_completion",
                "A worker stands still and comes back",
                "It is stopped by a signal until its tasks were done by another, and continued. It knows nothing of "
                "the time that passed and goes on where it was.",
            ),
            Fault(
                "killed_reeve_work",
                "`reeve work` is killed",
                "The command that it ran is ended with it, the task goes to another `reeve work`, and the fence of the "
                "first is worth nothing any more.",
            ),
        ),
    ),
    Chapter(
        "The disk is full",
        "Writes are refused with a clear problem (507 or 503), reads go on, nothing acknowledged is lost, nothing that "
        "was refused is there later, and writes go through by themselves when there is room again.",
        (
            Fault(
                "disk_full_database",
                "No room for the database",
                "To the last byte, and once more with a little room that is used up first. The server is also killed "
                "and started on the full disk.",
            ),
            Fault(
                "disk_full_blobs",
                "No room for deliverables",
                "Deliverables are refused, and everything that needs none goes on.",
            ),
            Fault(
                "postgres_wal_full",
                "No room for PostgreSQL's log",
                "PostgreSQL ends itself when it cannot write its log ahead. Reeve stays up, refuses with 503, and goes "
                "on when PostgreSQL is back.",
            ),
        ),
    ),
    Chapter(
        "PostgreSQL is in trouble",
        "Reeve stays up, answers every request within seconds, with 503 and `Retry-After` where it has to, and goes on "
        "without a restart when PostgreSQL does. Nothing acknowledged is lost, and nothing is done twice, also where a "
        "commit was under way whose outcome nobody knows.",
        (
            Fault("postgres_restart", "Restarted at once, in the middle of commits", "As after a crash of its own."),
            Fault("postgres_away", "Away for seconds", "It refuses connections."),
            Fault("postgres_frozen", "Standing still for seconds", "It takes connections and does not answer."),
            Fault("pg_backend_kill", "All sessions ended", "Again and again, in the middle of transactions."),
            Fault("pool_exhaustion", "No session to be had", "Others hold all of them when Reeve needs new ones."),
        ),
    ),
    Chapter(
        "Floods",
        "The server answers others within three seconds, its memory stays bounded, and nothing of the flood is stored.",
        (
            Fault("body_100_mb_declared", "Bodies of 100 MiB", "Their length is said beforehand."),
            Fault("body_100_mb_chunked", "Bodies of 100 MiB in chunks", "Nobody says how long they will be."),
            Fault("slow_heads", "Slow heads", "Clients send a header byte by byte and never end it."),
            Fault("slow_bodies", "Slow bodies", "Clients with a key send a body byte by byte."),
            Fault("slow_bodies_without_key", "Slow bodies without a key", "The same from strangers."),
            Fault("silent_connections", "Silent connections", "Clients connect and say nothing."),
            Fault("too_many_connections", "More connections than files", "The process has no file left for the next."),
            Fault("pipelining", "Twenty thousand requests in one go", "All on one connection."),
            Fault("unread_replies", "Replies that nobody reads", "They must not pile up in the server."),
        ),
    ),
    Chapter(
        "Hostile requests",
        "Each is refused with a 4xx (501 or 505 for what is not spoken here) or its connection is cut, nothing of it "
        "is stored, and the server answers right after.",
        (
            Fault(
                "hostile_framing",
                "Requests with two ends",
                "Lengths and codings that two readers could understand in two ways, with a hidden request behind them.",
            ),
            Fault("hostile_heads", "Heads that are no HTTP", "Bytes at random, giant headers, bare newlines, NULs."),
        ),
    ),
)

# What the test files without a ledger of their own check; they count as tests alone.
FILES = {
    "test_fault_input": "hostile input: tricks in paths, queries and names, on each engine",
    "test_fault_http": "hostile HTTP: framing, heads, targets and bodies",
    "test_fault_ledger": "the ledger itself: each kind of planted damage must be found",
    "test_fault_powercut": "the power cuts above, and pretended syncs, each of which must be found",
    "test_fault_report": "the report itself",
}
