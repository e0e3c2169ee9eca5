"""Runs the benchmarks, each in a process of its own: `python -m benchmarks [--quick] [NAME ...]`."""

from __future__ import annotations

import argparse
import subprocess
import sys
import time

from benchmarks.plots import draw, results
from benchmarks.table import write_page
from benchmarks.workers import ROOT

NAMES = (
    "import_time",
    "filters",
    "memory",
    "register",
    "enumerate",
    "multicast",
    "streams",
    "nats",
    "kafka",
    "expiry",
    "postgres",
    "postgres_queues",
    "redis_registry",
    "redis_messages",
    "attached",
    "presence",
    "redis_growth",
    "postgres_growth",
)
LIMIT = 300
"""Seconds that one of them may take."""


def run(name: str, options: list[str]) -> bool:
    """Runs one; whether it could be measured, whatever the figures are."""
    print(f"{name}", flush=True)
    start = time.monotonic()
    try:
        code = subprocess.run(
            [sys.executable, "-m", f"benchmarks.{name}", *options], cwd=ROOT, timeout=LIMIT, check=False
        ).returncode
    except subprocess.TimeoutExpired:
        print(f"  gave up after {LIMIT} s", flush=True)
        return False
    print(f"  {time.monotonic() - start:.0f} s", flush=True)
    return code == 0


def main() -> None:
    """Runs all that are named, or all there are, and draws what they found."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks", description=__doc__)
    parser.add_argument("names", nargs="*", metavar="NAME", help=f"which: {', '.join(NAMES)}")
    parser.add_argument("--quick", action="store_true", help="smaller sizes and fewer rounds, to see that all runs")
    parser.add_argument("--page", action="store_true", help="write docs/benchmarks.md and its plots anew")
    arguments = parser.parse_args()
    unknown = set(arguments.names) - set(NAMES)
    if unknown:
        parser.error(f"there is no benchmark {', '.join(sorted(unknown))}; there are {', '.join(NAMES)}")
    options = ["--quick"] if arguments.quick else []
    failed = [name for name in arguments.names or NAMES if not run(name, options)]
    draw(results())
    if arguments.page:
        write_page()
    if failed:
        sys.exit(f"could not be measured: {', '.join(failed)}")


if __name__ == "__main__":
    main()
