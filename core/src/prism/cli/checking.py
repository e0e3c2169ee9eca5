"""`prism check`: is a configuration right, before a proxy is started with it."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated, Any

import typer
from rich.text import Text

from prism.cli.connection import run
from prism.cli.exits import ExitCode, exit_code
from prism.cli.failures import configured_hint, print_problem
from prism.cli.options import Config, Json
from prism.cli.screen import cell, counted, print_json, print_table, printable, stderr, stdout, table
from prism.cli.upkeep import configured_namespaces

if TYPE_CHECKING:
    from collections.abc import Sequence

    from prism.config import NamespaceConfig
    from prism.coordinator.checking import Tried

_WORST_FIRST = (ExitCode.USAGE, ExitCode.UNREACHABLE, ExitCode.FAILED)


def check(
    config: Config,
    namespace: Annotated[
        list[str] | None, typer.Option("--namespace", "-n", metavar="NAME", help="Only this one; repeatable.")
    ] = None,
    connect: Annotated[
        bool, typer.Option("--connect", help="Also open every slot, and ask its server something cheap.")
    ] = False,
    as_json: Json = False,
) -> None:
    """Check a configuration without serving it.

    Reads the file, loads the plugins that it names, checks their options, and holds `needs` against what the slots can
    do: every mistake is told, with its line. With --connect each slot is opened too; nothing is migrated, but what a
    slot makes at every start (a broker's topics) is made. Ends with 2 where the configuration is wrong, with 5 where a
    backend can't be reached or doesn't answer.
    """
    chosen = configured_namespaces(config, namespace)
    from prism.config.declared import undeclared_indexes  # noqa: PLC0415 - pydantic

    notes = [
        f"namespace {each.name!r}: indexes[{found.position}].field: {found.text}"
        for each in chosen
        for found in undeclared_indexes(each.schema, each.registry.options)
    ]
    tried = run(_try_out(chosen, connect=connect))
    if as_json:
        print_json({"notes": notes, "slots": [_as_json(each, connect=connect) for each in tried]})
    else:
        _print(tried, notes, connect=connect)
    failures = [each.error for each in tried if each.error is not None]
    if failures:
        codes = {exit_code(error) for error in failures}
        if not as_json:
            hint = next(filter(None, map(configured_hint, failures)), "")
            print_problem(stderr(), f"{len(failures)} of {len(tried)} can't be used", hint)
        raise typer.Exit(next(code for code in _WORST_FIRST if code in codes))


async def _try_out(namespaces: Sequence[NamespaceConfig], *, connect: bool) -> list[Tried]:
    from prism.coordinator.checking import Tried, try_out  # noqa: PLC0415

    if connect:
        return await try_out(namespaces)
    return [
        Tried(each.name, kind, slot.type, slot.spec.capabilities)
        for each in namespaces
        for kind, slot in each.slots.items()
    ]


def _print(tried: Sequence[Tried], notes: Sequence[str], *, connect: bool) -> None:
    console = stdout()
    listing = table("namespace", "slot", "type", "found", "can do")
    for each in tried:
        found = Text(_found(each, connect=connect), style="" if each.error is None else "red")
        able = ", ".join(sorted(each.capabilities))
        listing.add_row(cell(each.namespace), each.slot or "all", each.type or "", found, able)
    print_table(console, listing)
    for note in notes:
        console.print(Text(f"note: {printable(note)}", style="yellow"), soft_wrap=True)
    if not any(each.error for each in tried):
        more = "" if connect else "; --connect asks the servers, too"
        console.print(f"{counted(len(tried), 'slot', 'slots')}, no mistakes{more}", style="bold")


def _found(tried: Tried, *, connect: bool) -> str:
    if tried.error is not None:
        # The row says which slot it is.
        prefix = f"the {tried.slot} slot ({tried.type}) of namespace {tried.namespace!r} "
        return printable(tried.error.message.removeprefix(prefix))
    return f"answers in {tried.seconds * 1_000:.1f} ms" if connect else "configured well"


def _as_json(tried: Tried, *, connect: bool) -> dict[str, Any]:
    return {
        "namespace": tried.namespace,
        "slot": tried.slot,
        "type": tried.type,
        "ok": tried.error is None,
        "error": None if tried.error is None else tried.error.message,
        "capabilities": sorted(tried.capabilities),
        "seconds": tried.seconds if connect and tried.error is None else None,
    }
