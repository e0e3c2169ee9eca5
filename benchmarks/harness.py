"""How things are measured here: pairs in turns, medians, and the machine's description beside the numbers.

Times on a shared machine drift by tens of percent within minutes. So what is compared is measured alternately in
one run, a ratio is the median of the rounds' ratios, and every report says where it was made.
"""

from __future__ import annotations

import argparse
import gc
import json
import os
import platform
import statistics
import time
from collections.abc import Awaitable, Callable, Mapping, Sequence
from dataclasses import asdict, dataclass, field
from importlib import metadata
from pathlib import Path

RESULTS = Path(__file__).resolve().parent / "results"
LIBRARIES = ("prism-multicast", "grpcio", "protobuf", "orjson", "nats-py")

Rounds = dict[str, list[float]]
"""Seconds per round, by the name of what was measured."""


def timed(work: Callable[[], object]) -> float:
    """Seconds that one call takes, with the garbage collector's debts paid before."""
    gc.collect()
    start = time.perf_counter()
    work()
    return time.perf_counter() - start


def in_turns(rounds: int, works: Mapping[str, Callable[[], object]]) -> Rounds:
    """Measures several things alternately: a round each of all of them, `rounds` times."""
    for work in works.values():
        work()
    seconds: Rounds = {name: [] for name in works}
    for _ in range(rounds):
        for name, work in works.items():
            seconds[name].append(timed(work))
    return seconds


async def in_turns_async(rounds: int, works: Mapping[str, Callable[[], Awaitable[float]]]) -> Rounds:
    """The same for coroutines, which measure themselves and return their seconds."""
    for work in works.values():
        await work()
    seconds: Rounds = {name: [] for name in works}
    for _ in range(rounds):
        for name, work in works.items():
            gc.collect()
            seconds[name].append(await work())
    return seconds


def ratio(numerator: Sequence[float], denominator: Sequence[float]) -> float:
    """The median of the ratios round by round: what the machine does to a round, it does to both sides of it."""
    return statistics.median(a / b for a, b in zip(numerator, denominator, strict=True))


@dataclass(frozen=True, slots=True)
class Figure:
    """One number. `target` is what was promised, with `at_most` telling its direction; None where nothing was."""

    name: str
    value: float
    unit: str
    target: float | None = None
    at_most: bool = True

    @property
    def reached(self) -> bool | None:
        """Whether the promise is kept; None where there is none."""
        if self.target is None:
            return None
        return self.value <= self.target if self.at_most else self.value >= self.target


@dataclass(slots=True)
class Report:
    """The figures of one benchmark, and the rounds they come from."""

    name: str
    figures: list[Figure] = field(default_factory=list)
    rounds: Rounds = field(default_factory=dict)
    points: dict[str, list[int]] = field(default_factory=dict)
    """Where the rounds of a curve were measured, by what grows along it."""
    hasty: bool | None = None
    """Whether it is a quick look; None asks the command line."""

    def add(
        self, name: str, value: float, unit: str, *, at_most: float | None = None, at_least: float | None = None
    ) -> None:
        """Notes a figure and prints it with its target."""
        target = at_most if at_most is not None else at_least
        figure = Figure(name, value, unit, target, at_least is None)
        self.figures.append(figure)
        print(f"  {name:64} {shown(value):>10} {unit:14}{verdict(figure)}", flush=True)

    def write(self) -> Path:
        """Writes the report as JSON below `benchmarks/results`."""
        RESULTS.mkdir(exist_ok=True)
        path = RESULTS / f"{self.name}.json"
        figures = [{**asdict(figure), "reached": figure.reached} for figure in self.figures]
        document = {
            "name": self.name,
            "environment": environment(),
            "quick": quick() if self.hasty is None else self.hasty,
            "figures": figures,
            "rounds": self.rounds,
            "points": self.points,
        }
        path.write_text(json.dumps(document, indent=1) + "\n")
        return path


def shown(value: float) -> str:
    """A number with three significant digits or no decimals."""
    return f"{value:,.0f}" if abs(value) >= 100 else f"{value:.3g}"


def verdict(figure: Figure) -> str:
    """The target and whether it was reached, for the table."""
    if figure.target is None:
        return ""
    sign = "<=" if figure.at_most else ">="
    return f" target {sign} {shown(figure.target)}: {'reached' if figure.reached else 'NOT REACHED'}"


def environment() -> str:
    """One line about where this was measured."""
    versions = ", ".join(f"{name} {metadata.version(name)}" for name in LIBRARIES)
    load = os.getloadavg()[0]
    return (
        f"{os.cpu_count()} cores {platform.machine()}, {platform.system()} {platform.release().split('-')[0]}, "
        f"Python {platform.python_version()}, {versions}, load {load:.1f} at the end"
    )


def quick() -> bool:
    """Whether the command line asks for a quick look (`--quick`): smaller sizes, fewer rounds, no promises."""
    parser = argparse.ArgumentParser(allow_abbrev=False)
    parser.add_argument("--quick", action="store_true", help="smaller sizes and fewer rounds, to see that it runs")
    return bool(parser.parse_args().quick)
