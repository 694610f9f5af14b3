"""Rules that a server evaluates: a user's own files, at their own pace, over restarts and faults."""

import json
import subprocess
import time
from pathlib import Path

import pytest
from prometheus_twin import otlp
from reeve_server import BINARY, Server, environment, until

# Rules are evaluated beside the store; the tables of alerts have their tests on both engines.
ON_ENGINES = ["sqlite"]

RULES = """
groups:
  - name: rooms
    interval: 1s
    rules:
      - record: room:heat:max
        expr: max by (room) (heat)
      - alert: RoomTooHot
        expr: room:heat:max > 30
        labels: {severity: warning, team: house}
        annotations:
          summary: "{{ $labels.room }} has {{ $value }} degrees"
          runbook_url: "{{ externalURL }}/runbooks/RoomTooHot"
      - alert: RoomHotForLong
        expr: room:heat:max > 30
        for: 1h
        labels: {severity: warning}
"""


def settings(folder: Path, rules: str = RULES, more: str = "") -> Path:
    (folder / "rules").mkdir(exist_ok=True)
    (folder / "rules/rooms.yml").write_text(rules)
    file = folder / "reeve.yaml"
    file.write_text("alerts:\n  rules: [rules/*.yml]\n" + (more or "  interval: 1s\n"))
    return file


@pytest.fixture
def house(tmp_path):
    config = settings(tmp_path)
    server = Server(tmp_path / "data", arguments=["--config", str(config)]).start()
    yield server
    server.stop()


def heat(server, room: str, value: float) -> None:
    key = (("__name__", "heat"), ("room", room))
    [body] = otlp({key: [(int(time.time() * 1_000), value)]})
    reply = server.api().session.post(
        f"{server.url}/v1/metrics", data=body, headers={"content-type": "application/json"}, timeout=20
    )
    assert reply.status_code == 200, reply.text


def alerts(server, name: str, state: str | None = None) -> list[dict]:
    query = f"?state={state}" if state else ""
    items = server.api().get(f"/api/v1/alerts{query}")["items"]
    return [item for item in items if item["labels"]["alertname"] == name]


def command(server, *arguments) -> str:
    done = subprocess.run(
        [BINARY, "alerts", *arguments], capture_output=True, text=True, timeout=30,
        env={**environment(), "REEVE_URL": server.url, "REEVE_KEY": server.admin_key},
    )  # fmt: skip
    assert done.returncode == 0, done.stderr
    return done.stdout


def test_a_rule_fires_and_ends(house):
    heat(house, "attic", 31.5)
    heat(house, "cellar", 12)
    until(lambda: alerts(house, "RoomTooHot", "firing"))
    [alert] = alerts(house, "RoomTooHot")
    assert alert["labels"] == {
        "alertname": "RoomTooHot", "room": "attic", "severity": "warning", "team": "house"}
    assert alert["annotations"]["summary"] == "attic has 31.5 degrees"
    assert alert["annotations"]["runbook_url"] == f"{house.url}/runbooks/RoomTooHot"
    assert alert["value"] == 31.5 and alert["state"] == "firing" and alert["incident"].startswith("incident_")
    [waiting] = alerts(house, "RoomHotForLong")
    assert waiting["state"] == "pending" and waiting["incident"] is None
    listed = command(house, "--state", "firing,pending")
    assert [line.split()[:3] for line in listed.splitlines() if "Room" in line] == [
        ["firing", "warning", "RoomTooHot"], ["pending", "warning", "RoomHotForLong"]], listed  # fmt: skip
    assert "room=attic" in listed and "attic has 31.5 degrees" in listed and alert["incident"] in listed
    named = [item["labels"]["alertname"] for item in json.loads(command(house, "list", "--json"))["items"]]
    assert {"RoomTooHot", "RoomHotForLong"} <= set(named)
    events = house.api().get("/api/v1/events?type=alert.*")["items"]
    assert [event["type"] for event in events if event["data"]["alertname"] == "RoomTooHot"] == ["alert.fired"]

    heat(house, "attic", 20)
    until(lambda: not alerts(house, "RoomTooHot"))
    [ended] = alerts(house, "RoomTooHot", "resolved")
    assert ended["endsAt"] > ended["startsAt"]
    assert not alerts(house, "RoomHotForLong")


