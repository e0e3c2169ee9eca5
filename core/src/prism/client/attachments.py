"""Keeps identities attached: one stream at a time, a new one when it is lost, a move when the proxy drains."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Iterable
from functools import partial

from prism.client.absence import Absence
from prism.client.answers import Answers
from prism.client.buffer import Buffer
from prism.client.events import Disconnected, InboxEvent
from prism.client.heartbeat import Heartbeat
from prism.client.link import Link
from prism.client.pause import LONGEST_PAUSE, pause
from prism.client.stream import Stream
from prism.client.wanted import Wanted
from prism.model.errors import InternalError, InvalidArgument, NotFound, PluginError, PrismError, Unsupported

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
        self.failure: PrismError | None = None
        """Why the last stream was lost; None once anything was attached again."""
        self.closing = False
        self._open_link = open_link
        self._buffer = buffer
        self.tell = tell
        self._reached = reached
        self._established = False
        self._interrupted = False
        self._absence = Absence(tell)
        self._answers = Answers(self, buffer, self._absence)
        self._heartbeat: Heartbeat | None = None
        self._later: set[str] = set()
        self._tasks: set[asyncio.Task[None]] = set()
        self._loop = asyncio.get_running_loop()

    # What the inbox asks

    async def start(self) -> None:
        """Opens the first stream and asks for all that is wanted. Answers come to the waiters."""
        self.stream = await self.open_stream()
        self.ask_all(self.stream)
        self.spawn(partial(self.serve, self.stream))
        self._heartbeat = Heartbeat(lambda: self.stream)

    def attached(self, one: Wanted) -> None:
        """An identity was attached: the connection works, and the heartbeat has to be quick enough for it."""
        self._interrupted = False
        self.failure = None
        if self._heartbeat is not None:
            self._heartbeat.keep_up_with(one.lifetime)

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
        if self._heartbeat is not None:
            self._heartbeat.stop()
        self._buffer.end(error)
        for one in self.wanted.values():
            one.settle(error)
        for stream in (self.stream, self.next):
            if stream is not None and not stream.ended:
                self.spawn(stream.close)

    async def stop(self) -> None:
        """Ends streams and tasks."""
        self.closing = True
        if self._heartbeat is not None:
            self._heartbeat.stop()
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
        stream = Stream(self._open_link(), self._answers.handle)
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
                self._answers.handle(stream, events)
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
                self.ask_later(one)

    def _note_lost(self, stream: Stream, error: PrismError | None) -> None:
        self.failure = error
        for one in self.wanted.values():
            one.unsure = one.unsure or (one.stream is stream and not one.attached)
            one.stream = one.previous = None
            one.attached = False
            if one.waiter is None:
                one.missed = True
        self._absence.began(one.identity for one in self.wanted.values() if one.waiter is None)
        if self._established and not self._interrupted:
            self._interrupted = True
            self.tell(Disconnected(error))

    def _abandon_leaving(self) -> None:
        for waiter in self.leaving.values():
            if not waiter.done():
                waiter.set_result(False)

    # Stragglers

    def ask_later(self, one: Wanted) -> None:
        """Asks for an identity again after a pause."""
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
