"""`prism register` and `prism unregister`: who is there."""

from __future__ import annotations

import sys
from typing import TYPE_CHECKING, Annotated, Any

import typer
from rich.text import Text

from prism.cli.connection import reported, with_client
from prism.cli.durations import rfc3339
from prism.cli.exits import ExitCode, exit_code
from prism.cli.failures import print_failure, print_problem
from prism.cli.options import Address, FilterJson, Json, Namespace, Ttl, Where
from prism.cli.pairs import read_pairs
from prism.cli.screen import counted, print_json, printable, stderr, stdout
from prism.cli.selection import read_filter
from prism.cli.source import read_json_object
from prism.model.errors import PrismError
from prism.model.operations import DEFAULT_NAMESPACE

if TYPE_CHECKING:
    from prism import Client
    from prism.filters.ast import Node

MetadataJson = Annotated[
    str | None, typer.Option("--metadata", metavar="JSON|@FILE|-", help="The metadata as a JSON object.")
]


def register(
    identity: Annotated[str, typer.Argument(metavar="IDENTITY", help="Its name, unique in the namespace.")],
    pairs: Annotated[
        list[str] | None,
        typer.Argument(metavar="KEY=VALUE", help="Its metadata: room=engineering battery=0.4 location.lat=47.5"),
    ] = None,
    set_: Annotated[
        list[str] | None, typer.Option("--set", metavar="KEY=VALUE", help="The same as KEY=VALUE; repeatable.")
    ] = None,
    metadata: MetadataJson = None,
    ttl: Ttl = None,
    replace: Annotated[bool, typer.Option("--replace", help="Take over a registration that exists.")] = False,
    as_json_: Json = False,
    namespace: Namespace = DEFAULT_NAMESPACE,
    address: Address = None,
) -> None:
    """Register an identity with its metadata.

    A value that reads as a number, true or null is one; text in quotes stays text: 'firmware_version="1.2"'.
    """
    document = read_metadata([*(pairs or ()), *(set_ or ())], metadata) or {}
    done = with_client(
        namespace,
        address,
        lambda client: client.registry.register(identity, document, ttl=ttl, replace=replace),
    )
    expires_at = rfc3339(done.expires_at)
    if as_json_:
        print_json(
            {
                "identity": identity,
                "registration_id": done.registration_id,
                "revision": done.revision,
                "registered_at": rfc3339(done.registered_at),
                "expires_at": expires_at,
            }
        )
        return
    until = "until it is unregistered" if expires_at is None else f"until {expires_at} unless renewed"
    stdout().print(Text(f"registered {printable(identity)} (revision {done.revision}), {until}"), soft_wrap=True)


def unregister(
    identities: Annotated[
        list[str] | None, typer.Argument(metavar="IDENTITY", help="Who to remove; or name them by --where.")
    ] = None,
    where: Where = None,
    filter_json: FilterJson = None,
    yes: Annotated[bool, typer.Option("--yes", "-y", help="Don't ask before removing what a filter matches.")] = False,
    as_json_: Json = False,
    namespace: Namespace = DEFAULT_NAMESPACE,
    address: Address = None,
) -> None:
    """Remove identities, by name or by filter. Names that aren't registered end it with 3."""
    filtered = bool(where) or filter_json is not None
    if bool(identities) == filtered:
        print_problem(stderr(), "name identities, or choose them by --where or --filter (one of the two)")
        raise typer.Exit(ExitCode.USAGE)
    with reported():
        chosen = read_filter(where, filter_json)
    names = list(identities or []) or with_client(namespace, address, lambda client: _names(client, chosen))
    if filtered and names and not yes:
        _confirm(len(names), namespace)
    outcomes = with_client(namespace, address, lambda client: _remove(client, names)) if names else []
    _report(names, outcomes, as_json_, filtered)


def read_metadata(pairs: list[str] | None, metadata: str | None) -> dict[str, Any] | None:
    """The metadata that the command line gives, by pairs or as JSON; None when it gives none."""
    if pairs and metadata is not None:
        print_problem(stderr(), "metadata is given twice: as KEY=VALUE pairs and by --metadata; use one of them")
        raise typer.Exit(ExitCode.USAGE)
    if metadata is not None:
        return read_json_object(metadata, "--metadata")
    with reported():
        return read_pairs(pairs) if pairs else None


def _confirm(count: int, namespace: str) -> None:
    many = counted(count, "identity", "identities")
    if not sys.stdin.isatty():
        print_problem(stderr(), f"this would unregister {many}", "--yes does it without asking")
        raise typer.Exit(ExitCode.USAGE)
    question = f'Unregister {many} of the namespace "{printable(namespace)}"?'
    if not typer.confirm(question, err=True):
        raise typer.Exit(ExitCode.FAILED)


async def _names(client: Client, chosen: Node) -> list[str]:
    pages = client.registry.enumerate(chosen, include_metadata=False).pages()
    return [identity.identity async for page in pages for identity in page.identities]


async def _remove(client: Client, names: list[str]) -> list[bool | PrismError]:
    return list(await client.registry.unregister_many(names))


def _report(names: list[str], outcomes: list[bool | PrismError], as_json_: bool, filtered: bool) -> None:
    removed = [name for name, outcome in zip(names, outcomes, strict=True) if outcome is True]
    missing = [name for name, outcome in zip(names, outcomes, strict=True) if outcome is False]
    errors = [outcome for outcome in outcomes if isinstance(outcome, PrismError)]
    if as_json_:
        print_json({"removed": removed, "not_registered": missing, "errors": [error.message for error in errors]})
    else:
        stdout().print(f"unregistered {len(removed):,}")
    for error in errors:
        print_failure(stderr(), error)
    if errors:
        raise typer.Exit(exit_code(errors[0]))
    if missing and not filtered:  # what a filter matched a moment ago may be gone by itself
        print_problem(stderr(), f"not registered: {', '.join(printable(name) for name in missing)}")
        raise typer.Exit(ExitCode.NOT_FOUND)
