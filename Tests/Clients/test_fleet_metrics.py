"""What becomes of agents, tasks and requests, as metrics; and the alerts of the guides, which must be able to fire."""

import time
from collections.abc import Iterator

import httpx
import pytest

from gateway_kit import bearer, running, scrape
from reeve_server import ENGINES, Server, until
from test_metrics import total, value

pytestmark = pytest.mark.usefixtures("plain")


@pytest.fixture(scope="module", params=ENGINES)
def reeve(request, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Server]:
    with running(tmp_path_factory.mktemp("fleet-metrics"), {}, request.param) as server:
        yield server


def beat(reeve: Server, key: str, agent: str) -> None:
    reply = httpx.post(
        f"{reeve.url}/api/events/ingest", headers=bearer(key),
        json={"type": "agent.heartbeat", "agent": agent, "statusMessage": "here"},
    )
    assert reply.is_success, reply.text


def test_heartbeats_stay_when_the_agent_is_gone(reeve: Server, name: str) -> None:
    api, agent = reeve.api(), f"scribe-{name}"
    api.post("/api/v1/agents", {"name": agent, "labels": {"type": "scribe"}}, 201)
    key = reeve.make_key("agent", agent, agent)
    labels = {"agent": agent, "agent_type": "scribe"}
    assert value(scrape(reeve), "agent_last_heartbeat_timestamp_seconds", **labels) is None
    began = time.time()
    beat(reeve, key, agent)
    found = value(scrape(reeve), "agent_last_heartbeat_timestamp_seconds", **labels)
    assert began - 5 < found < time.time() + 5
    assert value(scrape(reeve), "agent_status", status="idle", **labels) == 1
    assert reeve.stop() == 0
    reeve.start()
    assert value(scrape(reeve), "agent_last_heartbeat_timestamp_seconds", **labels) == found
    httpx.delete(f"{reeve.url}/api/v1/agents/{agent}", headers=bearer(reeve.admin_key)).raise_for_status()
    assert value(scrape(reeve), "agent_last_heartbeat_timestamp_seconds", **labels) is None


def test_a_task_from_its_queue_to_its_end(reeve: Server, name: str) -> None:
    agent, queue = reeve.make_agent(f"worker-{name}"), f"queue-{name}"
    reeve.api().create(queue, type=f"brief-{name}")
    now = scrape(reeve)
    assert value(now, "agent_queue_depth", queue=queue, state="unassigned") == 1
    claim = agent.claim(queue)
    claim.beat()
    now = scrape(reeve)
    assert value(now, "agent_queue_depth", queue=queue, state="unassigned") == 0
    assert value(now, "agent_queue_depth", queue=queue, state="leased") == 1
    assert value(now, "agent_task_oldest_in_progress_seconds", task_type=f"brief-{name}") >= 0
    assert value(now, "agent_task_in_progress_seconds", task_type=f"brief-{name}", agent=agent.agent) >= 0
    claim.deliver("brief", "words")
    claim.complete()
    now = scrape(reeve)
    said = {"task_type": f"brief-{name}"}
    assert value(now, "agent_tasks_finished_total", agent=agent.agent, status="done", **said) == 1
    assert value(now, "agent_task_duration_seconds_count", status="done", **said) == 1
    assert value(now, "agent_task_creation_to_done_seconds_count", **said) == 1
    assert value(now, "agent_task_attempts_total", agent=agent.agent, queue=queue, result="started") == 1
    assert value(now, "agent_deliverables_total", agent=agent.agent) == 1
    assert value(now, "agent_working_seconds_total", agent=agent.agent) > 0
    assert value(now, "agent_task_oldest_in_progress_seconds", **said) is None


def test_requests_by_their_pattern(reeve: Server, name: str) -> None:
    before = scrape(reeve)
    for number in range(5):
        assert httpx.get(f"{reeve.url}/api/v1/tasks/none-{number}", headers=bearer(reeve.admin_key)).status_code == 404
    assert httpx.get(f"{reeve.url}/nowhere-{name}").status_code == 404
    assert httpx.get(f"{reeve.url}/metrics").status_code == 401
    now = scrape(reeve)

    def grown(metric: str, **labels: str) -> float:
        return total(now, metric, **labels) - total(before, metric, **labels)

    assert grown("reeve_http_requests_total", route="/api/v1/tasks/{id}", method="GET", status="4xx") == 5
    assert grown("reeve_http_request_duration_seconds_count", route="/api/v1/tasks/{id}", method="GET") == 5
    assert grown("reeve_http_requests_total", route="none", method="none", status="4xx") == 1
    assert grown("reeve_http_requests_total", route="/metrics", status="4xx") == 1
    assert not any("none-" in str(key) or "nowhere" in str(key) for key in now)
    # The scrape itself is under way.
    assert value(now, "reeve_http_requests_in_flight") == 1


def test_who_leaves_is_counted(reeve: Server) -> None:
    route = {"route": "/api/v1/events/stream", "method": "GET", "status": "left"}
    before = total(scrape(reeve), "reeve_http_requests_total", **route)
    with httpx.stream("GET", f"{reeve.url}/api/v1/events/stream", headers=bearer(reeve.admin_key)) as stream:
        assert stream.status_code == 200
        assert value(scrape(reeve), "reeve_http_requests_in_flight") >= 2
    until(lambda: total(scrape(reeve), "reeve_http_requests_total", **route) >= before + 1, 10, "the stream's end")
    until(lambda: value(scrape(reeve), "reeve_http_requests_in_flight") == 1, 5, "nothing but the scrape")
