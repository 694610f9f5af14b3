"""PagerDuty's own client sends its events and changes here: an incident opens, with the change in its timeline."""

from datetime import datetime, timezone

import pytest
from pagerduty import EventsApiV2Client, HttpError
from reeve_server import Server, until

# The door has its scenarios on both engines.
ON_ENGINES = ["sqlite"]


@pytest.fixture(scope="module")
def server(tmp_path_factory):
    server = Server(tmp_path_factory.mktemp("pagerduty")).start()
    yield server
    server.stop()


def events(server, key):
    client = EventsApiV2Client(key)
    client._url = server.url  # its setter takes https alone, and this server has no certificate
    return client


@pytest.fixture
def client(server):
    return events(server, server.api().post("/api/v1/keys", {"role": "ingest", "name": "pipeline"})["key"])


def alerts(server, states):
    items = server.api().get(f"/api/v1/alerts?state={states}")["items"]
    return [item for item in items if item["labels"].get("source") == "db-1"]


def test_an_event_from_its_beginning_to_its_end(server, client):
    client.submit(
        "Build 42 is out", source="pipeline", timestamp=datetime.now(timezone.utc).isoformat(),
        custom_details={"commit": "abc"}, links=[{"href": "https://ci.example/42"}],
    )  # fmt: skip
    key = client.trigger(
        "The disk is full", "db-1", severity="critical", custom_details={"used": "99 %"},
        payload={"component": "disk", "class": "DiskFull"},
    )  # fmt: skip
    [alert] = until(lambda: alerts(server, "firing"))
    assert alert["labels"]["severity"] == "critical" and alert["labels"]["component"] == "disk"
    assert alert["annotations"]["summary"] == "The disk is full" and "99 %" in alert["annotations"]["details"]
    assert client.trigger("The disk is fuller", "db-1", dedup_key=key, payload={"class": "DiskFull"}) == key
    assert len(alerts(server, "firing")) == 1

    # The change of just before stands in the incident's timeline, with what changed.
    path = f"/api/v1/incidents/{alert['incident']}"
    told = lambda: [one for one in server.api().get(path)["timeline"] if one["action"] == "change.reported"]  # noqa: E731
    [entry] = until(told)
    assert "Build 42 is out" in entry["target"]

    client.acknowledge(key)
    until(lambda: server.api().get(path)["milestones"]["acknowledgedAt"])
    client.resolve(key)
    until(lambda: not alerts(server, "firing"))


def test_a_key_that_is_none_is_refused_for_good(server):
    with pytest.raises(HttpError) as refused:
        events(server, "no such key").trigger("x", "db-1")
    assert refused.value.response.status_code == 401
