"""Reeve's PromQL against the real Prometheus: the same samples in both, and the same answers out of both."""

import math
import os
import random
import shutil
from pathlib import Path

import pytest
import requests
from prometheus_twin import STALE, Twin, differences, minutes_ago, otlp
from promql_queries import Queries, REFUSED, TABLE
from reeve_server import ROOT

# Series are kept beside the store, so one engine tells as much as two.
ON_ENGINES = ["sqlite"]

TOOLS = ROOT / ".build/tools/prometheus/usr/bin"
PROMETHEUS = shutil.which("prometheus") or (str(TOOLS / "prometheus") if (TOOLS / "prometheus").exists() else None)
SEED = int(os.environ.get("REEVE_TEST_SEED", "42"))
QUERIES = int(os.environ.get("REEVE_TEST_QUERIES", "400"))
MINUTES = 180

if not PROMETHEUS and os.environ.get("CI"):
    raise RuntimeError("prometheus is not there, and these tests are nothing without it")
pytestmark = pytest.mark.skipif(not PROMETHEUS, reason="prometheus is not installed")


def series(name: str, **labels: str) -> tuple:
    return tuple(sorted({"__name__": name, **labels}.items()))


def made(start: int, random: random.Random) -> dict[tuple, list]:
    """Counters with resets and gaps, gauges with values of every kind, histograms, series that end and come back."""
    samples: dict[tuple, list] = {}
    moments = [start + second * 1_000 for second in range(0, MINUTES * 60, 15)]

    def jittered(moment):
        return moment + random.randint(0, 400)

    for job in ("api", "batch"):
        for instance in ("a:1", "b:1", "c:1"):
            for code in ("200", "404", "500"):
                value, points = 0.0, []
                for index, moment in enumerate(moments):
                    value = 0.0 if random.random() < 0.004 else value + random.choice([0, 0, 1, 2.5, 40])
                    if random.random() < 0.01 or (instance == "c:1" and 200 < index < 260):
                        continue
                    points.append((jittered(moment), value))
                samples[series("requests_total", job=job, instance=instance, code=code)] = points
    for room in ("attic", "cellar", "hall", "loft"):
        points = []
        for index, moment in enumerate(moments):
            value = 20 * math.sin(index / 50 + len(room)) + random.random()
            if random.random() < 0.01:
                value = random.choice([math.nan, math.inf, -math.inf, 0.0, -0.0, 1e300, 1e-300])
            if room == "loft":
                # Ends and comes back.
                phase = index % 90
                if phase > 45:
                    continue
                value = STALE if phase == 45 else value
            points.append((jittered(moment), value))
        samples[series("temperature_celsius", room=room, floor=str(len(room) % 2))] = points
    for job in ("api", "batch"):
        counts = [0.0] * 6
        points = [[] for _ in counts]
        for moment in moments:
            at = jittered(moment)
            for place in range(random.randint(0, 6), 6):
                counts[place] += 1
            running = 0.0
            for place in range(6):
                running = max(running, counts[place])
                points[place].append((at, running))
        for bound, one in zip(("0.1", "0.5", "1", "2.5", "10", "+Inf"), points):
            samples[series("latency_seconds_bucket", job=job, le=bound)] = one
        samples[series("latency_seconds_count", job=job)] = list(points[-1])
    for instance in ("a:1", "b:1", "c:1"):
        samples[series("instance_info", instance=instance, zone=f"zone-{instance[0]}", version="1.2.3")] = [
            (jittered(moment), 1.0) for moment in moments
        ]
        # Less often than the lookback, so with holes.
        samples[series("rare", instance=instance)] = [
            (jittered(moment), float(index)) for index, moment in enumerate(moments[:: 16 + 3 * len(samples) % 8])
        ]
    for name in ("alike_one", "alike_other"):
        samples[series(name, kind="both")] = [(jittered(moment), 1.0) for moment in moments]
    samples[series("queue_depth", queue="alpha", state="unassigned")] = [
        (jittered(moment), float(random.randint(0, 30))) for moment in moments
    ]
    return samples


@pytest.fixture(scope="module")
def twins(server, tmp_path_factory):
    """Both of them, with the same samples, and when those began and ended, in seconds."""
    start = minutes_ago(MINUTES + 5)
    samples = made(start, random.Random(SEED))
    key = server.make_key("ingest")
    for body in otlp(samples):
        headers = {"Authorization": f"Bearer {key}", "Content-Type": "application/json"}
        reply = requests.post(f"{server.url}/v1/metrics", data=body, headers=headers, timeout=120)
        assert reply.status_code == 200 and "partialSuccess" not in reply.json(), reply.text
    with_port = random.Random().randint(20_000, 60_000)
    twin = Twin(PROMETHEUS, Path(tmp_path_factory.mktemp("prometheus")), with_port)
    twin.write(samples)
    yield Asker(server, twin), start // 1_000, start // 1_000 + MINUTES * 60
    twin.stop()


