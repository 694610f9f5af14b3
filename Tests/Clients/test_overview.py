"""The overview in a real browser: four rows, each number with a way to what it counts."""

import json
import urllib.parse

import pytest

from browser_page import logged_in
from reeve_server import until

ON_ENGINES = ["sqlite"]
ROWS = ["System Health", "Agent Behavior", "Memory Performance", "Cost and Quotas"]


@pytest.fixture
def page(driver, server):
    with logged_in(driver, server) as page:
        yield page


def text_of(page, selector):
    return page.script("return document.querySelector(arguments[0])?.textContent ?? ''", selector)


def settled(page):
    """Whether every panel in sight has an answer, or says that there is none."""
    return page.script(
        "return [...document.querySelectorAll('[data-panel]')].filter((panel) => panel.getBoundingClientRect().top <"
        " innerHeight).every((panel) => panel.dataset.looked !== undefined ||"
        " !/^(Loading|…)/.test((panel.querySelector('[data-empty]') ?? panel.querySelector('[data-value]')).textContent))"
    )


def test_four_rows_and_every_number_leads_somewhere(page, admin):
    page.open("/overview")
    titles = page.script("return [...document.querySelectorAll('.overview-row > h2')].map((title) => title.textContent)")
    assert titles == ROWS
    until(lambda: settled(page), 20, "an answer for each panel")
    links = page.script("return [...document.querySelectorAll('#overview a')].map((link) => link.getAttribute('href'))")
    panels = page.script("return document.querySelectorAll('[data-panel]').length")
    assert len(links) == panels > 20
    for path in set(links):
        assert admin.session.get(admin.url + path, timeout=20).status_code == 200, path
    page.shot("overview")


def test_the_range_and_the_agent_are_asked_for(page, admin, agent):
    page.open("/overview?range=24h&agent=" + urllib.parse.quote(agent.agent))
    assert page.find(".seg [aria-current]").text == "24 hours"
    queries = page.script("return document.querySelector('#panel-tokens').dataset.queries")
    assert f'agent=~"{agent.agent.replace("-", "[-]")}"' in json.loads(queries)[0]["expr"]
    assert "[2880s]" in queries
    assert admin.session.get(f"{admin.url}/overview?range=1y", timeout=20).status_code == 400


def test_what_nobody_counted_says_so(page):
    page.open("/overview?agent=nobody")
    until(lambda: settled(page), 20, "an answer for each panel")
    page.script("document.querySelector('#panel-tokens').scrollIntoView()")
    until(lambda: "No data yet" in text_of(page, "#panel-tokens"), 20, "that there are no tokens")


def test_who_may_see_it(viewer, agent):
    assert viewer.session.get(f"{viewer.url}/overview", timeout=20).status_code == 200
    assert agent.session.get(f"{agent.url}/overview", timeout=20).status_code == 403
