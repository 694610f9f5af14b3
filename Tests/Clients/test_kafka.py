"""Log records go on to Kafka: a real consumer reads them from librdkafka's mock cluster."""

import json

import pytest
from confluent_kafka import Consumer, Producer
from reeve_server import until

# The queue stands beside the store, so one engine tells as much as two.
ON_ENGINES = ["sqlite"]
TOPIC = "reeve-logs"


@pytest.fixture
def kafka():
    """The address of a cluster of its own, which lives as long as its producer."""
    cluster = Producer({"bootstrap.servers": "unused", "test.mock.num.brokers": 1})
    brokers = cluster.list_topics(timeout=20).brokers.values()
    yield ",".join(f"{broker.host}:{broker.port}" for broker in brokers)
    del cluster


def consumer(address):
    reader = Consumer({"bootstrap.servers": address, "group.id": "tests", "auto.offset.reset": "earliest"})
    reader.subscribe([TOPIC])
    return reader


def read(reader, wanted):
    """Messages by their text, once all of those that are wanted have come."""
    found = {}

    def look():
        message = reader.poll(0.2)
        if message is not None and not message.error():
            found[json.loads(message.value())["message"]] = message
        return wanted <= found.keys()

    until(look, seconds=30, what=f"the messages {wanted}", every=0)
    return found


def send(api, records):
    assert api.post("/api/v1/logs", records)["rejected"] == 0


def test_records_go_on_to_kafka_also_after_a_kill(own_server, kafka):
    own_server.settings["REEVE_TELEMETRY_KAFKA"] = f"kafka://{kafka}/{TOPIC}"
    admin = own_server.start().api()
    send(admin, [
        {"message": "one", "correlation_id": "order-1", "agent_id": "scribe", "tool": "search", "turn": 2},
        {"message": "two", "level": "ERROR", "service": "writer"},
    ])
    reader = consumer(kafka)
    found = read(reader, {"one", "two"})
    assert found["one"].key() == b"order-1"
    assert dict(found["one"].headers()) == {"category": b"tool", "agent": b"scribe"}
    shown = admin.get("/api/v1/logs", params={"correlationId": "order-1"})["items"]
    assert [json.loads(found["one"].value())] == shown
    assert dict(found["two"].headers()) == {"category": b"error"}

    send(admin, [{"message": f"before {number}"} for number in range(50)])
    own_server.kill()
    admin = own_server.start().api()
    send(admin, [{"message": "after"}])
    read(reader, {"after", *(f"before {number}" for number in range(50))})

    def delivered():
        lines = admin.send("GET", "/metrics").text.splitlines()
        counts = dict(line.rsplit(" ", 1) for line in lines if line.startswith("reeve_kafka_"))
        return counts["reeve_kafka_records_waiting"] == "0" and counts

    counts = until(delivered, what="a queue that is empty")
    assert int(counts['reeve_kafka_records_total{outcome="delivered"}']) >= 1
    assert counts['reeve_kafka_records_total{outcome="failed"}'] == "0"
    assert counts['reeve_kafka_records_total{outcome="dropped"}'] == "0"
    reader.close()


def test_an_address_that_is_none_is_told_at_the_start(own_server):
    own_server.settings["REEVE_TELEMETRY_KAFKA"] = "kafka://me:secret@127.0.0.1:9092/t"
    with pytest.raises(AssertionError):
        own_server.start(seconds=10)
    log = own_server.log_path.read_text()
    assert "A password does not belong in the address of Kafka" in log
    assert "secret" not in log
