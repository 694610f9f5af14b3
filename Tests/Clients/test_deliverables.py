"""What agents hand in: sealed, versioned, checked."""

import hashlib
import json

import pytest

SCHEMA = {
    "type": "object",
    "required": ["title", "pages"],
    "additionalProperties": False,
    "properties": {"title": {"type": "string"}, "pages": {"type": "integer", "minimum": 1}},
}


def content_of(api, deliverable_id):
    reply = api.send("GET", f"/api/v1/deliverables/{deliverable_id}/content")
    assert reply.status_code == 200
    return reply


def test_text_is_kept_byte_for_byte(admin, agent, name):
    admin.create(name)
    claim = agent.claim(name)
    text = "Grüße, 世界\r\n\ttab and \u2028 and the end without a newline"
    made = claim.deliver("note.md", text, expect=None)
    assert made["name"] == "note.md" and made["revision"] == 1
    assert made["sha256"] == hashlib.sha256(text.encode()).hexdigest()
    reply = content_of(admin, made["id"])
    assert reply.content == text.encode()
    assert reply.headers["content-type"].startswith(("text/markdown", "text/plain", "application/octet-stream"))
    # What an agent wrote must never run as a page of ours.
    assert reply.headers["x-content-type-options"] == "nosniff"


def test_a_repeated_delivery_is_answered_alike_when_the_task_has_ended(admin, agent, name):
    admin.create(name)
    claim = agent.claim(name)
    key = {"Idempotency-Key": f"deliver-{name}"}
    path, body = f"/api/v1/tasks/{claim.id}/deliverables", {"fence": claim.fence, "name": "a.txt", "content": "once"}
    first = agent.post(path, body, 201, headers=key)
    claim.complete({})
    assert agent.post(path, body, 201, headers=key) == first
    agent.post(path, body | {"content": "twice"}, 422, headers=key)
    agent.post(path, body, 409)
    assert len(admin.task(claim.id)["deliverables"]) == 1


def test_html_from_an_agent_cannot_act_as_the_page(admin, agent, name):
    admin.create(name)
    made = agent.claim(name).deliver("x.html", "<script>alert(1)</script>", "text/html")
    headers = content_of(admin, made["id"]).headers
    assert (
        "attachment" in headers.get("content-disposition", "")
        or "sandbox" in headers.get("content-security-policy", "")
        or not headers["content-type"].startswith("text/html")
    ), dict(headers)


def test_revisions_follow_each_other_and_stay(admin, agent, name):
    admin.create(name)
    claim = agent.claim(name)
    made = [claim.deliver("note.md", f"version {number}") for number in (1, 2, 3)]
    assert [item["revision"] for item in made] == [1, 2, 3]
    assert claim.deliver("other.md", "another file")["revision"] == 1
    for number, item in enumerate(made, 1):
        assert content_of(admin, item["id"]).text == f"version {number}"
    claim.complete()
    listed = admin.task(claim.id)["deliverables"]
    assert {(item["name"], item["revision"]) for item in listed} >= {("note.md", 3), ("other.md", 1)}
    assert all(item["url"] and item["sha256"] for item in listed)


def test_files_come_as_multipart(admin, agent, name):
    admin.create(name)
    claim = agent.claim(name)
    binary = bytes(range(256)) * 50
    reply = agent.send(
        "POST",
        f"/api/v1/tasks/{claim.id}/deliverables",
        data={"fence": str(claim.fence), "name": "picture.bin"},
        files={"content": ("picture.bin", binary, "application/octet-stream")},
    )
    assert reply.status_code in (200, 201), reply.text
    made = reply.json()
    assert made["sha256"] == hashlib.sha256(binary).hexdigest() and made["name"] == "picture.bin"
    assert content_of(agent, made["id"]).content == binary


def test_a_multipart_file_may_bring_its_own_name(admin, agent, name):
    admin.create(name)
    claim = agent.claim(name)
    reply = agent.send(
        "POST",
        f"/api/v1/tasks/{claim.id}/deliverables",
        data={"fence": str(claim.fence)},
        files={"file": ("report.csv", b"a,b\r\n1,2\r\n", "text/csv")},
    )
    assert reply.status_code in (200, 201), reply.text
    assert reply.json()["name"] == "report.csv"
    assert content_of(agent, reply.json()["id"]).content == b"a,b\r\n1,2\r\n"


