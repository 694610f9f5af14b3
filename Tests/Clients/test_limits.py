"""What is too large, too deep or malformed is refused with a code, and nothing of it is kept."""

import json
import socket
import urllib.parse

import pytest
import requests

from reeve_server import Server

MIB = 1 << 20
ON_ENGINES = ["sqlite"]


@pytest.fixture
def nothing_else_happens(admin):
    """After the test the log ends where it ended before, but for what time alone makes of what other tests left."""
    before = admin.last_seq()
    yield
    made_by_somebody = [event for event in admin.events(before) if event["actor"] != "reeve"]
    assert [event for event in made_by_somebody if not event["type"].startswith("agent.")] == []


def post_raw(api, path, body, headers=None):
    return api.send("POST", path, data=body, headers=headers or {})


def test_a_body_over_the_limit(admin, agent, nothing_else_happens):
    body = b'{"queue":"x","title":"' + b"a" * (10 * MIB) + b'"}'
    reply = post_raw(admin, "/api/v1/tasks", body)
    assert reply.status_code == 413 and reply.json()["code"] == "body_too_large"
    reply = post_raw(agent, "/api/events/ingest", b'{"type":"x","pad":"' + b"a" * (11 * MIB) + b'"}')
    assert reply.status_code == 413


def test_a_chunked_body_over_the_limit(admin, nothing_else_happens):
    def pieces():
        for _ in range(11):
            yield b" " * MIB

    try:
        reply = admin.session.post(admin.url + "/api/v1/tasks", data=pieces(), timeout=60)
        assert reply.status_code == 413
    except requests.ConnectionError:
        # The server may hang up on a sender that goes on after the refusal.
        pass


def test_a_body_within_the_limit_is_taken(admin, agent, name):
    admin.create(name, input="a" * (8 * MIB))
    assert len(agent.claim(name).task["input"]) == 8 * MIB


@pytest.mark.parametrize("opening, closing", [("[", "]"), ('{"a":', "}")])
def test_depth(admin, nothing_else_happens, opening, closing):
    for depth in (65, 1_000, 100_000):
        body = '{"queue":"x","title":"t","input":' + opening * depth + "1" + closing * depth + "}"
        reply = post_raw(admin, "/api/v1/tasks", body)
        assert reply.status_code in (400, 422) and reply.json()["code"] == "invalid_json", depth


def test_depth_within_the_limit(admin, name):
    value = json.loads("[" * 60 + "]" * 60)
    assert admin.create(name, input=value)["input"] == value


@pytest.mark.parametrize(
    "body",
    [
        b'{"queue":"x","title":"\xff\xfe"}',
        b'{"queue":"x","title":"\xc0\xaf"}',
        b'{"queue":"x","title":"\xed\xa0\x80"}',
        b'{"queue":"x","title":"\\ud800"}',
        b"",
        b"{",
        b"nonsense",
        b"{}{}",
        b'{"queue":"x"',
        b"[1,2",
        b'{"queue":01}',
        b"NaN",
        b'{"a":1,}',
        b"\x00",
        b"\xef\xbb\xbf",
    ],
)
def test_what_is_not_json(admin, nothing_else_happens, body):
    reply = post_raw(admin, "/api/v1/tasks", body)
    assert 400 <= reply.status_code < 500 and reply.json()["code"] in ("invalid_json", "invalid", "bad_request")


@pytest.mark.parametrize("body", ["[]", "7", '"text"', "null", "true"])
def test_json_that_is_no_object(admin, nothing_else_happens, body):
    reply = post_raw(admin, "/api/v1/tasks", body)
    assert reply.status_code in (400, 422)


