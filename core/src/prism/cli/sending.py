"""`prism send`: one message to everybody that matches."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated

import orjson
import typer

from prism.cli.connection import reported, with_client
from prism.cli.durations import whole_seconds
from prism.cli.exits import ExitCode
from prism.cli.failures import print_problem
from prism.cli.options import Address, FilterJson, Json, Namespace, Timeout, Where
from prism.cli.receipts import as_json, receipt_table, summary
from prism.cli.screen import print_json, print_table, stderr, stdout
from prism.cli.selection import read_filter
from prism.cli.source import read_bytes
from prism.filters.ast import EVERYONE, Node
from prism.model.message import JSON_TYPE, OCTETS, TEXT, DeliverySemantics
from prism.model.operations import DEFAULT_NAMESPACE

if TYPE_CHECKING:
    from prism.model.delivery import MulticastResult


def send(
    message: Annotated[str, typer.Argument(metavar="MESSAGE|@FILE|-", help="Text, a file, or standard input.")],
    where: Where = None,
    filter_json: FilterJson = None,
    everyone: Annotated[bool, typer.Option("--all", help="Send to everyone in the namespace.")] = False,
    json_body: Annotated[bool, typer.Option("--json-body", help="The message is JSON (checked first).")] = False,
    content_type: Annotated[str | None, typer.Option(metavar="TYPE", help="The message's MIME type.")] = None,
    delivery: Annotated[DeliverySemantics | None, typer.Option(help="How surely. Default: the namespace's.")] = None,
    timeout: Timeout = None,
    message_ttl: Annotated[
        int | None,
        typer.Option(parser=whole_seconds, metavar="DURATION", help="How long at-least-once keeps it undelivered."),
    ] = None,
    as_json_: Json = False,
    namespace: Namespace = DEFAULT_NAMESPACE,
    address: Address = None,
) -> None:
    """Send a message to every identity that matches.

    The receipts are shown, by status and reason. Sending to everyone needs --all. Ends with 4 when a delivery is
    neither DELIVERED nor PENDING.
    """
    with reported():
        chosen = read_filter(where, filter_json)
    _check_everyone(chosen, everyone)
    payload, kind = _read_message(message, json_body, content_type)
    result = with_client(
        namespace,
        address,
        lambda client: client.registry.multicast(
            chosen, payload, content_type=kind, delivery=delivery, timeout=timeout, message_ttl=message_ttl
        ),
    )
    if as_json_:
        print_json(as_json(result))
    else:
        _print(result)
    if result.failed_count or result.timeout_count:
        raise typer.Exit(ExitCode.UNDELIVERED)


def _check_everyone(chosen: Node, everyone: bool) -> None:
    """Nothing goes to everyone by accident, and --all doesn't hide a filter."""
    if chosen == EVERYONE and not everyone:
        fix = "--where 'room=engineering' (or --filter) says who is meant; --all sends to everyone"
        print_problem(stderr(), "nobody is named: this would send to everyone in the namespace", fix)
        raise typer.Exit(ExitCode.USAGE)
    if chosen != EVERYONE and everyone:
        print_problem(stderr(), "--all and a filter contradict each other", "leave one of them out")
        raise typer.Exit(ExitCode.USAGE)


def _read_message(message: str, json_body: bool, content_type: str | None) -> tuple[bytes, str]:
    """The payload and its content type: what was named, else JSON, else text, else bytes."""
    payload = read_bytes(message)
    if json_body:
        try:
            orjson.loads(payload)
        except ValueError as error:
            raise typer.BadParameter(f"--json-body: not JSON: {error}") from error
        return payload, content_type or JSON_TYPE
    return payload, content_type or (TEXT if _is_text(payload) else OCTETS)


def _is_text(payload: bytes) -> bool:
    try:
        payload.decode()
    except UnicodeDecodeError:
        return False
    return True


def _print(result: MulticastResult) -> None:
    console = stdout()
    if len(result.statuses):
        print_table(console, receipt_table(result))
    console.print(summary(result), style="bold")
    if result.statuses_truncated:
        console.print("the table has the first statuses only; the counts are complete", style="dim")
    console.print(f"message {result.message_id}", style="dim")
