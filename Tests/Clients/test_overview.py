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
    assert admin.session.get(f"{admin.url}/overview?range=1y", timeout=20).status_code == 422


def test_what_nobody_counted_says_so(page):
    page.open("/overview?agent=nobody")
    until(lambda: settled(page), 20, "an answer for each panel")
    page.script("document.querySelector('#panel-tokens').scrollIntoView()")
    until(lambda: "No data yet" in text_of(page, "#panel-tokens"), 20, "that there are no tokens")


ANSWERS = """
const real = window.fetch;
window.fetch = async (address, ...rest) => {
  if (!String(address).startsWith("/prometheus")) return real(address, ...rest);
  const query = new URL(address, location).searchParams;
  const [start, end, step] = ["start", "end", "step"].map((name) => Number(query.get(name)));
  const line = (metric, height) => ({ metric, values: Array.from({ length: (end - start) / step + 1 }, (_, place) =>
    [start + place * step, String(height + height * Math.sin(place / 9))]).slice(20) });
  const matrix = [line({ type: "input", model: "large", operation: "read", tool: "search" }, 40),
    line({ type: "output", model: "small", operation: "search", tool: "fetch" }, 15)];
  const result = query.has("step") ? matrix : [{ metric: {}, value: [0, "12.5"] }];
  return new Response(JSON.stringify({ status: "success", data: { resultType: "matrix", result } }));
};
"""


def test_answers_in_prometheus_shape_are_drawn(page):
    page.open("/overview?range=1h")
    until(lambda: settled(page), 20, "an answer for each panel")
    page.script(ANSWERS)
    page.script("document.querySelector('#panel-spend').scrollIntoView()")
    until(lambda: page.attribute("#panel-spend", "data-lines") == "2", 20, "two lines")
    label = "#panel-spend canvas"
    until(lambda: "by model: large $" in (page.attribute(label, "aria-label") or ""), 20, "the lines in words")
    painted = (
        "const canvas = document.querySelector('#panel-spend canvas');"
        "return canvas.getContext('2d').getImageData(0, 0, canvas.width, canvas.height).data.some((byte) => byte)"
    )
    until(lambda: page.script(painted), 10, "a drawing")
    page.shot("overview-lines")
    page.script("document.querySelector('#panel-cost-today').scrollIntoView()")
    until(lambda: text_of(page, "#panel-cost-today [data-value]") == "$12.50", 20, "a number with its unit")
    page.keys("t")
    page.shot("overview-dark")


def test_every_panel_of_the_guide_is_there_and_one_without_data_says_why(page):
    """The rows of the dashboard as the guide to monitoring lists them."""
    page.open("/overview")
    rows = page.script(
        "return [...document.querySelectorAll('.overview-row')].map((row) =>"
        " [...row.querySelectorAll('[data-panel]')].map((panel) => panel.id.replace('panel-', '')))"
    )
    wanted = [
        {"uptime", "requests", "errors", "latency"}, {"tokens", "tools", "contexts"},
        {"memory-latency", "memory-operations", "memory-ratio", "memory-storage"},
        {"spend", "users", "budget-headroom", "provider-headroom"},
    ]  # fmt: skip
    assert all(panels <= set(row) for panels, row in zip(wanted, rows, strict=True))
    page.script("document.querySelector('#panel-memory-storage').scrollIntoView()")
    until(lambda: "no memory store" in text_of(page, "#panel-memory-storage"), 20, "why there is nothing")
    page.shot("overview-memory")
    page.script("document.querySelector('#panel-provider-headroom').scrollIntoView()")
    until(lambda: settled(page), 20, "an answer for each panel")
    page.shot("overview-quotas")


def test_who_may_see_it(viewer, agent):
    assert viewer.session.get(f"{viewer.url}/overview", timeout=20).status_code == 200
    assert agent.session.get(f"{agent.url}/overview", timeout=20).status_code == 403
