"""A fleet whose heartbeats come at a steady rate, over a few hundred kept connections.

wrk sends as fast as it is answered; here the rate is given. Every agent beats once an interval, one request a beat, and
the beats of the fleet are spread evenly over it. A connection carries one request at a time. What the sender could not
send in time is told, so that a rate that was not kept cannot pass for one that was.
"""

import json
import select
import socket
import time
from collections import deque
from dataclasses import dataclass, field


@dataclass
class Beats:
    """What became of a stretch of heartbeats."""

    sent: int = 0
    answered: int = 0
    refused: int = 0
    seconds: float = 0.0
    late_ms_max: float = 0.0
    waits: int = 0
    latencies_ms: list[float] = field(default_factory=list)

    @property
    def per_second(self) -> float:
        return self.answered / self.seconds


class Fleet:
    """Agents by number, each with its own name, that beat through one `ingest` key."""

    def __init__(self, port: int, key: str, agents: int, connections: int = 256):
        self.requests = [self.request(key, {"type": "agent.heartbeat", **self.beat(n)}) for n in range(agents)]
        self.next = 0
        self.poll = select.epoll()
        self.sockets: dict[int, socket.socket] = {}
        for _ in range(connections):
            one = socket.create_connection(("127.0.0.1", port))
            one.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
            self.sockets[one.fileno()] = one
            self.poll.register(one.fileno(), select.EPOLLIN)
        self.idle = deque(self.sockets)
        self.under_way: dict[int, float] = {}

    @staticmethod
    def beat(number: int) -> dict[str, object]:
        return {"agent": f"agent-{number}", "statusMessage": "at work", "cpuPercent": 12.5, "memoryBytes": 104857600}

    @staticmethod
    def request(key: str, body: object) -> bytes:
        content = json.dumps(body, separators=(",", ":")).encode()
        head = f"POST /api/events/ingest HTTP/1.1\r\nHost: reeve\r\nAuthorization: Bearer {key}\r\n"
        return f"{head}Content-Type: application/json\r\nContent-Length: {len(content)}\r\n\r\n".encode() + content

    def run(self, per_second: float, seconds: float) -> Beats:
        """Sends at the rate for so long, then waits for what is under way."""
        beats, begun = Beats(), time.monotonic()
        total = int(per_second * seconds)
        while beats.sent < total:
            now = time.monotonic()
            due = min(total, int((now - begun) * per_second) + 1)
            while beats.sent < due and self.idle:
                late = now - begun - beats.sent / per_second
                beats.late_ms_max = max(beats.late_ms_max, late * 1000)
                self.send(beats)
            beats.waits += beats.sent < due
            self.receive(beats, 0.001)
        beats.seconds = time.monotonic() - begun
        give_up_at = time.monotonic() + 30
        while self.under_way and time.monotonic() < give_up_at:
            self.receive(beats, 0.1)
        return beats

    def send(self, beats: Beats) -> None:
        handle = self.idle.popleft()
        self.sockets[handle].sendall(self.requests[self.next])
        self.under_way[handle] = time.monotonic()
        self.next = (self.next + 1) % len(self.requests)
        beats.sent += 1

    def receive(self, beats: Beats, timeout: float) -> None:
        for handle, _ in self.poll.poll(timeout):
            reply = self.sockets[handle].recv(65536)
            if not reply.startswith(b"HTTP/1.1 200"):
                beats.refused += 1
            if not reply:
                raise ConnectionError("the server closed a connection")
            beats.latencies_ms.append((time.monotonic() - self.under_way.pop(handle)) * 1000)
            beats.answered += 1
            self.idle.append(handle)

    def close(self) -> None:
        for one in self.sockets.values():
            one.close()
        self.poll.close()