class Asker:
    def __init__(self, server, twin):
        key = server.make_key("viewer")
        self.places = [(f"{server.url}/prometheus", {"Authorization": f"Bearer {key}"}), (twin.url, {})]

    def ask(self, path: str, **parameters) -> list[dict]:
        return [
            requests.post(f"{url}/api/v1/{path}", data=parameters, headers=headers, timeout=120).json()
            for url, headers in self.places
        ]

    def differs(self, path: str, **parameters) -> str | None:
        found = differences(*self.ask(path, **parameters))
        return f"{parameters}: {found}" if found else None


def asked_everywhere(asker: Asker, query: str, start: int, end: int, random: random.Random) -> list[str]:
    """Differences of one query, for a moment and for a range."""
    moment = random.uniform(start - 400, end + 400)
    first = random.uniform(start - 400, end)
    step = random.choice([7, 15, 60, 61.5, 300])
    last = first + step * random.randint(0, 30)
    found = [
        asker.differs("query", query=query, time=f"{moment:.3f}"),
        asker.differs("query_range", query=query, start=f"{first:.3f}", end=f"{last:.3f}", step=str(step)),
    ]
    return [one for one in found if one]


@pytest.mark.parametrize("query", TABLE)
def test_each_form_is_answered_as_prometheus_does(twins, query):
    asker, start, end = twins
    chance = random.Random(query)
    found = [one for _ in range(3) for one in asked_everywhere(asker, query, start, end, chance)]
    assert not found, "\n".join(found)


def test_queries_made_by_chance_are_answered_alike(twins):
    asker, start, end = twins
    chance = random.Random(SEED)
    queries = Queries(chance, start, end)
    found = []
    for _ in range(QUERIES):
        found += asked_everywhere(asker, queries.next(), start, end, chance)
    again = f"REEVE_TEST_SEED={SEED} REEVE_TEST_QUERIES={QUERIES}"
    assert not found, f"{len(found)} of {QUERIES} differ; again with {again}:\n" + "\n".join(found[:12])


@pytest.mark.parametrize("query", REFUSED)
def test_what_prometheus_refuses_is_refused(twins, query):
    asker, _, end = twins
    mine, other = asker.ask("query", query=query, time=str(end))
    assert other["status"] == "error", other
    assert mine["status"] == "error" and mine["errorType"] == other["errorType"], mine
    assert mine["error"]
    if mine["errorType"] == "bad_data":
        assert "parse error" in mine["error"], mine


def test_ranges_are_refused_alike(twins):
    asker, start, end = twins
    for more in (
        {"start": end, "end": start, "step": 15}, {"start": start, "end": end, "step": 0},
        {"start": start, "end": end, "step": -5}, {"start": start, "end": end}, {"start": "x", "end": end, "step": 5},
        {"start": 0, "end": 11_001, "step": 1}, {"start": start, "end": end, "step": "1m30s", "timeout": "x"},
    ):  # fmt: skip
        mine, other = asker.ask("query_range", query="up", **more)
        assert mine["status"] == other["status"] == "error", more
        assert (mine["errorType"], mine["error"].split(":")[0]) == (other["errorType"], other["error"].split(":")[0])


def test_names_and_values_are_listed_alike(twins):
    asker, start, end = twins
    (url, headers), (other_url, _) = asker.places
    times = {"start": str(start), "end": str(end)}
    for path, parameters in (
        ("series", {"match[]": ["requests_total", 'temperature_celsius{room=~".*l.*"}'], **times}),
        ("labels", {"match[]": "requests_total", **times}),
        ("label/room/values", {"match[]": "temperature_celsius", **times}),
        ("label/job/values", {"match[]": '{__name__=~"requests.*|latency.*"}', **times}),
    ):
        mine = requests.get(f"{url}/api/v1/{path}", params=parameters, headers=headers, timeout=60).json()
        other = requests.get(f"{other_url}/api/v1/{path}", params=parameters, timeout=60).json()
        key = (lambda one: sorted(one.items())) if path == "series" else None
        assert mine["status"] == "success" and sorted(mine["data"], key=key) == sorted(other["data"], key=key), path
