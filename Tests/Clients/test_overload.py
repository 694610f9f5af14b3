"""More telemetry than the server takes, into a full `telemetry.diskQuota`: shed as said, and never a failure."""

import sys
import threading
import time

import pytest

from reeve_server import ROOT, Server, until

sys.path.insert(0, str(ROOT / "Benchmarks"))
from kit.flood import LASTING, Flood  # noqa: E402

ON_ENGINES = ["sqlite"]
MIB = 1 << 20
RECORDS = 200
SMALL = {
    "REEVE_TELEMETRY_DISK_QUOTA": str(MIB),
    "REEVE_TELEMETRY_SPOOL_BYTES": str(2 * MIB),
    "REEVE_LIMITS_KEY_REQUESTS_PER_SECOND": "100000",
}


@pytest.fixture(scope="module")
def crowded(engine, tmp_path_factory):
    """A server whose telemetry has all of the disk that it may have."""
    server = Server(tmp_path_factory.mktemp("overload") / "data", engine, settings=SMALL).start()
    flood(server, 1, count=60)
    api = server.api()

    def sheds():
        line = {"message": "is there room?", "category": "system", "service": "probe"}
        reply = api.send("POST", "/api/v1/logs", json=line)
        return reply.status_code == 200 and reply.json()["rejected"] == 1

    until(sheds, 30, "the quota to be noticed", every=0.5)
    yield server
    assert server.stop() == 0


def flood(server, seed, count, connections=12):
    port = int(server.url.rpartition(":")[2])
    sender = Flood(port, server.make_key("ingest", f"flood {seed}"), connections, seed, RECORDS)
    return sender.run(count, per_second=1e9)


def ledgers(api):
    items = api.get("/api/v1/telemetry/ledger")["items"]
    return {one["signal"]: one for one in items if one["signal"] in ("traces", "logs")}


def at_rest(api):
    def settled():
        told = ledgers(api)
        for one in told.values():
            ends = one["stored"] + one["rejected"] + one["shed"] + one["duplicate"] + one["pending"]
            if one["received"] != ends:
                return None
        return told

    return until(settled, 60, "a ledger at rest")


class Beats:
    """Heartbeats while something else goes on; the seconds of each."""

    def __init__(self, agent):
        self.agent, self.took, self.is_over = agent, [], threading.Event()
        self.thread = threading.Thread(target=self.run)

    def run(self):
        while not self.is_over.wait(0.02):
            begun = time.monotonic()
            beat = {"type": "agent.heartbeat", "agent": self.agent.agent}
            self.agent.post("/api/events/ingest", beat, 200)
            self.took.append(time.monotonic() - begun)

    def __enter__(self):
        self.thread.start()
        return self

    def __exit__(self, *_):
        self.is_over.set()
        self.thread.join()


def test_overload_sheds_as_said_and_loses_nothing_that_was_acknowledged(crowded):
    api = crowded.api()
    before = ledgers(api)
    with Beats(crowded.make_agent("beats")) as beats:
        # So many at once that they crowd it also where both share few cores.
        tally = flood(crowded, 2, count=400, connections=24)
    assert tally.wrong == []
    # Some had to come again, as the spool is small, and some did not.
    assert set(tally.statuses) == {200, 503}, tally.statuses
    after = at_rest(api)
    gained = {
        name: sum(after[signal][name] - before[signal][name] for signal in after)
        for name in ("shed", "received", "refusedRequests")
    }
    # Reeve's own spans and lines go the same way.
    own = gained["received"] - tally.acknowledged
    assert 0 <= own <= 1_000
    assert 0 < tally.shed <= gained["shed"] <= tally.shed + own
    assert 0 <= gained["refusedRequests"] - tally.statuses[503] <= 1_000
    for one in after.values():
        assert set(one["shedByCategory"]) == {"reasoning", "tool", "model", "system"}
        assert one["shed"] == sum(one["shedByCategory"].values())
    assert len(beats.took) > 10
    assert max(beats.took) < 5
    assert missing(api, tally) == []


def missing(api, tally):
    lines = {one for door, one in tally.lasting if door == "/api/v1/logs"}
    traces = {one for door, one in tally.lasting if door == "/v1/traces"}
    assert lines and traces
    for category in LASTING:
        after = ""
        while after is not None:
            page = api.get(f"/api/v1/logs?category={category}&service=flood&limit=5000&after={after}")
            lines -= {one["correlation_id"] for one in page["items"]}
            after = page["next"]
    return sorted(lines) + [one for one in traces if api.send("GET", f"/api/v1/traces/{one}").status_code != 200]
