"""The sending half of one stream: what waits to be sent, batched into as few frames as possible."""

from __future__ import annotations

import asyncio
import logging
from collections import deque
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from itertools import islice

from prism.client.link import Link, StreamEvent
from prism.model.errors import InternalError, PrismError
from prism.model.operations import AttachItem
from prism.model.time import Micros

logger = logging.getLogger(__name__)

ITEMS_PER_FRAME = 500
"""Identities attached or let go with one frame."""
BYTES_PER_FRAME = 1024 * 1024
"""Names and metadata in one frame."""
TAGS_PER_FRAME = 10_000


@dataclass(frozen=True, slots=True)
class Leave:
    """One identity to let go."""

    identity: str
    keep: bool


class Stream:
    """One stream of an inbox, from its opening to its end.

    What is to be sent is queued without waiting; a task that lives only while there is something sends it.
    """

    __slots__ = (
        "_acks",
        "_beat",
        "_commands",
        "_nacks",
        "_on_events",
        "_sender",
        "answered",
        "began",
        "emptied",
        "ended",
        "failure",
        "handles",
        "last_sent",
        "link",
        "unanswered",
    )

    def __init__(self, link: Link, on_events: Callable[[Stream, Sequence[StreamEvent]], None]) -> None:
        self.link = link
        self.handles: dict[int, str] = {}
        """The identities attached on it, by what stands for them."""
        self.unanswered: set[str] = set()
        """Those of which Attached or Refused hasn't come yet."""
        self.answered = asyncio.Event()
        """Set while nothing is unanswered, and once it has ended."""
        self.emptied: asyncio.Future[None] | None = None
        """Who waits for it to carry nobody any more."""
        self.failure: PrismError | None = None
        """Why it could not even be opened, or not be sent on."""
        self.ended = False
        self.began = self.last_sent = asyncio.get_running_loop().time()
        self._on_events = on_events
        self._commands: deque[AttachItem | Leave] = deque()
        self._acks: list[int] = []
        self._nacks: list[tuple[int, Micros]] = []
        self._beat = False
        self._sender: asyncio.Task[None] | None = None

    def attach(self, items: Iterable[AttachItem]) -> None:
        """Asks to attach identities."""
        for item in items:
            self._commands.append(item)
            self.unanswered.add(item.identity)
        if self.unanswered:
            self.answered.clear()
        else:
            self.answered.set()
        self._wake()

    def leave(self, identities: Iterable[str], *, keep: bool) -> None:
        """Asks to let identities go."""
        self._commands.extend(Leave(identity, keep) for identity in identities)
        self._wake()

    def ack(self, tag: int) -> None:
        """A message is done with; ignored once the stream has ended."""
        self._acks.append(tag)
        self._wake()

    def nack(self, tag: int, delay: Micros) -> None:
        """A message is to come again after `delay`; ignored once the stream has ended."""
        self._nacks.append((tag, delay))
        self._wake()

    def beat(self) -> None:
        """Says that the application lives."""
        self._beat = True
        self._wake()

    def answer(self, identity: str) -> None:
        """Attached or Refused came."""
        self.unanswered.discard(identity)
        if not self.unanswered:
            self.answered.set()

    def release(self, handle: int) -> None:
        """A handle stands for nobody any more."""
        self.handles.pop(handle, None)
        if not self.handles:
            self._note_emptied()

    def end(self) -> None:
        """The stream is over: nothing is sent any more."""
        self.ended = True
        self._note_emptied()
        self.answered.set()
        self._commands.clear()
        self._acks.clear()
        self._nacks.clear()

    async def close(self) -> None:
        """Ends it and its link."""
        self.end()
        sender = self._sender
        if sender is not None:
            sender.cancel()
            await asyncio.wait((sender,))
        await self.link.close()

    def _note_emptied(self) -> None:
        if self.emptied is not None and not self.emptied.done():
            self.emptied.set_result(None)

    def _wake(self) -> None:
        if self.ended:
            self._acks.clear()
            self._nacks.clear()
            return
        if self._sender is None:
            self._sender = asyncio.create_task(self._send())

    async def _send(self) -> None:
        try:
            while not self.ended and (self._acks or self._nacks or self._commands or self._beat):
                await self._send_next()
        except PrismError as error:
            # The stream is lost: receiving says why, and everything is sent anew on the next one.
            logger.debug("sending on an attach stream failed: %s", error)
        except Exception as error:
            logger.exception("sending on an attach stream failed; closing it")
            self.failure = InternalError(f"sending on the stream failed: {error!r}")
            await self.link.close()
        finally:
            self._sender = None

    async def _send_next(self) -> None:
        self._beat = False
        self.last_sent = asyncio.get_running_loop().time()
        if self._acks or self._nacks:
            # Before anything else: letting an identity go gives back what isn't acked.
            acks, self._acks = self._acks[:TAGS_PER_FRAME], self._acks[TAGS_PER_FRAME:]
            nacks, self._nacks = self._nacks[:TAGS_PER_FRAME], self._nacks[TAGS_PER_FRAME:]
            await self.link.settle(acks, nacks)
        elif not self._commands:
            await self.link.touch()
        elif isinstance(self._commands[0], Leave):
            await self._send_leaves(self._commands[0].keep)
        else:
            self._on_events(self, await self.link.attach(self._next_items()))

    def _next_items(self) -> list[AttachItem]:
        items: list[AttachItem] = []
        size = 0
        while self._commands and len(items) < ITEMS_PER_FRAME:
            item = self._commands[0]
            if isinstance(item, Leave):
                break
            size += _size(item.identity) + (len(item.metadata) if isinstance(item.metadata, bytes) else 0)
            if items and size > BYTES_PER_FRAME:
                break
            items.append(item)
            self._commands.popleft()
        return items

    async def _send_leaves(self, keep: bool) -> None:
        names: list[str] = []
        size = 0
        for command in islice(self._commands, ITEMS_PER_FRAME):
            if not isinstance(command, Leave) or command.keep is not keep:
                break
            size += _size(command.identity)
            if names and size > BYTES_PER_FRAME:
                break
            names.append(command.identity)
        for _ in names:
            self._commands.popleft()
        await self.link.detach(names, keep=keep)


def _size(identity: str) -> int:
    """Bytes that an identity takes at most."""
    return len(identity) if identity.isascii() else 4 * len(identity)
