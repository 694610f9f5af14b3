"""What a benchmark needs installed, and what it says about the machine that it ran on."""

import os
import platform
import re
import subprocess
import sys
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]
BINARY = os.environ.get("REEVE_TEST_BINARY") or str(ROOT / ".build/release/reeve")
VENV = ROOT / ".build/benchmarks-venv"
REQUIREMENTS = ROOT / "Benchmarks/requirements.txt"
TICKS_PER_SECOND = os.sysconf("SC_CLK_TCK")


def say(text: str) -> None:
    print(text, file=sys.stderr, flush=True)


def need_binary() -> None:
    if not Path(BINARY).exists():
        sys.exit(f"{BINARY} is not there: build it with script/build, or name another one in REEVE_TEST_BINARY.")


def need_packages(*packages: str) -> None:
    """Installs Debian packages that are missing, with the words of the other scripts."""
    script = 'source "$1/script/setup.sh"; shift; need_packages "$@"'
    subprocess.run(["bash", "-c", script, "bash", str(ROOT), *packages], check=True)


def need_peers() -> Path:
    """The Python of an environment with the peers, made anew when their list changes."""
    python, stamp = VENV / "bin/python", VENV / "requirements.txt"
    if not stamp.exists() or stamp.read_text() != REQUIREMENTS.read_text():
        say("Installing the peers …")
        subprocess.run([sys.executable, "-m", "venv", str(VENV)], check=True)
        subprocess.run(
            [str(python), "-m", "pip", "install", "-q", "--disable-pip-version-check", "-r", str(REQUIREMENTS)],
            check=True,
        )
        stamp.write_text(REQUIREMENTS.read_text())
    return python


def cpu_seconds(pid: int) -> float:
    """User and system time of a process with all its threads."""
    fields = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
    return (int(fields[11]) + int(fields[12])) / TICKS_PER_SECOND


def memory_mib(pid: int) -> dict[str, float]:
    """Resident memory of a process: all of it, what is its own, what it shares with files, and the most it had."""
    status = Path(f"/proc/{pid}/status").read_text()
    names = {"resident": "VmRSS", "anonymous": "RssAnon", "file": "RssFile", "peak": "VmHWM"}
    return {name: int(re.search(rf"{field}:\s+(\d+)", status)[1]) / 1024 for name, field in names.items()}


def describe() -> dict[str, str]:
    """The machine and the commit, as far as figures depend on them."""
    model = re.search(r"model name\s*:\s*(.+)", Path("/proc/cpuinfo").read_text())
    memory = re.search(r"MemTotal:\s+(\d+)", Path("/proc/meminfo").read_text())
    disk = subprocess.run(["findmnt", "-nro", "FSTYPE", "-T", data_root()], capture_output=True, text=True).stdout
    commit = subprocess.run(["git", "rev-parse", "--short", "HEAD"], cwd=ROOT, capture_output=True, text=True).stdout
    return {
        "processor": model[1] if model else platform.processor(),
        "cores": str(os.cpu_count()),
        "memory": f"{int(memory[1]) / 1024**2:.0f} GiB",
        "kernel": platform.release(),
        "file system": disk.strip() or "unknown",
        "commit": commit.strip() or "unknown",
    }


def data_root() -> str:
    """Where all stores of a run stand, those of Reeve and those of its peers: one file system, which is a disk."""
    return os.environ.get("REEVE_BENCH_DIR") or os.environ.get("TMPDIR") or "/var/tmp"
