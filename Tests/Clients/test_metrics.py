"""What Reeve shows of itself: metrics for Prometheus, models with their breakers, calls in OpenTelemetry's words."""

import http.server
import json
import re
import shutil
import subprocess
import threading
import time
from collections.abc import Iterator

import httpx
import openai
import pytest
from prometheus_client.openmetrics.parser import text_string_to_metric_families as strict_families
from prometheus_client.parser import text_string_to_metric_families

from browser_page import logged_in
from gateway_kit import (
    CLAUDE, FIRST, MINI_PRICE, PINNED, SECOND, anthropic_of, asked, bearer, openai_agent, providers, record_of, running,
    scrape, script, served,
)
from reeve_server import ENGINES, ROOT, Server, die_with_parent, until

pytestmark = pytest.mark.usefixtures("plain")
PROMTOOL = shutil.which("promtool")
PROMETHEUS = shutil.which("prometheus")
MAIN, BACKUP = f"main/{PINNED}", f"backup/{CLAUDE}"
TRACE = "4bf92f3577b34da6a3ce929d0e0e4736"
SAID = {"gen_ai_operation_name": "chat", "gen_ai_request_model": "mini"}


class Limited(http.server.BaseHTTPRequestHandler):
    """A provider that tells its limits, as OpenAI does."""

    def do_POST(self):
        self.rfile.read(int(self.headers["content-length"]))
        answer = {
            "id": "x", "object": "chat.completion", "created": 1, "model": PINNED,
            "choices": [{"index": 0, "finish_reason": "stop", "message": {"role": "assistant", "content": "hi"}}],
            "usage": {"prompt_tokens": 700, "completion_tokens": 5, "total_tokens": 705},
        }
        body = json.dumps(answer).encode()
        self.send_response(200)
        for name, value in {
            "content-type": "application/json", "content-length": len(body), "X-RateLimit-Limit-Requests": 5000,
            "x-ratelimit-remaining-requests": 4999, "x-ratelimit-reset-requests": "12ms",
            "x-ratelimit-limit-tokens": 200_000, "x-ratelimit-remaining-tokens": 14_000,
            "x-ratelimit-reset-tokens": "6m0s",
        }.items():
            self.send_header(name, str(value))
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, *_):
        pass


@pytest.fixture(scope="module")
def limited() -> Iterator[str]:
    with served(Limited) as url:
        yield url


@pytest.fixture(scope="module", params=ENGINES)
def reeve(request, main: str, backup: str, limited: str, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Server]:
    models = {
        "mini": {"tier": "cheap", "targets": [FIRST], "price": MINI_PRICE, "contextTokens": 1000},
        "frail": {
            "targets": [FIRST, SECOND], "price": MINI_PRICE, "retries": 0,
            "breaker": {"failures": 2, "openSeconds": 60},
        },
        "haiku": {"targets": [SECOND], "price": MINI_PRICE},
        "told": {"targets": [{"provider": "limited", "model": PINNED}], "contextTokens": 1000},
    }
    known = providers(main, backup, limited={"kind": "openai", "baseURL": f"{limited}/v1"})
    folder = tmp_path_factory.mktemp("metrics")
    with running(folder, {"providers": known, "models": models}, request.param) as server:
        yield server


@pytest.fixture
def asker(reeve: Server, name: str):
    """An agent of the test's own, with OpenAI's client."""
    return openai_agent(reeve, f"asker-{name}")


def value(samples: dict, name: str, **labels: str) -> float | None:
    return samples.get((name, frozenset(labels.items())))


def total(samples: dict, name: str, **labels: str) -> float:
    """The sum over every series that has these labels."""
    return sum(v for (n, found), v in samples.items() if n == name and labels.items() <= dict(found).items())


