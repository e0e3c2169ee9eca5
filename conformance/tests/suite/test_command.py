"""`prism conformance`."""

from __future__ import annotations

import shlex
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


@pytest.mark.parametrize(
    ("options", "said"),
    [
        ("\nstor: x\n", ':2: stor: unknown key; did you mean "store"? allowed are store'),
        ("store: [1]\n", ":1: store: input should be a valid string"),
        ("store: a\nstore: b\n", ":1: store: stands there again in line 2"),
        ("- store\n", ": must hold a mapping of the slot's options, not ['store']"),
        ("store: {\n", ":2: is not valid YAML"),
    ],
)
def test_mistakes_in_the_options_are_told_as_those_of_a_configuration(tmp_path: Path, options: str, said: str) -> None:
    path = tmp_path / "options.yaml"
    path.write_text(options)
    shown = conformance("memory", "--config", str(path))
    assert shown.exit_code == 2
    assert f"{path}{said}" in shown.stderr.replace("\n", "")
    assert shown.stderr.count("error:") == 1
    assert "pydantic" not in shown.stderr


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (["--check", "MSG-999"], 'there is no check "MSG-999"'),
        (["--check", "MSG-010", "--check", "MSG-01"], 'there is no check "MSG-01"'),
        (["--check", "msg-010"], 'did you mean "MSG-010"?'),
        (["--check", "MSG-010", "--check", ""], 'there is no check ""'),
        (
            ["--check", "SLOT-010", "--slot", "messaging", "--check", "REG-010"],
            'REG-010 is a check of registry, and what is checked of "memory" is messaging',
        ),
    ],
)
def test_check_that_would_not_run_is_a_usage_error(store: str, arguments: list[str], said: str) -> None:
    shown = conformance("memory", "--config", store, *arguments)
    assert shown.exit_code == 2
    assert said in shown.stderr
    assert shown.stdout == ""


def test_replay_is_a_command_that_can_be_run(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    (tmp_path / "my options.yaml").write_text("{}\n")
    arguments = ["memory", "--config", "my options.yaml", "--slot", "registry", "--check", "REG-014"]
    [contract] = orjson.loads(conformance(*arguments, "--json").stdout)["contracts"]
    [failure] = contract["checks"]["REG-014"]["failures"]
    assert shlex.split(failure["replay"]) == ["prism", "conformance", *arguments]
    shown = conformance(*shlex.split(failure["replay"])[2:])
    assert f"replay: {failure['replay']}" in shown.stdout


def test_seed_can_be_given(store: str) -> None:
    shown = conformance("memory", "--config", store, "--slot", "messaging", "--check", "MSG-010", "--seed", "42")
    assert "seed 42" in shown.stdout


def test_run_leaves_nothing_in_the_current_folder_and_takes_no_module_from_it(
    store: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    folder = tmp_path / "work"
    folder.mkdir()
    (folder / "secrets.py").write_text("raise RuntimeError\n")
    monkeypatch.chdir(folder)
    shown = conformance("memory", "--config", store, "--slot", "registry", "--check", "FIL-022")
    assert shown.exit_code == 0
    assert [path.name for path in folder.iterdir()] == ["secrets.py"]
