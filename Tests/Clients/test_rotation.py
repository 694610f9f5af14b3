"""A key is replaced under live traffic, and no call fails: agents read it with Vault's client and call a provider that
takes the old and the new one for a while. The server is killed in the middle of the steps. And the command line."""

import http.server
import json
import random
import re
import subprocess
import threading

import hvac
import pytest
import requests
from reeve_server import BINARY, Server, environment, until

PATH = "project/books/provider"
AGENTS = 6


class Provider(http.server.BaseHTTPRequestHandler):
    """Takes the keys that are in force, and says so."""

    protocol_version = "HTTP/1.1"

    def do_GET(self):
        key = self.headers.get("authorization", "").removeprefix("Bearer ")
        with self.server.lock:
            status = 200 if key in self.server.keys else 401
        self.send_response(status)
        self.send_header("content-length", "0")
        self.end_headers()

    def log_message(self, *_):
        pass


@pytest.fixture
def provider():
    server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), Provider)
    server.daemon_threads = True
    server.lock, server.keys = threading.Lock(), set()
    threading.Thread(target=server.serve_forever, daemon=True).start()
    yield server
    server.shutdown()
    server.server_close()


class Agent(threading.Thread):
    """Reads the key now and then, keeps it where it cannot be read, and calls the provider with what it has."""

    def __init__(self, reeve, provider, key):
        super().__init__(daemon=True)
        self.kv = hvac.Client(url=reeve.url, token=key, timeout=5).secrets.kv.v2
        self.address = f"http://127.0.0.1:{provider.server_address[1]}/v1/me"
        self.held, self.calls, self.failed, self.ended = None, 0, [], threading.Event()

    def read(self):
        try:
            found = self.kv.read_secret_version(path=PATH, raise_on_deleted_version=True)["data"]
        except (requests.RequestException, hvac.exceptions.VaultError):
            return
        self.held = (found["metadata"]["version"], found["data"]["value"])

    def run(self):
        with requests.Session() as session:
            while not self.ended.is_set():
                if self.held is None or self.calls % 5 == 0:
                    self.read()
                if self.held:
                    reply = session.get(self.address, headers={"authorization": f"Bearer {self.held[1]}"}, timeout=20)
                    if reply.status_code != 200:
                        self.failed.append((reply.status_code, self.held))
                    self.calls += 1
                self.ended.wait(0.005)


@pytest.fixture
def reeve(engine, tmp_path):
    server = Server(tmp_path / "data", engine, settings={"REEVE_SECRETS_PROBE_PRIVATE": "true"})
    server.start()
    yield server
    if server.process and server.process.poll() is None:
        server.kill()


def step(reeve, verb, body, wanted, kills):
    """Asks for a step until it is done; with `kills` the server dies somewhere within the first time."""
    api = reeve.api()
    where = f"/api/v1/secrets/{PATH}/rotation" + (f"/{verb}" if verb else "")
    if kills:
        def ask():
            try:
                api.send("POST", where, json=body, timeout=5)
            except requests.RequestException:
                pass

        asking = threading.Thread(target=ask)
        asking.start()
        asking.join(random.uniform(0, 0.03))
        reeve.kill()
        asking.join()
        reeve.start()
        api = reeve.api()
    reply = api.send("POST", where, json=body)
    # A step that was kept though nobody heard of it is refused the second time.
    assert reply.status_code == 200 or kills and reply.status_code == 409, reply.text
    shown = api.get(f"/api/v1/secrets/{PATH}/rotation", 200)
    assert shown["state"] == wanted, shown
    return shown


