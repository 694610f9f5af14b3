"""What Reeve counts of what stands between callers and providers: caches, lines, holds, retries, fallbacks, streams."""

import concurrent.futures
import shutil
import subprocess
import threading
from collections.abc import Iterator

import httpx
import openai
import pytest

from gateway_kit import (
    CLAUDE, FIRST, HELLO, PINNED, ROUND_PRICE, SECOND, bearer, deadlines, explained, openai_agent, post, providers,
    record_of, running, scrape, script,
)
from reeve_server import ENGINES, Server, until

pytestmark = pytest.mark.usefixtures("plain")
PROMTOOL = shutil.which("promtool")
MAIN, BACKUP = f"main/{PINNED}", f"backup/{CLAUDE}"
# HELLO has four tokens for a chat door, and the scripted answer as many: a thousand and two thousand nano-dollars each.
HELLO_COST = 4 * 1000 + 4 * 2000


@pytest.fixture(scope="module", params=ENGINES)
def reeve(request, main: str, backup: str, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Server]:
    plain = {"price": ROUND_PRICE, "deadlines": deadlines(2, 0.5), "breaker": {"failures": 10, "callsMin": 10000}}
    second = {"provider": "second", "model": PINNED}
    models = {
        "mini": {"targets": [FIRST], "deadlines": deadlines(10, 10, 20)},
        "kept": {"targets": [FIRST], "cache": True},
        "joined": {"targets": [FIRST], "singleFlight": True, "deadlines": deadlines(10, 10, 20)},
        "frail": {"targets": [FIRST, SECOND]},
        "goes-on": {"targets": [FIRST, second], "continuation": True},
        "queued": {
            "targets": [FIRST], "queue": {"calls": 1, "waitSeconds": 20}, "deadlines": deadlines(10, 10, 30),
        },
        "fragile": {"targets": [FIRST, SECOND], "retries": 0, "breaker": {"failures": 1, "openSeconds": 60}},
    }
    known = providers(main, backup, second={"kind": "openai", "baseURL": f"{backup}/v1"})
    settings = {"providers": known, "models": {name: {**plain, **model} for name, model in models.items()}}
    with running(tmp_path_factory.mktemp("gateway-metrics"), settings, request.param) as server:
        yield server


@pytest.fixture
def asker(reeve: Server, name: str):
    return openai_agent(reeve, f"asker-{name}")


def value(reeve: Server, name: str, **labels: str) -> float:
    return scrape(reeve).get((name, frozenset(labels.items())), 0.0)


class Grown:
    """How much counters grew since this was made."""

    def __init__(self, reeve: Server):
        self.reeve, self.before = reeve, scrape(reeve)

    def __call__(self, name: str, **labels: str) -> float:
        key = (name, frozenset(labels.items()))
        return scrape(self.reeve).get(key, 0.0) - self.before.get(key, 0.0)


def nano(dollars: float) -> int:
    return round(dollars * 1e9)


def test_answers_from_memory(reeve: Server, asker) -> None:
    grown = Grown(reeve)
    for _ in range(3):
        asker.ask("kept")
    assert grown("reeve_gateway_cache_misses_total", model="kept") == 1
    assert grown("reeve_gateway_cache_hits_total", model="kept", kind="exact") == 2
    assert nano(grown("reeve_gateway_saved_dollars_total", model="kept", by="cache")) == 2 * HELLO_COST
    assert grown("reeve_gateway_cache_misses_total", model="mini") == 0


def test_calls_that_join_one_another(reeve: Server, asker, main: str) -> None:
    script(main, {"fault": {"delaySeconds": 1.5}})
    grown = Grown(reeve)
    with concurrent.futures.ThreadPoolExecutor(5) as pool:
        list(pool.map(lambda _: asker.ask("joined"), range(5)))
    joins = grown("reeve_gateway_single_flight_joins_total", model="joined")
    # Whoever comes late asks again.
    assert 1 <= joins <= 4
    assert nano(grown("reeve_gateway_saved_dollars_total", model="joined", by="single_flight")) == joins * HELLO_COST


def test_lines_before_a_providers_limits(reeve: Server, asker, main: str) -> None:
    limits = {
        "x-ratelimit-limit-requests": "20", "x-ratelimit-remaining-requests": "0",
        "x-ratelimit-reset-requests": "100s",
    }
    script(main, {"headers": limits, "times": 1})
    asker.ask("queued")
    grown = Grown(reeve)
    with concurrent.futures.ThreadPoolExecutor(2) as pool:
        waiting = pool.submit(asker.ask, "queued")
        until(lambda: value(reeve, "reeve_gateway_queue_calls", model="queued", target=MAIN) == 1, 4, "a call in line")
        with pytest.raises(openai.RateLimitError):
            asker.ask("queued")
        waiting.result()
    assert value(reeve, "reeve_gateway_queue_calls", model="queued", target=MAIN) == 0
    assert grown("reeve_gateway_queue_refusals_total", model="queued") == 1
    assert grown("reeve_gateway_queue_wait_seconds_count", model="queued") == 2
    # Five seconds a call at 20 in 100 seconds.
    assert 1 < grown("reeve_gateway_queue_wait_seconds_sum", model="queued") < 6


