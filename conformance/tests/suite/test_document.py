"""The page of checks and plugins is what the suite and its results say."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from prism_conformance.document import every_check, main, merged
from prism_conformance.together.mixes import every_mix
from prism_conformance.together.outcomes import HOLDS, REFUSED

DOCS = Path(__file__).resolve().parents[3] / "docs"


def result(verdict: str, slot: str = "messaging") -> dict[str, object]:
    return {"contracts": [{"type": "x", "slot": slot, "checks": {"MSG-010": {"verdict": verdict}}}]}


def test_pages_are_current() -> None:
    main(["--check", "--folder", str(DOCS)])


def test_page_that_is_not_current_fails_the_check(tmp_path: Path) -> None:
    page = tmp_path / "conformance.md"
    page.write_text("# Old\n")
    with pytest.raises(SystemExit, match="not current"):
        main(["--check", "--folder", str(tmp_path)])
    assert page.read_text() == "# Old\n"


def test_page_of_mixes_has_the_outcome_of_every_mix_that_there_is() -> None:
    outcomes = json.loads((DOCS / "mixes.json").read_text())
    assert {name: outcome["verdict"] for name, outcome in outcomes.items()} == {
        str(mix): HOLDS if mix.is_sound else REFUSED for mix in every_mix()
    }


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


def test_servers_of_one_type_have_a_row_each(tmp_path: Path) -> None:
    on_valkey = result("passed")
    on_valkey["contracts"][0]["server"] = "valkey"  # type: ignore[index]
    assert set(merged(merged({}, result("failed")), on_valkey)) == {"x", "x/valkey"}


def test_results_are_written_into_matrix_and_page(tmp_path: Path) -> None:
    run = tmp_path / "run.json"
    run.write_text(json.dumps(result("failed")))
    main(["--folder", str(tmp_path), "--take", str(run)])
    lines = (tmp_path / "conformance.md").read_text().splitlines()
    row = next(line for line in lines if line.startswith("| `x` | - | messaging"))
    assert "| 1: MSG-010 |" in row
    main(["--check", "--folder", str(tmp_path)])


def test_contracts_and_mixes_are_run_and_written(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("prism_conformance.together.mixes.BACKENDS", {})
    main(["--folder", str(tmp_path), "--run", "nothing"])
    text = (tmp_path / "mixes.md").read_text()
    assert "| `memory` | `memory` | yes | yes |" in text
