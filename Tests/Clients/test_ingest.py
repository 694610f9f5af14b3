"""Heartbeats and events from agents, beginning with the seed's own line."""

import os
import subprocess

import pytest

from reeve_server import until

SEED = """curl -X POST "$MC/api/events/ingest" \\
-H "Authorization: Bearer $KEY" \\
-d '{"type":"agent.heartbeat","statusMessage":"Processing task #42"}'"""


def agent_json(api, name):
    return api.get(f"/api/v1/agents/{name}", 200)


def test_the_seeds_curl_to_the_letter(admin, agent):
    line = SEED.replace("curl ", "curl --silent --show-error --fail-with-body ", 1)
    done = subprocess.run(
        ["bash", "-c", line],
        env={**os.environ, "MC": agent.url, "KEY": agent.key},
        capture_output=True,
        text=True,
        timeout=30,
    )
    assert done.returncode == 0, done.stdout + done.stderr
    shown = agent_json(admin, agent.agent)
    assert shown["statusMessage"] == "Processing task #42"
    assert shown["status"] == "idle"
    assert shown["lastHeartbeatAt"]


def test_a_heartbeat_is_answered_with_what_to_do_next(agent):
    reply = agent.post("/api/events/ingest", {"type": "agent.heartbeat"}, 200)
    assert 0 < reply["nextHeartbeatSeconds"] <= 3600
    assert reply["serverTime"].endswith("Z")
    for command in ("pause", "drain"):
        assert reply[command] is False
    assert set(reply["config"]) >= {"desired", "etag"}
    assert reply["messages"] == []


def test_an_unknown_agent_registers_with_its_first_heartbeat(admin, ingest, name):
    admin.refused("GET", f"/api/v1/agents/{name}", status=404, code="not_found")
    ingest.post("/api/events/ingest", {"type": "agent.heartbeat", "agent": name, "statusMessage": "hello"}, 200)
    assert agent_json(admin, name)["statusMessage"] == "hello"


def test_a_key_may_come_before_its_agent(admin, agent):
    shown = [item for item in admin.get("/api/v1/agents?limit=500")["items"] if item["name"] == agent.agent]
    assert all(item["status"] == "never_seen" for item in shown)
    agent.post("/api/events/ingest", {"type": "agent.heartbeat"}, 200)
    assert agent_json(admin, agent.agent)["status"] == "idle"


@pytest.mark.parametrize("shape", ["object", "array"])
def test_a_batch_is_judged_event_by_event(agent, shape):
    events = [
        {"type": "tool.called", "tool": "grep"},
        {"statusMessage": "no type"},
        {"type": "agent.heartbeat"},
        {"type": "step", "agent": "somebody-else"},
    ]
    reply = agent.post("/api/events/ingest", {"events": events} if shape == "object" else events, 200)
    assert reply["accepted"] == 2
    assert [(item["index"], bool(item["code"])) for item in reply["rejected"]] == [(1, True), (3, True)]
    assert reply["rejected"][1]["code"] == "forbidden"


def test_unknown_types_become_events_of_the_agent(admin, agent):
    before = admin.last_seq()
    agent.post("/api/events/ingest", {"type": "paper.jam", "tray": 2, "statusMessage": "help"}, 200)
    jam = [event for event in admin.events(before) if event["type"] == "paper.jam"]
    assert len(jam) == 1
    assert jam[0]["agent"] == agent.agent
    assert "2" in str(jam[0]["data"])


def test_heartbeats_are_state_and_not_rows_of_the_log(admin, agent):
    agent.post("/api/events/ingest", {"type": "agent.heartbeat"}, 200)
    before = admin.last_seq()
    for number in range(20):
        agent.post("/api/events/ingest", {"type": "agent.heartbeat", "statusMessage": f"beat {number}"}, 200)
    mine = [event for event in admin.events(before) if event.get("agent") == agent.agent]
    assert not mine, mine
    assert agent_json(admin, agent.agent)["statusMessage"] == "beat 19"


def test_what_a_heartbeat_reports_is_shown(admin, agent):
    agent.post(
        "/api/events/ingest",
        {
            "type": "agent.heartbeat",
            "cpuPercent": 12.5,
            "memoryBytes": 5_000_000,
            "labels": {"zone": "a"},
            "capabilities": ["gpu"],
            "configVersion": "7",
        },
        200,
    )
    shown = agent_json(admin, agent.agent)
    assert shown["cpuPercent"] == 12.5
    assert shown["memoryBytes"] == 5_000_000
    assert "gpu" in shown["capabilities"]
    assert {"desired", "reported"} <= set(shown["configVersion"])
    assert isinstance(shown["currentTasks"], list)