@pytest.mark.parametrize("field", ["queue", "project", "type", "agent"])
@pytest.mark.parametrize("bad", ["a/b", "a\\b", "nul\u0000", ".hidden", "x" * 201, "", 7, ["a"], {"a": 1}])
def test_names(admin, nothing_else_happens, field, bad):
    body = {"queue": "limits", "project": "tests", "type": "t", "title": "t", field: bad}
    reply = admin.send("POST", "/api/v1/tasks", json=body)
    assert reply.status_code == 422, reply.text
    # A NUL makes the whole document unacceptable, so no field is at fault.
    assert bad == "nul\0" or reply.json()["field"] == field


def test_a_name_of_200_characters_is_taken(admin, name):
    long = (name + "é" * 200)[:200]
    assert admin.create(long)["queue"] == long


@pytest.mark.parametrize(
    "fields",
    [
        {"priority": "high"},
        {"priority": 10**30},
        {"maxAttempts": 0},
        {"maxAttempts": -1},
        {"maxAttempts": 1.5},
        {"leaseSeconds": 0},
        {"leaseSeconds": -5},
        {"leaseSeconds": 86_401},
        {"leaseSeconds": "60"},
        {"leaseSeconds": 1e308},
        {"timeoutSeconds": -1},
        {"scheduledFor": "tomorrow"},
        {"scheduledFor": 12},
        {"scheduledFor": "2026-13-45T99:00:00Z"},
        {"dependsOn": "task"},
        {"dependsOn": [1]},
        {"requires": "gpu"},
        {"review": "yes"},
        {"review": {"approvals": 0}},
        {"budget": 5},
        {"budget": {"usd": -1}},
        {"budget": {"tokens": "many"}},
        {"onLeaseLost": "panic"},
        {"title": 7},
        {"title": "x" * 100_000},
    ],
)
def test_values_that_make_no_sense(admin, nothing_else_happens, fields):
    reply = admin.send(
        "POST", "/api/v1/tasks", json={"queue": "limits", "project": "tests", "type": "t", "title": "t", **fields}
    )
    assert reply.status_code == 422, reply.text
    assert reply.json()["detail"]


@pytest.mark.parametrize(
    "body",
    [
        {"queues": "x"},
        {"queues": [7]},
        {"queues": ["a/b"]},
        {"queues": ["x"], "limit": 0},
        {"queues": ["x"], "limit": "all"},
        {"queues": ["x"], "waitSeconds": 31},
        {"queues": ["x"], "waitSeconds": -1},
    ],
)
def test_claims_that_make_no_sense(agent, nothing_else_happens, body):
    agent.refused("POST", "/api/v1/tasks/claim", body, status=422)


@pytest.mark.parametrize(
    "fields", [{}, {"fence": "1"}, {"fence": -1}, {"fence": 1.5}, {"fence": 2**70}, {"fence": None}]
)
def test_a_fence_must_be_a_number(admin, agent, name, fields):
    admin.create(name)
    claim = agent.claim(name)
    reply = agent.send("POST", f"/api/v1/tasks/{claim.id}/complete", json={"output": 1, **fields})
    assert reply.status_code == 422, reply.text
    assert admin.state(claim.id) == "claimed"


@pytest.mark.parametrize("progress", [-0.1, 1.1, "half", 1e400])
def test_progress_is_between_nothing_and_all(admin, agent, name, progress):
    admin.create(name)
    claim = agent.claim(name)
    body = json.dumps({"fence": claim.fence, "progress": progress}).replace("Infinity", "1e400")
    reply = post_raw(agent, f"/api/v1/tasks/{claim.id}/heartbeat", body)
    assert reply.status_code in (400, 422), reply.text


def test_lists_are_clamped_and_never_refused_for_wanting_much(admin, name):
    for _ in range(3):
        admin.create(name)
    assert len(admin.get(f"/api/v1/tasks?queue={name}&limit=100000", 200)["items"]) == 3
    for bad in ("0", "-1", "many", "1e9", ""):
        reply = admin.send("GET", f"/api/v1/tasks?limit={bad}")
        assert reply.status_code in (200, 422), bad


