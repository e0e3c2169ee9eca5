"""Keeps identities attached: one stream at a time, a new one when it is lost, a move when the proxy drains."""

from __future__ import annotations

import asyncio
import random
from collections.abc import Awaitable, Callable, Iterable, Sequence
from functools import partial

from prism.client.buffer import Buffer, GapMark
from prism.client.events import Disconnected, Draining, InboxEvent, Lost, MessageGap, Reattached
from prism.client.link import Link
from prism.client.message import Arrival
from prism.client.moving import move
from prism.client.pause import LONGEST_PAUSE, pause
from prism.client.stream import Stream
from prism.client.wanted import Wanted
from prism.model.errors import (
    BY_REASON,
    InternalError,
    InvalidArgument,
    NotFound,
    PluginError,
    PrismError,
    QuotaExceeded,
    SessionLost,
    Superseded,
    Unsupported,
)
from prism.model.operations import Attachment
from prism.model.time import SECOND
from prism.sessions import events as session_events
from prism.sessions.events import SessionEvent

SLOWEST_BEAT = 10.0
"""Seconds between heartbeats at most: a third of the usual TTL."""
QUICKEST_BEAT = 0.2

_HOPELESS = (InvalidArgument, Unsupported, PluginError, NotFound)
"""What a whole stream is refused with and would be again."""


