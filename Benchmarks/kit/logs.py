"""Log lines as a fleet's services write them, made ahead so that a benchmark measures the server alone."""

import json
import random

LINES = 1_000
"""Lines of a request."""

SERVICES = ("planner", "writer", "reviewer", "search")
STEPS = (
    "claimed task {0} from queue reports, attempt {1}", "model answered in {1} ms with {0} tokens",
    "tool search returned {1} documents for request {0}", "deliverable {0} sealed, {1} bytes",
    "retry {1} after status 429 from provider, request {0}", "memory read of key {0} took {1} us",
)  # fmt: skip


def correlation(number: int) -> str:
    return f"order-{number:08x}"


def messages(chance: random.Random, count: int):
    """Time-free lines: service, level, text."""
    for _ in range(count):
        text = chance.choice(STEPS).format(f"{chance.getrandbits(40):010x}", chance.randrange(1, 9000))
        level = "error" if chance.random() < 0.02 else "warning" if chance.random() < 0.05 else "info"
        yield chance.choice(SERVICES), level, text


def loki_requests(count: int, seed: int, lines: int = LINES) -> tuple[list[bytes], int]:
    """So many pushes in JSON, and the bytes of their lines."""
    chance = random.Random(seed)
    bodies, size = [], 0
    at = 1_790_000_000_000_000_000 + seed * 10**12
    for _ in range(count):
        streams: dict[tuple[str, str], list] = {}
        for service, level, text in messages(chance, lines):
            at += 1_000
            streams.setdefault((service, level), []).append([str(at), text])
            size += len(text)
        body = {"streams": [
            {"stream": {"app": service, "level": level, "env": "prod"}, "values": values}
            for (service, level), values in streams.items()
        ]}  # fmt: skip
        bodies.append(json.dumps(body, separators=(",", ":")).encode())
    return bodies, size


def json_requests(count: int, seed: int, ids: int, lines: int = LINES) -> tuple[list[bytes], int]:
    """So many bodies of one record a line, each of one of `ids` correlation ids, and their bytes."""
    chance = random.Random(seed)
    bodies, size = [], 0
    at = 1_790_000_000_000_000_000 + seed * 10**12
    for _ in range(count):
        records = []
        for service, level, text in messages(chance, lines):
            at += 1_000
            records.append(
                f'{{"timestamp":{at},"level":"{level}","service":"{service}","message":"{text}",'
                f'"correlation_id":"{correlation(chance.randrange(ids))}","turn":{chance.randrange(20)}}}'
            )
        bodies.append("\n".join(records).encode())
        size += len(bodies[-1])
    return bodies, size
