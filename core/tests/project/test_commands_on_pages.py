"""The commands that the pages show exist, with the options they show."""

import re
import shlex
from collections.abc import Iterator
from functools import cache
from typing import Any

import pytest
import typer.main
from prism.cli.app import app

from .pages import ROOT, Block, all_blocks

SHELL = all_blocks("sh")


@cache
def prism_commands() -> dict[str, Any]:
    return dict(typer.main.get_group(app).commands)


def commands(block: Block, program: str) -> Iterator[list[str]]:
    for line in block.text.replace("\\\n", " ").splitlines():
        words = shlex.split(line, comments=True)
        if words[:1] == [program]:
            yield words[1:]


def make_targets() -> set[str]:
    return set(re.findall(r"^([a-z]+):", (ROOT / "Makefile").read_text(), re.MULTILINE))


@pytest.mark.parametrize("block", SHELL, ids=lambda block: block.name)
def test_every_prism_command_on_a_page_parses(block: Block) -> None:
    for words in commands(block, "prism"):
        if words[0].startswith("-"):
            continue
        assert words[0] in prism_commands(), f"there is no `prism {words[0]}`"
        with prism_commands()[words[0]].make_context(f"prism {words[0]}", words[1:]):
            pass


@pytest.mark.parametrize("block", SHELL, ids=lambda block: block.name)
def test_every_make_target_on_a_page_exists(block: Block) -> None:
    assert {words[0] for words in commands(block, "make")} <= make_targets()


def test_the_readme_names_the_two_commands() -> None:
    shown = [words[0] for block in SHELL if block.page.name == "README.md" for words in commands(block, "make")]
    assert shown[:2] == ["demo", "test"]


def test_the_changelog_names_every_command() -> None:
    changelog = (ROOT / "CHANGELOG.md").read_text()
    assert [name for name in prism_commands() if f"`{name}`" not in changelog] == []