@pytest.mark.parametrize(
    "task_id", ["nothing", "task_", "task_" + "z" * 26, "task_" + "0" * 5000, "..%2f..%2fetc", "%00", "💥"]
)
def test_ids_that_name_nothing(admin, nothing_else_happens, task_id):
    reply = admin.send("GET", f"/api/v1/tasks/{task_id}")
    assert reply.status_code in (400, 404, 414, 422), reply.status_code


@pytest.mark.parametrize(
    "method, path, status",
    [
        ("GET", "/api/v1/nothing", 404),
        ("PUT", "/api/v1/tasks", 405),
        ("DELETE", "/api/v1/tasks/claim", 405),
        ("POST", "/api/v1/events", 405),
        ("TRACE", "/api/v1/tasks", 405),
        ("BREW", "/api/v1/tasks", 405),
    ],
)
def test_addresses_and_methods_that_are_not_there(admin, nothing_else_happens, method, path, status):
    reply = admin.send(method, path)
    # A method that HTTP does not know may end at the parser.
    assert reply.status_code in (status, 404, 405, *((400, 501) if method == "BREW" else ())), reply.status_code


@pytest.mark.parametrize(
    "headers", [{"Idempotency-Key": ""}, {"Idempotency-Key": "k" * 201}, {"Idempotency-Key": "k" * 5000}]
)
def test_odd_idempotency_keys(admin, nothing_else_happens, headers):
    reply = admin.send(
        "POST",
        "/api/v1/tasks",
        json={"queue": "limits", "project": "tests", "type": "t", "title": "t"},
        headers=headers,
    )
    assert reply.status_code in (400, 422, 431), reply.text


def raw(server, request):
    """Bytes on a socket, as no client library would send them; returns the status, or None where the server hung up."""
    parts = urllib.parse.urlsplit(server.url)
    with socket.create_connection((parts.hostname, parts.port), timeout=20) as connection:
        connection.sendall(request)
        answer = b""
        try:
            while b"\r\n" not in answer:
                piece = connection.recv(65_536)
                if not piece:
                    break
                answer += piece
        except ConnectionResetError:
            pass
    return int(answer.split()[1]) if answer.startswith(b"HTTP/") else None


@pytest.mark.parametrize(
    "what", ["huge header", "many headers", "bad line", "two lengths", "bad length", "smuggled", "no host"]
)
def test_header_oddities(server, admin, nothing_else_happens, what):
    key = b"Authorization: Bearer " + admin.key.encode() + b"\r\n"
    body = b'{"queue":"limits","project":"tests","type":"t","title":"odd"}'
    length = b"Content-Length: %d\r\n" % len(body)
    start = b"POST /api/v1/tasks HTTP/1.1\r\nHost: x\r\nConnection: close\r\n" + key
    request = {
        "huge header": start + b"X-Big: " + b"a" * 200_000 + b"\r\n" + length + b"\r\n" + body,
        "many headers": start + b"".join(b"X-%d: 1\r\n" % n for n in range(20_000)) + length + b"\r\n" + body,
        "bad line": b"POST /api/v1/tasks\r\n\r\n",
        "two lengths": start + length + b"Content-Length: 3\r\n\r\n" + body,
        "bad length": start + b"Content-Length: -5\r\n\r\n" + body,
        "smuggled": start + length + b"Transfer-Encoding: chunked\r\n\r\n0\r\n\r\n" + body,
        "no host": b"GET /api/v1/tasks\x00 HTTP/1.1\r\n" + key + b"\r\n",
    }[what]
    status = raw(server, request)
    assert status is None or 400 <= status < 500, status
    assert requests.get(server.url + "/health", timeout=10).status_code == 200


