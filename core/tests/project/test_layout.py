"""The repository as a whole: what is where, and what isn't in it."""

import re
import subprocess
import tomllib
from importlib import metadata
from pathlib import Path
from typing import Any

import pytest
from prism import __version__

from .pages import ROOT

PROJECTS = [*ROOT.glob("core"), *ROOT.glob("plugins/*"), *ROOT.glob("conformance")]
DISTRIBUTIONS = [folder for folder in PROJECTS if (folder / "pyproject.toml").exists()]
CONSTRAINTS = (ROOT / "constraints.txt").read_text().splitlines()
PIN = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]*==[0-9][A-Za-z0-9.+!]*")


def project(folder: Path) -> dict[str, Any]:
    return tomllib.loads((folder / "pyproject.toml").read_text())["project"]


def normal(requirement: str) -> str:
    name = re.split(r"[\s\[<>=!~;]", requirement, maxsplit=1)[0]
    return re.sub(r"[-_.]+", "-", name).lower()


@pytest.mark.parametrize("folder", DISTRIBUTIONS, ids=lambda folder: folder.name)
def test_a_distribution_is_licensed_described_and_needs_python_3_11(folder: Path) -> None:
    described = project(folder)
    assert described["license"] == "Apache-2.0"
    assert described["requires-python"] == ">=3.11"
    assert (folder / described.get("readme", "pyproject.toml")).exists()


@pytest.mark.parametrize("folder", DISTRIBUTIONS, ids=lambda folder: folder.name)
def test_a_distribution_has_a_src_layout_and_is_typed(folder: Path) -> None:
    packages = [path for path in (folder / "src").iterdir() if path.name != "__pycache__"]
    assert packages
    assert all((package / "py.typed").exists() for package in packages)


def test_the_names_that_belong_to_strangers_are_not_depended_on() -> None:
    wanted = {normal(line) for folder in DISTRIBUTIONS for line in project(folder).get("dependencies", [])}
    assert not wanted & {"prism", "prism-core"}


def test_the_installed_version_is_the_one_written_down() -> None:
    assert metadata.version("prism-multicast") == __version__


def test_constraints_are_names_with_versions_and_nothing_else() -> None:
    lines = [line for line in CONSTRAINTS if not line.startswith("#")]
    assert lines
    assert [line for line in lines if not PIN.fullmatch(line)] == []


def test_everything_that_is_asked_for_is_constrained() -> None:
    pinned = {normal(line) for line in CONSTRAINTS}
    root = tomllib.loads((ROOT / "pyproject.toml").read_text())
    asked = set(root["dependency-groups"]["dev"])
    for folder in DISTRIBUTIONS:
        described = project(folder)
        asked |= set(described.get("dependencies", []))
        asked |= {line for lines in described.get("optional-dependencies", {}).values() for line in lines}
    own = {normal(project(folder)["name"]) for folder in DISTRIBUTIONS}
    assert {normal(line) for line in asked} - own - pinned == set()


def test_ci_runs_exactly_what_a_contributor_runs() -> None:
    lines = [line for line in (ROOT / ".ci" / "run").read_text().splitlines() if line and not line.startswith("#")]
    assert lines[-1] == "exec make test"
    assert len(lines) == 3


def test_make_alone_lists_the_targets() -> None:
    run = subprocess.run(["make", "-C", str(ROOT), "--no-print-directory"], capture_output=True, text=True, check=True)
    listed = re.findall(r"^  make ([a-z]+)", run.stdout, re.MULTILINE)
    assert {"demo", "test", "lint", "format", "proto", "bench", "soak", "clean", "constraints", "help"} == set(listed)
