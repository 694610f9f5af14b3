"""`reeve export` writes what Prometheus, Alertmanager and Grafana take, as their own programs say."""

import json
import os
import re
import shutil
import socket
import stat
import subprocess

import httpx
import pytest
import yaml

from reeve_server import BINARY, die_with_parent, until

ON_ENGINES = ["sqlite"]
PROMTOOL, PROMETHEUS, AMTOOL = shutil.which("promtool"), shutil.which("prometheus"), shutil.which("amtool")
if not PROMTOOL and os.environ.get("CI"):
    raise RuntimeError("promtool is not there, and half of these tests are nothing without it")
ROWS = ["System Health", "Agent Behavior", "Memory Performance", "Cost and Quotas"]
FIRST_GUIDE = {"AgentDown", "TaskStuck", "HighErrorRate", "CostSpike", "QueueBackup"}
SECOND_GUIDE = {"ErrorRateSpike", "ContextExhaustion", "MemoryStoreSlow", "ModelTimeouts", "SessionAbnormal"}
OWN = {"ToolStorm", "TelemetryLoss", "ProviderOutage", "FleetPaused", "TracesNotKept", "PostmortemOverdue", "Watchdog"}
# For failures that none of the others tells of.
MORE = {
    "CascadingFailure", "DeliverablesRejected", "ModelSlow", "BreakerFlapping", "AnswerQualityDrop", "BudgetRunaway",
    "MemoryErrors", "ContextPoisoning", "ToolTimeouts",
}  # fmt: skip


def export(what, folder, *arguments, status=0):
    done = subprocess.run(
        [BINARY, "export", what, str(folder), *arguments], capture_output=True, text=True, timeout=60
    )
    assert done.returncode == status, done.stdout + done.stderr
    return done


def free_port():
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        return taken.getsockname()[1]


@pytest.fixture
def prometheus(tmp_path):
    folder = tmp_path / "prometheus"
    export("prometheus", folder)
    return folder


def alerts(folder):
    files = [yaml.safe_load(path.read_text()) for path in sorted((folder / "rules").glob("*.yml"))]
    rules = [rule for file in files for group in file["groups"] for rule in group["rules"]]
    return {rule["alert"]: rule for rule in rules if "alert" in rule}


def test_the_alerts_of_both_guides_are_there(prometheus):
    rules = alerts(prometheus)
    assert set(rules) == FIRST_GUIDE | SECOND_GUIDE | OWN | MORE
    critical = {name for name, rule in rules.items() if rule["labels"]["severity"] == "critical"}
    assert {"AgentDown", "HighErrorRate"} <= critical and not {"TaskStuck", "CostSpike", "QueueBackup"} & critical
    for name, rule in rules.items():
        assert set(rule["annotations"]) == {"summary", "description", "action", "runbook_url"}
        assert rule["annotations"]["runbook_url"] == f"http://127.0.0.1:7070/runbooks/{name}"


def test_runbooks_are_at_the_first_of_the_replicas(tmp_path):
    export("prometheus", tmp_path, "--url", "https://a.example:8443", "--url", "https://b.example")
    for name, rule in alerts(tmp_path).items():
        assert rule["annotations"]["runbook_url"] == f"https://a.example:8443/runbooks/{name}"


def test_each_alert_has_a_history_that_fires_and_one_that_does_not(prometheus):
    fires, quiet = set(), set()
    for path in (prometheus / "tests").glob("*.yml"):
        for case in yaml.safe_load(path.read_text())["tests"]:
            (look,) = case["alert_rule_test"]
            (fires if look["exp_alerts"] else quiet).add(look["alertname"])
    assert fires == set(alerts(prometheus))
    # What always fires is never quiet.
    assert quiet == fires - {"Watchdog"}


@pytest.mark.skipif(not PROMTOOL, reason="promtool is not installed")
def test_promtool_takes_settings_rules_and_their_tests(prometheus):
    (prometheus / "reeve.key").write_text("secret")
    rules, tests = sorted((prometheus / "rules").glob("*.yml")), sorted((prometheus / "tests").glob("*.yml"))
    settings = prometheus / "prometheus.yml"
    for command in (["check", "config", settings], ["check", "rules", *rules], ["test", "rules", *tests]):
        done = subprocess.run([PROMTOOL, *map(str, command)], capture_output=True, text=True, timeout=120)
        assert done.returncode == 0, done.stdout + done.stderr


