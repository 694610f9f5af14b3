"""What a benchmark found: printed as a table, and kept as JSON for the page of all of them."""

import argparse
import json
import statistics
from dataclasses import asdict, dataclass, field
from pathlib import Path

from .machine import ROOT, describe

RESULTS = ROOT / ".build/benchmarks"


@dataclass
class Figure:
    """One line of the table. `target` is what was asked for, `met` whether it was reached; both may be absent."""

    what: str
    value: str
    how: str = ""
    target: str = ""
    met: bool | None = None

    @property
    def verdict(self) -> str:
        return {None: "", True: "PASS", False: "short"}[self.met]


@dataclass
class Report:
    """The figures of one benchmark, in the order in which they were found."""

    name: str
    settings: dict[str, str] = field(default_factory=dict)
    figures: list[Figure] = field(default_factory=list)

    def add(self, *figures: Figure) -> None:
        for figure in figures:
            self.figures.append(figure)
            line = f"{figure.what}: {figure.value}"
            print(line + (f"  (target {figure.target}: {figure.verdict})" if figure.target else ""), flush=True)

    def keep(self) -> Path:
        RESULTS.mkdir(parents=True, exist_ok=True)
        path = RESULTS / f"{self.name}.json"
        content = {"name": self.name, "machine": describe(), "settings": self.settings}
        path.write_text(json.dumps({**content, "figures": [asdict(one) for one in self.figures]}, indent=1) + "\n")
        return path


def spread(values: list[float], digits: int = 0) -> str:
    """The median, and the least and the most in brackets."""
    least, middle, most = (f"{one:,.{digits}f}" for one in (min(values), statistics.median(values), max(values)))
    return f"{middle} ({least}–{most})"


def percentile(values: list[float], share: float) -> float:
    """The smallest value that at least so much of the whole does not exceed."""
    ordered = sorted(values)
    return ordered[min(len(ordered) - 1, int(len(ordered) * share))]


def arguments(text: str, **defaults: int) -> argparse.Namespace:
    """The command line of a benchmark: numbers, each with its default."""
    parser = argparse.ArgumentParser(description=text)
    for name, default in defaults.items():
        parser.add_argument(f"--{name.replace('_', '-')}", type=int, default=default, help=f"{default} where absent")
    return parser.parse_args()
