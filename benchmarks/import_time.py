"""What `import prism` adds to starting Python, measured in fresh interpreters."""

from __future__ import annotations

import statistics
import subprocess
import sys
from functools import partial

from benchmarks.harness import Report, in_turns, quick

STATEMENTS = {
    "nothing": "pass",
    "import prism": "import prism",
    "from prism import Client, Filter, F": "from prism import Client, Filter, F",
    "import grpc": "import grpc",
}


def main() -> None:
    """Measures and reports."""
    rounds = 3 if quick() else 15
    report = Report("import_time")

    def start(statement: str) -> None:
        subprocess.run([sys.executable, "-c", statement], check=True)

    report.rounds = in_turns(rounds, {name: partial(start, code) for name, code in STATEMENTS.items()})
    median = {name: statistics.median(values) * 1e3 for name, values in report.rounds.items()}
    report.add("starting Python", median["nothing"], "ms")
    report.add("import prism, on top", median["import prism"] - median["nothing"], "ms", at_most=100)
    name = "from prism import Client, Filter, F"
    report.add(f"{name}, on top", median[name] - median["nothing"], "ms")
    report.add("import grpc, for comparison, on top", median["import grpc"] - median["nothing"], "ms")
    report.write()


if __name__ == "__main__":
    main()