@pytest.mark.parametrize(
    "content",
    [
        {"title": "x"},
        {"title": "x", "pages": 0},
        {"title": 3, "pages": 1},
        {"title": "x", "pages": 1, "more": 1},
        [],
        "text",
        None,
    ],
)
def test_json_that_does_not_match_the_schema_is_refused(admin, agent, name, content):
    admin.create(name, deliverableSchema=SCHEMA)
    claim = agent.claim(name)
    claim.write("deliverables", 422, name="d.json", contentType="application/json", content=content)
    assert admin.task(claim.id)["deliverables"] == []
    good = claim.deliver("d.json", {"title": "x", "pages": 3}, "application/json")
    assert json.loads(content_of(agent, good["id"]).content) == {"title": "x", "pages": 3}
    claim.complete()


def test_json_in_a_string_is_checked_as_well(admin, agent, name):
    admin.create(name, deliverableSchema=SCHEMA)
    claim = agent.claim(name)
    claim.write("deliverables", 422, name="d.json", contentType="application/json", content='{"title":"x"}')
    claim.write("deliverables", 422, name="d.json", contentType="application/json", content='{"title":')
    claim.write("deliverables", None, name="d.json", contentType="application/json", content='{"title":"x","pages":2}')


def test_without_the_deliverable_its_schema_asks_for_a_task_is_not_done(admin, agent, name):
    admin.create(name, deliverableSchema=SCHEMA)
    claim = agent.claim(name)
    claim.write("complete", 422, output=1)
    assert admin.state(claim.id) in ("claimed", "running")


@pytest.mark.parametrize(
    "schema", [{"type": "nonsense"}, {"type": 7}, "a string", {"required": "title"}, {"pattern": "("}]
)
def test_an_invalid_schema_is_refused_with_the_task(admin, name, schema):
    admin.create(name, 422, deliverableSchema=schema)
    assert admin.get(f"/api/v1/tasks?queue={name}")["items"] == []


@pytest.mark.parametrize(
    "file",
    ["../up.md", "a/b.md", "..", ".", ".hidden", "", "a\\b.md", "nul\u0000.md", "x" * 201, "line\nbreak.md", 7, None],
)
def test_name_tricks_are_refused(admin, agent, name, file):
    admin.create(name)
    claim = agent.claim(name)
    reply = agent.send(
        "POST",
        f"/api/v1/tasks/{claim.id}/deliverables",
        json={"fence": claim.fence, "name": file, "contentType": "text/plain", "content": "x"},
    )
    # A NUL makes the whole document unacceptable, which may be told as that.
    assert reply.status_code in ((400, 422) if "\0" in str(file) else (422,)), reply.text
    assert admin.task(claim.id)["deliverables"] == []


@pytest.mark.parametrize("file", ["../up.md", "a/b.md", ".hidden", "a\\b.md"])
def test_name_tricks_are_refused_in_multipart_too(admin, agent, name, file):
    admin.create(name)
    claim = agent.claim(name)
    reply = agent.send(
        "POST",
        f"/api/v1/tasks/{claim.id}/deliverables",
        data={"fence": str(claim.fence), "name": file},
        files={"content": ("innocent.txt", b"x", "text/plain")},
    )
    assert reply.status_code == 422, reply.text
    assert admin.task(claim.id)["deliverables"] == []


def test_what_is_not_there_is_not_found(admin):
    admin.refused("GET", "/api/v1/deliverables/nothing/content", status=404, code="not_found")
    admin.refused("GET", "/api/v1/deliverables/..%2f..%2fadmin.key/content", status=404)


def test_content_needs_a_key(server, admin, agent, name):
    import requests

    admin.create(name)
    made = agent.claim(name).deliver("secret.md", "secret")
    assert requests.get(f"{server.url}/api/v1/deliverables/{made['id']}/content").status_code == 401
