"""The log: every change once, in one order, without a gap; and live."""

import json
import queue
import socket
import threading

import pytest
import requests

from reeve_server import until


class Stream:
    """A reader of the live stream (the event-stream format of the HTML standard)."""

    def __init__(self, api, last_event_id=None, path="/api/v1/events/stream"):
        headers = {"Authorization": f"Bearer {api.key}", "Accept": "text/event-stream"}
        if last_event_id is not None:
            headers["Last-Event-ID"] = str(last_event_id)
        self.reply = requests.get(api.url + path, headers=headers, stream=True, timeout=60)
        assert self.reply.status_code == 200, self.reply.text
        assert self.reply.headers["content-type"].startswith("text/event-stream")
        self.events = queue.Queue()
        threading.Thread(target=self.read, daemon=True).start()

    def read(self):
        event = {"data": []}
        try:
            for raw in self.reply.iter_lines(chunk_size=1):
                line = raw.decode()
                if not line:
                    if event["data"]:
                        self.events.put({**event, "data": json.loads("\n".join(event["data"]))})
                    event = {"data": []}
                elif not line.startswith(":"):
                    field, _, value = line.partition(":")
                    value = value.removeprefix(" ")
                    event["data"].append(value) if field == "data" else event.update({field: value})
        except (requests.RequestException, AttributeError, ValueError):
            pass

    def next(self, seconds=10):
        return self.events.get(timeout=seconds)

    def take(self, count, seconds=10):
        return [self.next(seconds) for _ in range(count)]

    def close(self):
        """Hangs up, also under a reader that waits for the next event."""
        try:
            self.reply.raw.connection.sock.shutdown(socket.SHUT_RDWR)
        except (OSError, AttributeError):
            pass
        self.reply.close()


@pytest.fixture
def stream(admin):
    opened = []

    def open_stream(*arguments, api=admin, **options):
        opened.append(Stream(api, *arguments, **options))
        return opened[-1]

    yield open_stream
    for each in opened:
        each.close()


def test_numbers_have_no_gap_and_pages_no_seam(admin, agent, name):
    for _ in range(5):
        admin.create(name)
        agent.claim(name).complete()
    everything = admin.events()
    assert [event["seq"] for event in everything] == list(range(1, len(everything) + 1))
    paged, after = [], 0
    while items := admin.get(f"/api/v1/events?after={after}&limit=7")["items"]:
        paged += items
        after = items[-1]["seq"]
    assert paged[: len(everything)] == everything


def test_every_change_of_a_task_is_in_the_log_in_order(admin, agent, name):
    before = admin.last_seq()
    made = admin.create(name)
    claim = agent.claim(name)
    claim.beat(progress=0.1)
    claim.complete()
    mine = [event for event in admin.events(before) if event.get("taskId") == made["id"]]
    assert len(mine) >= 4
    assert [event["taskSeq"] for event in mine] == list(range(1, len(mine) + 1))
    assert mine[0]["type"] == "task.created" and mine[-1]["type"] == "task.done"
    assert all(event["at"] and event["actor"] for event in mine)


def test_what_is_refused_leaves_no_event(admin, agent, name):
    admin.create(name)
    claim = agent.claim(name)
    before = admin.last_seq()
    claim.refused("complete", status=409, fence=claim.fence + 1, output=1)
    admin.create(name, 422, leaseSeconds=-1)
    assert [event for event in admin.events(before) if event["type"].startswith("task.")] == []
    claim.complete()


def test_a_stream_without_an_id_begins_now(admin, stream, name):
    admin.create(name)
    before = admin.last_seq()
    live = stream()
    # The stream is open once its headers are there; what comes after that must arrive.
    made = admin.create(name)
    first = live.next()
    assert first["data"]["taskId"] == made["id"]
    assert int(first["id"]) == first["data"]["seq"] > before


def test_a_stream_from_zero_tells_everything(admin, stream, name):
    admin.create(name)
    everything = admin.events()
    told = stream(0).take(len(everything))
    assert [item["data"] for item in told] == everything
    assert [int(item["id"]) for item in told] == [event["seq"] for event in everything]


def test_a_reader_that_comes_back_misses_nothing(admin, agent, stream, name):
    start = admin.last_seq()
    live = stream(start)
    for _ in range(3):
        admin.create(name)
    seen = [int(item["id"]) for item in live.take(3)]
    live.close()
    for _ in range(4):
        agent.claim_all(name, limit=1)
        admin.create(name)
    end = admin.last_seq()
    again = stream(seen[-1])
    seen += [int(item["id"]) for item in again.take(end - seen[-1])]
    assert seen == list(range(start + 1, end + 1))


def test_many_readers_get_the_same_in_the_same_order(admin, agent, stream, name):
    start = admin.last_seq()
    readers = [stream(start) for _ in range(10)]
    for _ in range(10):
        admin.create(name)
    for item in agent.claim_all(name, limit=10):
        agent.post(f"/api/v1/tasks/{item['task']['id']}/complete", {"fence": item["fence"], "output": None})
    end = admin.last_seq()
    told = [[item["data"]["seq"] for item in reader.take(end - start)] for reader in readers]
    assert all(numbers == list(range(start + 1, end + 1)) for numbers in told)


def test_an_id_that_is_no_number_is_refused(admin):
    for value in ("abc", "-1", "1.5"):
        admin.refused("GET", "/api/v1/events/stream", status=422, headers={"Last-Event-ID": value})
        admin.refused("GET", f"/api/v1/events?after={value}", status=422)


def test_a_reader_who_may_not_read_is_refused(server, ingest):
    assert requests.get(f"{server.url}/api/v1/events/stream").status_code == 401
    ingest.refused("GET", "/api/v1/events/stream", status=403)
    ingest.refused("GET", "/api/v1/events", status=403)


def test_changes_of_an_agents_status_are_events(admin, operator, agent):
    before = admin.last_seq()
    agent.post("/api/events/ingest", {"type": "agent.heartbeat"}, 200)
    operator.post(f"/api/v1/agents/{agent.agent}/pause")
    until(
        lambda: [
            event
            for event in admin.events(before)
            if event.get("agent") == agent.agent and "paused" in (event["type"] + str(event["data"]))
        ],
        10,
        "an event that the agent is paused",
    )