def test_what_calls_used_is_counted_once(reeve: Server, asker, main: str) -> None:
    before = scrape(reeve)
    script(main, {"usage": {"input": 1000, "cacheRead": 600, "output": 50, "reasoning": 20}})
    asker.ask()
    list(asker.ask(stream=True).parse())
    now = scrape(reeve)
    tokens = {
        kind: value(now, "agent_tokens_consumed_total", model="mini", type=kind, agent=asker.agent)
        for kind in ("input", "cache_read", "output", "reasoning")
    }
    assert tokens == {"input": 800, "cache_read": 1200, "output": 60, "reasoning": 40}
    assert total(now, "agent_tokens_consumed_total", agent=asker.agent) == 2 * (1000 + 50)
    # 400 at 150, 600 at 75, 50 at 600 billionths of a dollar, twice.
    cost = value(now, "reeve_model_cost_dollars_total", model="mini", agent=asker.agent)
    assert round(cost * 1e9) == 2 * (400 * 150 + 600 * 75 + 50 * 600)
    assert value(
        now, "reeve_model_calls_total", model="mini", agent=asker.agent, door="openai.chat", status="done"
    ) == 2
    # The first turn filled the window of 1,000 tokens.
    assert value(now, "agent_context_utilization_ratio", model="mini", agent=asker.agent) == 1.0

    def grown(name: str, **labels: str) -> float:
        return total(now, name, **labels) - total(before, name, **labels)

    assert grown("gen_ai_client_token_usage_sum", gen_ai_token_type="input", **SAID) == 2000
    assert grown("gen_ai_client_token_usage_count", gen_ai_token_type="output", **SAID) == 2
    assert grown("gen_ai_client_operation_duration_seconds_count", gen_ai_system="openai", **SAID) == 2
    assert grown("gen_ai_server_time_to_first_token_seconds_count", **SAID) == 1
    assert grown("reeve_model_call_duration_seconds_count", model="mini", status="done") == 2
    assert grown("reeve_model_time_to_first_token_seconds_count", model="mini") == 1
    assert grown("reeve_model_overhead_seconds_count", door="openai.chat") == 2
    assert 0 < grown("reeve_model_overhead_seconds_sum", door="openai.chat") < 1
    assert grown("reeve_model_attempts_total", target=MAIN, result="ok") == 2


def test_to_count_tokens_uses_none(reeve: Server, name: str) -> None:
    agent = reeve.make_agent(f"counter-{name}")
    counter = anthropic_of(reeve, agent.key).messages.with_raw_response
    reply = counter.count_tokens(model="haiku", messages=asked("hello there"))
    assert reply.parse().input_tokens == 2
    record = record_of(reeve, reply.headers["x-reeve-call"])
    assert (record["status"], record["cost"], set(record["usage"]["buckets"].values())) == ("done", None, set())
    now = scrape(reeve)
    assert total(now, "reeve_model_calls_total", agent=agent.agent) == 1
    assert total(now, "agent_tokens_consumed_total", agent=agent.agent) == 0
    assert value(now, "reeve_model_unpriced_calls_total", model="haiku") is None


def test_buckets_rise_and_end_with_all(reeve: Server, asker) -> None:
    asker.ask()
    text = httpx.get(f"{reeve.url}/metrics", headers=bearer(reeve.admin_key)).text
    histograms = [f for f in text_string_to_metric_families(text) if f.type == "histogram"]
    assert len(histograms) >= 6
    for family in histograms:
        series: dict[frozenset, list] = {}
        for sample in family.samples:
            if sample.name.endswith("_bucket"):
                labels = frozenset(item for item in sample.labels.items() if item[0] != "le")
                series.setdefault(labels, []).append((float(sample.labels["le"]), sample.value))
        for buckets in series.values():
            assert buckets == sorted(buckets) and [n for _, n in buckets] == sorted(n for _, n in buckets)
            assert buckets[-1][0] == float("inf")


def test_errors_retries_and_invented_names(reeve: Server, asker, main: str) -> None:
    before = scrape(reeve)
    script(main, {"times": 1, "fault": {"status": 500}})
    asker.ask()
    script(main, {"fault": {"status": 400, "message": "no"}})
    with pytest.raises(openai.BadRequestError):
        asker.ask()
    for word in ('evil"} 1\n# HELP', "made-up-1", "made-up-2"):
        with pytest.raises(openai.NotFoundError):
            asker.ask(word)
    now = scrape(reeve)

    def grown(name: str, **labels: str) -> float:
        return total(now, name, **labels) - total(before, name, **labels)

    assert grown("reeve_model_attempts_total", target=MAIN, result="server_error") == 1
    assert grown("reeve_model_retries_total", model="mini", reason="same_target_retry") == 1
    assert grown("reeve_model_call_errors_total", model="mini", **{"class": "invalid_request"}) == 1
    assert grown("reeve_model_call_errors_total", model="__other__", **{"class": "not_found"}) == 3
    assert not any("made-up" in str(key) or "evil" in str(key) for key in now)


