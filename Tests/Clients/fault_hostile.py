"""Bytes that no client library would send, and the proof that nothing came of them."""

import contextlib
import functools
import re
import socket
import sqlite3
import subprocess
import time
import urllib.parse
from pathlib import Path

import requests

from reeve_server import Server, until

MIB = 1 << 20
# A server at which time alone changes nothing: what its store holds changes by requests only.
STILL = {
    "REEVE_AGENTS_HEARTBEAT_SECONDS_MIN": "3600",
    "REEVE_AGENTS_HEARTBEAT_GRACE_SECONDS": "3600",
    "REEVE_AGENTS_FAILOVER_GRACE_SECONDS": "3600",
}


def connect(server, seconds=20):
    parts = urllib.parse.urlsplit(server.url)
    return socket.create_connection((parts.hostname, parts.port), timeout=seconds)


def exchange(server, request, seconds=20):
    """Sends bytes and reads to the end of the connection or to `seconds` of silence; returns the statuses."""
    with connect(server, seconds) as connection:
        answer = b""
        try:
            connection.sendall(request)
            connection.shutdown(socket.SHUT_WR)
        except OSError:
            # Hung up in the middle of our flood; what it said before is still to be read.
            pass
        try:
            while piece := connection.recv(65_536):
                answer += piece
        except OSError:
            pass
    return statuses(answer)


def statuses(answer):
    """The status of each reply in a stream of them, by their lengths."""
    found, place = [], 0
    while answer.startswith(b"HTTP/1.", place):
        end = answer.find(b"\r\n\r\n", place)
        head = answer[place:end]
        found.append(int(head.split()[1]))
        length = re.search(rb"(?i)\r\ncontent-length: *(\d+)", head)
        # An interim reply, such as 100, has no content.
        place = end + 4 + (int(length[1]) if length else 0)
    return found


@contextlib.contextmanager
def still(data_dir, engine):
    """A server that does nothing by itself, and has written what it writes of itself a moment after it is ready."""
    Path(data_dir).mkdir(parents=True, exist_ok=True)
    # Rules would tell of themselves meanwhile.
    config = Path(data_dir) / "still.yaml"
    config.write_text("alerts: {shipped: false}\n")
    server = Server(data_dir, engine, ["--config", str(config)], settings=STILL).start()
    until(lambda: int(counts(server)["budget_replicas"]) == 1, what="the server's own row")
    yield server
    assert server.stop() == 0


def counts(server):
    """How many rows each table has. Nothing stored means that not one of these numbers has changed."""
    query = counting_query(server.engine, server.database or server.data_dir)
    if server.engine == "sqlite":
        with contextlib.closing(open_database(server.data_dir)) as database:
            found = dict(database.execute(query).fetchall())
    else:
        found = dict(line.split("|") for line in psql(server.database, query).split())
    blobs = [path for path in (Path(server.data_dir) / "blobs").rglob("*") if path.is_file()]
    return {**found, "blobs": len(blobs)}


@functools.cache
def counting_query(engine, store):
    """One statement that counts the rows of every table."""
    if engine == "sqlite":
        with contextlib.closing(open_database(store)) as database:
            rows = database.execute("SELECT name FROM sqlite_master WHERE type = 'table'").fetchall()
        tables = [row[0] for row in rows]
    else:
        query = "SELECT table_name FROM information_schema.tables WHERE table_schema = current_schema()"
        tables = psql(store, query).split()
    return " UNION ALL ".join(f"SELECT '{name}', count(*) FROM {name}" for name in tables)


def open_database(data_dir):
    return sqlite3.connect(f"file:{data_dir / 'reeve.db'}?mode=ro", uri=True, timeout=10)


def psql(url, query):
    done = subprocess.run(
        ["psql", url, "-qAtc", query], capture_output=True, text=True, timeout=60, check=True
    )
    return done.stdout


def resident_mib(server):
    """The server's resident memory and its highest so far, in MiB (proc(5), VmRSS and VmHWM)."""
    lines = Path(f"/proc/{server.process.pid}/status").read_text().splitlines()
    values = {line.split(":")[0]: int(line.split()[1]) / 1024 for line in lines if line.startswith(("VmRSS", "VmHWM"))}
    return values["VmRSS"], values["VmHWM"]


def answers_quickly(server, seconds=3.0):
    started = time.monotonic()
    assert requests.get(server.url + "/health", timeout=10).status_code == 200
    taken = time.monotonic() - started
    assert taken < seconds, f"/health took {taken:.1f} s"
    return taken


def head(server, target=b"/api/v1/tasks", method=b"POST", more=b"", key=True):
    authorization = b"Authorization: Bearer " + server.admin_key.encode() + b"\r\n" if key else b""
    return method + b" " + target + b" HTTP/1.1\r\nHost: reeve\r\nConnection: close\r\n" + authorization + more


def send(server, target, method=b"GET", body=b"", key=True):
    size = b"Content-Type: application/json\r\nContent-Length: %d\r\n\r\n" % len(body)
    return exchange(server, head(server, target.encode(), method, size, key) + body)
