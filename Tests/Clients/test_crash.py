"""A server that is killed or told to stop leaves everybody as they were; under load: `test_fault_kills.py`."""

import threading
import time

import requests


def test_nobody_is_declared_dead_for_a_restart(own_server):
    """Leases that were granted before a restart get the failover grace before they are swept."""
    server = own_server.start()
    agent = server.make_agent("patient")
    server.api().create("grace", leaseSeconds=2)
    claim = agent.claim("grace")
    claim.beat()
    server.kill()
    time.sleep(2.5)  # The lease runs out while nobody is there to see it.
    server.start()
    reply = claim.beat()
    assert reply["cancel"] is False
    claim.complete("still mine")
    assert server.api().task(claim.id)["output"] == "still mine"


def test_sigterm_ends_a_waiting_claim_and_leaves_with_zero(own_server):
    server = own_server.start()
    agent = server.make_agent("waiting")
    result = {}

    def wait():
        try:
            result["reply"] = agent.send("POST", "/api/v1/tasks/claim", json={"queues": ["none"], "waitSeconds": 30})
        except (requests.RequestException, AssertionError) as error:
            result["error"] = error

    waiter = threading.Thread(target=wait)
    waiter.start()
    waiter.join(0.5)
    started = time.monotonic()
    assert server.stop(seconds=20) == 0
    assert time.monotonic() - started < 15, "it waited for a client that waits for work"
    waiter.join(10)
    assert not waiter.is_alive()


def test_a_restart_keeps_the_key_and_prints_a_new_login_link(own_server):
    server = own_server.start()
    key, link = server.admin_key, server.login_link
    assert link
    server.stop()
    server.start()
    assert server.admin_key == key
    server.api().get("/api/v1/tasks", 200)
    assert server.login_link and server.login_link != link