@pytest.mark.skipif(not PROMTOOL, reason="promtool is not installed")
def test_a_history_that_goes_otherwise_is_seen(prometheus):
    """The tests would fail if a rule were wrong: half of the threshold makes a quiet agent loud."""
    rules = prometheus / "rules/fleet.yml"
    rules.write_text(rules.read_text().replace("> 1800", "> 900"))
    command = [PROMTOOL, "test", "rules", str(prometheus / "tests/fleet.yml")]
    done = subprocess.run(command, capture_output=True, timeout=60)
    assert done.returncode != 0 and b"half an hour is not more than half an hour" in done.stdout + done.stderr


@pytest.mark.skipif(not PROMETHEUS, reason="prometheus is not installed")
def test_prometheus_scrapes_reeve_and_evaluates_every_rule(server, tmp_path):
    folder, port = tmp_path / "prometheus", free_port()
    export("prometheus", folder, "--url", server.url)
    key = folder / "reeve.key"
    key.write_text(server.make_key("viewer"))
    key.chmod(stat.S_IRUSR)
    settings = folder / "prometheus.yml"
    settings.write_text(settings.read_text().replace("15s", "1s"))
    process = subprocess.Popen(
        [
            PROMETHEUS, f"--config.file={settings}", f"--storage.tsdb.path={tmp_path / 'data'}",
            f"--web.listen-address=127.0.0.1:{port}",
        ],
        stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL, preexec_fn=die_with_parent,
    )  # fmt: skip
    try:
        def get(path):
            try:
                return httpx.get(f"http://127.0.0.1:{port}/api/v1/{path}").json()["data"]
            except (httpx.TransportError, ValueError):
                return None

        def targets():
            return [one["health"] for one in (get("targets") or {}).get("activeTargets", [])]

        until(lambda: targets() == ["up"], 30, "a scrape that Reeve answers")

        def health():
            groups = (get("rules") or {"groups": []})["groups"]
            return {rule["health"] for group in groups if group["interval"] == 1 for rule in group["rules"]}

        until(lambda: health() == {"ok"}, 30, "every rule evaluated")

        def firing():
            return {one["labels"]["alertname"] for one in (get("alerts") or {"alerts": []})["alerts"]}

        until(lambda: "Watchdog" in firing(), 30, "the watchdog")
    finally:
        process.terminate()
        process.wait(20)


# --- Alertmanager -----------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("more", [(), ("--webhook", "https://pager.example/hook")])
def test_amtool_takes_the_settings_and_inhibitions_name_alerts(tmp_path, prometheus, more):
    export("alertmanager", tmp_path / "am", *more)
    path = tmp_path / "am/alertmanager.yml"
    document = yaml.safe_load(path.read_text())
    assert document["route"]["group_by"] == ["alertname", "agent_type", "provider"]
    inhibitions = {
        rule["source_matchers"][0].split('"')[1]: rule.get("equal") for rule in document["inhibit_rules"]
    }
    assert set(inhibitions) == {"ProviderOutage", "FleetPaused"}
    assert any("AgentDown" in rule["target_matchers"][0] for rule in document["inhibit_rules"])
    named = re.findall(r"alertname=~?\"([^\"]+)\"", path.read_text())
    assert {name for names in named for name in names.split("|")} <= set(alerts(prometheus))
    receivers = {receiver["name"] for receiver in document["receivers"]}
    routes = [document["route"], *document["route"]["routes"]]
    assert {route["receiver"] for route in routes} == receivers
    if AMTOOL:
        done = subprocess.run([AMTOOL, "check-config", str(path)], capture_output=True, text=True, timeout=60)
        assert done.returncode == 0, done.stdout + done.stderr


@pytest.mark.skipif(not AMTOOL, reason="amtool is not installed")
@pytest.mark.parametrize(
    ("labels", "receiver"),
    [
        (["alertname=AgentDown", "severity=critical"], "reeve-critical"),
        (["alertname=TaskStuck", "severity=warning"], "reeve-warning"),
        (["alertname=Watchdog", "severity=none"], "reeve-watchdog"),
        (["alertname=FleetPaused", "severity=none"], "nobody"),
    ],
)
def test_alerts_go_where_their_severity_says(tmp_path, labels, receiver):
    export("alertmanager", tmp_path)
    command = [AMTOOL, "config", "routes", "test", f"--config.file={tmp_path / 'alertmanager.yml'}", *labels]
    assert subprocess.run(command, capture_output=True, text=True, timeout=60).stdout.strip() == receiver


# --- Grafana ----------------------------------------------------------------------------------------------------------


@pytest.fixture
def dashboard(tmp_path):
    export("grafana", tmp_path / "grafana")
    return json.loads((tmp_path / "grafana/dashboards/reeve.json").read_text())