def test_what_calls_in_flight_hold(reeve: Server, asker, main: str) -> None:
    scope = f"/api/v1/budgets/agent:{asker.agent}"
    reeve.api().call("PUT", scope, {"limit": {"usd": 1}, "period": "total"})
    script(main, {"fault": {"delaySeconds": 3}})
    grown = Grown(reeve)
    asking = threading.Thread(target=asker.ask, kwargs={"max_tokens": 100})
    asking.start()
    until(lambda: value(reeve, "reeve_gateway_budget_holds") == 1, 3, "a hold")
    held = reeve.api().get(scope)["held"]["nanoUSD"]
    # A hundred tokens of output, and the input by its bytes.
    assert nano(value(reeve, "reeve_gateway_budget_held_dollars")) == held > 100 * 2000
    asking.join()
    until(lambda: value(reeve, "reeve_gateway_budget_holds") == 0, 3, "its end")
    assert value(reeve, "reeve_gateway_budget_held_dollars") == 0 == value(reeve, "reeve_gateway_budget_waiting")
    reeve.api().call("PUT", scope, {"limit": {"usd": 0.000000001}, "period": "total"})
    for _ in range(2):
        with pytest.raises(openai.APIStatusError):
            asker.ask()
    assert grown("reeve_gateway_budget_refusals_total", code="budget_exceeded") == 2


def test_retries_and_fallbacks_by_what_failed(reeve: Server, asker, main: str) -> None:
    script(main, {"fault": {"status": 500}})
    grown = Grown(reeve)
    asker.ask("frail")
    assert grown("reeve_gateway_retries_total", model="frail", reason="server_error") == 1
    assert grown("reeve_gateway_fallbacks_total", model="frail", reason="server_error") == 1
    asker.ask("fragile")
    asker.ask("fragile")
    assert grown("reeve_gateway_fallbacks_total", model="fragile", reason="server_error") == 1
    # The second call went to the other target at once.
    assert grown("reeve_gateway_fallbacks_total", model="fragile", reason="breaker_open") == 1


def test_streams_that_are_open(reeve: Server, asker, main: str) -> None:
    script(main, {"say": "one two three four five six", "fault": {"pauseSeconds": 0.2}})
    with asker.chat.chat.completions.create(model="mini", messages=HELLO, stream=True) as stream:
        next(iter(stream))
        assert value(reeve, "reeve_gateway_streams_open") == 1
        list(stream)
    until(lambda: value(reeve, "reeve_gateway_streams_open") == 0, 3, "its end")


@pytest.mark.skipif(not PROMTOOL, reason="promtool is not installed")
def test_promtool_finds_nothing_wrong(reeve: Server, asker, main: str) -> None:
    script(main, {"times": 1, "fault": {"status": 500}})
    for model in ("kept", "kept", "frail"):
        asker.ask(model)
    text = httpx.get(f"{reeve.url}/metrics", headers=bearer(reeve.admin_key)).content
    assert b"reeve_gateway_cache_hits_total{" in text and b"reeve_gateway_retries_total{" in text
    check = subprocess.run([PROMTOOL, "check", "metrics"], input=text, capture_output=True, timeout=60)
    assert check.returncode == 0 and not check.stderr + check.stdout, check.stdout + check.stderr


# --- What each attempt cost -------------------------------------------------------------------------------------------


def test_attempts_of_a_stream_that_goes_on_add_up(reeve: Server, asker, main: str, backup: str) -> None:
    said = "one two three four five six seven eight"
    script(main, {"say": said, "fault": {"cutAfter": 5}})
    script(backup, {"say": said})
    reply = asker.ask("goes-on", stream=True)
    list(reply.parse())
    record = record_of(reeve, reply.headers["x-reeve-call"])
    costs = [attempt["costNanoUSD"] for attempt in record["attempts"]]
    assert [attempt["failure"] for attempt in record["attempts"]] == ["cut", None]
    # The second said all of it again: four tokens and eight.
    assert costs[0] > 0 and costs[1] == 4 * 1000 + 8 * 2000
    assert sum(costs) == record["cost"]["nanoUSD"]
    cost = [step["text"] for step in explained(reeve, record["id"]) if step["kind"] == "cost"][0]
    assert "Of that went to attempt 1 $" in cost and ", attempt 2 $0.00002." in cost
    # What the first attempt cost is money that was lost.
    def lost() -> int:
        return reeve.api().get(f"/api/v1/costs?by=agent&agent={asker.agent}")["total"]["lost"]["retriesNanoUSD"]

    assert until(lost, what="the sums") == costs[0]


def test_attempts_that_were_answered_with_an_error_cost_nothing(reeve: Server, asker, main: str) -> None:
    script(main, {"fault": {"status": 500}})
    record = record_of(reeve, asker.ask("frail").headers["x-reeve-call"])
    costs = [attempt["costNanoUSD"] for attempt in record["attempts"]]
    assert costs == [0, 0, record["cost"]["nanoUSD"]] and costs[2] > 0


def test_nobody_knows_what_a_silent_attempt_costs(reeve: Server, asker, main: str) -> None:
    script(main, {"fault": {"delaySeconds": 4}})
    record = record_of(reeve, asker.ask("frail").headers["x-reeve-call"])
    assert [attempt["failure"] for attempt in record["attempts"]] == ["silent", None]
    assert [attempt["costNanoUSD"] for attempt in record["attempts"]] == [None, record["cost"]["nanoUSD"]]


def test_attempts_of_a_call_whose_cost_was_capped_by_its_hold(reeve: Server, asker, main: str) -> None:
    """A provider that tells no usage is booked with a guess, and with no more than was held."""
    scope = f"/api/v1/budgets/agent:{asker.agent}"
    reeve.api().call("PUT", scope, {"limit": {"usd": 1}, "period": "total"})
    script(main, {"say": "word " * 300, "usage": "none"})
    reply = post(reeve, asker.key, {"model": "mini", "messages": HELLO, "max_tokens": 2})
    record = record_of(reeve, reply.headers["x-reeve-call"])
    assert record["usage"]["estimated"] is True
    assert [attempt["costNanoUSD"] for attempt in record["attempts"]] == [record["cost"]["nanoUSD"]]
    assert reeve.api().get(scope)["settled"]["nanoUSD"] == record["cost"]["nanoUSD"]
