"""On-call: the command line with a file and with a server, the page, and a server that is killed."""

import json
import subprocess
from datetime import datetime, timedelta, timezone

import pytest
from browser_page import logged_in
from reeve_server import BINARY, ROOT, environment, until

ON_ENGINES = ["sqlite"]
EXAMPLE = ROOT / "examples/oncall.yaml"

FILE = """\
people:
  - {name: ada, contact: {receivers: [ada-phone]}}
  - {name: grace, contact: {receivers: [grace-phone]}}
schedules:
  - name: platform
    zone: Europe/Berlin
    layers:
      - {name: daily, people: [ada, grace], starts: 2026-01-06T09:00, length: 1d}
  - name: office
    zone: America/New_York
    layers:
      - name: days
        people: [grace, ada]
        starts: 2026-01-01
        length: 1d
        only: [{from: "09:00", to: "17:00", on: "monday:friday"}]
chains:
  - {name: people, steps: [{notify: {schedule: platform}}, {wait: 5m}, {notify: {person: grace}}]}
paths: {default: people}
"""


def reeve(*arguments, **more):
    command = [BINARY, "oncall", *map(str, arguments)]
    return subprocess.run(command, capture_output=True, text=True, timeout=60, env=environment(**more))


@pytest.fixture
def file(tmp_path):
    path = tmp_path / "oncall.yaml"
    path.write_text(FILE)
    return path


def test_the_example_has_nothing_to_look_at():
    ours = reeve("check", EXAMPLE, "--from", "2026-11-09T00:00:00Z")
    assert (ours.returncode, ours.stderr) == (0, ""), ours.stdout
    told = json.loads(reeve("check", EXAMPLE, "--from", "2026-11-09T00:00:00Z", "--json").stdout)
    assert told["ok"] and told["faults"] == told["findings"] == []


def test_a_file_is_judged_where_it_is_wrong(file):
    ours = reeve("check", file, "--from", "2026-11-02T00:00:00Z")
    assert ours.returncode == 1
    # By the clock of New York: Monday's first hours come before the office opens.
    assert f"{file}:9:5: gap: nobody is on call in office from 2026-11-01 19:00 to 2026-11-02 09:00" in ours.stdout
    file.write_text(FILE.replace("[ada, grace]", "[ada, eve]").replace("America/New_York", "Mars/Base"))
    ours = reeve("check", file)
    assert ours.returncode == 1
    assert ours.stdout.splitlines() == [
        f"{file}:8:37: there is no person eve",
        f"{file}:10:11: Mars/Base is no time zone: name one such as UTC or Europe/Berlin",
    ]
    told = json.loads(reeve("check", file, "--json").stdout)
    assert [fault["line"] for fault in told["faults"]] == [8, 10] and not told["ok"]
    assert reeve("check", file.parent / "none.yaml").returncode == 1
    assert reeve("check", file, "--days", 0).returncode == 2
    assert reeve("check").returncode == 2


# The handoff is at 09:00 of Berlin: 08:00Z in winter, 07:00Z in summer.
@pytest.mark.parametrize(
    "at, person",
    [
        ("2026-03-28T07:59:00Z", "ada"),
        ("2026-03-28T08:00:00Z", "grace"),
        ("2026-03-29T06:59:00Z", "grace"),
        ("2026-03-29T09:00:00+02:00", "ada"),
        ("2026-10-25T07:59:00Z", "grace"),
        ("2026-10-25T08:00:00Z", "ada"),
    ],
)
def test_a_file_says_who_is_on_call(file, at, person):
    ours = reeve("who", "--file", file, "--schedule", "platform", "--at", at)
    assert ours.returncode == 0 and ours.stdout.startswith(f"platform: {person} until "), ours.stdout + ours.stderr
    assert json.loads(reeve("who", "--file", file, "--at", at, "--json").stdout)["schedules"][0]["person"] == person


def test_nobody_is_a_no(file):
    ours = reeve("who", "--file", file, "--schedule", "office", "--at", "2026-11-22T12:00:00Z")
    assert ours.returncode == 1 and "office: NOBODY until Mon 2026-11-23 09:00" in ours.stdout
    assert reeve("who", "--file", file, "--schedule", "night").returncode == 1
    assert reeve("who", "--file", file, "--at", "noon").returncode == 2


def test_a_calendar_shows_turns_and_gaps(file):
    ours = reeve("calendar", "--file", file, "--from", "2026-10-24T00:00:00Z", "--weeks", 1)
    assert ours.returncode == 0
    assert "  Sat 2026-10-24 09:00 – Sun 2026-10-25 09:00  grace   layer daily" in ours.stdout
    assert "  Fri 2026-10-23 20:00 – Mon 2026-10-26 09:00  NOBODY  a gap" in ours.stdout