def test_who_may_scrape(reeve: Server, asker, name: str) -> None:
    asker.ask()
    other = reeve.make_agent(f"other-{name}")
    assert httpx.get(f"{reeve.url}/metrics").status_code == 401
    assert httpx.get(f"{reeve.url}/metrics", auth=("prometheus", reeve.make_key("viewer"))).status_code == 200
    assert httpx.get(f"{reeve.url}/metrics", headers=bearer(reeve.make_key("ingest"))).status_code == 403
    # An agent sees its own series, and those that name no agent.
    assert total(scrape(reeve, asker.key), "agent_tokens_consumed_total", agent=asker.agent) == 8
    seen = scrape(reeve, other.key)
    assert not any(asker.agent in str(key) for key in seen)
    assert total(seen, "reeve_model_overhead_seconds_count") > 0


def test_a_call_in_the_conventions_words(reeve: Server, asker) -> None:
    call = asker.ask("frail", extra_headers={"x-reeve-session": "s-1"}).headers["x-reeve-call"]
    record = record_of(reeve, call)
    words = record["otel"]
    assert words["gen_ai.provider.name"] == words["gen_ai.system"] == "openai"
    assert words["gen_ai.usage.input_tokens"] == words["gen_ai.usage.prompt_tokens"] == 4
    assert words["gen_ai.usage.output_tokens"] == words["gen_ai.usage.completion_tokens"] == 4
    assert (words["gen_ai.request.model"], words["gen_ai.response.model"]) == ("frail", PINNED)
    assert (words["gen_ai.operation.name"], words["gen_ai.conversation.id"]) == ("chat", "s-1")
    assert words["gen_ai.agent.name"] == asker.agent and "error.type" not in words


def breaker_events(reeve: Server, after: int) -> list[tuple]:
    return [
        (event["type"], event["data"]["model"], event["data"]["target"])
        for event in reeve.api().events(after)
        if event["type"].startswith("model.")
    ]


def test_a_breaker_is_seen_everywhere(reeve: Server, asker, main: str) -> None:
    after = reeve.api().last_seq()
    assert value(scrape(reeve), "reeve_model_breaker_state", model="frail", target=MAIN) == 0
    script(main, {"fault": {"status": 500, "message": "down"}})
    began = time.time()
    for _ in range(4):
        asker.ask("frail")
    now = scrape(reeve)
    assert value(now, "reeve_model_breaker_state", model="frail", target=MAIN) == 2
    assert value(now, "reeve_model_breaker_state", model="frail", target=BACKUP) == 0
    changed = value(now, "reeve_model_breaker_changed_timestamp_seconds", model="frail", target=MAIN)
    assert began - 5 < changed < time.time() + 5
    assert value(now, "reeve_model_breaker_openings_total", model="frail", target=MAIN) >= 1
    model = reeve.api().get("/api/v1/models/frail")
    first, second = model["targets"]
    assert (first["target"], first["breaker"]["state"]) == (MAIN, "open")
    assert (first["breaker"]["cause"], first["breaker"]["lastFailure"]) == ("failures_in_row", "server_error")
    assert first["recent"]["errorRate"] > 0 and first["price"] == {"from": None, "input": 0.15, "output": 0.6, "cacheRead": 0.075}
    assert second["breaker"]["state"] == "closed" and second["recent"]["latencyMs"]["p50"] >= 0
    opened = ("model.breaker_opened", "frail", MAIN)
    until(lambda: breaker_events(reeve, after) == [opened], 10, "the event of the opening")
    operator = reeve.api(reeve.make_key("operator"))
    operator.refused("POST", "/api/v1/models/frail/reset", {"target": "main/none"}, status=422, code="invalid")
    closed = operator.post("/api/v1/models/frail/reset", {"target": MAIN}, 200)
    assert closed["targets"][0]["breaker"]["state"] == "closed"
    told = [opened, ("model.breaker_reset", "frail", MAIN), ("model.breaker_closed", "frail", MAIN)]
    until(lambda: breaker_events(reeve, after) == told, 15, "the event of the closing")
    acts = reeve.api().get("/api/v1/audit?limit=1000")["items"]
    assert any(act["action"] == "model.breaker_reset" and act["target"] == "model:frail" for act in acts)


def test_limits_are_shown_as_the_provider_told_them(reeve: Server, asker) -> None:
    asker.ask("told")
    target = reeve.api().get("/api/v1/models/told")["targets"][0]
    limits = target["limits"]
    assert {k: (v["limit"], v["remaining"]) for k, v in limits.items()} == {
        "requests": (5000, 4999), "tokens": (200_000, 14_000),
    }
    assert limits["tokens"]["resetAt"] > target["limitsAt"] and target["price"] is None
    assert value(scrape(reeve), "agent_context_utilization_ratio", model="told", agent=asker.agent) == 0.7
    assert [m["name"] for m in reeve.api().get("/api/v1/models?limit=2")["items"]] == ["mini", "frail"]
    assert [m["name"] for m in reeve.api().get("/api/v1/models?after=frail")["items"]] == ["haiku", "told"]


