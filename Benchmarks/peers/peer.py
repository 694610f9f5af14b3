"""One process of a peer: fills its queue, or works on it until it is empty.

    peer.py NAME install|work ADDRESS CONCURRENCY [BATCH]
    peer.py NAME fill ADDRESS COUNT

`work` prints `ready` when everything is imported and connected, begins at a line on standard input, and prints how
many jobs it ran and when, in seconds of the monotonic clock. The clock stops when the last job runs, before its end is
stored: that favours the peer.
"""

import asyncio
import importlib
import json
import sys
import time


class Tally:
    """What this process ran."""

    def __init__(self) -> None:
        self.count, self.last = 0, 0.0

    def ran(self) -> None:
        self.count += 1
        self.last = time.monotonic()

    def show(self, begun: float) -> None:
        print(json.dumps({"completed": self.count, "begun": begun, "ended": self.last or begun}), flush=True)


def wait_for_go() -> float:
    print("ready", flush=True)
    sys.stdin.readline()
    return time.monotonic()


def main() -> None:
    name, verb, address, *numbers = sys.argv[1:]
    peer = importlib.import_module(f"{name}_peer")
    outcome = getattr(peer, verb)(address, *map(int, numbers))
    if asyncio.iscoroutine(outcome):
        if name == "pgqueuer":
            import uvloop

            uvloop.run(outcome)
        else:
            asyncio.run(outcome)


if __name__ == "__main__":
    main()
