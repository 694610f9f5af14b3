"""Processes and folders of a run. All of them end with it, however it ends."""

import ctypes
import shutil
import signal
import socket
import subprocess
import tempfile
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

from .machine import data_root

_libc = ctypes.CDLL(None)


def die_with_parent() -> None:
    """Runs in a child before it becomes its program."""
    _libc.prctl(1, signal.SIGKILL)


def start(command: list[str], **options: Any) -> subprocess.Popen:
    return subprocess.Popen([str(part) for part in command], preexec_fn=die_with_parent, **options)


def stop(process: subprocess.Popen, seconds: float = 30) -> int:
    """Asks a process to end, and waits until it has."""
    if process.poll() is None:
        process.terminate()
        try:
            process.wait(seconds)
        except subprocess.TimeoutExpired:
            process.kill()
            process.wait(seconds)
    return process.returncode


def until(check: Callable[[], Any], seconds: float, what: str, every: float = 0.02) -> Any:
    """Polls until `check` returns something true, and returns that."""
    give_up_at = time.monotonic() + seconds
    while True:
        found = check()
        if found:
            return found
        if time.monotonic() > give_up_at:
            raise TimeoutError(f"{what} did not come about in {seconds} s")
        time.sleep(every)


def free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return probe.getsockname()[1]


class Folder:
    """A folder on the disk that is measured, removed at the end. Open to other users, as PostgreSQL is one."""

    def __enter__(self) -> Path:
        self.path = Path(tempfile.mkdtemp(prefix="reeve-bench.", dir=data_root()))
        self.path.chmod(0o755)
        return self.path

    def __exit__(self, *_: object) -> None:
        shutil.rmtree(self.path, ignore_errors=True)
