"""The demo, and the presence example: they run, and what they claim is checked."""

from __future__ import annotations

import asyncio
import os
import re
import shlex
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from prism.cli.demo.airports import HOME, LIVE, distance, load, select
from prism.cli.demo.checks import CheckFailed, Checks
from prism.cli.demo.run import NEXT


def test_demo_checks_what_it_shows() -> None:
    command = [sys.executable, "-m", "prism", "demo", "--count", "1500"]
    env = {**os.environ, "NO_COLOR": "1"}
    done = subprocess.run(command, capture_output=True, text=True, timeout=100, check=False, env=env)
    assert done.returncode == 0, done.stdout + done.stderr
    for words in (
        "two proxies",
        "registered 1,500",
        "--where 'country=CH'",
        "attached 321 airports",
        "DELIVERED",
        "FAILED",
    ):
        assert words in done.stdout
    assert re.search(r"^\d\d checks passed in ", done.stdout, re.MULTILINE)
    assert "prism serve" in done.stdout
    assert "\x1b" not in done.stdout + done.stderr
    assert max(map(len, done.stdout.splitlines())) <= 100


def test_demo_fails_where_a_claim_does_not_hold(cli: Callable[..., Any], monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("prism.cli.demo.sending.RADIUS", 290_000)
    done = cli("demo", "--count", "600")
    assert done.code == 1
    assert done.err.startswith("error: check failed: how many the multicast was for: expected ")
    assert "Traceback" not in done.err


def test_failed_claim_names_itself_and_the_difference() -> None:
    with pytest.raises(CheckFailed, match=re.escape("who matches: expected 2 (1 that the other hasn't, among them b)")):
        Checks().equal("who matches", {"a"}, {"a", "b"})


def test_claim_that_holds_is_counted() -> None:
    checks = Checks()
    checks.equal("one", 1, 1)
    assert checks.passed == 1


async def test_claim_with_a_deadline_fails_when_it_passes() -> None:
    with pytest.raises(CheckFailed, match=r"that it ends: not within 0\.01 seconds"):
        async with Checks().within(0.01, "that it ends"):
            await asyncio.Event().wait()


def test_fewer_airports_still_have_those_that_attach() -> None:
    airports = load(1_000)
    assert len(airports) == 1_000
    assert len(select(airports, lambda airport: airport["country"] in LIVE)) == 322
    assert "elevation" in airports[HOME]


def test_distance_agrees_with_a_known_one() -> None:
    airports = load(1_000)
    assert distance(airports["LSZH"], airports["LSGG"]) == pytest.approx(231_000, rel=0.02)


def test_commands_to_try_next_work(
    prism: Callable[..., Any],
    attached: Callable[..., object],
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.chdir(tmp_path)
    codes: dict[str, int] = {}
    for line in NEXT.splitlines():
        program, *arguments = shlex.split(line, comments=True)
        assert program == "prism"
        if arguments[0] == "attach":
            attached(*arguments[1:])
        elif arguments[0] != "serve":  # it runs already
            codes[arguments[0]] = prism(*arguments).code
    assert codes == {"register": 0, "ls": 0, "send": 4, "explain": 0, "export": 0, "--help": 0}
    assert len((tmp_path / "lamps.jsonl").read_text().splitlines()) == 2
