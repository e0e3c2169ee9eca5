"""The example as its README runs it."""

from __future__ import annotations

import os
import re
import subprocess
import sys
from collections.abc import Iterator
from itertools import groupby
from pathlib import Path

import pytest

EXAMPLE = Path(__file__).parents[1]

EXPECTED = """\
> Alice joins engineering
> Bob joins engineering
> Carol joins design
> Alice looks
[engineering] Alice (online), Bob (online)
> Alice says Hello team!
[engineering] Bob hears Alice: Hello team!
[engineering] delivered to 2
> Carol says anybody here?
[design] delivered to 1
> Bob is away
> Alice looks
[engineering] Alice (online), Bob (away)
> Carol moves to engineering
> Bob says lunch?
[engineering] Alice hears Bob: lunch?
[engineering] Carol hears Bob: lunch?
[engineering] delivered to 3
> Bob leaves
> Alice looks
[engineering] Alice (online), Carol (online)
"""


def presence(*arguments: str, stdin: str = "", address: str = "") -> subprocess.CompletedProcess[str]:
    command = [sys.executable, str(EXAMPLE / "presence.py"), *arguments]
    env = {**os.environ, "PRISM_ADDRESS": address}
    return subprocess.run(command, input=stdin, capture_output=True, text=True, timeout=60, check=False, env=env)


def settled(text: str) -> list[str]:
    """The lines; what several people hear at once is sorted, since they hear it in any order."""
    groups = groupby(text.splitlines(), key=lambda line: " hears " in line)
    return [line for heard, lines in groups for line in (sorted(lines) if heard else lines)]


@pytest.fixture(scope="module")
def proxy() -> Iterator[str]:
    command = [sys.executable, "-m", "prism", "serve", "--listen", "127.0.0.1:0", "--http", "off"]
    command += ["--config", str(EXAMPLE / "prism.yaml"), "--log-level", "error"]
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as process:
        assert process.stdout is not None
        match = re.search(r"gRPC on (\S+)", process.stdout.readline())
        assert match
        yield match[1]
        process.terminate()


def test_script_plays_without_a_proxy() -> None:
    done = presence("--embedded", "--script", str(EXAMPLE / "lunch.txt"))
    assert (done.returncode, done.stderr) == (0, "")
    assert settled(done.stdout) == settled(EXPECTED)


def test_script_plays_on_a_proxy(proxy: str) -> None:
    done = presence("--script", str(EXAMPLE / "lunch.txt"), address=proxy)
    assert (done.returncode, done.stderr) == (0, "")
    assert settled(done.stdout) == settled(EXPECTED)


def test_one_person_talks_from_the_keyboard(proxy: str) -> None:
    typed = "/who\nhello there\n/away\n/who\n/room hall\n/nonsense\n/leave\n"
    done = presence("den", "--name", "Dora", stdin=typed, address=proxy)
    assert (done.returncode, done.stderr) == (0, "")
    lines = done.stdout.splitlines()
    assert lines[0].startswith("you are in den.")
    assert lines[1:5] == ["[den] Dora (online)", "[den] delivered to 1", "[den] Dora (away)", "[hall] Dora (away)"]


def test_missing_proxy_is_one_line() -> None:
    done = presence("den", address="127.0.0.1:1")
    assert done.returncode == 1
    assert len(done.stderr.splitlines()) == 1
