"""`prism conformance`: runs the conformance suite against an installed backend."""

from __future__ import annotations

from importlib.util import find_spec
from pathlib import Path
from typing import Annotated, Any

import typer
from rich.text import Text

from prism.cli.connection import reported
from prism.cli.exits import ExitCode
from prism.cli.failures import print_problem
from prism.cli.options import Json
from prism.cli.screen import print_json, print_table, printable, stderr, stdout, table
from prism.config.source import read_source
from prism.plugins.spec import SlotKind

_SHARING = "--config FILE, with options under which slots share what they hold (of memory, `store: conformance`)"

_STYLES = {"passed": "green", "failed": "red", "known failure": "yellow"}


def conformance(
    type: Annotated[str, typer.Argument(metavar="TYPE", help="The backend's type, as in `prism plugins`.")],  # noqa: A002
    config: Annotated[
        Path | None,
        typer.Option(
            "--config",
            metavar="FILE",
            help="Options of the slots, as YAML or JSON. Relative paths are of the current folder.",
        ),
    ] = None,
    slot: Annotated[
        list[SlotKind] | None,
        typer.Option(
            "--slot",
            metavar="SLOT",
            help="registry, messaging or durability; repeatable. Default: all.",
        ),
    ] = None,
    check: Annotated[
        list[str] | None,
        typer.Option("--check", metavar="ID", help="The id of a check to run, e.g. REG-010; repeatable."),
    ] = None,
    seed: Annotated[
        int | None, typer.Option("--seed", metavar="N", min=0, help="Draw the same cases as the run with this seed.")
    ] = None,
    as_json: Json = False,
) -> None:
    """Check that a backend keeps the contract.

    Every obligation by its id, and what was seen where one is broken.
    """
    if find_spec("prism_conformance") is None:
        fix = "from a checkout of Prism: pip install ./conformance"
        print_problem(stderr(), "the conformance suite is not installed", fix)
        raise typer.Exit(ExitCode.FAILED)
    from prism_conformance.command import run  # noqa: PLC0415 - another distribution, and heavy

    with reported(), stderr().status(f"running the checks of {printable(type)}; this can take minutes"):
        found = run(type, read_source({} if config is None else config), slot or (), check or (), seed)
    if as_json:
        print_json(found)
    else:
        _print(found)
    checks = [item for contract in found["contracts"] for item in contract["checks"].values()]
    if any(item["verdict"] == "failed" for item in checks):
        if config is None:
            print_problem(stderr(), "some checks failed, and no options were given", _SHARING)
        raise typer.Exit(ExitCode.FAILED)


def _print(found: dict[str, Any]) -> None:
    for contract in found["contracts"]:
        checks = contract["checks"]
        listing = table("check", "outcome", "#cases", "property")
        for id_, item in checks.items():
            outcome = Text(item["verdict"], style=_STYLES[item["verdict"]])
            listing.add_row(id_, outcome, str(sum(item["cases"].values())), printable(item["promise"]))
        stdout().print(Text(f"{contract['type']}, {contract['slot']}", style="bold"))
        print_table(stdout(), listing)
        for id_, item in checks.items():
            for failure in item["failures"][:1]:
                stdout().print(Text(f"{id_} {item['promise']}", style="red"), soft_wrap=True)
                stdout().print(Text(f"  source: {item['source']}"), soft_wrap=True)
                for line in failure["seen"].splitlines():
                    stdout().print(Text(f"  seen:   {printable(line)}"), soft_wrap=True)
                stdout().print(Text(f"  replay: {printable(failure['replay'])}"), soft_wrap=True)
        passed = sum(item["verdict"] == "passed" for item in checks.values())
        stdout().print(Text(f"{passed} of {len(checks)} checks passed; seed {found['seed']}\n"))
