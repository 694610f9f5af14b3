"""Senders that offer far more telemetry than a server can take, and go on whatever it answers.

Each request is a template with a stamp of its own in all ids, which costs the senders next to nothing. A record that
may never be shed (an error, or one for the audit) has an id that nothing else has, so that afterwards every one that was
acknowledged can be looked for.
"""

import http.client
import json
import random
import threading
import time
from dataclasses import dataclass, field

RECORDS = 500
"""Records of a request."""

SHARES = (("reasoning", 0.35), ("tool", 0.25), ("model", 0.2), ("system", 0.14), ("error", 0.04), ("audit", 0.02))
"""How many of the records are of each category."""

LASTING = ("error", "audit")
"""Categories that are never shed."""

FILLER = "the reeve writes down what was done in the fields and who did it and what it took to do it"

STAMP = "00f100d0"
"""Stands in a template where each request has its own: hexadecimal digits, as a trace's id has them."""

TEMPLATES = 20


@dataclass
class Batch:
    """A request: its door, its body, and the ids of its records that may not be shed."""

    door: str
    body: bytes
    records: int
    lasting: list[str]

    def stamped(self, stamp: str) -> "Batch":
        body = self.body.replace(STAMP.encode(), stamp.encode())
        return Batch(self.door, body, self.records, [one.replace(STAMP, stamp) for one in self.lasting])


@dataclass
class Tally:
    """What became of the requests of one flood."""

    statuses: dict[int, int] = field(default_factory=dict)
    wrong: list[str] = field(default_factory=list)
    acknowledged: int = 0
    """Records of requests that were answered with 200, shed ones among them."""
    refused_records: int = 0
    shed: int = 0
    lasting: list[tuple[str, str]] = field(default_factory=list)
    """Doors and ids of records that were acknowledged and must be there."""
    late: int = 0
    """Requests that came due while every connection waited for an answer."""
    seconds: float = 0.0

    @property
    def offered(self) -> int:
        return self.acknowledged + self.refused_records


def categories(chance: random.Random, count: int) -> list[str]:
    names, weights = zip(*SHARES)
    return chance.choices(names, weights, k=count)


def logs(chance: random.Random, count: int) -> Batch:
    """JSON lines of all categories."""
    lines, lasting = [], []
    for number, category in enumerate(categories(chance, count)):
        identity = f"flood-{STAMP}-{number}"
        level = "error" if category == "error" else "info"
        text = f"{identity} {chance.getrandbits(64):016x} {FILLER}"
        line = {"level": level, "service": "flood", "category": category, "message": text}
        if category in LASTING:
            lasting.append(identity)
            line["correlation_id"] = identity
        lines.append(json.dumps(line, separators=(",", ":")))
    return Batch("/api/v1/logs", "\n".join(lines).encode(), count, lasting)


def spans(chance: random.Random, at: int, count: int) -> Batch:
    """OTLP's JSON with spans of all categories, each of a trace of its own where it may not be shed."""
    shared, out, lasting = STAMP + f"{chance.getrandbits(96):024x}", [], []
    for number, category in enumerate(categories(chance, count)):
        trace = shared
        if category in LASTING:
            trace = STAMP + f"{chance.getrandbits(96):024x}"
            lasting.append(trace)
        out.append({
            "traceId": trace, "spanId": f"{STAMP}{number + 1:08x}", "name": "step",
            "startTimeUnixNano": str(at), "endTimeUnixNano": str(at + 1_000_000),
            "status": {"code": 2} if category == "error" else {},
            "attributes": [
                {"key": "reeve.category", "value": {"stringValue": category}},
                {"key": "note", "value": {"stringValue": f"{chance.getrandbits(64):016x} {FILLER}"}},
            ],
        })  # fmt: skip
    resource = {"attributes": [{"key": "service.name", "value": {"stringValue": "flood"}}]}
    body = {"resourceSpans": [{"resource": resource, "scopeSpans": [{"spans": out}]}]}
    return Batch("/v1/traces", json.dumps(body, separators=(",", ":")).encode(), count, lasting)


def templates(records: int = RECORDS) -> list[Batch]:
    """Requests of logs and of spans in turn."""
    chance, at = random.Random(records), time.time_ns()
    return [spans(chance, at, records) if n % 2 else logs(chance, records) for n in range(TEMPLATES)]


class Flood:
    """Connections that take the next request as it comes due, and ask nobody whether the last one was welcome."""

    def __init__(self, port: int, key: str, connections: int, seed: int, records: int = RECORDS):
        """`seed` is another one for each flood of a server, 255 at most."""
        self.port, self.key, self.connections, self.seed = port, key, connections, seed
        self.templates = templates(records)
        self.lock = threading.Lock()
        self.tally = Tally()

    def run(self, count: int, per_second: float) -> Tally:
        """Offers so many requests a second; one that comes due while all connections wait is sent as soon as it can."""
        self.count, self.next, self.per_second = count, 0, per_second
        self.begun = time.monotonic()
        crew = [threading.Thread(target=self.work) for _ in range(self.connections)]
        for one in crew:
            one.start()
        for one in crew:
            one.join()
        self.tally.seconds = time.monotonic() - self.begun
        return self.tally

    def take(self) -> Batch | None:
        with self.lock:
            if self.next == self.count:
                return None
            number, self.next = self.next, self.next + 1
        wait = self.begun + number / self.per_second - time.monotonic()
        if wait > 0:
            time.sleep(wait)
        elif wait < -0.1:
            with self.lock:
                self.tally.late += 1
        return self.templates[number % len(self.templates)].stamped(f"{self.seed:02x}{number:06x}")

    def work(self) -> None:
        connection = http.client.HTTPConnection("127.0.0.1", self.port, timeout=120)
        while batch := self.take():
            kind = "application/x-ndjson" if batch.door == "/api/v1/logs" else "application/json"
            headers = {"Authorization": f"Bearer {self.key}", "Content-Type": kind}
            try:
                connection.request("POST", batch.door, batch.body, headers)
                reply = connection.getresponse()
                content = reply.read()
            except (OSError, http.client.HTTPException) as failure:
                with self.lock:
                    self.tally.wrong.append(f"no answer: {failure!r}")
                connection.close()
                continue
            with self.lock:
                self.note(batch, reply, content)

    def note(self, batch: Batch, reply: http.client.HTTPResponse, content: bytes) -> None:
        tally = self.tally
        tally.statuses[reply.status] = tally.statuses.get(reply.status, 0) + 1
        if reply.status == 200:
            tally.acknowledged += batch.records
            tally.shed += shed_of(batch, json.loads(content))
            tally.lasting += [(batch.door, one) for one in batch.lasting]
            return
        tally.refused_records += batch.records
        again = reply.headers.get("Retry-After", "")
        if reply.status not in (429, 503):
            tally.wrong.append(f"{batch.door}: {reply.status} {content[:200]!r}")
        elif not again.isdecimal() or int(again) < 1:
            tally.wrong.append(f"{batch.door}: {reply.status} with Retry-After {again!r}")


def shed_of(batch: Batch, reply: dict) -> int:
    if batch.door == "/api/v1/logs":
        return reply["rejected"]
    return int(reply.get("partialSuccess", {}).get("rejectedSpans", 0))
