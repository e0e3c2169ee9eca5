"""Writes `docs/conformance.md`: the list of checks, and the matrix of plugins as running them gave it.

    python -m prism_conformance.document [--check] [--page FILE] [--results FILE] [RESULT ...]

RESULT files, as `pytest --conformance-json` writes them, are taken into the results file: what they have of a plugin's
slot replaces what stood there. `--check` writes nothing, and fails where the page isn't what it would write.
"""

from __future__ import annotations

import argparse
import json
import sys
from collections import Counter
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, Final

from prism_conformance import DurabilityContract, MessagingContract, RegistryContract
from prism_conformance.checks import Check, checks_of

_SLOTS: Final = {"registry": RegistryContract, "messaging": MessagingContract, "durability": DurabilityContract}
_TITLES: Final = {"SLOT": "Any slot", "REG": "Registry", "FIL": "Filters", "MSG": "Messaging", "DUR": "Durability"}
_RANK: Final = {"failed": 0, "known failure": 1, "passed": 2}

Matrix = dict[str, dict[str, dict[str, str]]]
"""Verdicts by type, slot and check."""

_INTRODUCTION: Final = """\
# Conformance

What every backend must keep to, check by check. The list is generated from the suite, the matrix from its results:
`python -m prism_conformance.document`. How to run the suite against a plugin of yours is on the page for
[plugin authors](plugin-authors.md).
"""


def every_check() -> list[Check]:
    """The checks of all contracts, by id."""
    found = {check.id: check for contract in _SLOTS.values() for check in checks_of(contract).values()}
    return [found[id_] for id_ in sorted(found)]


def merged(matrix: Matrix, results: Mapping[str, Any]) -> Matrix:
    """The matrix with one run's results; of several classes for one slot, the worst verdict counts."""
    fresh: Matrix = {}
    for contract in results["contracts"]:
        slot = fresh.setdefault(contract["type"], {}).setdefault(contract["slot"], {})
        for id_, check in contract["checks"].items():
            verdicts = [check["verdict"], slot.get(id_, check["verdict"])]
            slot[id_] = min(verdicts, key=_RANK.__getitem__)
    return {type_: {**matrix.get(type_, {}), **fresh.get(type_, {})} for type_ in sorted({*matrix, *fresh})}


def page(matrix: Matrix) -> str:
    """The whole page."""
    return "\n".join([_INTRODUCTION, *_matrix(matrix), *_list()])


def _matrix(matrix: Matrix) -> list[str]:
    lines = ["## Plugins", ""]
    lines += ["| type | slot | checks | passed | failed | known failures | not run |", "|---|---|---|---|---|---|---|"]
    for type_, slots in matrix.items():
        for slot in (name for name in _SLOTS if name in slots):
            due = {check.id for check in checks_of(_SLOTS[slot]).values()}
            verdicts = {id_: verdict for id_, verdict in slots[slot].items() if id_ in due}
            counts = Counter(verdicts.values())
            broken = ", ".join(id_ for id_, verdict in sorted(verdicts.items()) if verdict == "failed")
            failed = f"{counts['failed']}: {broken}" if broken else "0"
            row = (
                f"`{type_}`",
                slot,
                len(due),
                counts["passed"],
                failed,
                counts["known failure"],
                len(due - set(verdicts)),
            )
            lines.append("| " + " | ".join(map(str, row)) + " |")
    return [*lines, ""]


def _list() -> list[str]:
    lines: list[str] = []
    checks = every_check()
    for prefix, title in _TITLES.items():
        lines += [f"## {title}", "", "| check | property | source |", "|---|---|---|"]
        of_kind = [check for check in checks if check.id.startswith(f"{prefix}-")]
        lines += [f"| {check.id} | {check.promise} | {check.source} |" for check in of_kind]
        lines.append("")
    return lines


def main(arguments: Sequence[str] | None = None) -> None:
    """Does what the command line says."""
    parser = argparse.ArgumentParser(prog="python -m prism_conformance.document", description=__doc__)
    parser.add_argument("--check", action="store_true", help="fail where the page is not current, and write nothing")
    parser.add_argument("--page", type=Path, default=Path("docs/conformance.md"))
    parser.add_argument("--results", type=Path, default=Path("docs/conformance.json"))
    parser.add_argument("result", type=Path, nargs="*", help="what pytest --conformance-json wrote")
    given = parser.parse_args(arguments)
    matrix: Matrix = json.loads(given.results.read_text(encoding="utf-8")) if given.results.exists() else {}
    for result in given.result:
        matrix = merged(matrix, json.loads(result.read_text(encoding="utf-8")))
    text = page(matrix)
    if given.check:
        if not given.page.exists() or given.page.read_text(encoding="utf-8") != text:
            sys.exit(f"{given.page} is not current; run python -m prism_conformance.document")
        return
    given.results.write_text(json.dumps(matrix, indent=1, sort_keys=True) + "\n", encoding="utf-8")
    given.page.write_text(text, encoding="utf-8")


if __name__ == "__main__":
    main()
