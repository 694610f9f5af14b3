"""Floods: bodies, connections and requests in masses. The server stays quick for others, and its memory bounded."""

import concurrent.futures
import contextlib
import resource
import socket
import time

import pytest
import requests

from fault_hostile import (
    MIB,
    STILL,
    answers_quickly,
    connect,
    counts,
    exchange,
    head,
    resident_mib,
    statuses,
    still,
)
from fault_record import IS_WHOLE_RUN, Outcome
from reeve_server import Server, until

ON_ENGINES = ["sqlite"]
BODY = 100 * MIB
# A body may have 10 MiB (limits.bodyBytes), and a few are held at one time.
GROWTH_MIB_MAX = 96
# No request's head may take longer to come than a connection may be silent.
HEAD_SECONDS_MAX = 75 + 5


@pytest.fixture(scope="module")
def still_server(engine, tmp_path_factory):
    with still(tmp_path_factory.mktemp(f"floods-{engine}") / "data", engine) as server:
        yield server


@contextlib.contextmanager
def flood(server, scenario, engine):
    """Nothing of it is stored, the server answers right after, and its memory has not grown by much."""
    before, (resident, _) = counts(server), resident_mib(server)
    with Outcome(scenario, engine) as outcome:
        outcome.acknowledged = outcome.lost = outcome.duplicated = 0
        yield outcome
        slowest = answers_quickly(server)
        now, highest = resident_mib(server)
        outcome.note += f"; memory {resident:.0f} MiB before, {now:.0f} after, {highest:.0f} at most"
        outcome.note += f"; /health right after in {slowest * 1_000:.0f} ms"
        assert counts(server) == before
        assert now - resident < GROWTH_MIB_MAX
        assert server.process.poll() is None


def send_large(server, is_chunked):
    """100 MB, or as much of it as the server lets come; the statuses of its replies and the bytes that left."""
    size = b"Transfer-Encoding: chunked\r\n\r\n" if is_chunked else b"Content-Length: %d\r\n\r\n" % BODY
    piece = b" " * MIB
    sent, answer = 0, b""
    with connect(server) as connection:
        try:
            connection.sendall(head(server, more=size))
            while sent < BODY:
                connection.sendall(b"%x\r\n" % MIB + piece + b"\r\n" if is_chunked else piece)
                sent += MIB
        except OSError:
            pass
        with contextlib.suppress(OSError):
            while got := connection.recv(65_536):
                answer += got
    return statuses(answer), sent


@pytest.mark.parametrize("is_chunked", [False, True], ids=["declared", "chunked"])
def test_bodies_of_a_hundred_megabytes(still_server, engine, is_chunked):
    with flood(still_server, f"body_100_mb_{'chunked' if is_chunked else 'declared'}", engine) as outcome:
        with concurrent.futures.ThreadPoolExecutor(8) as pool:
            results = list(pool.map(lambda _: send_large(still_server, is_chunked), range(16)))
        outcome.refused = len(results)
        most = max(sent for _, sent in results) // MIB
        outcome.note = f"16 bodies of 100 MiB, 8 at one time; at most {most} MiB of one were taken off the line"
        # Where the connection was cut while we sent, the reply may be lost with it (RFC 9112 §9.6).
        assert {status for found, _ in results for status in found} == {413}
        assert sum(found == [413] for found, _ in results) >= len(results) // 2


def trickle(server, opening, piece, count, seconds):
    """Many clients that send a little now and then; returns how long /health took meanwhile, and when each was cut."""
    started, slowest = time.monotonic(), 0.0
    lines = [connect(server) for _ in range(count)]
    cut_after = {}
    for line in lines:
        line.sendall(opening)
        line.settimeout(0)
    while time.monotonic() < started + seconds and len(cut_after) < count:
        for line in lines:
            if line not in cut_after and is_cut(line, piece):
                cut_after[line] = time.monotonic() - started
        slowest = max(slowest, answers_quickly(server))
        time.sleep(0.5)
    for line in lines:
        line.close()
    return slowest, list(cut_after.values())


def is_cut(line, piece):
    """Sends a little more, and says whether the server has closed the connection."""
    try:
        if piece:
            line.send(piece)
        return line.recv(4_096) == b""
    except BlockingIOError:
        return False
    except OSError:
        return True


