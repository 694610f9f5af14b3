"""Hostile input: each is a clear refusal, nothing of it is stored, and the server answers right after."""

import json

import pytest

from fault_hostile import answers_quickly, counts, send, still
from reeve_server import until


@pytest.fixture(scope="module")
def still_server(engine, tmp_path_factory):
    with still(tmp_path_factory.mktemp(f"hostile-{engine}") / "data", engine) as server:
        yield server


@pytest.fixture(scope="module")
def claim(still_server):
    """A task in an agent's hands, for what only its holder may send."""
    still_server.api().create("hostile", leaseSeconds=3600, timeoutSeconds=36_000)
    claim = still_server.make_agent("holder").claim("hostile")
    claim.beat()
    claim.deliver("known.txt", "known")
    # Its status follows a moment later, with an event of its own.
    until(lambda: any(event["data"].get("to") == "busy" for event in still_server.api().events()), 10, "a busy agent")
    return claim


@pytest.fixture(autouse=True)
def nothing_is_stored(still_server, claim):
    before = counts(still_server)
    yield
    answers_quickly(still_server)
    assert counts(still_server) == before
    assert claim.api.state(claim.id) == "running"


IDS = [
    *("%00", "a%00b", "%2e%2e", "..%2f..%2fadmin.key", "%2e%2e%2f%2e%2e%2fetc%2fpasswd", "..%5c..%5cadmin.key"),
    *("%252e%252e%252f", "%ff%fe", "%c0%ae%c0%ae", "%ed%a0%80", "%", "%z", "%zz", "%u0000", "a" * 3_000, "%0d%0aX:1"),
    *("'%20OR%201=1--", "%22;DROP%20TABLE%20tasks;--", "task_%00", "task_" + "0" * 31 + "%00"),
]
PLACES = [
    *("/api/v1/tasks/{}", "/api/v1/tasks/{}/explain", "/api/v1/tasks/{}/attempts", "/api/v1/tasks/{}/deliverables"),
    *("/api/v1/tasks/{}/reviews", "/api/v1/agents/{}", "/api/v1/queues/{}", "/api/v1/schedules/{}"),
    *("/api/v1/deliverables/{}", "/api/v1/deliverables/{}/content", "/assets/{}", "/agents/{}", "/tasks/{}"),
]


@pytest.mark.parametrize("place", PLACES)
def test_tricks_in_paths(still_server, place):
    wrong = {}
    for name in IDS:
        replies = send(still_server, place.format(name))
        if len(replies) != 1 or not 400 <= replies[0] < 500:
            wrong[name] = replies
    assert wrong == {}


@pytest.mark.parametrize("verb", ["cancel", "complete", "heartbeat", "hold", "retry", "review", "deliverables"])
def test_tricks_in_paths_that_change_something(still_server, verb):
    body = json.dumps({"fence": 1, "verdict": "approve", "sha256": "0" * 64, "name": "a", "content": "a"}).encode()
    replies = {name: send(still_server, f"/api/v1/tasks/{name}/{verb}", b"POST", body) for name in IDS}
    assert {name: r for name, r in replies.items() if len(r) != 1 or not 400 <= r[0] < 500} == {}


@pytest.mark.parametrize("method, target", [
    ("POST", "/api/v1/agents/{}/pause"), ("POST", "/api/v1/queues/{}/pause"), ("POST", "/api/v1/projects/{}/pause"),
    ("DELETE", "/api/v1/keys/{}"), ("DELETE", "/api/v1/agents/{}"), ("PATCH", "/api/v1/agents/{}"),
    ("DELETE", "/api/v1/schedules/{}"), ("PATCH", "/api/v1/queues/{}"), ("PATCH", "/api/v1/projects/{}"),
])  # fmt: skip
def test_tricks_in_names_of_the_path(still_server, method, target):
    # Decoded once, these are odd names but names.
    names = [name for name in IDS if not name.startswith(("'", "%22", "%252e"))]
    replies = {name: send(still_server, target.format(name), method.encode(), b"{}") for name in names}
    assert {name: r for name, r in replies.items() if len(r) != 1 or not 400 <= r[0] < 500} == {}


LISTS = {
    "/api/v1/tasks": ("queue", "project", "status", "after", "limit", "agent", "type"),
    "/api/v1/events": ("type", "agent", "task", "project", "after", "limit"),
    "/api/v1/agents": ("status", "project", "after", "limit", "capability"),
    "/api/v1/queues": ("after", "limit"),
    "/api/v1/keys": ("after", "limit"),
    "/api/v1/audit": ("after", "limit"),
    "/api/v1/schedules": ("after", "limit"),
    "/api/v1/reviews": ("after", "limit"),
    "/tasks": ("queue", "project", "status", "after", "state"),
    "/events": ("type", "agent", "after"),
    "/audit": ("after",),
    "/login": ("token", "next"),
}


@pytest.mark.parametrize("path", LISTS)
def test_tricks_in_queries(still_server, path):
    """Never a failure of the server: a filter that nothing matches, or a refusal."""
    wrong = {}
    for name in LISTS[path]:
        for value in (*IDS, "-1", "9" * 30, "1e9", "NaN", "%F0%9F%92%A5"):
            replies = send(still_server, f"{path}?{name}={value}")
            if len(replies) != 1 or replies[0] >= 500:
                wrong[f"{name}={value}"] = replies
    assert wrong == {}


NAMES = [
    *("../a", "..", ".", "/etc/passwd", "a/b", "a/../b", "a\\b", "..\\a", "nul\0", "line\nfeed", "a\r\nX-Injected: 1"),
    *("", " ", "x" * 201, ".hidden", "tab\there", "\u0085", "\u2028", "a\x7f", "\x1b[31m"),
]


def is_refused(api, path, **request):
    reply = api.send("POST", path, **request)
    return reply.status_code in (400, 422)


def test_names_of_deliverables(claim):
    path = f"/api/v1/tasks/{claim.id}/deliverables"
    taken = [
        bad
        for bad in NAMES
        if not is_refused(claim.api, path, json={"fence": claim.fence, "name": bad, "content": "x"})
    ]
    assert taken == []


def test_names_of_files_in_forms(claim):
    """A name of a form's file; a backslash quotes the next character there (RFC 2183 §2)."""
    path, taken = f"/api/v1/tasks/{claim.id}/deliverables", []
    for bad in ("../a", "..", "/etc/passwd", "a/b", "a\\\\b", "..\\\\a", ".hidden", " ", "x" * 201):
        cut = "--cut\r\nContent-Disposition: form-data; name="
        form = f'{cut}"fence"\r\n\r\n{claim.fence}\r\n{cut}"file"; filename="{bad}"\r\n\r\nx\r\n--cut--\r\n'
        headers = {"Content-Type": "multipart/form-data; boundary=cut"}
        if not is_refused(claim.api, path, data=form.encode(), headers=headers):
            taken.append(bad)
    assert taken == []


@pytest.mark.parametrize("field", ["queue", "project", "type", "agent"])
def test_names_of_other_things(still_server, field):
    body = {"queue": "hostile", "project": "tests", "type": "t", "title": "t"}
    api = still_server.api()
    taken = [bad for bad in NAMES if not is_refused(api, "/api/v1/tasks", json={**body, field: bad})]
    assert taken == []
