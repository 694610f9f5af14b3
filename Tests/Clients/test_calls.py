"""Calls and costs as people meet them: on the command line, in a spreadsheet's file, and on the page."""

import csv
import io
import json
import subprocess
import time

import pytest

import recorded_calls
from browser_page import logged_in
from reeve_server import BINARY, Server, environment, until

ON_ENGINES = ["sqlite"]


@pytest.fixture(scope="module")
def recorded(tmp_path_factory):
    """A server that has seen a month of calls; `recorded.calls` are they, the newest last."""
    server = Server(tmp_path_factory.mktemp("calls")).start()
    assert server.stop() == 0
    server.calls = recorded_calls.month(time.time_ns() // 1000)
    recorded_calls.write(server.data_dir / "reeve.db", server.calls)
    server.start()
    yield server
    assert server.stop() == 0


@pytest.fixture
def reeve(recorded):
    def run(*arguments, status=0):
        done = subprocess.run(
            [BINARY, *arguments], env=environment(REEVE_URL=recorded.url, REEVE_KEY=recorded.admin_key, NO_COLOR="1"),
            capture_output=True, timeout=60,
        )
        assert done.returncode == status, done.stdout + done.stderr
        return done.stdout.decode()

    return run


def test_calls_are_listed_shown_and_explained(reeve, recorded):
    newest = recorded.calls[-1]
    document = json.loads(reeve("calls", "list", "--limit", "3", "--json"))
    assert document["items"][0]["id"] == newest["id"] and document["next"]
    assert newest["id"] in reeve("calls", "list", "--limit", "3")
    failed = json.loads(reeve("calls", "list", "--status", "failed,canceled", "--limit", "1000", "--json"))["items"]
    assert len(failed) == sum(call["status"] != "done" for call in recorded.calls)
    tagged = json.loads(reeve("calls", "--tag", "batch", "--limit", "1000", "--json"))["items"]
    assert len(tagged) == sum('"batch"' in call["tags"] for call in recorded.calls)
    shown = json.loads(reeve("calls", "show", newest["id"], "--json"))
    assert shown["cost"]["nanoUSD"] == newest["nano_usd"] and len(shown["attempts"]) == 2
    assert "server_error" in reeve("calls", "show", newest["id"])
    explained = reeve("calls", "explain", newest["id"])
    assert "the next of the model's targets" in explained and "Reserved before it was sent: org" in explained
    assert json.loads(reeve("calls", "explain", newest["id"], "--json"))["decision"]["steps"]
    reeve("calls", "show", "call_" + "0" * 32, status=1)


def test_costs_are_summed_up_and_exported(reeve, recorded):
    calls = recorded.calls
    total = sum(call["nano_usd"] or 0 for call in calls)
    report = json.loads(reeve("costs", "--by", "agent", "--json"))
    assert report["total"]["nanoUSD"] == total == sum(row["nanoUSD"] for row in report["items"])
    writer = sum(call["nano_usd"] or 0 for call in calls if call["agent"] == "writer")
    assert next(row for row in report["items"] if row["name"] == "writer")["nanoUSD"] == writer
    assert "writer" in reeve("costs") and "whose price is not known" in reeve("costs")
    rows = list(csv.DictReader(io.StringIO(reeve("costs", "--by", "day", "--csv"))))
    assert sum(round(float(row["cost_usd"]) * 1e9) for row in rows) == total
    assert [row["day"] for row in rows] == sorted(row["day"] for row in rows)
    first = json.loads(reeve("costs", "--by", "agent", "--limit", "2", "--json"))
    rest = json.loads(reeve("costs", "--by", "agent", "--limit", "100", "--after", first["next"], "--json"))
    assert [row["name"] for row in first["items"] + rest["items"]] == [row["name"] for row in report["items"]]
    reeve("costs", "--by", "nonsense", status=1)
    reeve("costs", "--csv", "--json", status=2)


# --- The pages --------------------------------------------------------------------------------------------------------


@pytest.fixture
def page(driver, recorded):
    with logged_in(driver, recorded) as page:
        yield page


@pytest.mark.parametrize("path", ["/calls", "/costs", "/costs?by=day&days=90", "/costs?by=model&days=7", "CALL"])
def test_pages_fit_every_screen(page, recorded, path):
    address = f"/calls/{recorded.calls[-1]['id']}" if path == "CALL" else path
    name = address.split("?")[0].replace("/", "-") if path != "CALL" else "-call"
    name += "-" + address.split("by=")[1].split("&")[0] if "by=" in address else ""
    for scheme in ("light", "dark"):
        page.scheme(scheme)
        page.open(address)
        if "costs" in address:
            drawn = "return !!window.Chart && document.querySelector('canvas').width > 300"
            until(lambda: page.script(drawn), 15, "a chart")
        page.shot(f"{scheme}{name}")
    page.size(375, 812)
    page.open(address)
    assert page.script("return document.documentElement.scrollWidth") <= 375, address
    page.shot(f"phone{name}")


def test_a_filter_leads_to_fewer_calls_and_a_row_to_its_call(page, recorded):
    page.open("/calls")
    newest = recorded.calls[-1]["id"]
    assert page.has(f"#row-{newest}")
    page.click('.chip[data-state="failed"]')
    until(lambda: not page.has(f"#row-{newest}"), 10, "the filtered list")
    states = page.script("return [...new Set([...document.querySelectorAll('[data-row]')].map(r => r.dataset.state))]")
    assert states == ["failed"]
    page.open("/calls")
    page.click(f"#row-{newest} a.open")
    until(lambda: page.has("#call-steps"), 10, "the call's page")
    assert "fell" not in page.find("#call-steps").text and "the provider had an error" in page.find("#call-steps").text
    page.click("#call-decision summary")
    assert "next_target" in page.find("#call-decision pre").text


def test_the_list_of_calls_follows_without_events(page):
    page.open("/calls")
    page.script("""
        window.fetches = 0;
        const real = window.fetch;
        window.fetch = (...all) => { window.fetches += 1; return real(...all); };""")
    until(lambda: page.script("return window.fetches") >= 2, 12, "the page looking again by itself")


def test_the_chart_follows_the_choice(page):
    page.open("/costs?by=agent")
    until(lambda: page.script("return !!window.Chart"), 15, "the chart library")
    page.click('a.chip[href*="by=model"]')
    until(lambda: "gpt-4o-mini" in (page.attribute("canvas", "data-chart") or ""), 10, "the chart by model")
    page.click('a.chip[href*="days=7"]')
    until(lambda: "days=7" in page.driver.current_url, 10, "the shorter time")
    assert page.script("return JSON.parse(document.querySelector('canvas').dataset.chart).labels.length") == 7
    link = page.attribute("a[download]", "href")
    text = page.script("return fetch(arguments[0]).then((reply) => reply.text())", link)
    assert text.startswith("model,calls,") and text.count("\r\n") == 4
