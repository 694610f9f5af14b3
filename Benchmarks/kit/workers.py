"""Workers that claim and complete over HTTP, played by wrk: one thread and one connection each."""

import json
import signal
import subprocess
from dataclasses import dataclass
from pathlib import Path

from . import children
from .reeve import Refused, Server

SCRIPT = Path(__file__).resolve().parents[1] / "wrk/claims.lua"


@dataclass
class Work:
    """What a crew of workers did. Times are in seconds of the monotonic clock, latencies in microseconds."""

    completed: int
    seconds: float
    claim_us: list[int]

    @property
    def per_second(self) -> float:
        return self.completed / self.seconds


def work(server: Server, keys: list[str], queue: str, folder: Path, batch: int = 1, claims_max: int = 0) -> Work:
    """Each key works until the queue is empty, or has claimed `claims_max` times."""
    results = [folder / f"{queue}.{n}.json" for n in range(len(keys))]
    command = ["wrk", "-t", len(keys), "-c", len(keys), "-d", "900s", "--timeout", "60s", "-s", SCRIPT, server.url]
    command += ["--", queue, batch, claims_max, folder / queue, *keys]
    process = children.start(command, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True)
    try:
        children.until(
            lambda: process.poll() is not None or all(result.exists() for result in results), 600, "workers' end"
        )
        process.send_signal(signal.SIGINT)
        output = process.communicate(timeout=30)[0]
    finally:
        children.stop(process)
    if not all(result.exists() for result in results):
        raise Refused(f"wrk ended early: {output[-1000:]}")
    told = [json.loads(result.read_text()) for result in results]
    for result in results:
        result.unlink()
    refused = [one["refusal"] for one in told if one["refusal"]]
    if refused:
        raise Refused(f"a worker was refused: {refused[0]}")
    return Work(
        completed=sum(one["completed"] for one in told),
        seconds=max(one["ended"] for one in told) - min(one["begun"] for one in told),
        claim_us=sorted(us for one in told for us in one["claim_us"]),
    )