SLOW = {
    "slow_heads": lambda server: (head(server, more=b"X-A: "), b"a"),
    "slow_bodies": lambda server: (head(server, more=b"Content-Length: 50000\r\n\r\n"), b" "),
    "slow_bodies_without_key": lambda server: (head(server, more=b"Content-Length: 50000\r\n\r\n", key=False), b" "),
    "silent_connections": lambda server: (b"", b""),
}


@pytest.mark.parametrize("scenario", SLOW)
@pytest.mark.timeout(200)
def test_slow_clients(still_server, engine, scenario):
    """Others are served meanwhile. In the whole run also: none of them stays for ever."""
    opening, piece = SLOW[scenario](still_server)
    with flood(still_server, scenario, engine) as outcome:
        seconds = HEAD_SECONDS_MAX if IS_WHOLE_RUN else 3
        slowest, cuts = trickle(still_server, opening, piece, 300, seconds)
        outcome.refused = len(cuts)
        outcome.note = f"300 clients for {seconds} s; /health meanwhile in {slowest * 1_000:.0f} ms at most"
        if IS_WHOLE_RUN:
            outcome.note += f"; cut after {max(cuts, default=0):.0f} s at most"
            assert len(cuts) == 300, f"{300 - len(cuts)} slow clients are still there after {seconds} s"


def test_more_connections_than_files(engine, tmp_path):
    """Connections beyond the process's limit of open files wait or are refused; those before go on."""
    server = Server(tmp_path / "data", engine, settings=STILL).start()
    try:
        resource.prlimit(server.process.pid, resource.RLIMIT_NOFILE, (128, 128))
        api = server.api()
        with Outcome("too_many_connections", engine) as outcome:
            api.create("before")
            crowd = []
            for _ in range(400):
                line = socket.socket()
                line.setblocking(False)
                line.connect_ex(("127.0.0.1", int(server.url.rsplit(":", 1)[1])))
                crowd.append(line)
            until(lambda: api.send("POST", "/api/v1/tasks", json={"queue": "in", "title": "t"}), 10)
            for line in crowd:
                line.close()
            closed = time.monotonic()
            until(lambda: is_healthy(server), 20, "an answer on a new connection", 0.01)
            outcome.recoveries.append(time.monotonic() - closed)
            outcome.recovery_of = "the others leave to an answer on a new connection"
            outcome.acknowledged, outcome.duplicated, outcome.refused = 2, 0, 0
            outcome.lost = 2 - len(server.api().get("/api/v1/tasks")["items"])
            outcome.note = "400 connections to a process that may have 128 files open"
            assert outcome.lost == 0
        assert server.stop() == 0
    finally:
        if server.process.poll() is None:
            server.kill()


def is_healthy(server):
    try:
        return requests.get(server.url + "/health", timeout=2).status_code == 200
    except requests.RequestException:
        return False


def test_pipelined_requests(still_server, engine):
    """Thousands of requests in one go are answered one after the other, in their order, as fast as they are read."""
    with flood(still_server, "pipelining", engine) as outcome:
        count = 20_000
        one = b"GET /health HTTP/1.1\r\nHost: x\r\n\r\n"
        found = exchange(still_server, one * (count - 1) + one.replace(b"\r\n\r\n", b"\r\nConnection: close\r\n\r\n"))
        outcome.note = f"{count} requests on one connection, answered {len(found)}"
        # Without a key an address has its limit, and requests beyond that are refused one by one.
        outcome.refused = found.count(429)
        assert set(found) <= {200, 429} and len(found) == count


def test_pipelined_requests_whose_replies_nobody_reads(still_server, engine):
    """What a client does not read must not pile up in the server."""
    with flood(still_server, "unread_replies", engine) as outcome:
        one = head(still_server, b"/api/v1/openapi.json", b"GET", b"\r\n").replace(b"Connection: close\r\n", b"")
        lines, sent, (before, _) = [connect(still_server, 5) for _ in range(4)], 0, resident_mib(still_server)
        deadline = time.monotonic() + 4
        for line in lines:
            line.setblocking(False)
        while time.monotonic() < deadline:
            for line in lines:
                with contextlib.suppress(OSError):
                    sent += line.send(one * 500)
            time.sleep(0.01)
        during, _ = resident_mib(still_server)
        answers_quickly(still_server)
        for line in lines:
            line.close()
        outcome.refused = 0
        outcome.note = f"{sent // len(one):,} requests for a document of 200 KB sent, {during:.0f} MiB meanwhile"
        assert during - before < GROWTH_MIB_MAX, f"unread replies took {during - before:.0f} MiB"
