"""A disk that keeps only what was synced, below a real server; `powercut/powercut.c` has the model."""

import collections
import shutil
import subprocess
from pathlib import Path

import pytest

SOURCE = Path(__file__).parent / "powercut/powercut.c"
# Never synced, and nobody's loss: SQLite builds the index of its log anew, the lock is the kernel's.
NOT_DURABLE = ("reeve.db-shm", "reeve.lock")


def build(folder):
    """The library that keeps the disk; skips the test where there is no compiler for it."""
    compiler = shutil.which("cc")
    if not compiler:
        pytest.skip("there is no C compiler (cc) to build the disk of the power cuts with")
    library = Path(folder) / "powercut.so"
    command = [compiler, "-shared", "-fPIC", "-O2", "-Wall", "-Wextra", "-o", str(library), str(SOURCE)]
    done = subprocess.run([*command, "-ldl", "-lpthread"], capture_output=True, text=True, timeout=60)
    assert done.returncode == 0, done.stderr
    return library


class Disk:
    """What would be left of `data_dir` if the power went now."""

    def __init__(self, folder, data_dir):
        self.folder, self.data_dir = Path(folder), Path(data_dir)
        for name in ("files", "folders"):
            (self.folder / name).mkdir(parents=True)
        self.data_dir.mkdir(mode=0o700, exist_ok=True)

    def settings(self, library, lie=None, kind="never"):
        """The environment of a server on this disk; with `lie` some of its syncs are only pretended."""
        found = {"LD_PRELOAD": library, "POWERCUT_ROOT": self.data_dir, "POWERCUT_DISK": self.folder}
        found |= {"POWERCUT_LIE": lie, "POWERCUT_LIE_KIND": kind} if lie else {}
        return {name: str(value) for name, value in found.items()}

    def read(self, target):
        """Makes a folder with what is on the disk: after the cut, as its server must be gone."""
        self.read_folder((self.folder / "root").read_text().strip(), Path(target))
        return Path(target)

    def read_folder(self, folder_id, target):
        target.mkdir(mode=0o700)
        names = self.folder / "folders" / folder_id
        for line in names.read_text().splitlines() if names.exists() else ():
            kind, entry_id, name = line.split(" ", 2)
            if kind == "d":
                self.read_folder(entry_id, target / name)
                continue
            content = self.folder / "files" / entry_id
            if content.exists():
                shutil.copyfile(content, target / name)
            else:
                (target / name).touch()
            # The mode is not recorded; the master key is refused with any other.
            (target / name).chmod(0o400 if name == "master.key" else 0o600)

    def syncs(self):
        """How often each kind of file was synced, by its ending or its folder."""
        counted = collections.Counter()
        for line in (self.folder / "syncs").read_text().splitlines():
            kind, _, path = line.split(" ", 2)
            name = path.rsplit("/", 1)[-1]
            counted["folders" if kind == "folder" else "blobs" if path.startswith("/blobs/") else name] += 1
        return counted


def differences(folder, other):
    """Files of `folder` that `other` lacks or has otherwise, but those that need not be durable."""
    found = []
    for path in Path(folder).rglob("*"):
        twin = Path(other) / path.relative_to(folder)
        # The journal of holds is to outlive the process, not the machine.
        if path.is_file() and path.name not in NOT_DURABLE and path.suffix != ".journal":
            if not twin.is_file() or twin.read_bytes() != path.read_bytes():
                found.append(str(path.relative_to(folder)))
    return found
