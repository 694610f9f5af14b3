"""Who may do what, and that secrets stay secret."""

import stat
import subprocess

import pytest

from reeve_server import BINARY, Api, environment, until


def test_the_first_start_leaves_an_admin_key_for_its_owner_alone(server):
    path = server.data_dir / "admin.key"
    assert stat.S_IMODE(path.stat().st_mode) == 0o600
    assert server.login_link and "token=" in server.login_link
    assert sum("/login" in line for line in server.output) == 1, server.output


def test_a_key_is_shown_once_and_kept_as_its_digest(server, admin):
    made = admin.post("/api/v1/keys", {"role": "viewer", "name": "shown once"}, 201)
    assert made["key"] and made["id"]
    listed = [key for key in admin.get("/api/v1/keys?limit=500")["items"] if key["id"] == made["id"]]
    assert len(listed) == 1 and made["key"] not in str(listed)
    for path in server.data_dir.rglob("*"):
        if path.is_file() and path.name != "admin.key":
            content = path.read_bytes()
            assert made["key"].encode() not in content, path
            assert server.admin_key.encode() not in content, path


def test_a_revoked_key_is_refused_at_once(server, admin):
    made = admin.post("/api/v1/keys", {"role": "operator", "name": "for a moment"}, 201)
    client = Api(server.url, made["key"])
    client.get("/api/v1/tasks", 200)
    admin.send("DELETE", f"/api/v1/keys/{made['id']}").raise_for_status()
    client.refused("GET", "/api/v1/tasks", status=401, code="unauthenticated")


def test_the_last_use_of_a_key_is_known(server, admin):
    made = admin.post("/api/v1/keys", {"role": "viewer", "name": "used"}, 201)
    Api(server.url, made["key"]).get("/api/v1/tasks", 200)

    def used():
        return [key for key in admin.get("/api/v1/keys?limit=500")["items"] if key["id"] == made["id"]][0].get(
            "lastUsedAt"
        )

    until(used, 30, "the key's last use")


def test_a_key_comes_in_any_of_the_usual_headers(server):
    url = server.url + "/api/v1/tasks"
    key = server.make_key("viewer")
    plain = Api(server.url)
    assert plain.send("GET", "/api/v1/tasks", headers={"x-api-key": key}).status_code == 200
    assert plain.send("GET", "/api/v1/tasks", headers={"X-Vault-Token": key}).status_code == 200
    assert plain.send("GET", "/api/v1/tasks", auth=("anybody", key)).status_code == 200
    assert url


@pytest.mark.parametrize(
    "headers",
    [
        {},
        {"Authorization": "Bearer "},
        {"Authorization": "Bearer nonsense"},
        {"Authorization": "Basic !!!"},
        {"Authorization": "Bearer reeve_admin_" + "0" * 40},
        {"x-api-key": "reeve_" + "x" * 5000},
        {"Cookie": "reeve_session=1"},
    ],
)
def test_without_a_valid_key_nothing_is_told(server, headers):
    Api(server.url).refused("GET", "/api/v1/tasks", status=401, code="unauthenticated", headers=headers)


def test_what_each_role_may(server, admin, operator, viewer, ingest, agent, name):
    task = {"queue": name, "project": "tests", "type": "test", "title": "a task"}
    for reader in (admin, operator, viewer, agent):
        reader.get("/api/v1/tasks", 200)
    ingest.refused("GET", "/api/v1/tasks", status=403, code="forbidden")
    for maker in (admin, operator):
        maker.post("/api/v1/tasks", task, 201)
    for stranger in (viewer, ingest):
        stranger.refused("POST", "/api/v1/tasks", task, status=403, code="forbidden")
        stranger.refused("POST", "/api/v1/tasks/claim", {"queues": [name]}, status=403, code="forbidden")
    for nobody in (viewer, ingest, agent):
        nobody.refused("POST", "/api/v1/keys", {"role": "admin", "name": "mine"}, status=403, code="forbidden")
        nobody.refused("GET", "/api/v1/keys", status=403, code="forbidden")
    for nobody in (viewer, ingest, agent):
        nobody.refused("POST", f"/api/v1/queues/{name}/pause", {}, status=403, code="forbidden")


