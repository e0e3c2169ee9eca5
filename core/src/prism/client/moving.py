"""Moves an inbox to another proxy while its own drains: the new stream is up before the old one is let go."""

from __future__ import annotations

import asyncio
from functools import partial
from typing import TYPE_CHECKING

from prism.client.events import Reattached
from prism.client.pause import pause

if TYPE_CHECKING:
    from prism.client.attachments import Attachments
    from prism.client.stream import Stream


async def move(attachments: Attachments, old: Stream, grace: float) -> None:
    """Tries to attach everything on another stream until that worked, or `old` has ended by itself.

    Args:
        attachments: what is to be moved.
        old: the stream of the proxy that drains.
        grace: how long it goes on serving, seconds.
    """
    loop = asyncio.get_running_loop()
    began = loop.time()
    old.link.leave()
    attempt = 0
    while True:
        await pause(attempt)
        attempt += 1
        if not _still_on(attachments, old):
            return
        new = await attachments.open_stream()
        if new.failure is not None or not _still_on(attachments, old):
            await new.close()
            continue
        if await _attach_all(attachments, new):
            attachments.stream, attachments.next = new, None
            attachments.tell(Reattached(tuple(attachments.wanted), loop.time() - began, gap=False))
            await _let_finish(old, grace)
            return


def _still_on(attachments: Attachments, old: Stream) -> bool:
    return attachments.stream is old and not old.ended and not attachments.closing


async def _attach_all(attachments: Attachments, new: Stream) -> bool:
    """Whether the new stream carries at least some of the identities; the others are asked for again later."""
    attachments.next = new
    attachments.ask_all(new)
    attachments.spawn(partial(attachments.serve, new))
    await new.answered.wait()
    if attachments.next is not new or new.ended:
        return False  # its reader has put everything back, or goes on with it as the current one
    if new.handles or not attachments.wanted:
        return True
    attachments.turn_back(new)
    await new.close()
    return False


async def _let_finish(old: Stream, grace: float) -> None:
    """Reads on from the old stream until the proxy has taken the last identity from it."""
    if old.handles and not old.ended:
        old.emptied = asyncio.get_running_loop().create_future()
        await asyncio.wait((old.emptied,), timeout=grace)
    await old.close()
