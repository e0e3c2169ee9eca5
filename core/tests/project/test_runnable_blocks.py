"""What the pages show is run as it stands there."""

import ast
import inspect
from pathlib import Path
from typing import Any

import pytest
import yaml
from prism.config import load_config

from .pages import PAGES, ROOT, Block, all_blocks, blocks

PYTHON_PAGES = sorted({block.page for block in all_blocks("python", runnable=True)})


def name_of(page: Path) -> str:
    return str(page.relative_to(ROOT))


async def run(block: Block, scope: dict[str, Any]) -> None:
    code = compile("\n" * (block.line - 1) + block.text, block.name, "exec", flags=ast.PyCF_ALLOW_TOP_LEVEL_AWAIT)
    result = eval(code, scope)
    if inspect.isawaitable(result):
        await result


def test_the_readme_and_every_guide_have_code_that_is_run() -> None:
    with_code = {name_of(page) for page in PYTHON_PAGES}
    assert {
        "README.md",
        "docs/getting-started.md",
        "docs/filters.md",
        "docs/delivery.md",
        "docs/plugins.md",
    } <= with_code


@pytest.mark.parametrize("page", PYTHON_PAGES, ids=name_of)
async def test_the_python_of_a_page_runs_from_top_to_bottom(page: Path) -> None:
    scope: dict[str, Any] = {"__name__": "page"}
    for block in blocks(page):
        if block.language == "python" and block.runnable:
            await run(block, scope)


@pytest.mark.parametrize("block", all_blocks("python"), ids=lambda block: block.name)
def test_all_python_on_the_pages_parses(block: Block) -> None:
    compile(block.text, block.name, "exec", flags=ast.PyCF_ONLY_AST | ast.PyCF_ALLOW_TOP_LEVEL_AWAIT)


@pytest.mark.parametrize("block", all_blocks("yaml", runnable=True), ids=lambda block: block.name)
def test_a_shown_configuration_is_accepted(block: Block) -> None:
    assert load_config(yaml.safe_load(block.text)).namespaces


def test_no_page_is_empty() -> None:
    assert PAGES
    assert all(page.read_text().startswith("# ") for page in PAGES)
