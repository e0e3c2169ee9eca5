"""A real proxy in a process of its own, and the command line run against it."""

from __future__ import annotations

import os
import re
import subprocess
import sys
import uuid
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from dataclasses import dataclass
from typing import Any

import orjson
import pytest
from prism.cli.app import app
from typer.testing import CliRunner

_ADDRESS = re.compile(r"gRPC on (\S+)")


@dataclass(frozen=True, slots=True)
class Outcome:
    """What a command did."""

    code: int
    out: str
    err: str

    @property
    def json(self) -> Any:
        """Standard output as one JSON document."""
        return orjson.loads(self.out)


def run_cli(*arguments: str, stdin: str | bytes | None = None, env: dict[str, str] | None = None) -> Outcome:
    """Runs `prism ARGUMENTS` in this process."""
    result = CliRunner().invoke(app, list(arguments), input=stdin, env=env, prog_name="prism")
    if result.exception is not None and not isinstance(result.exception, SystemExit):
        raise result.exception
    return Outcome(result.exit_code, result.stdout, result.stderr)


@pytest.fixture
def cli() -> Callable[..., Outcome]:
    """Runs a command with whatever proxy it names itself."""
    return run_cli


@pytest.fixture(scope="session")
def proxy_address() -> Iterator[str]:
    """A default proxy: any namespace, in memory."""
    command = [
        sys.executable,
        "-m",
        "prism",
        "serve",
        "--listen",
        "127.0.0.1:0",
        "--http",
        "off",
        "--log-level",
        "error",
    ]
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as process:
        assert process.stdout is not None
        try:
            line = process.stdout.readline()
            match = _ADDRESS.search(line)
            assert match, f"prism serve said {line!r}"
            yield match[1]
        finally:
            process.terminate()
            process.wait(10)


@pytest.fixture
def target(proxy_address: str) -> tuple[str, str]:
    """The proxy's address and a namespace of the test's own."""
    return proxy_address, f"test-{uuid.uuid4().hex}"


@pytest.fixture
def prism(target: tuple[str, str]) -> Callable[..., Outcome]:
    """Runs a command against the proxy, in the test's own namespace."""
    address, namespace = target
    env = {"PRISM_ADDRESS": address, "PRISM_NAMESPACE": namespace}

    def call(*arguments: str, stdin: str | bytes | None = None) -> Outcome:
        return run_cli(*arguments, stdin=stdin, env=env)

    return call


@pytest.fixture
def attached(target: tuple[str, str]) -> Iterator[Callable[..., subprocess.Popen[str]]]:
    """Starts `prism attach ARGUMENTS` in a process of its own; returns once it is attached."""
    address, namespace = target
    env = {**os.environ, "PRISM_ADDRESS": address, "PRISM_NAMESPACE": namespace}
    with ExitStack() as stack:

        def start(*arguments: str) -> subprocess.Popen[str]:
            command = [sys.executable, "-m", "prism", "attach", *arguments]
            pipe = subprocess.PIPE
            process = stack.enter_context(subprocess.Popen(command, stdout=pipe, stderr=pipe, text=True, env=env))
            stack.callback(process.kill)
            assert process.stderr is not None
            line = process.stderr.readline()
            assert line.startswith("attached "), line
            return process

        yield start
