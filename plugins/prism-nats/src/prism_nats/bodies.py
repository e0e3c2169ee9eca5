"""Payloads that are stored apart: once for all queues of a call of `enqueue`, in parts that the server takes.

A message says where its payload is (`envelope.Body`). For each queue there is a reference, a subject of its own, and
they are written in this order: references, body, messages. A reference goes after its message has, a body after its
last reference has. So nobody is ever handed a message whose payload isn't all there, and a body without a reference
is needed by nobody, now or later.
"""

from __future__ import annotations

import asyncio
from collections.abc import Iterable, Sequence
from contextlib import suppress
from typing import Final

from prism.model.time import SECOND, Micros

from prism_nats import envelope
from prism_nats.answers import Ack, Outcome, is_busy
from prism_nats.attempts import Attempts
from prism_nats.clock import ServerClock
from prism_nats.envelope import Body
from prism_nats.errors import ConnectionLost, Denied, Rejected, ReplyTimeout
from prism_nats.streams import Streams

APART_BYTES: Final = 16 * 1024
"""From this size on, what goes to several queues is stored once for all of them."""
ABANDONED: Final[Micros] = 600 * SECOND
"""After this time, a reference of a queue that holds no message belongs to a call that was broken off. Longer than
a server keeps a connection that doesn't answer, and twice as long as `enqueue` relies on a reference of its own."""
RELIABLE: Final = ABANDONED // SECOND / 2
"""Seconds for which `enqueue` relies on its references."""
_PAUSE: Final = 1.0
"""Seconds in which what is released is gathered. What can't be swept is tried again after ever longer pauses."""
_LONGEST_PAUSE: Final = 60.0
_ROOM: Final = 4_096
"""Bytes of `max_payload` left free for headers, which have a queue's name in them (half of it where that is less)."""
_PARTS_A_READ: Final = 16


class Bodies:
    """The bodies of a namespace. Those that nobody needs any more are removed in the background, by any proxy."""

    def __init__(self, streams: Streams, clock: ServerClock) -> None:
        self._streams = streams
        self._clock = clock
        self._released = asyncio.Event()
        self._sweeping: asyncio.Task[None] | None = None
        self._abandoned_sought: Micros | None = None

    def open(self) -> None:
        """Starts sweeping, first what proxies that were killed have left."""
        self._released.set()
        self._sweeping = asyncio.create_task(self._keep_sweeping())

    async def close(self) -> None:
        """Ends sweeping; what is left is swept by others, or at the next opening."""
        task, self._sweeping = self._sweeping, None
        if task is not None:
            task.cancel()
            with suppress(asyncio.CancelledError):
                await task

    def wanted(self, size: int, queues: int) -> bool:
        """Whether a message of `size` bytes in so many queues is to have its payload stored apart."""
        return size > self._part_size or (queues > 1 and size >= APART_BYTES)

    def parts(self, payload: bytes) -> int:
        """How many parts a payload has."""
        return max(1, -(-len(payload) // self._part_size))

    async def store(self, body: Body, payload: bytes) -> Outcome:
        """Stores a body; the outcome of its last part, or of one that failed."""
        size = self._part_size
        outcome: Outcome = ReplyTimeout("not tried")
        for i in range(body.parts):
            subject = self._streams.subjects.body(body.name, i).encode()
            async for _ in Attempts(self._streams.timeout):
                part = payload[i * size : (i + 1) * size]
                (outcome,) = await self._streams.publish([subject], [b""], [part], self._streams.patience)
                if not (is_busy(outcome) or isinstance(outcome, ReplyTimeout)):
                    break
            if not isinstance(outcome, Ack):
                return outcome
        return outcome

    async def fetch(self, messages: Iterable[bytes]) -> dict[str, bytes]:
        """The payloads that stored messages have apart, by name; those that are gone are left out."""
        bodies = {body for body in map(envelope.body_of, messages) if body is not None}
        subjects = [self._streams.subjects.body(body.name, i).encode() for body in bodies for i in range(body.parts)]
        stored: dict[bytes, bytes] = {}
        for start in range(0, len(subjects), _PARTS_A_READ):
            piece = subjects[start : start + _PARTS_A_READ]
            found = await self._streams.latest(self._streams.subjects.queue_stream, piece)
            stored |= {subject: found[subject].data for subject in piece if subject in found}
        payloads = {}
        for body in bodies:
            names = [self._streams.subjects.body(body.name, i).encode() for i in range(body.parts)]
            if all(name in stored for name in names):
                payloads[body.name] = b"".join([stored[name] for name in names])
        return payloads

    async def release(self, references: Sequence[tuple[str, str]]) -> None:
        """Removes references: pairs of queue and body."""
        if references:
            subjects = [self._streams.subjects.reference(*pair).encode() for pair in references]
            await self._streams.purge(self._streams.subjects.queue_stream, subjects, [None] * len(subjects))
            self._released.set()

    def removed(self) -> None:
        """Says that queues were removed, and their references with them."""
        self._released.set()

    async def exist(self) -> bool:
        """Whether there is any body."""
        return bool((await self._names())[0])

    async def sweep(self) -> None:
        """Removes the bodies that have no reference.

        The state of the references is at least as new as that of the bodies, and they are written before.
        """
        names, at = await self._names()
        if not names:
            return
        everything = f"{self._streams.subjects.mark}.*.b.*"
        subjects, seen = await self._streams.count(everything)
        if seen < at:  # it is the word of a server that hasn't heard of what the other one has
            self._released.set()
            return
        needed = {subject.rpartition(".")[2] for subject in subjects}
        unneeded = [self._streams.subjects.body(name, ">").encode() for name in names - needed]
        await self._streams.purge(self._streams.subjects.queue_stream, unneeded, [None] * len(unneeded))
        await self._abandon([subject.encode() for subject in subjects])

    async def _abandon(self, references: Sequence[bytes]) -> None:
        """Removes the references of calls that were broken off long ago, where a queue holds nothing else."""
        now = self._clock.now()
        if self._abandoned_sought is not None and now < self._abandoned_sought + ABANDONED:
            return
        self._abandoned_sought = now
        stream = self._streams.subjects.queue_stream
        queues = {reference: reference.rpartition(b".b.")[0] + b".m" for reference in references}
        full = await self._streams.latest(stream, list(dict.fromkeys(queues.values())))
        empty = [reference for reference, queue in queues.items() if queue not in full]
        written = await self._streams.latest(stream, empty)
        old = [subject for subject in empty if subject in written and written[subject].at < now - ABANDONED]
        if old:
            await self._streams.purge(stream, old, [None] * len(old))
            self._released.set()

    async def _names(self) -> tuple[set[str], int]:
        """The bodies there are, and the sequence up to which that is known."""
        subjects, seen = await self._streams.count(self._streams.subjects.body("*", "*"))
        return {subject.split(".")[-2] for subject in subjects}, seen

    async def _keep_sweeping(self) -> None:
        pause = _PAUSE
        while True:
            await self._released.wait()
            await asyncio.sleep(pause)
            self._released.clear()
            try:
                await self.sweep()
                pause = _PAUSE
            except (ConnectionLost, ReplyTimeout, Rejected, Denied):
                self._released.set()
                pause = min(2 * pause, _LONGEST_PAUSE)

    @property
    def _part_size(self) -> int:
        limit = self._streams.link.max_payload
        return max(1, limit - min(_ROOM, limit // 2))
