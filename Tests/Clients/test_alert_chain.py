"""One alert on its whole way: from another system to an incident, to whoever is on call, to a silence, to its end."""

import json
from datetime import datetime, timedelta, timezone

import pytest
from reeve_server import Server, until
from test_alert_delivery import Hooks

# The parts have their tests on both engines.
ON_ENGINES = ["sqlite"]

ONCALL = """
people: [{name: ada, contact: {receivers: [phone]}}]
schedules:
  - {name: platform, zone: Europe/Berlin, layers: [{name: weekly, people: [ada], starts: 2026-01-01, length: 1w}]}
chains: [{name: machinery, steps: [{notify: {schedule: platform}}, {wait: 1h}, {notify: {schedule: platform}}]}]
paths: {infrastructure: machinery, behavioural: machinery}
"""
LABELS = {"alertname": "DiskFull", "severity": "critical", "provider": "north"}


@pytest.fixture
def hooks():
    server = Hooks()
    yield server
    server.shutdown()


@pytest.fixture
def server(tmp_path, hooks):
    (tmp_path / "oncall.yaml").write_text(ONCALL)
    (tmp_path / "reeve.yaml").write_text(
        f"""
oncall: {{file: oncall.yaml}}
alerts:
  receivers:
    - {{name: phone, kind: webhook, url: "{hooks.url}/phone", allowPrivate: true}}
    - {{name: room, kind: webhook, url: "{hooks.url}/room", allowPrivate: true}}
  route: {{receiver: room, groupWait: 0s, groupInterval: 1s}}
"""
    )
    server = Server(tmp_path / "data", arguments=["--config", str(tmp_path / "reeve.yaml")]).start()
    yield server
    server.stop()


def moment(seconds):
    return (datetime.now(timezone.utc) + timedelta(seconds=seconds)).strftime("%Y-%m-%dT%H:%M:%SZ")


def post(server, **times):
    reply = server.api().session.post(
        f"{server.url}/api/v2/alerts", timeout=20,
        json=[{"labels": LABELS, "annotations": {"summary": "The disk is full"}, **times}],
    )  # fmt: skip
    assert reply.status_code == 200, reply.text


def alerts(server, states):
    items = server.api().get(f"/api/v1/alerts?state={states}")["items"]
    return [item for item in items if item["labels"]["alertname"] == "DiskFull"]


def test_from_the_first_word_to_the_last(server, hooks):
    api = server.api()
    post(server, startsAt=moment(-60), endsAt=moment(600))
    [alert] = until(lambda: alerts(server, "firing"))
    assert alert["labels"] == LABELS and alert["origin"] == "external" and alert["silencedBy"] == []

    # Whoever is on call is told, with a link to the incident; so is the room.
    [(_, body), *_] = until(lambda: hooks.at("/phone"))
    told = json.loads(body)["alerts"][0]
    assert told["annotations"]["summary"] == "The disk is full"
    assert told["annotations"]["incident_url"] == f"{server.url}/incidents/{alert['incident']}"
    until(lambda: hooks.at("/room"))
    assert "incident.opened" in [event["type"] for event in api.events()]

    # An answer to the page is the incident's as well.
    [escalation] = api.get("/api/v1/oncall/escalations?state=open")["items"]
    assert escalation["incident"] == alert["incident"]
    api.post(f"/api/v1/oncall/escalations/{escalation['id']}/acknowledge", expect=200)
    incident = api.get(f"/api/v1/incidents/{alert['incident']}", 200)
    assert incident["state"] == "acknowledged" and incident["milestones"]["acknowledgedAt"]
    assert not api.get("/api/v1/oncall/escalations?state=open")["items"]

    # Silenced it is suppressed, and says by what.
    reply = api.session.post(
        f"{server.url}/api/v2/silences", timeout=20,
        json={
            "matchers": [{"name": "provider", "value": "north", "isRegex": False, "isEqual": True}],
            "startsAt": moment(-1), "endsAt": moment(600), "createdBy": "tests", "comment": "known",
        },
    )  # fmt: skip
    silence = reply.json()["silenceID"]
    [quiet] = alerts(server, "suppressed")
    assert quiet["silencedBy"] == [silence] and not alerts(server, "firing")
    api.session.delete(f"{server.url}/api/v2/silence/{silence}", timeout=20)
    assert alerts(server, "firing")

    # Its end is the incident's mitigation.
    post(server, startsAt=moment(-60), endsAt=moment(-1))
    until(lambda: alerts(server, "resolved"))
    incident = api.get(f"/api/v1/incidents/{alert['incident']}", 200)
    assert incident["state"] == "mitigated" and incident["milestones"]["mitigatedAt"]
    words = [(entry["kind"], entry["action"]) for entry in incident["timeline"]]
    for word in [("alert", "fired"), ("milestone", "acknowledged"), ("alert", "resolved"), ("milestone", "mitigated")]:
        assert word in words, words
    until(lambda: any(json.loads(body)["status"] == "resolved" for _, body in hooks.at("/room")))