def test_calls_in_flight(reeve: Server, asker, main: str) -> None:
    script(main, {"fault": {"delaySeconds": 1}})
    asking = threading.Thread(target=asker.ask)
    asking.start()
    until(lambda: value(scrape(reeve), "reeve_model_calls_in_flight") == 1, 5, "a call in flight")
    asking.join()
    until(lambda: value(scrape(reeve), "reeve_model_calls_in_flight") == 0, 5, "its end")
    until(lambda: value(scrape(reeve), "reeve_model_records_waiting") == 0, 5, "its record to be kept")


def test_scrapes_beside_calls_lose_nothing(reeve: Server, asker) -> None:
    """Batches are counted by the loop and by scrapes: each call must be counted by one of them."""
    stop = threading.Event()

    def scrape_on():
        while not stop.is_set():
            scrape(reeve)

    scraping = threading.Thread(target=scrape_on)
    scraping.start()
    for _ in range(150):
        asker.ask()
    stop.set()
    scraping.join()
    assert total(scrape(reeve), "reeve_model_calls_total", agent=asker.agent) == 150


OPENMETRICS = "application/openmetrics-text;version=1.0.0,text/plain;version=0.0.4;q=0.5,*/*;q=0.1"


def test_openmetrics_says_the_same_and_points_to_traces(reeve: Server, asker) -> None:
    asker.ask(extra_headers={"traceparent": f"00-{TRACE}-00f067aa0ba902b7-01"})
    reply = httpx.get(f"{reeve.url}/metrics", headers=bearer(reeve.admin_key) | {"accept": OPENMETRICS})
    assert reply.headers["content-type"] == "application/openmetrics-text; version=1.0.0; charset=utf-8"
    assert "accept" in reply.headers["vary"].split(", ") and reply.text.endswith("\n# EOF\n")
    families = list(strict_families(reply.text))
    names = {f.name + ("_total" if f.type == "counter" else "") for f in families}
    plain = httpx.get(f"{reeve.url}/metrics", headers=bearer(reeve.admin_key)).text
    assert names == set(re.findall(r"^# TYPE (\S+)", plain, re.M))
    assert {f.name: f.unit for f in families}["reeve_model_call_duration_seconds"] == "seconds"
    found = {}
    for family in families:
        for sample in family.samples:
            if sample.exemplar:
                assert sum(len(k + v) for k, v in sample.exemplar.labels.items()) <= 128
                found.setdefault(sample.name, set()).add(sample.exemplar.labels["trace_id"])
                if sample.name.endswith("_bucket"):
                    assert sample.exemplar.value <= float(sample.labels["le"])
    for name in ("reeve_model_calls_total", "reeve_model_call_duration_seconds_bucket"):
        assert TRACE in found[name], found


@pytest.mark.parametrize("accept", ["*/*", "text/plain", "application/json", "application/openmetrics-text;q=0"])
def test_who_asks_for_nothing_else_gets_text(reeve: Server, accept: str) -> None:
    reply = httpx.get(f"{reeve.url}/metrics", headers=bearer(reeve.admin_key) | {"accept": accept})
    assert reply.headers["content-type"] == "text/plain; version=0.0.4; charset=utf-8"


@pytest.mark.skipif(not PROMTOOL, reason="promtool is not installed")
def test_promtool_finds_nothing_wrong(reeve: Server, asker) -> None:
    asker.ask()
    text = httpx.get(f"{reeve.url}/metrics", headers=bearer(reeve.admin_key)).content
    check = subprocess.run([PROMTOOL, "check", "metrics"], input=text, capture_output=True, timeout=60)
    assert check.returncode == 0 and not check.stderr + check.stdout, check.stdout + check.stderr


def guide() -> str:
    return (ROOT / "docs/guide/metrics.md").read_text()


def test_the_guide_names_what_there_is() -> None:
    reference = (ROOT / "docs/reference/metrics.md").read_text()
    names = set(re.findall(r"\b(?:agent|reeve|gen_ai)_[a-z_]+\b", guide()))
    odd = {"gen_ai_provider_name", "gen_ai_system", "agent_type"}
    assert len(names) > 25
    assert [name for name in names - odd if f"| `{name}` |" not in reference] == []