def test_the_dashboard_can_be_provisioned(dashboard, tmp_path):
    assert dashboard.get("id") is None and "__inputs" not in dashboard and dashboard["schemaVersion"] >= 30
    assert dashboard["uid"] and dashboard["title"]
    assert [panel["title"] for panel in dashboard["panels"] if panel["type"] == "row"] == ROWS
    assert len({panel["id"] for panel in dashboard["panels"]}) == len(dashboard["panels"])
    assert "datasource" in [one["name"] for one in dashboard["templating"]["list"] if one["type"] == "datasource"]
    for panel in dashboard["panels"]:
        if panel["type"] != "row":
            assert panel["datasource"]["uid"] == "${datasource}" and panel["targets"] and panel["description"]
    provider = yaml.safe_load((tmp_path / "grafana/provisioning/dashboards/reeve.yml").read_text())
    assert provider["apiVersion"] == 1
    assert provider["providers"][0]["options"]["path"] == str(tmp_path / "grafana/dashboards")


def test_panels_fit_the_grid_and_do_not_overlap(dashboard):
    taken = set()
    for panel in dashboard["panels"]:
        place = panel["gridPos"]
        assert place["x"] >= 0 and place["x"] + place["w"] <= 24
        columns, lines = range(place["x"], place["x"] + place["w"]), range(place["y"], place["y"] + place["h"])
        cells = {(x, y) for x in columns for y in lines}
        assert not cells & taken, panel["title"]
        taken |= cells


@pytest.mark.skipif(not PROMTOOL, reason="promtool is not installed")
def test_every_expression_of_the_dashboard_parses(dashboard, tmp_path):
    targets = [target["expr"] for panel in dashboard["panels"] for target in panel.get("targets", [])]
    assert len(targets) > 25 and any("$__rate_interval" in expression for expression in targets)
    rules = [
        {"record": f"panel_{index}", "expr": expression.replace("$__rate_interval", "5m")}
        for index, expression in enumerate(targets)
    ]
    path = tmp_path / "expressions.yml"
    path.write_text(yaml.safe_dump({"groups": [{"name": "dashboard", "rules": rules}]}))
    done = subprocess.run([PROMTOOL, "check", "rules", str(path)], capture_output=True, text=True, timeout=60)
    assert done.returncode == 0 and f"{len(rules)} rules found" in done.stdout, done.stdout + done.stderr


# --- The folder -------------------------------------------------------------------------------------------------------


def test_what_others_wrote_stays(tmp_path):
    (tmp_path / "rules").mkdir()
    (tmp_path / "rules/fleet.yml").write_text("mine")
    refused = export("prometheus", tmp_path, status=1)
    assert "rules/fleet.yml" in refused.stderr and "--force" in refused.stderr
    assert (tmp_path / "rules/fleet.yml").read_text() == "mine"
    assert not (tmp_path / "prometheus.yml").exists(), "half of it was written"
    export("prometheus", tmp_path, "--force")
    assert "AgentDown" in (tmp_path / "rules/fleet.yml").read_text()


def test_its_own_files_are_renewed_until_somebody_edits_them(tmp_path):
    export("alertmanager", tmp_path)
    changed = json.loads(export("alertmanager", tmp_path, "--webhook", "http://hook.example", "--json").stdout)
    assert [file["outcome"] for file in changed["files"]] == ["written"]
    again = json.loads(export("alertmanager", tmp_path, "--webhook", "http://hook.example", "--json").stdout)
    assert [file["outcome"] for file in again["files"]] == ["unchanged"]
    path = tmp_path / "alertmanager.yml"
    path.write_text(path.read_text() + "# a person was here\n")
    refused = json.loads(export("alertmanager", tmp_path, "--json", status=1).stdout)
    assert refused["paths"] == ["alertmanager.yml"] and refused["ok"] is False
    # Exports of several kinds may share a folder.
    export("grafana", tmp_path)
    export("grafana", tmp_path)


def test_what_cannot_be_written_is_said(tmp_path):
    file = tmp_path / "file"
    file.write_text("")
    assert "cannot be read or written" in export("grafana", file / "below", status=1).stderr
    (tmp_path / "taken/alertmanager.yml").mkdir(parents=True)
    assert "it is a folder" in export("alertmanager", tmp_path / "taken", status=1).stderr


@pytest.mark.parametrize(
    "arguments",
    [
        ("prometheus", "--url", "127.0.0.1:7070"), ("prometheus", "--url", "http://a", "--url", "https://b"),
        ("prometheus", "--alertmanager", "here"), ("prometheus", "--alertmanager", "here:0"),
        ("alertmanager", "--webhook", "mail"), ("grafana", "--prometheus", "ftp://x"), ("loki",),
    ],
)  # fmt: skip
def test_a_wrong_call_writes_nothing(tmp_path, arguments):
    what, *more = arguments
    export(what, tmp_path / "new", *more, status=2)
    assert not (tmp_path / "new").exists()