@pytest.mark.parametrize("kills", [False, True], ids=["alive", "killed"])
def test_no_call_fails_while_the_key_is_replaced(reeve, provider, kills):
    provider.keys = {"key-number-0"}
    api = reeve.api()
    api.call("PUT", f"/api/v1/secrets/{PATH}", {"value": "key-number-0"}, 200)
    names = [f"agent-{number}" for number in range(AGENTS)]
    api.call("PUT", f"/api/v1/secrets/{PATH}/grants", {"agents": names}, 200)
    address = f"http://127.0.0.1:{provider.server_address[1]}/v1/me"
    probe = {"url": address, "headers": {"authorization": "Bearer {{value}}"}}
    api.call("PUT", f"/api/v1/secrets/{PATH}/rotation", {"probe": probe}, 200)
    agents = [Agent(reeve, provider, reeve.make_key("agent", agent=name)) for name in names]
    for agent in agents:
        agent.start()
    for number in range(1, 4):
        new = f"key-number-{number}"
        until(lambda: all(agent.held for agent in agents), 30, "every agent's first reading")
        staged = step(reeve, "", {"value": new}, "staged", kills)
        # The provider does not take it yet, and the probe finds that out.
        refused = reeve.api().refused(
            "POST", f"/api/v1/secrets/{PATH}/rotation/verify", {}, status=409, code="probe_failed"
        )
        assert new not in json.dumps(refused)
        with provider.lock:
            provider.keys.add(new)
        step(reeve, "verify", {}, "verified", kills)
        step(reeve, "issue", {}, "overlap", kills)
        until(lambda: all(agent.held[0] == staged["newVersion"] for agent in agents), 30, "every agent to move")
        # Who moved is told, and who used the old one is known: nobody does any more.
        shown = reeve.api().get(f"/api/v1/secrets/{PATH}/rotation", 200)
        assert all(user["moved"] for user in shown["users"] if user["agent"]), shown
        assert len([user for user in shown["users"] if user["agent"]]) == AGENTS
        # The old one stays for a day, so the way back is what ends it here.
        back = step(reeve, "return", {"reason": "the end of this test's round"}, "returned", kills)
        assert back["version"] == back["oldVersion"]
        until(lambda: all(agent.held[0] == back["version"] for agent in agents), 30, "every agent to move back")
        with provider.lock:
            provider.keys.discard(new)
    for agent in agents:
        agent.ended.set()
    for agent in agents:
        agent.join()
    assert [agent.failed for agent in agents] == [[]] * AGENTS
    assert sum(agent.calls for agent in agents) > 100
    # Each step was told once, however often it was asked for.
    told = [event["type"] for event in reeve.api().events() if event["type"].startswith("secret.rotation_")]
    assert told == [f"secret.rotation_{word}" for word in ("staged", "verified", "issued", "returned")] * 3


def run(reeve, *arguments, stdin=b"", status=0):
    done = subprocess.run(
        [BINARY, *arguments],
        input=stdin,
        capture_output=True,
        env=environment(REEVE_URL=reeve.url, REEVE_KEY=reeve.admin_key),
        timeout=60,
    )
    assert done.returncode == status, (arguments, done.stdout, done.stderr)
    return done.stdout.decode()


def test_the_command_line_rotates_and_cuts(reeve, provider):
    provider.keys = {"the-new-value"}
    address = f"http://127.0.0.1:{provider.server_address[1]}/v1/me"
    run(reeve, "secrets", "set", "org/x", stdin=b"the-old-value\n")
    assert "never rotated" in run(reeve, "secrets", "status", "org/x")
    header = ["--probe", address, "--header", "authorization: Bearer {{value}}"]
    run(reeve, "secrets", "rotate", "org/x", "--issue", stdin=b"x", status=2)
    text = run(reeve, "secrets", "rotate", "org/x", *header, "--issue", stdin=b"the-new-value\n")
    assert "overlap, version 1 to 2; version 2 is given out" in text and "the end of the overlap: in 23 h" in text
    assert not re.search(r"\d{4}-\d\d-\d\dT", text), text
    short = run(reeve, "secrets", "set", "org/y", stdin=b"the-old-value\n")
    assert "fewer than" not in short
    short = run(reeve, "secrets", "rotate", "org/y", "--reason", "called by hand", stdin=b"eve\n")
    assert "verified" in short and "Values of fewer than 8 bytes are not found" in short
    run(reeve, "secrets", "retire", "org/x", status=1)
    cut = json.loads(run(reeve, "secrets", "compromise", "org/x", "--reason", "it was in a log", "--json"))
    assert cut["state"] == "retired" and cut["compromised"] and cut["version"] == 2
    assert run(reeve, "secrets", "get", "org/x").strip() == "the-new-value"
    run(reeve, "secrets", "get", "org/x", "--number", "1", status=1)
    assert json.loads(run(reeve, "secrets", "rewrap", "--json")) == {"rewrapped": 0, "left": 0}


def test_keys_of_reeve_take_each_others_place(reeve):
    old = reeve.make_key("viewer")
    made = reeve.api().get("/api/v1/keys?limit=200", 200)["items"]
    number = next(item["id"] for item in made if item["role"] == "viewer")
    rotated = json.loads(run(reeve, "keys", "rotate", number, "--overlap-hours", "0", "--json"))
    assert rotated["replaces"] == number
    assert reeve.api(rotated["key"]).get("/api/v1/me", 200)["role"] == "viewer"
    # The old one ends with the next round.
    until(lambda: reeve.api(old).send("GET", "/api/v1/me").status_code == 401, 30, "the old key's end")
    run(reeve, "keys", "rotate", number, status=1)
