"""Writes the pages that are made by running: `docs/conformance.md` and `docs/mixes.md`.

    python -m prism_conformance.document [--run [TYPE ...]] [--check] [--folder FOLDER] [--take RESULT ...]

`--run` starts the servers, runs the contract of every plugin of this repository on each kind of server that it supports
(or only of those named), and every mix of them; it takes many minutes. RESULT files, as `pytest --conformance-json`
writes them, are taken into the results as well: what they have of a plugin's slot replaces what stood there. `--check`
writes nothing, and fails where a page isn't what it would write.

`conformance.json` and `mixes.json` in the same folder hold the results that the pages show.
"""

from __future__ import annotations

import argparse
import json
import sys
from collections import Counter
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, Final

from prism.plugins.spec import Capability, SlotKind

from prism_conformance import DurabilityContract, MessagingContract, RegistryContract
from prism_conformance.capabilities import PROOFS
from prism_conformance.checks import Check, checks_of
from prism_conformance.together.outcomes import contracts, mixes
from prism_conformance.together.page import mixes_page

_SLOTS: Final = {"registry": RegistryContract, "messaging": MessagingContract, "durability": DurabilityContract}
_TITLES: Final = {"SLOT": "Any slot", "REG": "Registry", "FIL": "Filters", "MSG": "Messaging", "DUR": "Durability"}
_RANK: Final = {"failed": 0, "known failure": 1, "passed": 2}

Matrix = dict[str, dict[str, dict[str, str]]]
"""Verdicts by type and server (`redis/valkey`), slot and check."""

_INTRODUCTION: Final = """\
# Conformance

What every backend must keep to, check by check. The list is generated from the suite, the matrix by running it on real
servers: `python -m prism_conformance.document --run`. How to run the suite against a plugin of yours is on the page for
[plugin authors](plugin-authors.md); which plugins work together, on the page of [mixes](mixes.md).
"""

_CAPABILITIES: Final = """\
What a slot declares, it is held to as far as a check can see. The rest is the plugin author's word: prove it with tests
of your own. A capability declared by a kind of slot that can't have it is refused (SLOT-012), and so is one that an
opened slot has undeclared (SLOT-020).
"""


def every_check() -> list[Check]:
    """The checks of all contracts, by id."""
    found = {check.id: check for contract in _SLOTS.values() for check in checks_of(contract).values()}
    return [found[id_] for id_ in sorted(found)]


def merged(matrix: Matrix, results: Mapping[str, Any]) -> Matrix:
    """The matrix with one run's results; of several classes for one slot, the worst verdict counts."""
    fresh: Matrix = {}
    for contract in results["contracts"]:
        row = "/".join(filter(None, (contract["type"], contract.get("server"))))
        slot = fresh.setdefault(row, {}).setdefault(contract["slot"], {})
        for id_, check in contract["checks"].items():
            verdicts = [check["verdict"], slot.get(id_, check["verdict"])]
            slot[id_] = min(verdicts, key=_RANK.__getitem__)
    return {row: {**matrix.get(row, {}), **fresh.get(row, {})} for row in sorted({*matrix, *fresh})}


def page(matrix: Matrix) -> str:
    """The whole page."""
    return "\n".join([_INTRODUCTION, *_matrix(matrix), *_capabilities(), *_list()])


def _matrix(matrix: Matrix) -> list[str]:
    lines = ["## Plugins", ""]
    lines += ["| type | server | slot | checks | passed | failed | known failures | not run |", "|---" * 8 + "|"]
    for key, slots in matrix.items():
        type_, _, server = key.partition("/")
        for slot in (name for name in _SLOTS if name in slots):
            due = {check.id for check in checks_of(_SLOTS[slot]).values()}
            verdicts = {id_: verdict for id_, verdict in slots[slot].items() if id_ in due}
            counts = Counter(verdicts.values())
            broken = ", ".join(id_ for id_, verdict in sorted(verdicts.items()) if verdict == "failed")
            failed = f"{counts['failed']}: {broken}" if broken else "0"
            row = (
                f"`{type_}`",
                server.replace("_", " ") or "-",
                slot,
                len(due),
                counts["passed"],
                failed,
                counts["known failure"],
                len(due - set(verdicts)),
            )
            lines.append("| " + " | ".join(map(str, row)) + " |")
    return [*lines, ""]


def _capabilities() -> list[str]:
    lines = ["## Capabilities", "", _CAPABILITIES]
    lines += ["| capability | slots that can have it | proved by | taken on trust |", "|---" * 4 + "|"]
    for capability in Capability:
        proof = PROOFS[capability]
        slots = "any" if proof.slots == set(SlotKind) else ", ".join(sorted(proof.slots))
        lines.append(f"| `{capability}` | {slots} | {', '.join(proof.checks) or '-'} | {proof.trusted or '-'} |")
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
    parser.add_argument(
        "--run", metavar="TYPE", nargs="*", help="run the contracts (of these types) and every mix first"
    )
    parser.add_argument("--check", action="store_true", help="fail where a page is not current, and write nothing")
    parser.add_argument("--folder", type=Path, default=Path("docs"), help="of the pages and results (default: docs)")
    parser.add_argument("--take", metavar="RESULT", type=Path, nargs="*", default=[], help="what pytest wrote")
    given = parser.parse_args(arguments)
    matrix: Matrix = _read(given.folder / "conformance.json")
    outcomes = _read(given.folder / "mixes.json")
    for result in given.take:
        matrix = merged(matrix, json.loads(result.read_text(encoding="utf-8")))
    if given.run is not None:
        # What is run anew replaces all that stood of it.
        matrix = {row: slots for row, slots in matrix.items() if given.run and row.partition("/")[0] not in given.run}
        for found in contracts(given.run, _show):
            matrix = merged(matrix, found)
            _write(given.folder, matrix, outcomes)  # it takes long: what there is, is kept
        outcomes = mixes(_show)
    if not given.check:
        _write(given.folder, matrix, outcomes)
        return
    for path, text in _pages(given.folder, matrix, outcomes).items():
        if not path.exists() or path.read_text(encoding="utf-8") != text:
            sys.exit(f"{path} is not current; run python -m prism_conformance.document")


def _pages(folder: Path, matrix: Matrix, outcomes: Mapping[str, Any]) -> dict[Path, str]:
    return {folder / "conformance.md": page(matrix), folder / "mixes.md": mixes_page(outcomes)}


def _write(folder: Path, matrix: Matrix, outcomes: Mapping[str, Any]) -> None:
    for name, results in (("conformance.json", matrix), ("mixes.json", outcomes)):
        text = json.dumps(results, indent=1, sort_keys=True)
        (folder / name).write_text(text + "\n", encoding="utf-8")
    for path, text in _pages(folder, matrix, outcomes).items():
        path.write_text(text, encoding="utf-8")


def _read(path: Path) -> dict[str, Any]:
    return dict(json.loads(path.read_text(encoding="utf-8"))) if path.exists() else {}


def _show(line: str) -> None:
    sys.stderr.write(line + "\n")


if __name__ == "__main__":
    main()
