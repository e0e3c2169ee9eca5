"""The example as its README runs it."""

from __future__ import annotations

import os
import re
import subprocess
import sys
from pathlib import Path

import pytest
from prism_conformance.rfc import EXAMPLE_2

EXAMPLE = Path(__file__).parents[1]

TIMEOUT = 280


def demo(program: Path = EXAMPLE / "demo.py") -> subprocess.CompletedProcess[str]:
    command = [sys.executable, str(program), "--stations", "1500"]
    return subprocess.run(command, capture_output=True, text=True, timeout=TIMEOUT, check=False)


def test_configuration_is_the_rfcs_second_example_as_printed() -> None:
    text = (EXAMPLE / "prism.yaml").read_text()
    assert text.partition("namespaces:")[2] == EXAMPLE_2.partition("namespaces:")[2]


@pytest.mark.timeout(TIMEOUT + 20)
def test_demo_sets_up_postgres_kafka_and_two_proxies_and_every_claim_holds() -> None:
    done = demo()
    assert (done.returncode, done.stderr) == (0, "")
    lines = done.stdout.splitlines()
    assert re.fullmatch(r"[1-9]\d* checks passed in \S+ s", lines[-1])
    claims = [line for line in lines if line.startswith("\u2713 ")]
    assert len(claims) == 9
    [returned] = [line for line in claims if "come back by the other proxy" in line]
    assert re.search(r"; [1-9]\d* get it then", returned)


@pytest.mark.timeout(TIMEOUT + 20)
def test_demo_fails_where_a_claim_does_not_hold(tmp_path: Path) -> None:
    """A device runs other firmware than the registry was told."""
    program = tmp_path / "lying.py"
    program.write_text(
        f"""
import sys
sys.path.insert(0, {str(EXAMPLE)!r})
import demo

building = demo.building

def with_a_liar():
    fleet = building()
    nowhere = {{"location": {{"lat": 0.0, "lon": 0.0}}, "firmware_version": "1.1.0"}}
    fleet["liar"] = {{**fleet["lamp-floor1-room1"], **nowhere}}
    return fleet

register = demo.Demo.register

async def register_falsely(self):
    await register(self)
    await self.first.update("liar", {{"firmware_version": "1.0.3"}})

demo.building = with_a_liar
demo.Demo.register = register_falsely
sys.exit(demo.main())
"""
    )
    done = demo(program)
    assert done.returncode == 1
    assert done.stderr.splitlines()[-1].startswith("failed: ClaimFailed: devices that the update is for: expected ")


def test_missing_package_is_one_line(tmp_path: Path) -> None:
    (tmp_path / "airportsdata.py").write_text("raise ModuleNotFoundError(name='airportsdata')")
    done = subprocess.run(
        [sys.executable, EXAMPLE / "demo.py"],
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
        env={**os.environ, "PYTHONPATH": str(tmp_path)},
    )
    assert done.returncode == 1
    assert done.stderr == "this demo needs airportsdata; examples/iot/README.md has the pip command that installs it\n"
