"""Throw-away stores: a PostgreSQL cluster and a Redis, both at full durability."""

import os
import subprocess
import urllib.parse
from pathlib import Path

from . import children
from .machine import ROOT
from .reeve import Refused


class Postgres:
    """One cluster for Reeve and its peers alike."""

    SETTINGS = ("server_version", "fsync", "synchronous_commit", "full_page_writes", "shared_buffers")

    def __init__(self, folder: Path):
        self.folder = folder
        self.url = ""

    def __enter__(self) -> "Postgres":
        script = ROOT / "script/postgres-cluster"
        environment = {**os.environ, "TMPDIR": str(self.folder.parent)}
        started = subprocess.run(
            [script, "start", self.folder], check=True, capture_output=True, text=True, env=environment
        )
        self.url = started.stdout.strip()
        shown = self.shown()
        if shown["fsync"] != "on" or shown["synchronous_commit"] != "on":
            raise Refused(f"the cluster is not durable: {shown}")
        return self

    def __exit__(self, *_: object) -> None:
        subprocess.run([ROOT / "script/postgres-cluster", "stop", self.folder], check=False)

    def psql(self, sql: str, url: str | None = None) -> str:
        command = ["psql", url or self.url, "-qAtX", "-c", sql]
        return subprocess.run(command, check=True, capture_output=True, text=True).stdout.strip()

    def shown(self) -> dict[str, str]:
        return {name: self.psql(f"SHOW {name}") for name in self.SETTINGS}

    def database(self, name: str) -> str:
        """The address of a new database."""
        self.psql(f"CREATE DATABASE {name} ENCODING 'UTF8' TEMPLATE template0")
        parts = urllib.parse.urlsplit(self.url)
        return urllib.parse.urlunsplit(parts._replace(path=f"/{name}"))


class Redis:
    """A Redis that syncs its append-only file before it answers."""

    def __init__(self, folder: Path):
        self.folder = folder
        self.port = children.free_port()
        self.url = f"redis://127.0.0.1:{self.port}/0"

    def __enter__(self) -> "Redis":
        self.folder.mkdir()
        command = ["redis-server", "--bind", "127.0.0.1", "--port", self.port, "--dir", self.folder, "--save", ""]
        command += ["--appendonly", "yes", "--appendfsync", "always"]
        self.process = children.start(command, stdout=subprocess.DEVNULL)
        children.until(lambda: self.ask("ping") == "PONG", 20, "a Redis that answers")
        if self.ask("config", "get", "appendfsync").split() != ["appendfsync", "always"]:
            raise Refused("Redis does not sync")
        return self

    def __exit__(self, *_: object) -> None:
        children.stop(self.process)

    def ask(self, *words: str) -> str:
        command = ["redis-cli", "-p", str(self.port), *words]
        return subprocess.run(command, capture_output=True, text=True).stdout.strip()


class ClickHouse:
    """Debian's ClickHouse, as the tests have it."""

    def __init__(self, folder: Path):
        self.folder = folder
        self.url = ""

    def __enter__(self) -> "ClickHouse":
        script = ROOT / "script/clickhouse-server"
        started = subprocess.run([script, "start", self.folder], check=True, capture_output=True, text=True)
        self.url = started.stdout.strip()
        return self

    def __exit__(self, *_: object) -> None:
        subprocess.run([ROOT / "script/clickhouse-server", "stop", self.folder], check=False)

    @property
    def pid(self) -> int:
        return int((self.folder / "pid").read_text())