def test_a_slow_or_broken_sender_harms_nobody(server, nothing_else_happens):
    parts = urllib.parse.urlsplit(server.url)
    slow = [socket.create_connection((parts.hostname, parts.port), timeout=20) for _ in range(50)]
    for connection in slow:
        connection.sendall(b"POST /api/v1/tasks HTTP/1.1\r\nHost: x\r\nContent-Le")
    assert requests.get(server.url + "/health", timeout=5).status_code == 200
    for connection in slow:
        connection.close()


def test_failed_logins_are_bounded(engine, tmp_path):
    """On a server of its own: nobody can log in from this address for a while afterwards."""
    server = Server(tmp_path / "data", engine).start()
    try:
        statuses = []
        for _ in range(25):
            reply = requests.post(server.url + "/login", data={"key": "guess"}, allow_redirects=False, timeout=20)
            statuses.append(reply.status_code)
            if reply.status_code == 429:
                break
        assert statuses[-1] == 429, statuses
        assert len(statuses) == 21, "20 failures are allowed a minute"
        assert int(reply.headers["Retry-After"]) > 0
    finally:
        server.stop()


@pytest.fixture(scope="module")
def narrow_server(tmp_path_factory):
    """A server whose limits a test reaches with little."""
    limits = ("GRAPH_TASKS", "DEPENDENCIES_PER_TASK", "DELIVERABLES_PER_TASK")
    settings = {"REEVE_LIMITS_BODY_SECONDS": "1", **{f"REEVE_LIMITS_{limit}": "2" for limit in limits}}
    server = Server(tmp_path_factory.mktemp("narrow") / "data", settings=settings).start()
    yield server
    assert server.stop() == 0


def node(key):
    return {"key": key, "queue": "narrow", "title": key}


def test_tasks_of_a_graph(narrow_server):
    api = narrow_server.api()
    problem = api.post("/api/v1/tasks/graph", {"tasks": [node("a"), node("b"), node("c")]}, 422)
    assert problem["field"] == "tasks" and "2" in problem["detail"]
    assert api.get("/api/v1/tasks?queue=narrow")["items"] == []
    assert len(api.post("/api/v1/tasks/graph", {"tasks": [node("a"), node("b")]}, 201)["items"]) == 2


def test_dependencies_of_a_task(narrow_server):
    api = narrow_server.api()
    ids = [api.create("needed")["id"] for _ in range(3)]
    problem = api.post("/api/v1/tasks", {"queue": "q", "title": "t", "dependsOn": ids}, 422)
    assert problem["field"] == "dependsOn" and "2" in problem["detail"]
    api.post("/api/v1/tasks", {"queue": "q", "title": "t", "dependsOn": ids[:2]}, 201)


def test_deliverables_of_a_task(narrow_server):
    api = narrow_server.api()
    api.create("files")
    agent = narrow_server.make_agent("writer")
    claim = agent.claim("files")
    for number in range(2):
        claim.deliver(f"{number}.txt", "text")
    path = f"/api/v1/tasks/{claim.id}/deliverables"
    problem = agent.post(path, {"fence": claim.fence, "name": "2.txt", "content": "text"}, 422)
    assert "2" in problem["detail"]
    assert len(api.task(claim.id)["deliverables"]) == 2


@pytest.mark.parametrize("has_key", [True, False])
def test_seconds_of_a_body(narrow_server, has_key):
    parts = urllib.parse.urlsplit(narrow_server.url)
    key = f"Authorization: Bearer {narrow_server.admin_key}\r\n" if has_key else ""
    path = "/api/v1/tasks" if has_key else "/login"
    with socket.create_connection((parts.hostname, parts.port), timeout=20) as connection:
        connection.sendall(f"POST {path} HTTP/1.1\r\nHost: x\r\n{key}Content-Length: 100\r\n\r\n ".encode())
        answer = b""
        while piece := connection.recv(65_536):
            answer += piece
    assert answer.startswith(b"HTTP/1.1 408 "), answer
    problem = json.loads(answer.split(b"\r\n\r\n", 1)[1])
    assert problem["code"] == "request_timeout" and " 1 s." in problem["detail"]
