"""What the tests of the suite share: pytest on a module, in a process of its own."""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest

HEAD = """
import secrets
import pytest
from prism_conformance import MessagingContract, Subject, TurnableClock, replaces

class OnMemory:
    @pytest.fixture
    def subject(self):
        clock = TurnableClock()
        return Subject("memory", {"store": secrets.token_hex(8)}, clock, clock.advance)
"""


@pytest.fixture
def run_pytest(tmp_path: Path) -> Callable[..., str]:
    """Runs pytest on a module that begins with HEAD; returns what it printed."""

    def run(code: str, *arguments: str) -> str:
        (tmp_path / "pytest.ini").write_text("[pytest]\n")
        (tmp_path / "test_it.py").write_text(HEAD + code)
        env = {name: value for name, value in os.environ.items() if not name.startswith("PYTEST_")}
        command = [sys.executable, "-m", "pytest", "-q", "-p", "no:cacheprovider", *arguments, "test_it.py"]
        done = subprocess.run(command, cwd=tmp_path, env=env, capture_output=True, text=True, timeout=60, check=False)
        return f"{done.stdout}{done.stderr}\nexit code {done.returncode}"

    return run
