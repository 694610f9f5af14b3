"""Small disks that a test may fill, and PostgreSQL clusters of a test's own that it may hurt."""

import contextlib
import os
import shutil
import signal
import subprocess
import tempfile
import urllib.parse
import uuid
from pathlib import Path

import pytest

from reeve_server import ROOT, until


@contextlib.contextmanager
def small_disk(folder, mebibytes):
    """A tmpfs of that size at `folder`; skips the test where this machine does not let it be mounted."""
    folder = Path(folder)
    folder.mkdir(parents=True, exist_ok=True)
    if os.geteuid() != 0:
        pytest.skip("mounting a small tmpfs needs root")
    command = ["mount", "-t", "tmpfs", "-o", f"size={mebibytes}m,mode=0755", "tmpfs", str(folder)]
    mounted = subprocess.run(command, capture_output=True, text=True, timeout=20)
    if mounted.returncode != 0:
        pytest.skip(f"a small tmpfs cannot be mounted here: {mounted.stderr.strip()}")
    try:
        yield folder
    finally:
        # Lazily: what still holds a file open ends later.
        subprocess.run(["umount", "--lazy", str(folder)], check=True, timeout=20)


def fill(folder, keep_bytes=0):
    """Fills a disk to its last byte but `keep_bytes`; returns the file, whose removal frees it again."""
    filler = Path(folder) / "filler"
    piece = b"\0" * (64 << 10)
    with open(filler, "ab", buffering=0) as file:
        with contextlib.suppress(OSError):
            while True:
                file.write(piece)
        with contextlib.suppress(OSError):
            while file.write(b"\0"):
                pass
        if keep_bytes:
            file.truncate(max(0, file.tell() - keep_bytes))
    return filler


class Cluster:
    """A PostgreSQL of the test's own."""

    def __init__(self, folder):
        self.folder = Path(folder)
        made = self.script("start")
        assert made.returncode == 0, made.stderr
        self.url = made.stdout.strip().splitlines()[-1]
        self.home = Path((self.folder / "home").read_text().strip())
        self.port = urllib.parse.urlsplit(self.url).port

    def script(self, verb):
        command = [str(ROOT / "script/postgres-cluster"), verb, str(self.folder)]
        return subprocess.run(command, capture_output=True, text=True, timeout=120)

    def database(self, tablespace=None):
        name = f"faults_{uuid.uuid4().hex[:12]}"
        place = f" TABLESPACE {tablespace}" if tablespace else ""
        self.sql(f"CREATE DATABASE {name}{place}")
        return urllib.parse.urlunsplit(urllib.parse.urlsplit(self.url)._replace(path=f"/{name}"))

    def sql(self, statement, check=True):
        command = ["psql", self.url, "-qAtc", statement]
        done = subprocess.run(command, capture_output=True, text=True, timeout=60)
        assert done.returncode == 0 or not check, done.stderr
        return done.stdout.strip()

    def control(self, *arguments):
        """pg_ctl, as the user that owns the cluster."""
        folders = sorted(Path("/usr/lib/postgresql").glob("*/bin"), key=lambda path: float(path.parent.name))
        pg_ctl = str(folders[-1] / "pg_ctl") if folders else "pg_ctl"
        command = [pg_ctl, *arguments, "-w", "-t", "60", "-D", str(self.home / "data")]
        if os.geteuid() == 0:
            command = ["runuser", "-u", "postgres", "--", *command]
        # No open file of ours for the server that it leaves behind, which would keep a reader of it waiting.
        done = subprocess.run(
            command, stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL, timeout=90, cwd="/"
        )
        assert done.returncode == 0, f"pg_ctl {arguments}: {(self.home / 'server.log').read_text()[-500:]}"

    def restart(self):
        """As a crash would: no checkpoint, every backend is ended at once."""
        self.control("restart", "-m", "immediate", "-l", str(self.home / "server.log"), "-o", f"-p {self.port}")

    def stop(self):
        self.control("stop", "-m", "immediate")

    def start(self):
        self.control("start", "-l", str(self.home / "server.log"), "-o", f"-p {self.port}")
        until(lambda: self.sql("SELECT 1", check=False) == "1", 30, "a cluster that answers")

    def terminate_backends(self, database_url):
        name = urllib.parse.urlsplit(database_url).path.lstrip("/")
        self.sql(
            f"SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE datname = '{name}' "
            "AND application_name = 'reeve'"
        )

    def backends(self, database_url):
        name = urllib.parse.urlsplit(database_url).path.lstrip("/")
        found = self.sql(
            f"SELECT pid FROM pg_stat_activity WHERE datname = '{name}' AND application_name = 'reeve'"
        )
        return [int(pid) for pid in found.split()]

    @contextlib.contextmanager
    def frozen(self, database_url):
        """The database's processes stand still, as on a machine that swaps or whose disk hangs."""
        pids = [int((self.home / "data/postmaster.pid").read_text().split()[0]), *self.backends(database_url)]
        for pid in pids:
            os.kill(pid, signal.SIGSTOP)
        try:
            yield
        finally:
            for pid in pids:
                with contextlib.suppress(ProcessLookupError):
                    os.kill(pid, signal.SIGCONT)

    def remove(self):
        self.script("stop")
        assert not self.folder.exists()


@contextlib.contextmanager
def open_folder():
    """A temporary folder that other users may enter, as those of pytest are closed to the user postgres."""
    folder = Path(tempfile.mkdtemp(prefix="reeve-faults."))
    folder.chmod(0o755)
    try:
        yield folder
    finally:
        shutil.rmtree(folder, ignore_errors=True)


def make_postgres_folder(folder):
    """A folder of the user that PostgreSQL runs as."""
    folder.mkdir()
    if os.geteuid() == 0:
        shutil.chown(folder, "postgres")
    return folder