@pytest.mark.skipif(not PROMTOOL, reason="promtool is not installed")
def test_promtool_takes_the_guides_examples(tmp_path) -> None:
    blocks = re.findall(r"```yaml\n# (\S+)\n(.*?)```", guide(), re.S)
    for name, text in blocks:
        (tmp_path / name).write_text(text)
    check = subprocess.run(
        [PROMTOOL, "check", "config", "--syntax-only", str(tmp_path / "prometheus.yml")], capture_output=True, timeout=60
    )
    assert check.returncode == 0, check.stderr
    check = subprocess.run(
        [PROMTOOL, "check", "rules", str(tmp_path / "reeve-rules.yml")], capture_output=True, timeout=60
    )
    assert check.returncode == 0 and b"11 rules" in check.stdout, check.stderr


@pytest.mark.skipif(not PROMETHEUS, reason="prometheus is not installed")
def test_prometheus_scrapes_and_answers(reeve: Server, asker, tmp_path) -> None:
    asker.ask(extra_headers={"traceparent": f"00-{TRACE}-00f067aa0ba902b7-01"})
    (tmp_path / "key").write_text(reeve.make_key("viewer"))
    settings = {
        "global": {"scrape_interval": "1s"},
        "scrape_configs": [
            {
                "job_name": "reeve", "static_configs": [{"targets": [reeve.url.removeprefix("http://")]}],
                "authorization": {"credentials_file": str(tmp_path / "key")},
            }
        ],
    }
    (tmp_path / "prometheus.yml").write_text(json.dumps(settings))
    with http.server.ThreadingHTTPServer(("127.0.0.1", 0), Limited) as taken:
        port = taken.server_address[1]
    process = subprocess.Popen(
        [
            PROMETHEUS, f"--config.file={tmp_path}/prometheus.yml", f"--storage.tsdb.path={tmp_path}/data",
            f"--web.listen-address=127.0.0.1:{port}", "--enable-feature=exemplar-storage",
        ],
        stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL, preexec_fn=die_with_parent,
    )
    try:

        def ask(query: str) -> list:
            try:
                reply = httpx.get(f"http://127.0.0.1:{port}/api/v1/query", params={"query": query}, timeout=5)
            except httpx.HTTPError:
                return []
            return reply.json()["data"]["result"] if reply.is_success else []

        found = until(lambda: ask(f'sum(agent_tokens_consumed_total{{agent="{asker.agent}"}})'), 30, "a scrape")
        assert found[0]["value"][1] == "8"
        assert ask('up{job="reeve"}')[0]["value"][1] == "1"
        quantile = "histogram_quantile(0.9, sum by (le) (gen_ai_client_operation_duration_seconds_bucket))"
        assert float(ask(quantile)[0]["value"][1]) > 0
        # It asked for OpenMetrics, so the call's trace came along.
        now = time.time()
        exemplars = httpx.get(
            f"http://127.0.0.1:{port}/api/v1/query_exemplars",
            params={"query": "reeve_model_calls_total", "start": now - 600, "end": now + 60},
        ).json()["data"]
        found = {exemplar["labels"]["trace_id"] for series in exemplars for exemplar in series["exemplars"]}
        assert TRACE in found
    finally:
        process.terminate()
        process.wait(20)


def test_counters_begin_anew_with_the_process(reeve: Server, asker) -> None:
    asker.ask()
    first = scrape(reeve)
    assert reeve.stop() == 0
    reeve.start()
    asker.ask()
    second = scrape(reeve)
    assert total(second, "agent_tokens_consumed_total") == 8 < total(first, "agent_tokens_consumed_total")
    assert value(second, "process_start_time_seconds") > value(first, "process_start_time_seconds")


@pytest.mark.parametrize("width", [1360, 375])
def test_the_page_of_models(driver, reeve: Server, asker, main: str, width: int) -> None:
    script(main, {"fault": {"status": 500}})
    for _ in range(3):
        asker.ask("frail")
    script(main)
    asker.ask("told")
    list(asker.ask("mini", stream=True).parse())
    with logged_in(driver, reeve, width) as page:
        for scheme in ("dark", "light"):
            page.scheme(scheme)
            page.open("/models")
            page.shot(f"models-{scheme}-{width}")
        row = f'[data-model="frail"] [data-target="{MAIN}"]'
        assert page.attribute(row, "data-state") == "failed"
        assert page.script("return document.documentElement.scrollWidth") <= width
        assert "14.0k of 200.0k tokens" in page.find('[data-model="told"]').text
        page.script("window.neverReloaded = true")
        page.click('[data-model="frail"] [data-action="reset"]')
        until(lambda: page.attribute(row, "data-state") == "done", 10, "the closed breaker on the page")
        assert page.script("return window.neverReloaded") is True