class Attachments:
    """The identities of one inbox and the streams that carry them. Everything happens in one event loop.

    Args:
        open_link: makes the link for a new stream.
        buffer: where messages and gaps go, and the error when nothing is left to be attached.
        tell: takes the events.
        reached: whether this client has ever been answered: before that, an unreachable proxy is an error at once.
    """

    def __init__(
        self,
        open_link: Callable[[], Link],
        buffer: Buffer,
        tell: Callable[[InboxEvent], None],
        reached: Callable[[], bool],
    ) -> None:
        self.wanted: dict[str, Wanted] = {}
        self.leaving: dict[str, asyncio.Future[bool]] = {}
        """Identities being let go; True once the proxy has said so, False where its stream was lost before."""
        self.stream: Stream | None = None
        """The current one."""
        self.next: Stream | None = None
        """The one that everything is moving to."""
        self.closing = False
        self._open_link = open_link
        self._buffer = buffer
        self.tell = tell
        self._reached = reached
        self._established = False
        self._away: set[str] = set()
        self._away_since = 0.0
        self._beat_every = SLOWEST_BEAT
        self._later: set[str] = set()
        self._tasks: set[asyncio.Task[None]] = set()
        self._timer: asyncio.TimerHandle | None = None
        self._loop = asyncio.get_running_loop()

    # What the inbox asks

    async def start(self) -> None:
        """Opens the first stream and asks for all that is wanted. Answers come to the waiters."""
        self.stream = await self.open_stream()
        self.ask_all(self.stream)
        self.spawn(partial(self.serve, self.stream))
        self._schedule_beat()

    def ask(self, stream: Stream, wanted: Iterable[Wanted]) -> None:
        """Asks for identities on a stream."""
        stream.attach([one.ask(stream) for one in wanted])

    def established(self) -> None:
        """The first answers are in: from now on, a lost stream is an interruption and not an error."""
        self._established = True

    def fail(self, error: Exception) -> None:
        """Nothing can be attached any more: whoever reads gets the error."""
        if self.closing:
            return
        self.closing = True
        self._buffer.end(error)
        for one in self.wanted.values():
            one.settle(error)
        for stream in (self.stream, self.next):
            if stream is not None and not stream.ended:
                self.spawn(stream.close)

    async def stop(self) -> None:
        """Ends streams and tasks."""
        self.closing = True
        if self._timer is not None:
            self._timer.cancel()
        for stream in (self.stream, self.next):
            if stream is not None:
                await stream.close()
        tasks = [task for task in self._tasks if task is not asyncio.current_task()]
        for task in tasks:
            task.cancel()
        if tasks:
            await asyncio.wait(tasks)

    def spawn(self, work: Callable[[], Awaitable[None]]) -> None:
        """Runs something until `stop`."""
        task = asyncio.create_task(self._guarded(work))
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)

    async def _guarded(self, work: Callable[[], Awaitable[None]]) -> None:
        try:
            await work()
        except Exception as error:  # noqa: BLE001 - reported: it ends the inbox, and whoever reads it gets it
            failure = InternalError(f"an attached inbox failed: {error!r}")
            failure.__cause__ = error
            self.fail(failure)

    # Streams

    async def open_stream(self) -> Stream:
        """A new stream, on which nothing is asked for yet."""
        stream = Stream(self._open_link(), self._on_events)
        try:
            await stream.link.open()
        except PrismError as error:
            stream.failure = error
            stream.end()
        return stream

    def ask_all(self, stream: Stream) -> None:
        """Asks on a stream for everything that is wanted."""
        self.ask(stream, self.wanted.values())
        if not self.wanted:
            stream.beat()

    async def serve(self, stream: Stream) -> None:
        """Reads a stream to its end, and then the ones that follow it."""
        attempt = 0
        while True:
            error = await self._receive(stream)
            if stream is self.stream:
                self._abandon_leaving()
            if self.closing or self._moves_on(stream):
                return
            if error is not None and self._is_hopeless(error):
                self.fail(error)
                return
            if self._loop.time() - stream.began > LONGEST_PAUSE:
                attempt = 0
            self._note_lost(stream, error)
            await pause(attempt)
            attempt += 1
            self.stream = stream = await self.open_stream()
            if self._is_over():
                await stream.close()
                return
            self.ask_all(stream)

    async def _receive(self, stream: Stream) -> PrismError | None:
        """Until the stream has ended; why, if there is a reason."""
        try:
            while stream.failure is None:
                events = await stream.link.receive()
                if not events:
                    break
                self._on_events(stream, events)
                stream.link.handed_over(events)
                if self._buffer.full:
                    await self._buffer.room()
        except PrismError as error:
            return error
        finally:
            await stream.close()
        return stream.failure

    def _is_over(self) -> bool:
        return self.closing

    def _is_hopeless(self, error: PrismError) -> bool:
        if self._established:
            return isinstance(error, _HOPELESS)
        return not (error.retryable and self._reached())

    def _moves_on(self, stream: Stream) -> bool:
        """Whether another stream goes on in the place of one that ended."""
        if stream is self.next:
            self.turn_back(stream)
            return True
        if stream is not self.stream:
            return True
        if self.next is None:
            return False
        self.stream, self.next = self.next, None
        for one in self.wanted.values():
            one.missed = one.missed or not one.attached
        return True

    def turn_back(self, stream: Stream) -> None:
        """A move to that stream failed: what still is on the previous stream stays there."""
        self.next = None
        for one in self.wanted.values():
            if one.stream is not stream:
                continue
            one.unsure = one.unsure or not one.attached
            one.stream, one.previous = one.previous, None
            one.attached = one.stream is not None
            if not one.attached:
                one.missed = True
                self._ask_later(one)

    def _note_lost(self, stream: Stream, error: PrismError | None) -> None:
        if not self._away:
            self._away_since = self._loop.time()
        for one in self.wanted.values():
            one.unsure = one.unsure or (one.stream is stream and not one.attached)
            one.stream = one.previous = None
            one.attached = False
            if one.waiter is None:
                one.missed = True
                self._away.add(one.identity)
        if self._established and stream.failure is None:
            self.tell(Disconnected(error))

    def _abandon_leaving(self) -> None:
        for waiter in self.leaving.values():
            if not waiter.done():
                waiter.set_result(False)

    # Events of a stream

    def _on_events(self, stream: Stream, events: Sequence[SessionEvent]) -> None:
        for event in events:
            if event.__class__ is session_events.Delivery:
                self._on_delivery(stream, event)
            else:
                self._on_control(stream, event)

    def _on_delivery(self, stream: Stream, event: session_events.Delivery) -> None:
        handles = stream.handles
        try:
            identities = [handles[handle] for handle in event.handles]
        except KeyError as error:
            raise InternalError(f"the proxy delivered to handle {error}, which stands for nobody") from error
        self._buffer.put(Arrival(stream, event.message, identities, event.tags, event.attempts))

    def _on_control(self, stream: Stream, event: SessionEvent) -> None:
        match event:
            case Attachment():
                self._on_attached(stream, event)
            case session_events.Refused():
                self._on_refused(stream, event.identity, event.error)
            case session_events.Detached():
                if stream.handles.get(event.handle) == event.identity:
                    stream.release(event.handle)
                waiter = self.leaving.get(event.identity)
                if waiter is not None and not waiter.done():
                    waiter.set_result(True)
            case session_events.Lost():
                self._on_lost(stream, event)
            case session_events.MessageGap():
                identity = stream.handles.get(event.handle)
                if identity is not None:
                    self._buffer.mark(GapMark(identity, stream, event.tag))
                    self.tell(MessageGap(identity, event.dropped, event.reason))
            case session_events.Draining():
                self.tell(Draining(event.grace / SECOND))
                if stream is self.stream and self.next is None:
                    self.spawn(partial(move, self, stream, event.grace / SECOND))

    def _on_attached(self, stream: Stream, event: Attachment) -> None:
        stream.handles[event.handle] = event.identity
        stream.answer(event.identity)
        one = self.wanted.get(event.identity)
        if one is None or one.stream is not stream:
            return
        one.attached = True
        one.unsure = False
        one.previous = None
        one.registration_id = event.registration_id
        one.expires_at = event.expires_at
        lifetime = one.lifetime
        if lifetime is not None and lifetime / 3 < self._beat_every > QUICKEST_BEAT:
            self._beat_every = max(QUICKEST_BEAT, lifetime / 3)
            self._schedule_beat()
        if one.missed:
            one.missed = False
            self._buffer.mark(GapMark(one.identity))
        one.settle()
        self._returned(one.identity)

    def _returned(self, identity: str) -> None:
        """An identity is back; with the last of them the application is told."""
        if identity not in self._away:
            return
        self._away.remove(identity)
        if not self._away and self.wanted:
            duration = self._loop.time() - self._away_since
            self.tell(Reattached(tuple(self.wanted), duration, gap=True))

    def _on_refused(self, stream: Stream, identity: str, error: PrismError) -> None:
        stream.answer(identity)
        one = self.wanted.get(identity)
        if one is None or one.stream is not stream or self.closing:
            return
        if one.waiter is not None:
            del self.wanted[identity]
            one.settle(error)
        elif isinstance(error, Superseded) and one.unsure:
            self._ask_anew(one, stream)
        elif error.retryable or isinstance(error, QuotaExceeded):
            one.stream = None
            self._ask_later(one)
        else:
            self._drop(one, error)

    def _on_lost(self, stream: Stream, event: session_events.Lost) -> None:
        stream.release(event.handle)
        one = self.wanted.get(event.identity)
        if one is None or self.closing:
            return
        if one.previous is stream:
            one.previous = None
        elif one.stream is not stream:
            return
        elif event.reason == Superseded.reason and one.unsure:
            self._ask_anew(one, stream)
        elif event.reason == "EXPIRED" and one.metadata is not None:
            one.missed = True
            one.attached = False
            if not self._away:
                self._away_since = self._loop.time()
            self._away.add(one.identity)
            self.ask(stream, (one,))
        else:
            kind = BY_REASON.get(event.reason, SessionLost)
            self._drop(one, kind(_LOST.get(event.reason, _LOST[""]).format(event.identity)))

    def _ask_anew(self, one: Wanted, stream: Stream) -> None:
        """What overtook us may be ourselves, on a stream that broke before it answered: the newer session wins."""
        one.unsure = False
        one.registration_id = ""
        one.missed = True
        self.ask(stream, (one,))

    def _drop(self, one: Wanted, error: PrismError) -> None:
        del self.wanted[one.identity]
        self.tell(Lost(one.identity, error))
        self._returned(one.identity)
        if not self.wanted:
            self.fail(error)

    # Stragglers

    def _ask_later(self, one: Wanted) -> None:
        self._later.add(one.identity)
        if len(self._later) == 1:
            self.spawn(self._ask_stragglers)

    async def _ask_stragglers(self) -> None:
        attempt = 2
        while self._later:
            await pause(attempt)
            attempt += 1
            stream = self.stream
            waiting = [self.wanted[identity] for identity in self._later if identity in self.wanted]
            self._later.clear()
            if stream is None or stream.ended or self.closing:
                return  # the next stream asks for everything
            self.ask(stream, [one for one in waiting if one.stream is None])
            await stream.answered.wait()

    # Heartbeats

    def _beat(self) -> None:
        stream = self.stream
        now = self._loop.time()
        if stream is not None and not stream.ended and now - stream.last_sent > self._beat_every / 2:
            stream.beat()
        self._schedule_beat()

    def _schedule_beat(self) -> None:
        if self._timer is not None:
            self._timer.cancel()
        if not self.closing:
            delay = self._beat_every * random.uniform(0.8, 1)  # noqa: S311 - so that many inboxes don't beat at once
            self._timer = self._loop.call_later(delay, self._beat)


_LOST = {
    "SUPERSEDED": "{!r} was taken over by a newer session or registration",
    "EXPIRED": "the registration of {!r} expired, and its metadata isn't known here to register it again",
    "UNREGISTERED": "{!r} was unregistered",
    "": "{!r} was taken away",
}
