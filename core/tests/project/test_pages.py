"""The pages agree with each other and with the code."""

import re
from collections.abc import Iterator
from dataclasses import MISSING, Field, fields
from pathlib import Path

import pytest
from prism.filters.ast import Op
from prism.model.delivery import Status
from prism.model.errors import BY_REASON
from prism.model.limits import Limits, ProxyLimits
from prism.slots.context import QueuePolicy

from .pages import PAGES, ROOT, anchors, cells, links

DOCS = ROOT / "docs"
KEYS = {row[0].strip("`"): row[1] for row in cells(DOCS / "configuration.md") if len(row) >= 3}


def whole_defaults(source: type, prefix: str) -> Iterator[tuple[str, int]]:
    each: Field[object]
    for each in fields(source):
        if isinstance(each.default, int) and each.default is not MISSING and each.default < 10**9:
            yield prefix + each.name, each.default


@pytest.mark.parametrize("page", PAGES, ids=lambda page: str(page.relative_to(ROOT)))
def test_every_link_to_a_file_or_heading_leads_somewhere(page: Path) -> None:
    for link in links(page):
        if link.startswith("https:"):
            continue
        path, _, anchor = link.partition("#")
        target = (page.parent / path).resolve() if path else page
        assert target.exists(), f"{link} leads nowhere"
        assert not anchor or anchor in anchors(target), f"{link}: there is no such heading"


@pytest.mark.parametrize(
    ("key", "default"),
    [
        *whole_defaults(Limits, ""),
        *whole_defaults(ProxyLimits, "server.limits."),
        *whole_defaults(QueuePolicy, "durability."),
    ],
)
def test_the_configuration_page_has_every_default_as_it_is(key: str, default: int) -> None:
    if key == "durability.visibility":
        assert KEYS[key] == f"{default // 1_000_000} s"
    else:
        assert KEYS[key] == str(default)


def test_the_filters_page_has_every_operator() -> None:
    shown = {name for row in cells(DOCS / "filters.md") for name in re.findall(r"`([^`]+)`", row[0])}
    assert {op.value for op in Op} <= shown


def test_the_delivery_page_has_every_status_that_is_sent() -> None:
    shown = [row[0] for row in cells(DOCS / "delivery.md")]
    assert {status.name for status in Status if status is not Status.UNSPECIFIED} <= set(shown)


def test_the_readme_links_every_page() -> None:
    assert {f"docs/{page.name}" for page in DOCS.glob("*.md")} <= set(links(ROOT / "README.md"))


def test_the_wire_page_has_every_reason() -> None:
    assert set(BY_REASON) <= {row[0].strip("`") for row in cells(DOCS / "wire.md")}
