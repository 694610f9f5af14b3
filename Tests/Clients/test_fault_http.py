"""Hostile HTTP: each request is refused or its connection is cut, nothing is stored, and the server answers after."""

import pytest

from fault_hostile import MIB, answers_quickly, counts, exchange, head, send, still
from fault_record import Outcome

# What is refused here never comes near a store.
ON_ENGINES = ["sqlite"]


@pytest.fixture(scope="module")
def still_server(engine, tmp_path_factory):
    with still(tmp_path_factory.mktemp(f"http-{engine}") / "data", engine) as server:
        yield server


@pytest.fixture(autouse=True)
def nothing_is_stored(still_server):
    before = counts(still_server)
    yield
    answers_quickly(still_server)
    assert counts(still_server) == before


TASK = b'{"queue":"hostile","project":"tests","type":"t","title":"smuggled"}'
SIZE = b"Content-Length: %d\r\n" % len(TASK)
CHUNKS = b"%x\r\n" % len(TASK) + TASK + b"\r\n0\r\n\r\n"


def hidden(server):
    """A whole request that would make a task if anybody took it for one."""
    return head(server, more=SIZE + b"\r\n") + TASK


def framings(server):
    """Requests whose end two readers could see in two places (RFC 9112 §6.3, §11.2)."""
    post, chunked = head(server), b"Transfer-Encoding: chunked\r\n"
    return {
        "length and chunks": post + SIZE + chunked + b"\r\n0\r\n\r\n" + hidden(server),
        "chunks and length": post + chunked + SIZE + b"\r\n0\r\n\r\n" + hidden(server),
        "two lengths": post + SIZE + b"Content-Length: 0\r\n\r\n" + TASK,
        "a list of lengths": post + b"Content-Length: 0, %d\r\n\r\n" % len(TASK) + TASK,
        "two codings": post + b"Transfer-Encoding: identity\r\n" + chunked + b"\r\n" + b"zz\r\n",
        "chunks and more": post + b"Transfer-Encoding: chunked, identity\r\n\r\n" + CHUNKS,
        "an unknown coding": post + b"Transfer-Encoding: xchunked\r\n\r\n" + CHUNKS,
        "a space before the colon": post + b"Transfer-Encoding : chunked\r\n\r\n" + CHUNKS,
        "a vertical tab": post + b"Transfer-Encoding: \x0bchunked\r\n\r\n" + CHUNKS,
        "a folded coding": post + b"Transfer-Encoding:\r\n chunked\r\n" + SIZE + b"\r\n0\r\n\r\n" + hidden(server),
        "a signed length": post + b"Content-Length: +%d\r\n\r\n" % len(TASK) + TASK,
        "a negative length": post + b"Content-Length: -1\r\n\r\n" + TASK,
        "a length in hexadecimal": post + b"Content-Length: 0x43\r\n\r\n" + TASK,
        "an endless length": post + b"Content-Length: " + b"9" * 30 + b"\r\n\r\n" + TASK,
        "a length with a space": post + b"Content-Length: 6 7\r\n\r\n" + TASK,
        "an endless chunk": post + chunked + b"\r\n" + b"f" * 20 + b"\r\n" + TASK,
        "a negative chunk": post + chunked + b"\r\n-1\r\n" + TASK,
        "no chunk size": post + chunked + b"\r\n\r\n" + TASK,
        "a chunk longer than it says": post + chunked + b"\r\n5\r\n" + TASK + b"\r\n0\r\n\r\n",
        "a chunk with a long extension": post + chunked + b"\r\n5;" + b"x" * MIB + b"\r\nhello\r\n0\r\n\r\n",
        "a cut body": post + SIZE + b"\r\n" + TASK[:-1],
        "a cut chunk": post + chunked + b"\r\n" + CHUNKS[:-8],
    }


