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
from prism_conformance.rfc import EXAMPLE_1

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


def program(name: str, *arguments: str, stdin: str = "", address: str = "") -> subprocess.CompletedProcess[str]:
    command = [sys.executable, str(EXAMPLE / name), *arguments]
    env = {**os.environ, "PRISM_ADDRESS": address}
    return subprocess.run(command, input=stdin, capture_output=True, text=True, timeout=110, check=False, env=env)


def presence(*arguments: str, stdin: str = "", address: str = "") -> subprocess.CompletedProcess[str]:
    return program("presence.py", *arguments, stdin=stdin, address=address)


def settled(text: str) -> list[str]:
    """The lines; what several people hear at once is sorted, since they hear it in any order."""
    groups = groupby(text.splitlines(), key=lambda line: " hears " in line)
    return [line for heard, lines in groups for line in (sorted(lines) if heard else lines)]


@pytest.fixture(scope="module")
def proxy() -> Iterator[str]:
    command = [sys.executable, "-m", "prism", "serve", "--listen", "127.0.0.1:0", "--http", "off"]
    command += ["--config", str(EXAMPLE / "embedded.yaml"), "--log-level", "error"]
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


def test_configuration_is_the_rfcs_first_example_as_printed() -> None:
    text = (EXAMPLE / "prism.yaml").read_text()
    assert text.partition("namespaces:")[2] == EXAMPLE_1.partition("namespaces:")[2]


def test_demo_sets_up_redis_nats_and_two_proxies_and_every_claim_holds() -> None:
    done = program("demo.py")
    assert (done.returncode, done.stderr) == (0, "")
    lines = done.stdout.splitlines()
    assert re.fullmatch(r"[1-9]\d* checks passed", lines[-1])
    claims = [line for line in lines if line.startswith("\u2713 ")]
    assert len(claims) == 7
    assert "\u2713 users on different proxies share a room" in claims


def test_demo_fails_where_a_claim_does_not_hold(tmp_path: Path) -> None:
    """Somebody whom the town's books don't know sits in a room."""
    intruder = tmp_path / "intruder.py"
    intruder.write_text(
        f"""
import sys
sys.path.insert(0, {str(EXAMPLE)!r})
import demo
from town import Town

join = Town.join

async def join_with_company(self, name, room):
    if name == "Yara":
        await self._clients[0].registry.register("intruder", {{"display_name": "X", "current_room": room}})
    return await join(self, name, room)

Town.join = join_with_company
sys.exit(demo.main())
"""
    )
    done = program(str(intruder))
    assert done.returncode == 1
    [line] = done.stderr.splitlines()
    assert line.startswith("failed: ClaimFailed: who is in ")


def test_somebody_at_the_keyboard_takes_part_in_the_demo() -> None:
    done = program("demo.py", "--join", "Ada", "--room", "design", stdin="hello there\n/room den\nanybody?\n/leave\n")
    assert (done.returncode, done.stderr) == (0, "")
    lines = done.stdout.splitlines()
    assert lines[0].startswith("you are in design with 8 others.")
    assert "[design] delivered to 9" in lines
    assert "[den] Ada (online)" in lines
    assert "[den] delivered to 1" in lines


def test_missing_proxy_is_one_line() -> None:
    done = presence("den", address="127.0.0.1:1")
    assert done.returncode == 1
    assert len(done.stderr.splitlines()) == 1
