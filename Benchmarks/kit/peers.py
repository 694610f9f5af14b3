"""The libraries that Reeve is measured beside, each in processes of its own."""

import json
import subprocess
from dataclasses import dataclass
from pathlib import Path

from . import children
from .reeve import Refused
from .workers import Work

SCRIPT = Path(__file__).resolve().parents[1] / "peers/peer.py"


@dataclass(frozen=True)
class Peer:
    """`processes` of the module `name`, each with the numbers that its `work` takes."""

    name: str
    python: Path
    address: str
    processes: int
    numbers: tuple[int, ...]

    def run(self, verb: str, *numbers: int) -> None:
        subprocess.run([self.python, SCRIPT, self.name, verb, self.address, *map(str, numbers)], check=True)

    def work(self) -> Work:
        """All processes are ready, begin at one moment, and work until the queue is empty."""
        command = [self.python, SCRIPT, self.name, "work", self.address, *self.numbers]
        crew = [
            children.start(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)
            for _ in range(self.processes)
        ]
        try:
            for process in crew:
                if process.stdout.readline().strip() != "ready":
                    raise Refused(f"{self.name} does not begin")
            for process in crew:
                process.stdin.write("go\n")
                process.stdin.flush()
            told = [json.loads(process.communicate(timeout=600)[0].splitlines()[-1]) for process in crew]
        finally:
            for process in crew:
                children.stop(process)
        busy = [one for one in told if one["completed"]]
        return Work(
            completed=sum(one["completed"] for one in told),
            seconds=max(one["ended"] for one in busy) - min(one["begun"] for one in told),
            claim_us=[],
        )
