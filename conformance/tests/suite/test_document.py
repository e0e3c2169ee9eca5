"""The page of checks and plugins is what the suite and its results say."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from prism_conformance.document import every_check, main, merged

DOCS = Path(__file__).resolve().parents[3] / "docs"


def result(verdict: str, slot: str = "messaging") -> dict[str, object]:
    return {"contracts": [{"type": "x", "slot": slot, "checks": {"MSG-010": {"verdict": verdict}}}]}


def test_page_is_current() -> None:
    main(["--check", "--page", str(DOCS / "conformance.md"), "--results", str(DOCS / "conformance.json")])


def test_page_that_is_not_current_fails_the_check(tmp_path: Path) -> None:
    page = tmp_path / "page.md"
    page.write_text("# Old\n")
    with pytest.raises(SystemExit, match="not current"):
        main(["--check", "--page", str(page), "--results", str(tmp_path / "none.json")])
    assert page.read_text() == "# Old\n"


def test_page_has_every_check_with_property_and_source() -> None:
    text = (DOCS / "conformance.md").read_text()
    rows = [f"| {check.id} | {check.promise} | {check.source} |" for check in every_check()]
    assert [row for row in rows if row not in text] == []


def test_run_replaces_what_stood_of_the_slot_and_nothing_else(tmp_path: Path) -> None:
    first = merged({}, result("failed"))
    assert merged(first, result("passed"))["x"]["messaging"] == {"MSG-010": "passed"}
    assert merged(first, result("passed", "registry"))["x"]["messaging"] == {"MSG-010": "failed"}


def test_worst_of_several_classes_counts() -> None:
    both = result("passed")
    both["contracts"] += result("failed")["contracts"]  # type: ignore[operator]
    assert merged({}, both)["x"]["messaging"] == {"MSG-010": "failed"}


def test_results_are_written_into_matrix_and_page(tmp_path: Path) -> None:
    run, page, results = tmp_path / "run.json", tmp_path / "page.md", tmp_path / "results.json"
    run.write_text(json.dumps(result("failed")))
    main(["--page", str(page), "--results", str(results), str(run)])
    row = next(line for line in page.read_text().splitlines() if line.startswith("| `x` | messaging"))
    assert "| 1: MSG-010 |" in row
    main(["--check", "--page", str(page), "--results", str(results)])