def test_prometheus_own_words(house):
    heat(house, "attic", 40)
    until(lambda: alerts(house, "RoomTooHot", "firing"))
    groups = house.api().get("/prometheus/api/v1/rules")["data"]["groups"]
    [group] = [group for group in groups if group["name"] == "rooms"]
    assert group["file"].endswith("rules/rooms.yml") and group["interval"] == 1
    assert [(rule["name"], rule["type"], rule["health"]) for rule in group["rules"]] == [
        ("room:heat:max", "recording", "ok"), ("RoomTooHot", "alerting", "ok"), ("RoomHotForLong", "alerting", "ok")]
    assert [rule.get("state") for rule in group["rules"]] == [None, "firing", "pending"]
    assert group["rules"][1]["annotations"]["summary"] == "{{ $labels.room }} has {{ $value }} degrees"
    assert group["rules"][1]["alerts"][0]["value"] == "4e+01" and group["rules"][2]["duration"] == 3600
    only = house.api().get("/prometheus/api/v1/rules?type=record")["data"]["groups"]
    assert {rule["type"] for group in only for rule in group["rules"]} == {"recording"}
    refused = house.api().session.get(f"{house.url}/prometheus/api/v1/rules?type=other", timeout=20)
    assert refused.status_code == 400 and refused.json()["errorType"] == "bad_data"
    wanted = {("RoomTooHot", "firing"), ("RoomHotForLong", "pending"), ("Watchdog", "firing")}

    def shown():
        found = house.api().get("/prometheus/api/v1/alerts")["data"]["alerts"]
        return {(alert["labels"]["alertname"], alert["state"]) for alert in found}

    until(lambda: shown() >= wanted)
    # What alerts are is a series too.
    reply = house.api().get('/prometheus/api/v1/query?query=ALERTS{alertname="RoomTooHot"}')["data"]["result"]
    assert [series["metric"]["alertstate"] for series in reply] == ["firing"]
    page = house.api().session.get(f"{house.url}/metrics", timeout=20).text
    assert 'reeve_rule_evaluations_total{rule_group="' in page


def test_states_outlive_a_kill(house):
    heat(house, "attic", 40)
    until(lambda: alerts(house, "RoomTooHot", "firing") and alerts(house, "RoomHotForLong"))
    [before], [waiting] = alerts(house, "RoomTooHot"), alerts(house, "RoomHotForLong")
    house.kill()
    house.start()
    # At once, before any rule was looked at again.
    [after] = alerts(house, "RoomTooHot")
    assert (after["id"], after["startsAt"], after["incident"]) == (
        before["id"], before["startsAt"], before["incident"])
    [still] = alerts(house, "RoomHotForLong")
    assert still["state"] == "pending" and still["activeAt"] >= waiting["activeAt"]
    heat(house, "attic", 20)
    until(lambda: not alerts(house, "RoomTooHot"))
    fired = [
        event for event in house.api().get("/api/v1/events?type=alert.fired")["items"]
        if event["data"]["alertname"] == "RoomTooHot"]
    assert len(fired) == 1


def test_files_that_change_are_read_anew(house, tmp_path):
    heat(house, "attic", 40)
    until(lambda: alerts(house, "RoomTooHot", "firing"))
    # Faults change nothing.
    settings(tmp_path, RULES.replace("> 30", "> > 30"))
    until(lambda: "not all can be read" in house.tail())
    assert "rooms.yml:9:" in house.tail() and alerts(house, "RoomTooHot", "firing")
    settings(tmp_path, RULES.replace("RoomTooHot", "RoomBurns"))
    until(lambda: alerts(house, "RoomBurns", "firing"))
    assert not alerts(house, "RoomTooHot") and alerts(house, "RoomTooHot", "resolved")
    # What was neither changed nor left out went on.
    assert alerts(house, "RoomHotForLong", "pending")


@pytest.mark.parametrize("rules,more,fault", [
    (RULES.replace("> 30", "> > 30"), "", "rooms.yml:9:"),
    (RULES, "  without: [NoSuchAlert]\n", 'Reeve ships no alert "NoSuchAlert"'),
    (RULES, "  intervall: 5s\n", "alerts/intervall"),
    (RULES, "  interval: soon\n", "alerts/interval"),
    (RULES.replace("1s", "10ms"), "", "below 1s, the shortest there is"),
    ("", "  rules: [elsewhere/*.yml]\n", None),
])
def test_a_bad_file_refuses_the_start(tmp_path, rules, more, fault):
    if fault is None:
        (tmp_path / "reeve.yaml").write_text("alerts:\n  rules: [elsewhere/*.yml]\n")
        config, fault = tmp_path / "reeve.yaml", "elsewhere/*.yml: no file is called so"
    else:
        config = settings(tmp_path, rules, more)
    server = Server(tmp_path / "data", arguments=["--config", str(config)])
    run = subprocess.run(server.command(), capture_output=True, text=True, timeout=30, env=environment())
    assert run.returncode != 0 and fault in run.stderr, run
    check = subprocess.run(
        [BINARY, "settings", "check", "--config", str(config)], capture_output=True, text=True, timeout=30,
        env=environment(),
    )  # fmt: skip
    assert check.returncode == 1 and fault in check.stderr, check
