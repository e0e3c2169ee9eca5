"""Everything that is checked without running Prism: `python .ci/checks.py`. Two checks run at a time.

Formatting and lint, strict types, the layers, and that the generated protobuf code is current.
"""

from __future__ import annotations

import subprocess
import sys
import time
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
LIMIT = 600
"""Seconds that one check may take."""


@dataclass(frozen=True)
class Outcome:
    """How one check went."""

    name: str
    code: int
    seconds: float
    output: str


def sources() -> list[str]:
    """The source packages of all distributions."""
    found = [ROOT / "core" / "src", *sorted((ROOT / "plugins").glob("*/src")), ROOT / "conformance" / "src"]
    return [
        package.relative_to(ROOT).as_posix()
        for folder in found
        for package in sorted(folder.glob("*"))
        if (package / "py.typed").exists() or (package / "__init__.py").exists()
    ]


def commands() -> dict[str, list[str]]:
    """The checks by name, the longest first."""
    python = sys.executable
    return {
        "types": [python, "-m", "mypy", *sources(), "benchmarks", ".ci"],
        "layers": [python, "-c", "from importlinter.cli import lint_imports_command as run; run()"],
        "lint": [python, "-m", "ruff", "check", "."],
        "format": [python, "-m", "ruff", "format", "--check", "."],
        "generated code": [python, "proto/generate.py", "--check"],
    }


def check(name: str, command: list[str]) -> Outcome:
    """Runs one."""
    start = time.monotonic()
    run = subprocess.run(
        command, cwd=ROOT, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True, timeout=LIMIT, check=False
    )
    return Outcome(name, run.returncode, time.monotonic() - start, run.stdout)


def main() -> None:
    """Runs all of them, prints what failed, and fails where any did."""
    failed = []
    with ThreadPoolExecutor(2) as pool:
        for outcome in pool.map(lambda item: check(*item), commands().items()):
            verdict = "ok" if outcome.code == 0 else "FAILED"
            print(f"{outcome.name:15} {verdict:6} {outcome.seconds:6.1f} s", flush=True)
            if outcome.code != 0:
                print(outcome.output, flush=True)
                failed.append(outcome.name)
    if failed:
        sys.exit(f"failed: {', '.join(failed)}")


if __name__ == "__main__":
    main()