def test_the_status_is_derived_and_never_asserted(admin, agent, name):
    agent.send("POST", "/api/events/ingest", json={"type": "agent.heartbeat", "status": "quarantined"})
    assert agent_json(admin, agent.agent)["status"] in ("idle", "never_seen")
    admin.create(name)
    claim = agent.claim(name)
    claim.beat()
    shown = until(lambda: (a := agent_json(admin, agent.agent))["status"] == "busy" and a, 5, "busy")
    assert any(claim.id in str(task) for task in shown["currentTasks"])
    claim.complete()
    until(lambda: agent_json(admin, agent.agent)["status"] == "idle", 5, "idle")


def test_who_may_speak_for_an_agent(admin, operator, ingest, viewer, agent, name):
    beat = {"type": "agent.heartbeat", "agent": name}
    agent.refused("POST", "/api/events/ingest", beat, status=403, code="forbidden")
    viewer.refused("POST", "/api/events/ingest", beat, status=403, code="forbidden")
    ingest.refused("POST", "/api/events/ingest", {"type": "agent.heartbeat"}, status=422)
    for speaker in (ingest, operator, admin):
        speaker.post("/api/events/ingest", beat, 200)
    agent.post("/api/events/ingest", {**beat, "agent": agent.agent}, 200)


def test_an_agent_can_be_declared_with_what_it_can_do(operator, name):
    made = operator.post(
        "/api/v1/agents", {"name": name, "project": "tests", "labels": {"tier": "gold"}, "capabilities": ["pdf"]}, 201
    )
    assert made["name"] == name and made["status"] == "never_seen"
    assert made["capabilities"] == ["pdf"] and made["labels"] == {"tier": "gold"}


def test_a_paused_agent_is_handed_no_work_and_the_fleet_goes_on(operator, agent, other, name):
    agent.post("/api/events/ingest", {"type": "agent.heartbeat"}, 200)
    operator.post(f"/api/v1/agents/{agent.agent}/pause", {"reason": "a test"})
    operator.create(name)
    # Refused or given nothing: in either way it has no work.
    reply = agent.send("POST", "/api/v1/tasks/claim", json={"queues": [name], "limit": 1, "waitSeconds": 0})
    assert reply.status_code >= 400 or reply.json()["items"] == []
    assert agent.post("/api/events/ingest", {"type": "agent.heartbeat"}, 200)["pause"] is True
    assert operator.get(f"/api/v1/agents/{agent.agent}")["status"] == "paused"
    other.claim(name).complete()
    operator.post(f"/api/v1/agents/{agent.agent}/resume")
    operator.create(name)
    agent.claim(name).complete()


def test_reeve_asks_an_agent_that_declares_a_health_address(operator, name):
    """The agent's own `/health` is polled; where it answers, the agent is not called silent."""
    import http.server
    import threading

    asked = threading.Event()

    class Health(http.server.BaseHTTPRequestHandler):
        def do_GET(self):
            asked.set()
            self.send_response(200)
            self.end_headers()
            self.wfile.write(b'{"status":"ok"}')

        def log_message(self, *words):
            pass

    health = http.server.ThreadingHTTPServer(("127.0.0.1", 0), Health)
    threading.Thread(target=health.serve_forever, daemon=True).start()
    try:
        operator.post(
            "/api/v1/agents",
            {
                "name": name,
                "project": "tests",
                "healthURL": f"http://127.0.0.1:{health.server_address[1]}/health",
                "healthIntervalSeconds": 1,
            },
            201,
        )
        assert asked.wait(40), "the agent's health address was never asked"
    finally:
        health.shutdown()


@pytest.mark.parametrize(
    "address", ["file:///etc/passwd", "ftp://127.0.0.1/health", "javascript:alert(1)", "not an address", "http://"]
)
def test_a_health_address_must_be_http(operator, name, address):
    operator.refused(
        "POST", "/api/v1/agents", {"name": name, "project": "tests", "healthURL": address}, status=422, code="invalid"
    )
    operator.refused("GET", f"/api/v1/agents/{name}", status=404)
