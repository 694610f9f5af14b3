"""`reeve alerts backtest`: how often an alert would have fired over what the server keeps."""

import json
import subprocess

import pytest
import requests
from prometheus_twin import minutes_ago, otlp
from reeve_server import BINARY

# Series are kept beside the store, so one engine tells as much as two.
ON_ENGINES = ["sqlite"]
MINUTES = 120
RULES = """
groups:
- name: g
  rules:
  - {record: "job:up", expr: "min by (job) (gauge_up)"}
  - {alert: Down, expr: "job:up < 0.5", for: 2m, labels: {severity: critical}}
  - {alert: Never, expr: "gauge_up > 5 or nothing_there > 1"}
"""


@pytest.fixture(scope="module")
def fleet(server):
    """A gauge that is low from the thirtieth to the fortieth minute, and from the hundredth on."""
    start = minutes_ago(MINUTES)
    key = server.make_key("ingest")
    low = lambda minute: 30 <= minute < 40 or minute >= 100  # noqa: E731
    points = [(start + minute * 60_000, 0.25 if low(minute) else 1.0) for minute in range(MINUTES + 1)]
    labels = (("__name__", "gauge_up"), ("job", "api"))
    for body in otlp({labels: points}):
        headers = {"Authorization": f"Bearer {key}", "Content-Type": "application/json"}
        assert requests.post(f"{server.url}/v1/metrics", data=body, headers=headers, timeout=60).status_code == 200
    return server, server.make_key("viewer")


@pytest.fixture
def reeve(fleet):
    server, key = fleet

    def run(*arguments):
        command = [BINARY, "alerts", "backtest", *map(str, arguments), "--url", server.url, "--key", key]
        return subprocess.run(command, capture_output=True, text=True, timeout=120)

    return run


@pytest.fixture
def file(tmp_path):
    path = tmp_path / "rules.yml"
    path.write_text(RULES)
    return path


@pytest.mark.parametrize("name", ["FILE:ALERT", "--rules"])
def test_episodes_of_a_rule_file(reeve, file, name):
    asked = [f"{file}:Down"] if name == "FILE:ALERT" else ["Down", "--rules", file]
    done = reeve(*asked, "--since", "3h", "--step", "1m", "--json")
    assert done.returncode == 0, done.stderr
    report = json.loads(done.stdout)
    assert report["rule"] == "Down" and report["count"] == 2 and report["stepSeconds"] == 60
    first, second = report["episodes"]
    assert first["labels"] == {"alertname": "Down", "job": "api", "severity": "critical"}
    assert first["activeAt"] < first["start"] < first["end"] < second["start"] and second["end"] is None
    assert float(first["peak"]) == 0.25
    # 10 minutes less the 2 for which it must hold, and from the 102nd minute on.
    assert 8 * 60 + 17 * 60 <= report["firingSeconds"] <= 8 * 60 + 20 * 60
    assert report["perWeek"] == pytest.approx(2 * 7 * 24 / 3, rel=0.02)
    assert 0.3 < report["withoutData"] < 0.36 and report["absentMetrics"] == [] and report["failedEvaluations"] == 0


def test_what_there_is_no_sample_of_is_named(reeve, file):
    done = reeve(f"{file}:Never", "--since", "2h")
    assert done.returncode == 0, done.stderr
    assert "fired 0 times" in done.stdout and "No sample at all of: nothing_there" in done.stdout


def test_a_shipped_alert_by_its_name(reeve, fleet):
    done = reeve("Watchdog", "--since", "1h")
    assert done.returncode == 0 and "fired 1 time," in done.stdout, done.stdout + done.stderr
    server, key = fleet
    url, headers = f"{server.url}/api/v1/alerts/backtest", {"Authorization": f"Bearer {key}"}
    reply = requests.get(url, params={"rule": "QueueBackup", "since": "1d"}, headers=headers, timeout=60)
    assert reply.status_code == 200 and reply.json()["count"] == 0 and "agent_queue_depth" in str(reply.json())


def test_an_unknown_name_is_a_wrong_call_that_lists_the_names(reeve, file):
    done = reeve("NoSuchAlert")
    assert done.returncode == 2 and "AgentDown" in done.stderr and "Watchdog" in done.stderr, done.stderr
    done = reeve(f"{file}:Up")
    assert done.returncode == 2 and "Down, Never" in done.stderr, done.stderr
    assert reeve(file).returncode == 1, "which of the two?"
    wrong = file.with_name("wrong.yml")
    wrong.write_text(RULES.replace("min by", "min min by"))
    done = reeve(f"{wrong}:Down")
    assert done.returncode == 2 and f"{wrong}:5:" in done.stderr, done.stderr


@pytest.mark.parametrize(
    ("body", "status", "code", "words"),
    [
        ({"rules": "groups: [{name: g, rules: [{alert: A, expr: 'up >'}]}]"}, 400, "bad_data", "1:50"),
        ({"rule": "Watchdog", "since": "soon"}, 422, "invalid", "since"),
        ({"rule": "Watchdog", "step": "0s"}, 422, "invalid", "step"),
        ({"rule": "Watchdog", "since": "2200-01-01T00:00:00Z"}, 422, "invalid", "past"),
        ({"rule": "Watchdog", "since": "90d", "step": "1s"}, 422, "invalid", "longer step"),
        ({"rule": "X"}, 404, "not_found", "AgentDown"), ({}, 422, "invalid", "AgentDown"),
    ],
)  # fmt: skip
def test_what_cannot_be_is_said(fleet, body, status, code, words):
    server, key = fleet
    url, headers = f"{server.url}/api/v1/alerts/backtest", {"Authorization": f"Bearer {key}"}
    reply = requests.post(url, json=body, headers=headers, timeout=60)
    assert reply.status_code == status and reply.json()["code"] == code, reply.text
    assert words in reply.text
