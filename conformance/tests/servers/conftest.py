"""What the tests of the servers share: processes that are runs of their own, and waiting for real conditions."""

from __future__ import annotations

import os
import select
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from pathlib import Path

import pytest
from prism_conformance.servers.run import OWNER_VARIABLE

DEADLINE_S = 20.0


@pytest.fixture
def eventually() -> Callable[[Callable[[], bool]], None]:
    """A function that returns when a condition holds and fails when it does not within the deadline."""

    def wait(condition: Callable[[], bool]) -> None:
        deadline = time.monotonic() + DEADLINE_S
        while not condition():
            assert time.monotonic() < deadline, "the condition never came to hold"
            select.select([], [], [], 0.005)

    return wait


@pytest.fixture
def wait_dead() -> Callable[[int], None]:
    """A function that returns when a process has ended and fails when it does not within the deadline."""

    def wait(pid: int) -> None:
        try:
            pidfd = os.pidfd_open(pid)
        except ProcessLookupError:
            return
        try:
            assert select.select([pidfd], [], [], DEADLINE_S)[0], f"process {pid} is still there"
        finally:
            os.close(pidfd)

    return wait


@pytest.fixture
def own_run_env() -> dict[str, str]:
    """The environment for a process that is to be a run of its own, instead of sharing this test run's servers."""
    return {key: value for key, value in os.environ.items() if key != OWNER_VARIABLE and not key.startswith("PYTEST_")}


@pytest.fixture
def python(own_run_env: dict[str, str], tmp_path: Path) -> Iterator[Callable[..., subprocess.Popen[str]]]:
    """A function that runs Python code in a process of its own: `python(code, *arguments, **environment)`."""
    with ExitStack() as stack:

        def run(code: str, *arguments: str, **environment: str) -> subprocess.Popen[str]:
            process = stack.enter_context(
                subprocess.Popen(
                    [sys.executable, "-c", code, *arguments],
                    env={**own_run_env, **environment},
                    cwd=tmp_path,
                    stdin=subprocess.PIPE,
                    stdout=subprocess.PIPE,
                    stderr=subprocess.STDOUT,
                    text=True,
                )
            )
            stack.callback(process.kill)
            return process

        yield run
