"""The Attach stream: frames in become calls on a Session, its events become frames out.

The handler's own task writes, one more reads. No timers per stream: a single watch over all streams ends those
that send no first frame, attach nothing, or whose client stopped reading after its session was closed.
"""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from typing import Any

from prism.model.deadline import answering_within
from prism.model.errors import DeadlineExceeded, InvalidArgument, PrismError, Unavailable
from prism.model.operations import AttachItem
from prism.server.calls import END, Context, parse, patience
from prism.server.frames import FrameEncoder
from prism.sessions.hub import Hub
from prism.sessions.session import Session
from prism.v1 import attach_pb2 as pb
from prism.wire.times import ttl_from_wire

WATCH_INTERVAL = 5.0
"""Seconds between looks at all streams."""
FIRST_FRAME = 30.0
"""Seconds in which a new stream has to name its namespace."""
SILENCE = 60.0
"""Seconds without a frame after which a stream that has nothing attached is ended."""


class _Stream:
    """One stream as the watch sees it."""

    __slots__ = ("error", "half_closed", "session", "since", "stuck", "task", "writing")

    def __init__(self, task: asyncio.Task[Any], since: float) -> None:
        self.task = task
        self.since = since
        self.session: Session | None = None
        self.error: Exception | None = None
        self.half_closed = False
        self.writing = False
        self.stuck = False

    def stop(self, error: PrismError) -> None:
        """Ends the stream from outside."""
        self.error = error
        self.task.cancel()


class AttachEdge:
    """Serves every Attach stream of a proxy."""

    def __init__(self, hub: Hub) -> None:
        self._hub = hub
        self._frames = FrameEncoder()
        self._streams: set[_Stream] = set()

    async def serve(self, context: Context) -> None:
        """One stream, from its first frame to its end."""
        task = asyncio.current_task()
        assert task is not None
        stream = _Stream(task, asyncio.get_running_loop().time())
        self._streams.add(stream)
        try:
            await self._run(stream, context)
        except asyncio.CancelledError:
            if stream.error is not None and not task.uncancel():
                raise stream.error from None
            raise
        finally:
            self._streams.discard(stream)

    async def watch(self) -> None:
        """Looks after all streams, for ever."""
        while True:
            await asyncio.sleep(WATCH_INTERVAL)
            self.look(asyncio.get_running_loop().time())

    def look(self, now: float) -> None:
        """Ends what has to be ended at this moment of the event loop's clock."""
        for stream in list(self._streams):
            session = stream.session
            if session is None:
                if now - stream.since > FIRST_FRAME:
                    text = f"no frame came within {FIRST_FRAME:g} s; send one that names the namespace at once"
                    stream.stop(DeadlineExceeded(text))
            elif session.closed:
                if stream.stuck:  # closed a whole interval ago, and still writing
                    stream.stop(Unavailable("the client does not read, and its session was closed"))
                stream.stuck = True
            elif not session.bindings and now - session.last_frame > SILENCE:
                session.close()

    async def _run(self, stream: _Stream, context: Context) -> None:
        data = await context.read()
        if data is END:
            raise InvalidArgument("the stream ended before its first frame; send one that names the namespace")
        first = parse(pb.AttachRequest, data)
        async with await self._hub.open(first.namespace) as session:
            stream.session = session
            reader = asyncio.create_task(_read(stream, session, context, first))
            del first, data
            try:
                await self._write(stream, session, context)
            finally:
                reader.cancel()
                await asyncio.wait((reader,))
        if stream.error is not None:
            raise stream.error
        if not stream.half_closed:
            raise Unavailable("the proxy closed this session: it drains, or no frame came for too long; attach again")

    async def _write(self, stream: _Stream, session: Session, context: Context) -> None:
        encode = self._frames.frame
        while events := await session.take():
            stream.writing = True
            await context.write(encode(events))
            stream.writing = False
            session.handed_over(events)
            if stream.half_closed and _finished(session):
                return


async def _read(stream: _Stream, session: Session, context: Context, first: pb.AttachRequest) -> None:
    """Applies the client's frames until it sends no more; what is wrong with one ends the stream."""
    waits = patience(context)
    try:
        await _apply(session, first, waits)
        del first
        while (data := await context.read()) is not END:
            if data:
                await _apply(session, parse(pb.AttachRequest, data), waits)
            else:
                session.touch()
    except Exception as error:  # noqa: BLE001 - handed to the stream's handler, which raises it
        stream.error = error
        session.close()
        return
    stream.half_closed = True
    if not stream.writing and _finished(session):
        session.close()


def _finished(session: Session) -> bool:
    """Whether a client that sends no more can expect nothing more either."""
    return not session.bindings and not session.waiting


async def _apply(session: Session, frame: pb.AttachRequest, waits: float | None) -> None:
    session.touch()
    if frame.attach:
        with answering_within(waits):
            await _attach(session, frame.attach)
    if frame.detach:
        for keep in (False, True):
            leaving = [detach.identity for detach in frame.detach if detach.keep is keep]
            if leaving:
                await session.detach(leaving, keep=keep)
    if frame.ack:
        session.ack(frame.ack)
    for nack in frame.nack:
        session.nack((nack.tag,), nack.delay_ms * 1_000)


async def _attach(session: Session, wanted: Sequence[pb.AttachIdentity]) -> None:
    """Attaches; whatever fails is refused by itself, and the stream goes on."""
    items: list[AttachItem] = []
    for item in wanted:
        try:
            items.append(_item(item))
        except PrismError as error:
            session.refuse(item.identity, error)
    if not items:
        return
    try:
        await session.attach(items)
    except PrismError as error:
        for refused in items:
            session.refuse(refused.identity, error)


def _item(message: pb.AttachIdentity) -> AttachItem:
    return AttachItem(
        identity=message.identity,
        metadata=message.metadata_json if message.HasField("metadata_json") else None,
        ttl=ttl_from_wire(message.ttl_seconds if message.HasField("ttl_seconds") else None),
        resume=message.resume or None,
        only_if_absent=message.only_if_absent,
    )