# The people's phones, which nothing is sent to here.
SETTINGS = """\
oncall: {file: oncall.yaml}
alerts:
  receivers:
    - {name: ada-phone, kind: webhook, url: "http://127.0.0.1:9/ada"}
    - {name: grace-phone, kind: webhook, url: "http://127.0.0.1:9/grace"}
  route: {receiver: ada-phone}
"""


@pytest.fixture
def on_call(own_server, tmp_path):
    """A server with the file, named from the settings beside it."""
    (tmp_path / "oncall.yaml").write_text(FILE)
    settings = tmp_path / "reeve.yaml"
    settings.write_text(SETTINGS)
    own_server.settings["REEVE_CONFIG"] = str(settings)
    return own_server.start()


def test_a_server_says_the_same_as_its_file(on_call, file):
    known = {"REEVE_URL": on_call.url, "REEVE_KEY": on_call.api().key}
    at = ("--at", "2026-10-25T08:00:00Z")
    assert reeve("who", *at, **known).stdout == reeve("who", *at, "--file", file).stdout
    weeks = ("--from", "2026-10-20T00:00:00Z", "--weeks", 2)
    assert reeve("calendar", *weeks, **known).stdout == reeve("calendar", *weeks, "--file", file).stdout


def test_an_override_is_made_in_two_clicks_and_outlives_a_kill(on_call, driver):
    api = on_call.api()
    day = (datetime.now(timezone.utc) + timedelta(days=2)).date().isoformat()
    cell = f'[data-calendar="platform"] [data-day="{day}"]'
    with logged_in(driver, on_call) as page:
        page.open("/oncall")
        page.shot("oncall")
        assert page.has("#oncall-findings") and page.has('[data-calendar="office"] [data-state="broken"]')
        page.click(f"{cell} summary.piece")
        page.shot("oncall-choices")
        page.click(f'{cell} details[open] [data-action="cover"]')
        until(lambda: page.has(f'{cell} .piece[data-state="in_review"]'), 10, "the override on the calendar")
        page.shot("oncall-override")
        page.size(400, 900)
        page.shot("oncall-phone")
        page.size(1360, 900)
        page.scheme("dark")
        page.shot("oncall-dark")
        [override] = api.get("/api/v1/oncall/overrides")["items"]
        on_call.kill()
        on_call.start()
        api = on_call.api()
        assert api.get("/api/v1/oncall/overrides")["items"] == [override]
        [duty] = api.get("/api/v1/oncall", params={"at": override["from"], "schedule": "platform"})["schedules"]
        assert (duty["person"], duty["because"], duty["name"]) == (override["person"], "override", override["id"])
        page.complaints()
        page.open("/oncall")
        page.click('[data-action="uncover"]')
        until(lambda: not page.has("[data-override]"), 10, "its end")
    assert api.get("/api/v1/oncall/overrides")["items"] == []


def test_a_wrong_file_refuses_the_start(own_server, tmp_path):
    (tmp_path / "oncall.yaml").write_text(FILE.replace("1d}", "1x}"))
    settings = tmp_path / "reeve.yaml"
    settings.write_text(SETTINGS)
    command = [BINARY, "serve", "--config", settings, "--data-dir", tmp_path / "data", "--port", "0"]
    ended = subprocess.run(command, capture_output=True, text=True, timeout=60, env=environment())
    assert ended.returncode == 1
    assert f"{tmp_path}/oncall.yaml:8:79: not a valid duration string" in ended.stderr
    checked = subprocess.run(
        [BINARY, "settings", "check", "--config", settings], capture_output=True, text=True, env=environment()
    )
    assert checked.returncode == 1 and "oncall.yaml:8:79" in checked.stderr


def test_a_receiver_that_is_not_there_refuses_the_start(tmp_path):
    (tmp_path / "oncall.yaml").write_text(FILE.replace("grace-phone", "grace-pager"))
    settings = tmp_path / "reeve.yaml"
    settings.write_text(SETTINGS)
    command = [BINARY, "serve", "--config", settings, "--data-dir", tmp_path / "data", "--port", "0"]
    ended = subprocess.run(command, capture_output=True, text=True, timeout=60, env=environment())
    assert ended.returncode == 1
    assert f"{tmp_path}/oncall.yaml:3:41: there is no receiver grace-pager: add it" in ended.stderr, ended.stderr
