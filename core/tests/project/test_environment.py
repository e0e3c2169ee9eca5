"""`.ci/environment.py`: what is installed is installed once, and again when it must be."""

import importlib.util
import subprocess
import sys
from pathlib import Path
from types import ModuleType

import pytest

from .pages import ROOT


@pytest.fixture
def environment(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> ModuleType:
    """The script, working on a small checkout of its own and noting what it would install."""
    spec = importlib.util.spec_from_file_location("environment_under_test", ROOT / ".ci" / "environment.py")
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    (tmp_path / "core").mkdir()
    (tmp_path / ".venv").mkdir()
    for name in ("pyproject.toml", "constraints.txt", "core/pyproject.toml", "script.py"):
        (tmp_path / name).write_text(name)
    monkeypatch.setattr(module, "ROOT", tmp_path)
    monkeypatch.setattr(module, "VENV", tmp_path / ".venv")
    monkeypatch.setattr(module, "CONSTRAINTS", tmp_path / "constraints.txt")
    monkeypatch.setattr(module, "__file__", str(tmp_path / "script.py"))
    module.installed = []
    monkeypatch.setattr(module, "install", module.installed.append)
    return module


def run(environment: ModuleType, level: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sys, "argv", ["environment.py", level])
    environment.main()


def test_a_second_call_installs_nothing(environment: ModuleType, monkeypatch: pytest.MonkeyPatch) -> None:
    run(environment, "dev", monkeypatch)
    run(environment, "dev", monkeypatch)
    assert environment.installed == ["dev"]


def test_the_demo_needs_nothing_that_development_has_not(
    environment: ModuleType, monkeypatch: pytest.MonkeyPatch
) -> None:
    run(environment, "dev", monkeypatch)
    run(environment, "demo", monkeypatch)
    assert environment.installed == ["dev"]


def test_development_needs_more_than_the_demo(environment: ModuleType, monkeypatch: pytest.MonkeyPatch) -> None:
    run(environment, "demo", monkeypatch)
    run(environment, "dev", monkeypatch)
    assert environment.installed == ["demo", "dev"]


@pytest.mark.parametrize("name", ["pyproject.toml", "constraints.txt", "core/pyproject.toml"])
def test_a_change_of_what_is_wanted_installs_again(
    environment: ModuleType, monkeypatch: pytest.MonkeyPatch, name: str
) -> None:
    run(environment, "dev", monkeypatch)
    (environment.ROOT / name).write_text("changed")
    run(environment, "dev", monkeypatch)
    assert environment.installed == ["dev", "dev"]


def test_a_new_distribution_installs_again(environment: ModuleType, monkeypatch: pytest.MonkeyPatch) -> None:
    run(environment, "dev", monkeypatch)
    (environment.ROOT / "plugins" / "prism-example").mkdir(parents=True)
    (environment.ROOT / "plugins" / "prism-example" / "pyproject.toml").write_text("new")
    run(environment, "dev", monkeypatch)
    assert environment.installed == ["dev", "dev"]


def test_an_installation_that_failed_is_done_again(environment: ModuleType, monkeypatch: pytest.MonkeyPatch) -> None:
    def fail(level: str) -> None:
        raise subprocess.CalledProcessError(1, ["pip"])

    with monkeypatch.context() as broken:
        broken.setattr(environment, "install", fail)
        with pytest.raises(SystemExit, match="failed"):
            run(environment, "dev", monkeypatch)
    run(environment, "dev", monkeypatch)
    assert environment.installed == ["dev"]


def test_an_unknown_level_is_refused(environment: ModuleType, monkeypatch: pytest.MonkeyPatch) -> None:
    with pytest.raises(SystemExit, match="usage"):
        run(environment, "everything", monkeypatch)
