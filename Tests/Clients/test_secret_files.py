"""Secrets as files of a program that `reeve run` and `reeve work` start: in memory, in no variable, with new versions,
and gone when the runner is, however it ends. The real program, run by the real command."""

import json
import signal
import stat
import subprocess
import sys
import textwrap
from pathlib import Path

import pytest

from reeve_server import BINARY, environment, is_running, until

VALUE, SECOND = "value-of-a-" + "7d3c" * 6, "second-of-a-" + "9b1e" * 6

# Tells where its secrets are, then what each signal finds there.
PROGRAM = textwrap.dedent(
    """
    import json, os, signal, sys, time
    folder = os.environ["REEVE_SECRETS_DIR"]
    out = sys.argv[1]
    held = open(os.path.join(folder, "a")) if os.path.exists(os.path.join(folder, "a")) else None
    def tell(name):
        found = {}
        for one in os.listdir(folder):
            path = os.path.join(folder, one)
            found[one] = [open(path).read(), oct(os.stat(path).st_mode & 0o777)]
        told = {"pid": os.getpid(), "folder": folder, "mode": oct(os.stat(folder).st_mode & 0o777), "files": found,
                "environment": dict(os.environ), "arguments": open(f"/proc/{os.getpid()}/cmdline").read()}
        if name == "changed" and held: told["held"] = held.read()
        with open(f"{out}/{name}.new", "w") as file: json.dump(told, file)
        os.rename(f"{out}/{name}.new", f"{out}/{name}")
    signal.signal(signal.SIGHUP, lambda *_: tell("changed"))
    tell("started")
    while True: time.sleep(0.1)
    """
)


@pytest.fixture
def agent(server, name):
    return server.make_agent(name)


def put(server, path, value, *agents):
    server.api().call("PUT", f"/api/v1/secrets/{path}", {"value": value}, 200)
    server.api().call("PUT", f"/api/v1/secrets/{path}/grants", {"agents": list(agents)}, 200)


def holder(server, path, agent):
    holders = server.api().get(f"/api/v1/secrets/{path}")["holders"]
    return next((one for one in holders if one["agent"] == agent), None)


class Run:
    def __init__(self, server, agent, folder: Path, *arguments, **more):
        self.out = folder / "out"
        self.out.mkdir()
        (folder / "program.py").write_text(PROGRAM)
        command = [BINARY, "run", "--agent", agent.agent, *arguments, "--", sys.executable, folder / "program.py",
                   self.out]
        self.process = subprocess.Popen(
            command, env=environment(REEVE_URL=server.url, REEVE_KEY=agent.key, **more), text=True,
            stdout=subprocess.PIPE, stderr=subprocess.STDOUT)

    def told(self, name, seconds=20):
        return json.loads(until(lambda: (p := self.out / name).exists() and p.read_text(), seconds, name))

    def end(self, how=signal.SIGTERM):
        self.process.send_signal(how)
        output = self.process.communicate(timeout=20)[0]
        return self.process.returncode, output


def test_a_program_finds_its_secrets_and_hears_of_new_ones(server, agent, name, tmp_path):
    path = f"project/{name}/a"
    put(server, path, VALUE, agent.agent)
    run = Run(server, agent, tmp_path, "--secret", f"a=secret://{path}", "--on-secret", "signal:HUP")
    told = run.told("started")
    assert told["files"] == {"a": [VALUE, "0o400"]} and told["mode"] == "0o700"
    filesystem = subprocess.run(
        ["stat", "-f", "-c", "%T", told["folder"]], capture_output=True, text=True, check=True).stdout.strip()
    assert filesystem in ("tmpfs", "ramfs") or not Path("/dev/shm").exists()
    assert VALUE not in str(told["environment"]) and VALUE not in told["arguments"]
    held = holder(server, path, agent.agent)
    assert held["version"] == 1 and held["leasedUntil"]

    server.api().call("PUT", f"/api/v1/secrets/{path}", {"value": SECOND}, 200)
    changed = run.told("changed")
    assert changed["pid"] == told["pid"] and changed["files"]["a"][0] == SECOND
    # Who had the old file open goes on reading it.
    assert changed["held"] == VALUE
    until(lambda: holder(server, path, agent.agent)["version"] == 2, 10, "the new version's holder")

    status, output = run.end()
    assert status == 0, output
    assert not Path(told["folder"]).exists()
    assert VALUE not in output and SECOND not in output
    until(lambda: not holder(server, path, agent.agent)["leasedUntil"], 10, "the end of the lease")


