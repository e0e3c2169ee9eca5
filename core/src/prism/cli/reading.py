"""`prism ls`, `prism get` and `prism explain`: looking at what is registered."""

from __future__ import annotations

import sys
from typing import TYPE_CHECKING, Annotated, Any

import orjson
import typer
from rich.text import Text

from prism.cli.columns import as_json, json_line, read_columns, row
from prism.cli.connection import reported, with_client
from prism.cli.exits import ExitCode
from prism.cli.failures import print_problem
from prism.cli.options import Address, FilterJson, Json, Namespace, Where
from prism.cli.screen import cell, print_json, print_table, printable, stderr, stdout, table
from prism.cli.selection import read_filter
from prism.model.operations import DEFAULT_NAMESPACE

if TYPE_CHECKING:
    from prism import Client, Identity
    from prism.filters.ast import Node

TABLE_ROWS = 100
"""How many rows a table has unless --limit says otherwise; JSON has all of them."""

Sort = Annotated[
    list[str] | None,
    typer.Option("--sort", "-s", metavar="FIELD", help="Sort by a field, such as battery or 'elevation desc'."),
]


def ls(
    where: Where = None,
    filter_json: FilterJson = None,
    sort: Sort = None,
    limit: Annotated[
        int | None,
        typer.Option(min=0, metavar="N", help="At most so many; 0 is all. Default: 100 in a table, all as JSON."),
    ] = None,
    columns: Annotated[
        str | None,
        typer.Option(metavar="A,B,...", help="What to show: metadata paths, $identity, $attached, $expires_in ..."),
    ] = None,
    count: Annotated[bool, typer.Option("--count", help="Only say how many match.")] = False,
    as_json_: Json = False,
    namespace: Namespace = DEFAULT_NAMESPACE,
    address: Address = None,
) -> None:
    """List the identities that match a filter."""
    with reported():
        chosen = read_filter(where, filter_json)
    if count:
        _print_count(with_client(namespace, address, lambda client: client.registry.count(chosen)), as_json_)
        return
    if as_json_:
        with_client(namespace, address, lambda client: _write_json(client, chosen, sort or [], limit or None))
        return
    shown_columns = read_columns(columns)
    bound = TABLE_ROWS if limit is None else limit or None
    found, total = with_client(namespace, address, lambda client: _read(client, chosen, sort or [], bound))
    listing = table(*(name.removeprefix("$") for name in shown_columns))
    for identity in found:
        listing.add_row(*row(identity, shown_columns))
    console = stdout()
    print_table(console, listing)
    more = f"; --limit {total} shows all" if total > len(found) else ""
    console.print(f"{len(found):,} of {total:,}{more}", style="dim")


def get(
    identities: Annotated[list[str], typer.Argument(metavar="IDENTITY", help="Who to look up.")],
    as_json_: Json = False,
    namespace: Namespace = DEFAULT_NAMESPACE,
    address: Address = None,
) -> None:
    """Show identities by name. JSON of a single one is an object, of several an array.

    Ends with 3 when one isn't registered; the others are shown.
    """
    names = list(dict.fromkeys(identities))
    found = with_client(namespace, address, lambda client: client.registry.get_many(names))
    if as_json_:
        if len(names) > 1:
            print_json([as_json(identity) for identity in found])
        elif found:
            print_json(as_json(found[0]))
    else:
        for i, identity in enumerate(found):
            if i:
                stdout().print()
            _print_details(identity)
    missing = set(names) - {identity.identity for identity in found}
    if missing:
        listed = ", ".join(printable(name) for name in names if name in missing)
        print_problem(stderr(), f"not registered: {listed}", "prism ls lists what is (-n chooses the namespace)")
        raise typer.Exit(ExitCode.NOT_FOUND)


def explain(
    where: Where = None,
    filter_json: FilterJson = None,
    as_json_: Json = False,
    namespace: Namespace = DEFAULT_NAMESPACE,
    address: Address = None,
) -> None:
    """Show how a filter is run.

    What the backend does with each part of it, and what the proxy checks itself.
    """
    with reported():
        chosen = read_filter(where, filter_json)
    plan = with_client(namespace, address, lambda client: client.registry.explain(chosen))
    parts = [{"filter": dict(part.filter), "support": part.support} for part in plan.parts]
    residual = None if plan.residual is None else dict(plan.residual)
    if as_json_:
        whole = {"registry": plan.registry, "exact": plan.exact, "parts": parts, "residual": residual}
        print_json({**whole, "backend_plan": plan.backend_plan})
        return
    console = stdout()
    listing = table("part of the filter", f"the {plan.registry} backend")
    for part in parts:
        listing.add_row(cell(part["filter"]), cell(_SUPPORT.get(str(part["support"]), str(part["support"]))))
    if parts:
        print_table(console, listing)
    else:
        console.print("no filter: everyone in the namespace")
    checked = "nothing" if residual is None else orjson.dumps(residual).decode()
    console.print(Text(f"the proxy checks: {checked}"), soft_wrap=True)
    where_sorted = "the backend" if plan.exact else "the proxy"
    console.print(f"sorting, counting and limits: {where_sorted}")
    if plan.backend_plan:
        console.print("the backend's plan:")
        for line in plan.backend_plan.splitlines():
            console.print(Text(f"  {printable(line)}"), soft_wrap=True)


_SUPPORT = {
    "exact": "exact: returns just these",
    "inexact": "inexact: returns these and perhaps more",
    "unsupported": "unsupported: leaves it to the proxy",
}


async def _read(client: Client, chosen: Node, sort: list[str], bound: int | None) -> tuple[list[Identity], int]:
    found = await client.registry.enumerate(chosen, sort_by=sort, limit=bound)
    if bound is None or len(found) < bound:
        return found, len(found)
    return found, await client.registry.count(chosen)


async def _write_json(client: Client, chosen: Node, sort: list[str], limit: int | None) -> None:
    """Writes one JSON array, one identity a line, page by page."""
    write = sys.stdout.write
    separator = "[\n"
    async for page in client.registry.enumerate(chosen, sort_by=sort, limit=limit).pages():
        for identity in page.identities:
            write(separator + json_line(identity).decode())
            separator = ",\n"
    write("\n]\n" if separator != "[\n" else "[]\n")


def _print_count(count: int, as_json_: bool) -> None:
    if as_json_:
        print_json({"count": count})
    else:
        stdout().print(str(count))


def _print_details(identity: Identity) -> None:
    listing = table("field", "value")
    listing.show_header = False
    details: dict[str, Any] = as_json(identity)
    metadata = details.pop("metadata")
    for name, value in details.items():
        listing.add_row(Text(name, style="bold"), cell("never" if name == "expires_at" and value is None else value))
    for key, value in metadata.items():
        listing.add_row(Text(f"  {printable(key)}", style="bold"), cell(value))
    print_table(stdout(), listing)
