"""The pages that people read, taken apart: fenced blocks, links, tables."""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

ROOT = Path(__file__).resolve().parents[3]
PAGES = sorted([*ROOT.glob("*.md"), *ROOT.glob("docs/*.md"), *ROOT.glob("core/*.md"), *ROOT.glob("examples/*/*.md")])

_FENCE = re.compile(r"^```(?P<info>[^\n`]*)\n(?P<text>.*?)^```$", re.MULTILINE | re.DOTALL)
_LINK = re.compile(r"\[[^\]]+\]\((?P<target>[^)\s]+)\)")
_HEADING = re.compile(r"^#+ (?P<text>.+)$", re.MULTILINE)


@dataclass(frozen=True)
class Block:
    """A fenced block: where its text begins, what language it is in, and whether it is meant to be run."""

    page: Path
    line: int
    language: str
    runnable: bool
    text: str

    @property
    def name(self) -> str:
        """Page and line, for test ids."""
        return f"{self.page.relative_to(ROOT)}:{self.line}"


def blocks(page: Path) -> Iterator[Block]:
    """The fenced blocks of a page."""
    text = page.read_text()
    for match in _FENCE.finditer(text):
        language, _, rest = match["info"].strip().partition(" ")
        yield Block(page, text.count("\n", 0, match.start()) + 2, language, rest == "runnable", match["text"])


def all_blocks(language: str, *, runnable: bool = False) -> list[Block]:
    """The blocks in a language on all pages."""
    found = [block for page in PAGES for block in blocks(page) if block.language == language]
    return [block for block in found if block.runnable or not runnable]


def links(page: Path) -> list[str]:
    """What a page links to, fenced blocks left out."""
    return [match["target"] for match in _LINK.finditer(_FENCE.sub("", page.read_text()))]


def anchors(page: Path) -> set[str]:
    """The names of a page's headings as links write them."""
    headings = _HEADING.findall(_FENCE.sub("", page.read_text()))
    return {re.sub(r"[^\w\- ]", "", heading.lower()).replace(" ", "-") for heading in headings}


def cells(page: Path) -> Iterator[list[str]]:
    """The rows of a page's tables, cell by cell."""
    for line in _FENCE.sub("", page.read_text()).splitlines():
        if line.startswith("|"):
            yield [cell.strip() for cell in line.strip("|").split("|")]