def test_nobody_makes_a_key_above_their_own(operator):
    for role in ("admin",):
        operator.refused("POST", "/api/v1/keys", {"role": role, "name": "more than I am"}, status=403)


def test_a_key_needs_a_role_and_only_an_agents_key_has_an_agent(admin, name):
    admin.refused("POST", "/api/v1/keys", {"name": "no role"}, status=422)
    admin.refused("POST", "/api/v1/keys", {"role": "emperor", "name": "x"}, status=422)
    assert admin.post("/api/v1/keys", {"role": "agent", "name": "a key", "agent": name}, 201)["agent"] == name
    admin.refused("POST", "/api/v1/keys", {"role": "viewer", "name": "x", "agent": name}, status=422)


def test_an_agent_reaches_only_what_it_holds(admin, agent, other, name):
    made = admin.create(name)
    claim = agent.claim(name)
    for verb, body in (
        ("heartbeat", {}),
        ("complete", {"output": 1}),
        ("fail", {"class": "permanent", "message": "x"}),
        ("release", {}),
        ("deliverables", {"name": "x", "contentType": "text/plain", "content": "x"}),
    ):
        problem = other.post(f"/api/v1/tasks/{made['id']}/{verb}", {"fence": claim.fence, **body}, 403)
        assert problem["code"] == "forbidden"
    for verb in ("cancel", "hold", "retry", "reassign"):
        other.refused("POST", f"/api/v1/tasks/{made['id']}/{verb}", {}, status=403)
    task = admin.task(made["id"])
    assert task["fence"] == claim.fence and task["deliverables"] == [] and task["state"] == "claimed"
    claim.complete()


def test_administrative_acts_are_audited_in_a_chain(server, admin):
    made = admin.post("/api/v1/keys", {"role": "viewer", "name": "to be audited"}, 201)
    admin.send("DELETE", f"/api/v1/keys/{made['id']}").raise_for_status()
    rows = [row for row in all_audit_rows(admin) if made["id"] in str(row)]
    assert len(rows) >= 2, rows
    assert made["key"] not in str(rows)
    verified = subprocess.run(
        [BINARY, "audit", "verify"],
        env=environment(REEVE_URL=server.url, REEVE_KEY=server.admin_key),
        capture_output=True,
        text=True,
        timeout=60,
    )
    assert verified.returncode == 0, verified.stdout + verified.stderr


def all_audit_rows(admin):
    rows, after = [], ""
    while True:
        page = admin.get(f"/api/v1/audit?limit=500&after={after}")
        rows += page["items"]
        if not page.get("next"):
            return rows
        after = page["next"]


def test_replies_carry_a_request_id_and_pass_on_the_correlation_id(viewer):
    reply = viewer.send("GET", "/api/v1/tasks?limit=1", headers={"X-Correlation-ID": "corr-1234"})
    assert reply.headers.get("X-Correlation-ID") == "corr-1234"
    made = viewer.send("GET", "/api/v1/tasks?limit=1").headers.get("X-Correlation-ID")
    assert made and made != "corr-1234"


def test_a_browsers_post_from_another_site_is_refused(server, admin, name):
    """The session cookie alone must not let another site's form change anything."""
    import requests

    link = admin.post("/api/v1/login-links", {}, 201)["url"]
    browser = requests.Session()
    landed = browser.get(link if link.startswith("http") else server.url + link)
    assert landed.status_code == 200 and browser.cookies
    assert (
        "script-src" in landed.headers["content-security-policy"]
        or "default-src" in landed.headers["content-security-policy"]
    )
    assert "unsafe-inline" not in landed.headers["content-security-policy"].split("style-src")[0]
    body = {"queue": name, "project": "tests", "type": "test", "title": "forged"}
    for headers in ({"Origin": "https://evil.example"}, {"Sec-Fetch-Site": "cross-site", "Origin": "null"}):
        forged = browser.post(server.url + "/api/v1/tasks", json=body, headers=headers)
        assert forged.status_code == 403, (headers, forged.status_code, forged.text)
    assert admin.get(f"/api/v1/tasks?queue={name}")["items"] == []
    again = requests.get(link if link.startswith("http") else server.url + link)
    assert again.status_code in (401, 403, 410), "a login link works once"