def heads(server):
    """Request lines and headers that are no HTTP, or that HTTP says to refuse."""
    key = b"Authorization: Bearer " + server.admin_key.encode() + b"\r\n"
    return {
        "no HTTP": b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03" + bytes(range(256)),
        "only newlines": b"\r\n" * 10_000,
        "only NULs": b"\0" * 10_000,
        "HTTP/0.9": b"POST /api/v1/tasks\r\n\r\n",
        "HTTP/2": b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n",
        "HTTP/9.9": b"POST /api/v1/tasks HTTP/9.9\r\n" + key + SIZE + b"\r\n" + TASK,
        "no version": b"POST /api/v1/tasks HTTP/\r\n" + key + SIZE + b"\r\n" + TASK,
        "no host": b"POST /api/v1/tasks HTTP/1.1\r\n" + key + SIZE + b"\r\n" + TASK,
        "two hosts": head(server, more=b"Host: other\r\n" + SIZE + b"\r\n") + TASK,
        "bare newlines": (head(server, more=SIZE + b"\r\n")).replace(b"\r\n", b"\n") + TASK,
        "a bare carriage return": head(server, more=b"X-A: a\rX-B: b\r\n" + SIZE + b"\r\n") + TASK,
        "a folded header": head(server, more=b"X-A: a\r\n b\r\n" + SIZE + b"\r\n") + TASK,
        "a NUL in a header": head(server, more=b"X-A: a\0b\r\n" + SIZE + b"\r\n") + TASK,
        "no header name": head(server, more=b": a\r\n" + SIZE + b"\r\n") + TASK,
        "a space in a header name": head(server, more=b"X A: a\r\n" + SIZE + b"\r\n") + TASK,
        "no colon": head(server, more=b"nonsense\r\n" + SIZE + b"\r\n") + TASK,
        "a giant header": head(server, more=b"X-A: " + b"a" * (2 * MIB) + b"\r\n" + SIZE + b"\r\n") + TASK,
        "a giant header name": head(server, more=b"a" * (2 * MIB) + b": a\r\n" + SIZE + b"\r\n") + TASK,
        "a hundred thousand headers": head(server, more=b"X-A: a\r\n" * 100_000 + SIZE + b"\r\n") + TASK,
        "many keys": head(server, more=key * 2_000 + SIZE + b"\r\n") + TASK,
        "a giant request line": head(server, b"/api/v1/tasks?q=" + b"a" * (2 * MIB), more=SIZE + b"\r\n") + TASK,
        "a giant method": head(server, method=b"A" * (2 * MIB), more=SIZE + b"\r\n") + TASK,
        "a space in the target": head(server, b"/api/v1/tasks /x", more=SIZE + b"\r\n") + TASK,
        "a NUL in the target": head(server, b"/api/v1/tasks\0", more=SIZE + b"\r\n") + TASK,
        "CONNECT": b"CONNECT example:443 HTTP/1.1\r\nHost: example\r\n\r\n",
        "a cut head": head(server, more=b"X-A: a"),
    }


def check(server, requests_by_name, outcome):
    """Each is refused: every reply is a 4xx (501 for a method or coding that is not known), or the line is cut."""
    wrong = {}
    outcome.refused = 0
    for name, request in requests_by_name.items():
        before = counts(server)
        replies = exchange(server, request)
        if any(not (400 <= status < 500 or status in (501, 505)) for status in replies):
            wrong[name] = replies
        if counts(server) != before:
            wrong[name] = f"something was stored: {replies}"
        answers_quickly(server)
        outcome.refused += 1
    outcome.acknowledged = outcome.lost = outcome.duplicated = 0
    outcome.note = f"{len(requests_by_name)} requests; nothing stored"
    assert wrong == {}


def test_ambiguous_framing(still_server, engine):
    with Outcome("hostile_framing", engine) as outcome:
        check(still_server, framings(still_server), outcome)


def test_heads_that_are_no_http(still_server, engine):
    with Outcome("hostile_heads", engine) as outcome:
        check(still_server, heads(still_server), outcome)


@pytest.mark.parametrize(
    "target",
    [
        *("/../../etc/passwd", "/assets/../../../etc/passwd", "/%2e%2e/%2e%2e/admin.key", "//etc/passwd"),
        "/./admin.key",
        *("/assets//etc/passwd", "/api/v1/../../admin.key", "/api/v1/tasks/../keys/x", "/.git/config", "/%00"),
        *("http://elsewhere/api/v1/nothing", "*", "nothing", "?", "#", "/api/v1/%74asks%2fclaim"),
    ],
)
def test_targets_that_lead_nowhere(still_server, target):
    replies = send(still_server, target)
    assert len(replies) == 1 and 400 <= replies[0] < 500, replies


@pytest.mark.parametrize(
    "body",
    [
        *(b"", b"{", b"nonsense", b"{}{}", b"[1,2", b"NaN", b"\0", b"\xff\xfe{\0}\0", b'{"a":1,}', b'{"queue":01}'),
        *(b'{"queue":"\xff"}', b'{"queue":"\xc0\xaf"}', b'{"queue":"\xed\xa0\x80"}', b'{"queue":"\\ud800"}'),
        *(b"[" * 1_000_000, b'{"a":' * 500_000, b"[" * 100_000 + b"]" * 100_000, b'"' + b"\\u0000" * 1_000),
        *(b'{"input":' + b"9" * 1_000_000 + b"}", b'{"priority":1e999999999}', b'{"queue":["a"]}', b'{"title":{}}'),
        b'{"queue":"a","queue":"b","title":"t","title":7}',
    ],
    ids=lambda body: repr(body[:24]),
)
def test_bodies_that_make_no_sense(still_server, body):
    api = still_server.api()
    for path in ("/api/v1/tasks", "/api/v1/tasks/graph", "/api/v1/keys", "/api/v1/schedules", "/api/events/ingest"):
        reply = api.send("POST", path, data=body, headers={"Content-Type": "application/json"})
        assert 400 <= reply.status_code < 500, (path, reply.status_code, reply.text[:200])