def test_a_restart_on_change(server, agent, name, tmp_path):
    path = f"user/{name}/a"
    put(server, path, VALUE, agent.agent)
    run = Run(server, agent, tmp_path, "--secret", f"a=secret://{path}", "--on-secret", "restart")
    first = run.told("started")
    server.api().call("PUT", f"/api/v1/secrets/{path}", {"value": SECOND}, 200)
    until(lambda: run.told("started")["pid"] != first["pid"], 20, "another start")
    assert run.told("started")["files"]["a"][0] == SECOND
    # A grant that is taken back takes the file.
    server.api().call("PUT", f"/api/v1/secrets/{path}/grants", {"agents": []}, 200)
    until(lambda: run.told("started")["files"] == {}, 20, "the file's end")
    assert run.end()[0] == 0


def test_after_a_kill_nothing_is_left(server, agent, name, tmp_path):
    path = f"org/{name}"
    put(server, path, VALUE, agent.agent)
    run = Run(server, agent, tmp_path, "--secret", f"a=secret://{path}")
    told = run.told("started")
    run.process.kill()
    run.process.wait(10)
    # The guard ends the program, then its folder.
    until(lambda: not Path(told["folder"]).exists(), 15, "the folder's end")
    assert not is_running(told["pid"])


def test_the_configuration_names_secrets(server, agent, name, tmp_path):
    path = f"platform/{name}"
    put(server, path, VALUE, agent.agent)
    bundle = tmp_path / "bundle"
    bundle.mkdir()
    (bundle / "agent.yaml").write_text(f"models: {{main: gpt-4o-mini-2024-07-18}}\nsecrets: {{a: 'secret://{path}'}}\n")
    push = subprocess.run(
        [BINARY, "config", "push", bundle, "--agent", agent.agent, "-m", "with a secret"], text=True,
        env=environment(REEVE_URL=server.url, REEVE_KEY=server.admin_key), capture_output=True)
    assert push.returncode == 0, push.stderr
    run = Run(server, agent, tmp_path)
    assert run.told("started")["files"] == {"a": [VALUE, "0o400"]}
    assert run.end()[0] == 0


@pytest.mark.parametrize("value, status", [("secret://platform/none-such", 1), ("sk-the-key-itself", 64)])
def test_what_cannot_be_had_stops_the_start(server, agent, tmp_path, value, status):
    done = subprocess.run(
        [BINARY, "run", "--agent", agent.agent, "--secret", f"a={value}", "--", "touch", tmp_path / "ran"],
        env=environment(REEVE_URL=server.url, REEVE_KEY=agent.key), capture_output=True, text=True, timeout=60)
    assert done.returncode in (status, 2 if status == 64 else status), done
    assert not (tmp_path / "ran").exists()
    assert "sk-the-key" not in done.stdout + done.stderr.split("Usage")[0]


def test_a_worker_s_tasks_find_them(server, agent, name, tmp_path):
    path = f"project/{name}/a"
    put(server, path, VALUE, agent.agent)
    server.api().create(name)
    done = subprocess.run(
        [BINARY, "work", "--queue", name, "--agent", agent.agent, "--once", "--secret", f"a=secret://{path}", "--",
         "sh", "-c", f'stat -c %a "$REEVE_SECRETS_DIR/a" > {tmp_path}/mode; cp "$REEVE_SECRETS_DIR/a" {tmp_path}/a'],
        env=environment(REEVE_URL=server.url, REEVE_KEY=agent.key), capture_output=True, text=True, timeout=60)
    assert done.returncode == 0, done.stdout + done.stderr
    assert (tmp_path / "a").read_text() == VALUE and (tmp_path / "mode").read_text() == "400\n"
    assert stat.S_IMODE((tmp_path / "a").stat().st_mode)
