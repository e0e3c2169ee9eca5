"""`prism dead-letters`: the messages that an identity was given too often without acknowledging them."""

from __future__ import annotations

import base64
from typing import TYPE_CHECKING, Annotated, Any

import orjson
import typer
from rich.text import Text

from prism.cli.connection import with_client
from prism.cli.durations import rfc3339
from prism.cli.options import Address, Json, Namespace
from prism.cli.screen import print_json, print_table, printable, stdout, table
from prism.model.operations import DEFAULT_NAMESPACE

if TYPE_CHECKING:
    from prism import Client, DeadLetter

SHOWN = 60
"""Characters of a message that a row of the table shows."""


def dead_letters(
    identity: Annotated[str, typer.Argument(metavar="IDENTITY", help="Whose.")],
    replay: Annotated[bool, typer.Option("--replay", help="Put those listed back, to be delivered anew.")] = False,
    limit: Annotated[int, typer.Option(min=1, metavar="N", help="At most so many, the oldest.")] = 100,
    as_json_: Json = False,
    namespace: Namespace = DEFAULT_NAMESPACE,
    address: Address = None,
) -> None:
    """Show messages that were given up.

    A message that an identity was handed too often without acknowledging it is kept as a dead letter. --replay puts
    those listed at the end of its queue as new messages. Ends with 3 when the identity isn't registered.
    """

    async def work(client: Client) -> tuple[list[DeadLetter], int | None]:
        found = await client.registry.dead_letters(identity, limit)
        if not replay:
            return found, None
        return found, await client.registry.replay(identity, [letter.id for letter in found])

    found, replayed = with_client(namespace, address, work)
    if as_json_:
        listed = [_as_json(letter) for letter in found]
        print_json(listed if replayed is None else {"replayed": replayed, "dead_letters": listed})
        return
    console = stdout()
    if found:
        listing = table("message", "died_at", "#attempts", "content", "reason")
        for letter in found:
            listing.add_row(
                letter.id,
                rfc3339(letter.died_at),
                str(letter.attempts),
                Text(_readable(letter)),
                Text(printable(letter.reason)),
            )
        print_table(console, listing)
    count = f"{len(found):,} dead letter{'s' if len(found) != 1 else ''} of {printable(identity)}"
    console.print(Text(count if replayed is None else f"{count}; {replayed:,} put back into its queue"), soft_wrap=True)


def _content(letter: DeadLetter) -> object:
    """What was sent; the bytes themselves where they aren't what their content type says."""
    try:
        return letter.content
    except ValueError:
        return letter.payload


def _readable(letter: DeadLetter) -> str:
    content = _content(letter)
    if isinstance(content, bytes):
        return f"{len(content):,} bytes of {printable(letter.content_type)}"
    text = printable(content) if isinstance(content, str) else orjson.dumps(content).decode()
    return text if len(text) <= SHOWN else text[: SHOWN - 3] + "..."


def _as_json(letter: DeadLetter) -> dict[str, Any]:
    content = _content(letter)
    body = (
        {"payload_base64": base64.b64encode(content).decode()} if isinstance(content, bytes) else {"content": content}
    )
    return {
        "id": letter.id,
        "identity": letter.identity,
        "content_type": letter.content_type,
        **body,
        "sent_at": rfc3339(letter.sent_at),
        "attempts": letter.attempts,
        "died_at": rfc3339(letter.died_at),
        "reason": letter.reason,
    }
