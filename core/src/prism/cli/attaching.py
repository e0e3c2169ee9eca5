"""`prism attach`: be an identity, and print the messages that come for it."""

from __future__ import annotations

import base64
import sys
from typing import TYPE_CHECKING, Annotated, Any

import orjson
import typer
from rich.text import Text

from prism.cli.connection import with_client
from prism.cli.durations import rfc3339
from prism.cli.options import Address, Namespace, Ttl
from prism.cli.registering import MetadataJson, read_metadata
from prism.cli.screen import print_json_line, printable, stderr, stdout
from prism.client.events import Disconnected, Draining, InboxEvent, Lost, MessageGap, Reattached
from prism.model.operations import DEFAULT_NAMESPACE

if TYPE_CHECKING:
    from rich.console import Console

    from prism import Client, Message


def attach(
    identities: Annotated[list[str], typer.Argument(metavar="IDENTITY", help="Who to be, one or many.")],
    pairs: Annotated[
        list[str] | None, typer.Option("--set", metavar="KEY=VALUE", help="Metadata to register with; repeatable.")
    ] = None,
    metadata: MetadataJson = None,
    ttl: Ttl = None,
    ack: Annotated[bool, typer.Option("--ack/--no-ack", help="Acknowledge messages once printed.")] = True,
    count: Annotated[int | None, typer.Option(min=1, metavar="N", help="Leave after so many messages.")] = None,
    keep: Annotated[bool, typer.Option("--keep", help="Stay registered after leaving, until the TTL.")] = False,
    as_json_: Annotated[bool, typer.Option("--json", help="Write each message as one line of JSON.")] = False,
    namespace: Namespace = DEFAULT_NAMESPACE,
    address: Address = None,
) -> None:
    """Attach identities and print their messages.

    As they come, until Ctrl-C or SIGTERM. With metadata (--set, --metadata) it registers them, and leaving
    unregisters them unless --keep. Without, it takes over registrations that exist: their TTL becomes --ttl, or the
    namespace's for attached identities (30s), and leaving unregisters these too unless --keep.
    """
    document = read_metadata(pairs, metadata)
    target: str | dict[str, dict[str, Any] | None] = (
        identities[0] if len(identities) == 1 else dict.fromkeys(identities, document)
    )
    single = document if len(identities) == 1 else None

    async def receive(client: Client) -> None:
        notices = stderr()
        inbox = client.registry.attach(
            target, single, ttl=ttl, keep=keep, on_event=lambda event: _notice(notices, _told(event))
        )
        async with inbox:
            _notice(notices, f"attached {', '.join(identities)}; Ctrl-C leaves")
            left = count
            async for message in inbox:
                _print_message(message, as_json_, named=len(identities) > 1)
                if ack:
                    await message.ack()
                if left is not None:
                    left -= 1
                    if not left:
                        return

    with_client(namespace, address, receive)


def _notice(console: Console, text: str) -> None:
    console.print(Text(printable(text), style="dim"), soft_wrap=True)


def _told(event: InboxEvent) -> str:
    """What an event means, in a line."""
    match event:
        case Disconnected():
            return f"disconnected{f': {event.error.message}' if event.error else ''}; attaching again"
        case Reattached():
            missed = "; messages may have been missed" if event.gap else ""
            # At once is after an expiry: how long messages were missed before it, the client can't know.
            after = f" after {event.duration:.1f}s" if event.duration >= 0.1 else ""
            return f"attached again{after}{missed}"
        case MessageGap():
            return f"{event.identity}: {event.dropped or 'some'} messages were lost: {event.reason}"
        case Draining():
            return f"the proxy stops within {event.grace:.0f}s; moving to another"
        case Lost():
            return f"{event.identity} is lost: {event.error.message}"


def _print_message(message: Message, as_json_: bool, *, named: bool) -> None:
    if as_json_:
        print_json_line(_as_json(message))
        return
    line = Text(f"{message.sent_at.astimezone():%H:%M:%S} ", style="dim")
    if named:
        line.append(f"{printable(message.identity)} ", style="cyan")
    line.append(_readable(message))
    if message.redelivered:
        line.append(f"  (again, attempt {message.attempt})", style="yellow")
    stdout().print(line, soft_wrap=True)
    sys.stdout.flush()


def _content(message: Message) -> object:
    """What was sent; the bytes themselves where they aren't what their content type says."""
    try:
        return message.content
    except ValueError:
        return message.payload


def _readable(message: Message) -> str:
    content = _content(message)
    if isinstance(content, bytes):
        return f"{len(content):,} bytes of {message.content_type}"
    return printable(content) if isinstance(content, str) else orjson.dumps(content).decode()


def _as_json(message: Message) -> dict[str, Any]:
    content = _content(message)
    body = (
        {"payload_base64": base64.b64encode(content).decode()} if isinstance(content, bytes) else {"content": content}
    )
    return {
        "id": message.id,
        "identity": message.identity,
        "content_type": message.content_type,
        **body,
        "sent_at": rfc3339(message.sent_at),
        "attempt": message.attempt,
        "redelivered": message.redelivered,
    }
