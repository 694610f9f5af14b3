"""What docs/reference says is what the program would write."""

import subprocess
from pathlib import Path

from reeve_server import BINARY

REFERENCE = Path(__file__).resolve().parents[2] / "docs/reference"


def test_the_reference_is_in_step(tmp_path):
    subprocess.run([BINARY, "reference", "--output", str(tmp_path)], check=True, capture_output=True, timeout=60)
    written = {file.name: file.read_text() for file in tmp_path.iterdir()}
    assert written
    kept = {name: (REFERENCE / name).read_text() for name in written}
    stale = [name for name, text in written.items() if kept[name] != text]
    assert not stale, f"run script/docs: {', '.join(stale)} would change"
