"""`prism conformance`."""

from __future__ import annotations

from pathlib import Path

import orjson
import pytest
from prism.cli.app import app
from typer.testing import CliRunner, Result


def conformance(*arguments: str) -> Result:
    """Runs the command in this process; pytest runs in one of its own."""
    return CliRunner().invoke(app, ["conformance", *arguments], prog_name="prism")


@pytest.fixture
def store(tmp_path: Path) -> str:
    """A file of options under which memory slots share what they hold."""
    path = tmp_path / "options.yaml"
    path.write_text("store: conformance\n")
    return str(path)


def test_checks_of_one_slot_are_shown_in_a_table(store: str) -> None:
    shown = conformance("memory", "--config", store, "--slot", "messaging", "--check", "MSG-010", "--check", "MSG-011")
    assert shown.exit_code == 0
    assert "memory, messaging" in shown.stdout
    assert "MSG-010  passed" in shown.stdout
    assert "2 of 2 checks passed" in shown.stdout


def test_broken_promise_ends_with_1_and_says_what_was_seen() -> None:
    shown = conformance("memory", "--slot", "registry", "--check", "REG-014")  # without a store nothing is shared
    assert shown.exit_code == 1
    assert "REG-014  failed" in shown.stdout
    assert "store: conformance" in shown.stderr
    assert "seen:   AssertionError: assert 2 == 1" in shown.stdout


def test_outcomes_are_written_as_json(store: str) -> None:
    shown = conformance("memory", "--config", store, "--slot", "durability", "--check", "DUR-010", "--json")
    [contract] = orjson.loads(shown.stdout)["contracts"]
    assert (contract["type"], contract["slot"]) == ("memory", "durability")
    assert contract["checks"]["DUR-010"]["verdict"] == "passed"


def test_unknown_type_is_an_error_that_names_the_installed_ones() -> None:
    shown = conformance("nothing-like-it")
    assert shown.exit_code == 1
    assert "installed are" in shown.stderr


def test_unknown_option_is_a_usage_error(tmp_path: Path) -> None:
    path = tmp_path / "options.yaml"
    path.write_text("stor: x\n")
    shown = conformance("memory", "--config", str(path))
    assert shown.exit_code == 2
    assert "stor" in shown.stderr


def test_file_of_options_that_is_not_there_is_a_usage_error(tmp_path: Path) -> None:
    shown = conformance("memory", "--config", str(tmp_path / "none.yaml"))
    assert shown.exit_code == 2
    assert "can't be read" in shown.stderr


def test_check_that_no_slot_has_is_an_error(store: str) -> None:
    shown = conformance("memory", "--config", store, "--slot", "messaging", "--check", "MSG-999")
    assert shown.exit_code == 1
    assert "no check was run" in shown.stderr


def test_missing_suite_says_what_to_install(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("prism.cli.conformance.find_spec", lambda name: None)
    shown = conformance("memory")
    assert shown.exit_code == 1
    assert "pip install ./conformance" in shown.stderr
