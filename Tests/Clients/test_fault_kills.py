"""A server that is killed again and again under load loses nothing and does nothing twice."""

import random
import subprocess
import time

import pytest

from fault_ledger import Ledger, finish_all, inspect
from fault_load import FAST_RETURN, Load
from fault_record import KILLS, Outcome
from reeve_server import Server, die_with_parent, environment, until


@pytest.fixture
def hurt_server(engine, tmp_path):
    server = Server(tmp_path / "data", engine, settings=FAST_RETURN)
    yield server
    if server.process and server.process.poll() is None:
        server.kill()


@pytest.mark.timeout(120 + 15 * KILLS)
def test_repeated_kills_lose_nothing(hurt_server, engine):
    server, ledger, chance = hurt_server.start(), Ledger(), random.Random(17)
    with Outcome("repeated_kills", engine) as outcome:
        outcome.recovery_of = "kill to the first 200 of /ready"
        with Load(server, ledger) as load:
            for _ in range(KILLS):
                enough = ledger.total + 25
                until(lambda enough=enough: ledger.total >= enough, 60, "25 more acknowledged changes", 0.01)
                # Any moment: within a request, a commit, a sync, or between them.
                load.stopping.wait(chance.random() * 0.2)
                killed_at = time.monotonic()
                server.kill()
                server.start(every=0.005)
                outcome.recoveries.append(time.monotonic() - killed_at)
            enough = ledger.total + 25
            until(lambda: ledger.total >= enough, 60, "work after the last restart")
        worker = server.api(load.agents[0])
        finish_all(server.api(), worker, load.queue)
        found = inspect(server, ledger)
        outcome.note = (
            f"{KILLS} kills; {ledger.acknowledged['completion']} completions, "
            f"{len(ledger.deliverables)} deliverables and {len(ledger.streamed)} streamed events compared, "
            f"{ledger.lost_replies} replies lost on the way"
        )
        outcome.judge(ledger, found)
        assert ledger.lost_replies >= KILLS, "the kills did not come under load"
        assert server.stop() == 0


def test_a_second_server_on_the_same_data_is_refused(own_server, engine):
    server = own_server.start()
    with Outcome("second_server", engine) as outcome:
        outcome.acknowledged = outcome.lost = outcome.duplicated = outcome.refused = 0
        before = server.api().create("before")["id"]
        for _ in range(3):
            second = subprocess.run(
                server.command(),
                stdin=subprocess.DEVNULL,
                capture_output=True,
                text=True,
                timeout=60,
                env=environment(),
                preexec_fn=die_with_parent,
            )
            said = second.stdout + second.stderr
            assert second.returncode == 1, (second.returncode, said)
            assert str(server.process.pid) in said, f"it does not say who has the data: {said}"
            assert "login?token=" not in said
            outcome.refused += 1
        after = server.api().create("after")["id"]
        outcome.acknowledged = 2
        outcome.lost = sum(server.api().send("GET", f"/api/v1/tasks/{i}").status_code != 200 for i in (before, after))
        outcome.note = "three starts on the same data directory, each ends with 1 and names the first one's process"
        assert outcome.lost == 0 and server.process.poll() is None
        # The lock is the kernel's: a killed server leaves none behind.
        server.kill()
        server.start()
        assert server.api().state(before) == "ready"
