"""OTLP requests of spans as an agent's SDK sends them, made ahead so that a benchmark measures the server alone."""

import gzip
import random
import struct

SPANS = 512
"""Spans of a request: the batch of OpenTelemetry's SDKs."""

WORDS = "search the archive for letters of the reeve and say what they tell of the harvest in short plain words".split()


def varint(value: int) -> bytes:
    out = bytearray()
    while value >= 0x80:
        out.append(value & 0x7F | 0x80)
        value >>= 7
    out.append(value)
    return bytes(out)


def field(number: int, content: bytes) -> bytes:
    return varint(number << 3 | 2) + varint(len(content)) + content


def pair(name: str, value: object) -> bytes:
    """An attribute (`KeyValue`)."""
    if isinstance(value, str):
        inner = field(1, value.encode())
    elif isinstance(value, int):
        inner = varint(3 << 3) + varint(value)
    else:
        inner = varint(4 << 3 | 1) + struct.pack("<d", value)
    return field(1, name.encode()) + field(2, inner)


def span(chance: random.Random, trace: bytes, parent: bytes, at: int) -> tuple[bytes, bytes]:
    """A step of an agent with a dozen attributes, and its id."""
    identity = chance.randbytes(8)
    words = " ".join(chance.choices(WORDS, k=12))
    taken = chance.randrange(1_000_000, 4_000_000_000)
    head = field(1, trace) + field(2, identity) + (field(4, parent) if parent else b"")
    times = varint(7 << 3 | 1) + struct.pack("<Q", at) + varint(8 << 3 | 1) + struct.pack("<Q", at + taken)
    if chance.random() < 0.5:
        name, told = "chat gpt-4o-mini", [
            ("gen_ai.operation.name", "chat"), ("gen_ai.provider.name", "openai"),
            ("gen_ai.request.model", "gpt-4o-mini"), ("gen_ai.response.model", "gpt-4o-mini-2024-07-18"),
            ("gen_ai.usage.input_tokens", chance.randrange(20, 8000)),
            ("gen_ai.usage.output_tokens", chance.randrange(5, 900)), ("gen_ai.request.temperature", 0.2),
            ("gen_ai.response.id", f"chatcmpl-{chance.getrandbits(64):016x}"), ("server.address", "127.0.0.1"),
        ]  # fmt: skip
    else:
        name, told = "execute_tool search", [
            ("gen_ai.operation.name", "execute_tool"), ("gen_ai.tool.name", "search"),
            ("gen_ai.tool.call.id", f"call_{chance.getrandbits(48):012x}"), ("gen_ai.tool.call.arguments", words),
            ("code.function.name", "search.run"), ("thread.id", chance.randrange(1, 9)),
        ]  # fmt: skip
    told += [("session.id", f"session-{trace[:3].hex()}"), ("gen_ai.agent.name", "scribe"), ("step.note", words[:40])]
    rest = field(5, name.encode()) + varint(6 << 3) + varint(3)
    return head + times + rest + b"".join(field(9, pair(*one)) for one in told), identity


def requests(count: int, seed: int) -> tuple[list[bytes], int]:
    """So many requests, packed with gzip, and the bytes that they have unpacked. No id comes twice."""
    chance = random.Random(seed)
    named = (("service.name", "agent-service"), ("service.version", "1.4.2"), ("host.name", "worker-3"))
    resource = b"".join(field(1, pair(*one)) for one in named)
    scope = field(1, field(1, b"agents") + field(2, b"2.0"))
    packed, size = [], 0
    at = 1_700_000_000_000_000_000
    for _ in range(count):
        spans, trace, parent = [], b"", b""
        for number in range(SPANS):
            if number % 24 == 0:
                trace, parent = chance.randbytes(16), b""
            at += 1_000_000
            message, identity = span(chance, trace, parent, at)
            parent = parent or identity
            spans.append(field(2, message))
        body = field(1, field(1, resource) + field(2, scope + b"".join(spans)))
        size += len(body)
        packed.append(gzip.compress(body, 1))
    return packed, size
