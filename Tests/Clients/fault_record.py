"""What came of each fault, kept for the report of `script/chaos`."""

import json
import os
import time

import pytest

RECORD = os.environ.get("REEVE_TEST_RECORD")
KILLS = int(os.environ.get("REEVE_TEST_KILLS") or 8)
# The whole run of `script/chaos` has time for what takes minutes.
IS_WHOLE_RUN = bool(RECORD)


class Outcome:
    """One scenario on one engine. Written as a line of JSON when it ends, well or badly."""

    def __init__(self, scenario, engine):
        self.scenario, self.engine = scenario, engine
        self.acknowledged = self.lost = self.duplicated = self.refused = None
        self.recoveries = []  # seconds
        self.recovery_of = ""  # from what to what they were measured
        self.note = ""

    def __enter__(self):
        self.started = time.monotonic()
        return self

    def __exit__(self, kind, error, _):
        line = {name: value for name, value in vars(self).items() if name != "started"}
        line |= {"seconds": time.monotonic() - self.started, "passed": kind is None}
        line |= {"skipped": isinstance(error, pytest.skip.Exception), "error": str(error)[:300] if error else None}
        if RECORD:
            with open(RECORD, "a") as file:
                file.write(json.dumps(line) + "\n")

    def judge(self, ledger, found):
        """Takes the figures of a load over, then fails where anything was lost or done twice."""
        self.acknowledged = ledger.total
        self.refused = sum(ledger.refused.values())
        self.lost, self.duplicated = len(found.lost), len(found.duplicated)
        found.check()
        assert not ledger.wrong, f"{len(ledger.wrong)} wrong replies: {ledger.wrong[:5]}"
