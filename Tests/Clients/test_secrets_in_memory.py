"""What a server has in its memory stays there: it is in no dump, no other program reads it; and what was sealed opens
only as it was."""

import json
import os
import secrets
import shutil
import signal
import subprocess
import tempfile
from pathlib import Path

import pytest

from reeve_server import BINARY, die_with_parent, environment, until
from test_planted_secrets import forms


@pytest.mark.parametrize("kind", [signal.SIGABRT, signal.SIGSEGV])
def test_a_crash_leaves_no_memory_behind(own_server, tmp_path, kind, monkeypatch):
    """The shell that starts it allows dumps of any size; the process itself does not."""
    monkeypatch.chdir(tmp_path)
    value = "planted-" + secrets.token_hex(16)
    # The report of a crash is Swift's own, and takes minutes to be written for a program with all its symbols.
    own_server.settings["SWIFT_BACKTRACE"] = "enable=no"
    server = own_server.start()
    api = server.api()
    api.call("PUT", "/api/v1/secrets/org/crash", {"value": value}, 200)
    assert api.get("/api/v1/secrets/org/crash/value")["data"] == {"value": value}
    proc = Path(f"/proc/{server.process.pid}")
    limits = next(line for line in (proc / "limits").read_text().splitlines() if line.startswith("Max core"))
    assert limits.split()[4:6] == ["0", "0"] and (proc / "coredump_filter").read_text().strip().strip("0") == ""
    server.process.send_signal(kind)
    _, status = os.waitpid(server.process.pid, 0)
    assert os.WIFSIGNALED(status) and not os.WCOREDUMP(status), status
    server.process.returncode = -kind
    needles = forms(value)
    for path in tmp_path.rglob("*"):
        if path.is_file():
            content = path.read_bytes()
            assert not path.name.startswith("core") and not any(needle in content for needle in needles), path


def test_no_other_program_of_its_user_reads_its_memory():
    """Root reads whatever it likes; so where the tests are root, the server and who looks are somebody else."""
    folder = Path(tempfile.mkdtemp(prefix="reeve-memory-"))
    binary, nobody = folder / "reeve", 65_534

    def become_somebody():
        if os.getuid() == 0:
            os.setgroups([])
            os.setgid(nobody)
            os.setuid(nobody)
        die_with_parent()

    def look(process):
        # What may read this may attach as a debugger, and read the memory.
        return subprocess.run(["cat", f"/proc/{process.pid}/environ", f"/proc/{process.pid}/maps"], capture_output=True,
                              preexec_fn=become_somebody, timeout=30)  # fmt: skip

    shutil.copy(BINARY, binary)
    if os.getuid() == 0:
        os.chown(folder, nobody, nobody)
        os.chmod(binary, 0o755)
    words = [binary, "serve", "--host", "127.0.0.1", "--port", "0", "--data-dir", folder / "data"]
    other = subprocess.Popen(["sleep", "600"], preexec_fn=become_somebody)
    server = subprocess.Popen(words, stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL,
                              cwd=folder, env=environment(), preexec_fn=become_somebody)  # fmt: skip
    try:
        assert b"/login" in server.stdout.readline()
        until(lambda: look(other).returncode == 0, 10, "a program that can be looked into")
        refused = look(server)
        assert refused.returncode != 0 and refused.stdout == b"", refused
        assert refused.stderr.count(b"Permission denied") == 2, refused
    finally:
        other.kill()
        server.terminate()
        assert server.wait(30) == 0
        other.wait(30)
        server.stdout.close()
        shutil.rmtree(folder)


def test_what_was_tampered_with_is_never_opened(own_server):
    """Sealed values that were changed, moved, or whose key is another one: each is said, and none gives a value."""
    import sqlite3

    if own_server.engine != "sqlite":
        pytest.skip("the file is edited by hand")
    value = {name: f"planted-{name}-" + secrets.token_hex(12) for name in "abc"}
    server = own_server.start()
    for name, text in value.items():
        server.api().call("PUT", f"/api/v1/secrets/org/{name}", {"value": text}, 200)
    assert server.stop() == 0
    with sqlite3.connect(server.data_dir / "reeve.db") as store:
        sealed = dict(store.execute("SELECT path, sealed FROM secret_versions").fetchall())
        flipped = bytearray(sealed["org/a"])
        flipped[-20] ^= 1
        store.execute("UPDATE secret_versions SET sealed = ? WHERE path = 'org/a'", (bytes(flipped),))
        store.execute("UPDATE secret_versions SET sealed = ? WHERE path = 'org/b'", (sealed["org/c"],))
    store.close()
    server.start()
    for name in "ab":
        reply = server.api().refused("GET", f"/api/v1/secrets/org/{name}/value", status=500, code="seal_broken")
        assert not any(text in json.dumps(reply) for text in value.values()), name
    assert server.api().get("/api/v1/secrets/org/c/value")["data"] == {"value": value["c"]}
    # A value is told from what was changed by itself alone: the others stay as good as they were.
    assert server.stop() == 0
    key = server.data_dir / "master.key"
    kept = key.read_text()
    version, digits = kept.splitlines()[-1].split()
    others = ((f"{version} {digits[::-1]}\n", "not the one"), (f"{int(version) + 1} {digits}\n", "master key"))
    for text, words in others:
        os.chmod(key, 0o600)
        key.write_text(text)
        os.chmod(key, 0o400)
        server.start()
        problem = server.api().refused("GET", "/api/v1/secrets/org/c/value", status=503, code="master_key")
        assert words in problem["detail"], problem
        assert value["c"] not in json.dumps(problem)
        assert server.stop() == 0
    os.chmod(key, 0o600)
    key.write_text(kept)
    os.chmod(key, 0o400)
    server.start()
    assert server.api().get("/api/v1/secrets/org/c/value")["data"] == {"value": value["c"]}
    assert server.stop() == 0
