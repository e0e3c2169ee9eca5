"""The inbox of attached identities: `async with registry.attach(...) as inbox: async for message in inbox`."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from types import TracebackType
from typing import TYPE_CHECKING, Any, Self

from prism.client import arguments
from prism.client.attachments import Attachments
from prism.client.buffer import Buffer
from prism.client.notices import Notices, OnEvent
from prism.client.ttl import Seconds, to_ttl
from prism.client.wanted import Wanted
from prism.model.errors import AlreadyExists, DeadlineExceeded, InvalidArgument, NotFound, PrismError, Unavailable
from prism.model.operations import Beat, Default, Ttl

if TYPE_CHECKING:
    from prism.client.message import Message
    from prism.client.transport import Transport

logger = logging.getLogger(__name__)

DEFAULT_PREFETCH = 1_000
PARTING = 3.0
"""Seconds that leaving takes at most where the stream is lost, to remove registrations by a call."""


@dataclass(frozen=True, slots=True)
class AttachOptions:
    """How an inbox behaves; see `Registry.attach`."""

    ttl: Ttl = Default.TTL
    keep: bool = False
    only_if_absent: bool = False
    partial: bool = False
    prefetch: int = DEFAULT_PREFETCH
    on_event: OnEvent | None = None
    timeout: float = 10.0
    """Seconds for attaching, adding, removing and leaving."""


class Inbox:
    """Identities attached to this process, and the messages they get. Made by `Registry.attach`.

    An async context manager and an async iterator. When the stream to the proxy is lost it attaches again by itself;
    iteration just goes on, the next message of each identity has `gap_before`, and `on_event` is told. Iteration
    ends with `Superseded`, `Unregistered` or whatever else took the last identity away, after the messages that
    came before. Several tasks may read from one inbox; each message goes to one of them.
    """

    def __init__(
        self,
        connect: Callable[[], Awaitable[Transport]],
        identities: Mapping[str, bytes | None],
        options: AttachOptions,
        siblings: set[Inbox],
    ) -> None:
        self.refused: dict[str, PrismError] = {}
        """With `partial`: the identities that could not be attached, and why."""
        self._connect = connect
        self._initial = dict(identities)
        self._options = options
        self._siblings = siblings
        self._buffer = Buffer(options.prefetch)
        self._current: Iterator[Message] = iter(())
        self._transport: Transport | None = None
        self._attachments: Attachments | None = None
        self._notices = Notices(options.on_event, self._fail)
        self._closed = False

    # Life

    async def __aenter__(self) -> Self:
        await self.open()
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        await self.aclose()

    async def open(self) -> None:
        """Attaches; what `async with` does on entering.

        Raises:
            PrismError: the proxy can't be reached, or an identity was refused (with `partial`: all were).
        """
        if self._attachments is not None:
            raise RuntimeError("an inbox is opened once; make another one with attach()")
        self._transport = transport = await self._connect()
        attachments = Attachments(transport.link, self._buffer, self._notices.tell, lambda: transport.reached)
        self._attachments = attachments
        self._siblings.add(self)
        only_if_absent = self._options.only_if_absent
        for identity, metadata in self._initial.items():
            attachments.wanted[identity] = Wanted(identity, metadata, self._options.ttl, only_if_absent=only_if_absent)
        try:
            waiters = {identity: _expect(one) for identity, one in attachments.wanted.items()}
            await attachments.start()
            self._note_refused(await self._answers(waiters))
        except BaseException:
            await self.aclose(keep=False)
            raise
        attachments.established()

    async def aclose(self, *, keep: bool | None = None) -> None:
        """Lets all identities go and ends the stream; what leaving `async with` does. Idempotent.

        Args:
            keep: leave them registered until their TTL, reachable by their queues; None is what `attach` was told.
        """
        if self._closed:
            return
        self._closed = True
        attachments = self._attachments
        if attachments is None:
            return
        identities = list(attachments.wanted)
        attachments.closing = True
        self._buffer.discard()
        try:
            await self._let_go(identities, keep=self._options.keep if keep is None else keep)
        finally:
            await attachments.stop()
            await self._notices.close(self._options.timeout)
            self._siblings.discard(self)

    # Reading

    def __aiter__(self) -> Self:
        return self

    async def __anext__(self) -> Message:
        while True:
            for message in self._current:
                return message
            arrival = await self._buffer.take()
            if arrival is None:
                raise StopAsyncIteration
            self._current = iter(arrival.messages(self._buffer.gaps))

    async def batches(self, size: int = 1_000) -> AsyncIterator[list[Message]]:
        """The messages in lists of what is there, at most about `size`: the quickest way to read many."""
        while batch := await self._take_many(size):
            yield batch

    async def receive(self, timeout: Seconds | None = None) -> Message:  # noqa: ASYNC109 - cancellation would do as well
        """The next message.

        Args:
            timeout: how long to wait; None is for ever.

        Raises:
            TimeoutError: none came in time.
            EOFError: the inbox was closed.
        """
        try:
            async with asyncio.timeout(arguments.wait(timeout)):
                return await anext(self)
        except StopAsyncIteration:
            raise EOFError("the inbox was closed") from None

    async def receive_many(self, size: int, timeout: Seconds | None = None) -> list[Message]:  # noqa: ASYNC109
        """What is there, at least one message and at most about `size`. Raises as `receive`."""
        async with asyncio.timeout(arguments.wait(timeout)):
            batch = await self._take_many(arguments.count(size, "size", 1))
        if not batch:
            raise EOFError("the inbox was closed")
        return batch

    async def _take_many(self, size: int) -> list[Message]:
        """At least one message; none once the inbox was closed."""
        batch = list(self._current)
        arrival = self._buffer.poll() if batch else await self._buffer.take()
        while arrival is not None:
            batch.extend(arrival.messages(self._buffer.gaps))
            arrival = self._buffer.poll() if len(batch) < size else None
        return batch

    # Identities

    @property
    def identities(self) -> tuple[str, ...]:
        """The identities that it carries, also while its stream is being opened again."""
        return tuple(self._attachments.wanted) if self._attachments is not None else ()

    def registration_id(self, identity: str) -> str:
        """The fencing token of an attached identity's registration. Raises NotFound where it isn't attached here."""
        return self._mine(identity).registration_id

    async def add(
        self, identity: str, metadata: Mapping[str, Any] | bytes | None = None, *, ttl: Seconds | None = None
    ) -> None:
        """Attaches one more identity on the same stream; arguments as for `attach`, `ttl` None is this inbox's.

        Raises:
            AlreadyExists: this inbox carries it already.
            PrismError: it was refused; the others aren't touched.
        """
        attachments = self._open_attachments()
        if arguments.identity(identity) in attachments.wanted:
            raise AlreadyExists(f"{identity!r} is attached in this inbox already", details={"identity": identity})
        data = arguments.optional_metadata(metadata)
        lifetime = self._options.ttl if ttl is None else to_ttl(ttl)
        one = Wanted(identity, data, lifetime, only_if_absent=self._options.only_if_absent)
        attachments.wanted[identity] = one
        waiter = _expect(one)
        if attachments.stream is not None and not attachments.stream.ended:
            attachments.ask(attachments.next or attachments.stream, (one,))
        try:
            outcomes = await self._answers({identity: waiter})
        except BaseException:
            if attachments.wanted.get(identity) is one:
                await self._remove(identity, keep=False)
            raise
        if identity in outcomes:
            raise outcomes[identity]

    async def remove(self, identity: str, *, keep: bool = False) -> None:
        """Lets one identity go: unregisters it, or with `keep` leaves it registered until its TTL.

        Raises:
            NotFound: this inbox doesn't carry it.
        """
        self._mine(identity)
        await self._remove(identity, keep=keep)

    # How

    async def _remove(self, identity: str, *, keep: bool) -> None:
        await self._let_go([identity], keep=keep)

    async def _answers(self, waiters: Mapping[str, asyncio.Future[None]]) -> dict[str, PrismError]:
        """Waits for the answers to attaching; the errors among them."""
        if not waiters:
            return {}
        _, late = await asyncio.wait(waiters.values(), timeout=self._options.timeout)
        errors: dict[str, PrismError] = {}
        for identity, waiter in waiters.items():
            if waiter in late:
                errors[identity] = self._too_late(identity)
            elif (error := waiter.exception()) is not None:
                if not isinstance(error, PrismError):
                    raise error
                errors[identity] = error
        return errors

    def _too_late(self, identity: str) -> PrismError:
        """Not answered in time: Unavailable where that is why, and what the last proxy said."""
        text = f"{identity!r} was not attached within {self._options.timeout:g} s; whether it will be is unknown"
        failure = None if self._attachments is None else self._attachments.failure
        if isinstance(failure, Unavailable):
            return Unavailable(f"{text}; the last try: {failure.message}", details={"identity": identity})
        return DeadlineExceeded(text, details={"identity": identity})

    def _note_refused(self, errors: dict[str, PrismError]) -> None:
        if not errors:
            return
        if self._options.partial and len(errors) < len(self._initial):
            self.refused = errors
            return
        identity, error = next(iter(errors.items()))
        if len(self._initial) == 1:
            raise error
        count = f"{len(errors)} of {len(self._initial)} identities"
        text = f"{count} were refused, the first, {identity!r}: {error.message}"
        raise type(error)(text, violations=error.violations, details=error.details | {"identity": identity}) from error

    async def _let_go(self, identities: Sequence[str], *, keep: bool) -> None:
        attachments = self._open_attachments(closing=True)
        loop = asyncio.get_running_loop()
        leaving: dict[str, asyncio.Future[bool]] = {}
        mine: dict[str, Wanted] = {}
        for identity in identities:
            one = mine[identity] = attachments.wanted.pop(identity)
            one.settle(InvalidArgument(f"{identity!r} was removed while it was being attached"))
            if one.stream is not None and not one.stream.ended:
                leaving[identity] = attachments.leaving[identity] = loop.create_future()
                one.stream.leave((identity,), keep=keep)
        try:
            if leaving:
                await asyncio.wait(leaving.values(), timeout=self._options.timeout)
        finally:
            for identity in leaving:
                del attachments.leaving[identity]
        left = {identity for identity, waiter in leaving.items() if waiter.done() and waiter.result()}
        if not keep:
            await self._unregister([one for identity, one in mine.items() if identity not in left])

    async def _unregister(self, unanswered: Sequence[Wanted]) -> None:
        """For identities whose stream was lost: removes the registrations that are known to be this inbox's."""
        beats = [Beat(one.identity, one.registration_id) for one in unanswered if one.registration_id]
        if not beats or self._transport is None:
            return
        try:
            async with asyncio.timeout(PARTING):
                await self._transport.unregister(beats)
        except (PrismError, TimeoutError) as error:
            why = str(error) or f"no proxy answered within {PARTING:g} s"
            who = repr(beats[0].identity) if len(beats) == 1 else f"{len(beats):,} identities"
            logger.warning("%s: registered until the TTL runs out, since %s", who, why)

    def _mine(self, identity: str) -> Wanted:
        one = self._open_attachments().wanted.get(arguments.identity(identity))
        if one is None:
            raise NotFound(f"{identity!r} is not attached in this inbox", details={"identity": identity})
        return one

    def _open_attachments(self, *, closing: bool = False) -> Attachments:
        if self._attachments is None or (self._closed and not closing):
            raise RuntimeError("the inbox is not open; use it inside `async with registry.attach(...) as inbox`")
        return self._attachments

    def _fail(self, error: Exception) -> None:
        if self._attachments is not None:
            self._attachments.fail(error)


def _expect(one: Wanted) -> asyncio.Future[None]:
    one.waiter = waiter = asyncio.get_running_loop().create_future()
    return waiter
