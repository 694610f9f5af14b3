"""What fires in a real browser: seen, silenced in two clicks, and told of."""

import pytest

from browser_page import logged_in
from reeve_server import until

ON_ENGINES = ["sqlite"]


@pytest.fixture
def page(driver, server):
    with logged_in(driver, server) as page:
        yield page


def rows(page, section):
    return page.script(
        "return [...document.querySelectorAll(`#alerts-${arguments[0]} [data-alert]`)].map((row) => row.dataset.alert)",
        section,
    )


def test_an_alert_is_silenced_in_two_clicks(page, admin):
    labels = {"alertname": "PageTest", "severity": "critical", "agent": "writer"}
    hostile = {"alertname": "Hostile", "agent": "<script>document.title='taken'</script>"}
    annotations = {"summary": "The writer is silent", "runbook_url": "https://example.org/runbook"}
    posts = [
        {"labels": labels, "annotations": annotations},
        {"labels": hostile, "annotations": {"runbook_url": "javascript:alert(1)"}},
    ]
    assert admin.send("POST", "/api/v2/alerts", json=posts).status_code == 200
    page.open("/alerts")
    assert {"PageTest", "Hostile"} <= set(rows(page, "firing"))
    assert page.script("return document.title").startswith("Alerts")
    hrefs = page.script("return [...document.querySelectorAll('[data-alert] a')].map((link) => link.getAttribute('href'))")
    assert "https://example.org/runbook" in hrefs and not any(href.startswith("javascript") for href in hrefs)
    page.shot("alerts")
    page.click('[data-alert="PageTest"] [data-action="silence-menu"]')
    page.click('[data-alert="PageTest"] [data-action="silence"]')
    until(lambda: rows(page, "suppressed") == ["PageTest"], 10, "that it is suppressed")
    silences = admin.send("GET", "/api/v2/silences?filter=alertname%3D%22PageTest%22").json()
    assert [one["status"]["state"] for one in silences] == ["active"]
    assert {m["name"] for m in silences[0]["matchers"]} == set(labels)
    page.shot("alerts-silenced")
    page.click(f'[data-silence="{silences[0]["id"]}"] [data-action="unsilence"]')
    until(lambda: "PageTest" in rows(page, "firing"), 10, "that it is told again")
    page.open("/alerts/receivers")
    assert "Nobody is told" in page.find("#receivers").text
    page.shot("alert-receivers")
