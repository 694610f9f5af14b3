"""How much is left, as numbers: of providers' rate limits, as their own headers say, and of budgets."""

import json

import pytest

from gateway_kit import HELLO, openai_agent, running, scrape
from reeve_server import until

ON_ENGINES = ["sqlite"]
LIMITS = {
    "x-ratelimit-limit-requests": "20", "x-ratelimit-remaining-requests": "5", "x-ratelimit-reset-requests": "900s",
    "x-ratelimit-limit-tokens": "1000", "x-ratelimit-remaining-tokens": "1000", "x-ratelimit-reset-tokens": "0s",
}  # fmt: skip
SCRIPT = {"rules": [{"contains": "hello", "say": "Hi.", "headers": LIMITS, "usage": {"input": 100, "output": 0}}]}
TARGET = "scripted-2026-01-01"
SETTINGS = {
    "providers": {"local": {"kind": "scripted", "script": "script.yaml"}},
    "models": {"mini": {"targets": [{"provider": "local", "model": TARGET}], "price": {"input": 1000, "output": 1000}}},
}


@pytest.fixture(scope="module")
def reeve(tmp_path_factory):
    folder = tmp_path_factory.mktemp("headroom")
    (folder / "script.yaml").write_text(json.dumps(SCRIPT))
    with running(folder, SETTINGS) as server:
        yield server


def left(reeve, metric: str) -> dict:
    found = {}
    for (name, labels), value in scrape(reeve).items():
        if name == metric:
            labels = dict(labels)
            found[labels.get("scope") or (labels["model"], labels["target"], labels["limit"])] = value
    return found


def test_what_is_left(reeve):
    agent = openai_agent(reeve, "thrifty")
    limits, budgets = "reeve_model_ratelimit_remaining_ratio", "reeve_budget_remaining_ratio"
    # Nothing is known of a limit that nobody spoke of, and nothing is made up.
    assert left(reeve, limits) == {} and left(reeve, budgets) == {}
    for scope, usd in (("agent:thrifty", 1), ("org", 100), ("session:s", 1), ("task:t", 1)):
        reeve.api().call("PUT", f"/api/v1/budgets/{scope}", {"limit": {"usd": usd}, "period": "total"})
    assert left(reeve, budgets) == {"agent:thrifty": 1, "org": 1}
    assert agent.chat.chat.completions.create(model="mini", messages=HELLO).choices
    found = left(reeve, limits)
    label = f"local/{TARGET}"
    assert set(found) == {("mini", label, "requests"), ("mini", label, "tokens")}
    assert found["mini", label, "requests"] == pytest.approx(0.25, abs=0.01)
    assert found["mini", label, "tokens"] == pytest.approx(1, abs=0.01)
    # 100 tokens at a thousand dollars a million: a tenth of one dollar.
    until(lambda: left(reeve, budgets) == pytest.approx({"agent:thrifty": 0.9, "org": 0.999}), 10, "what was spent")


def test_they_are_series_that_the_overview_asks_for(reeve):
    query = {"query": "bottomk(10, min by (scope) (reeve_budget_remaining_ratio))"}

    def series():
        reply = reeve.api().send("GET", "/prometheus/api/v1/query", params=query)
        return reply.json()["data"]["result"]

    scopes = until(series, 30, "a sample of the gauge")
    assert {one["metric"]["scope"] for one in scopes} >= {"agent:thrifty", "org"}
