"""Control records: that a queue exists, and since when.

Every enqueue names the sequence of the control record it has seen, and the server stores the message only if that is
still the record's sequence. So nothing gets into a queue that was removed, however old a proxy's knowledge is.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import Any, Final, NamedTuple

import orjson

from prism_nats.answers import Ack, Outcome, is_busy
from prism_nats.attempts import Attempts
from prism_nats.errors import WRONG_LAST_SEQUENCE, Rejected
from prism_nats.streams import Streams

_KNOWN: Final = 200_000
"""Records kept in memory."""


class Control(NamedTuple):
    """A control record.

    `start` is the sequence of the first record of this queue; no two queues, and no queue and its namesake that was
    removed, have the same. Messages up to `dropped` were removed, except those of `again`, which were enqueued once
    more: there is the sequence of the record that says so. `gone` is a queue that is being removed.
    """

    seq: int
    start: int
    dropped: int
    again: Mapping[int, int]
    gone: bool


class Write(NamedTuple):
    """A control record to write, if the last sequence is still the expected one.

    The sequence that is expected is the record's, or, where `whole` is true, that of the last of record and messages.
    """

    queue: str
    body: bytes
    expected: int
    whole: bool = False


def encode(start: int, dropped: int = 0, again: Mapping[int, int] | None = None) -> bytes:
    """The bytes of a control record; 0 for a sequence means the record's own."""
    return orjson.dumps([start, dropped, list((again or {}).items())])


GONE: Final = b"[]"
NEW: Final = encode(0)


class Controls:
    """The control records of a namespace, as this proxy knows them."""

    def __init__(self, streams: Streams) -> None:
        self._streams = streams
        self.known: dict[str, Control] = {}
        """Records read or written here; what is here may be out of date, which the server will notice."""

    async def read(self, queues: Sequence[str]) -> dict[str, Control]:
        """The records that are there now, those of queues being removed too."""
        subjects = {self._streams.subjects.control(queue).encode(): queue for queue in queues}
        stored = await self._streams.latest(self._streams.subjects.queue_stream, list(subjects))
        found = {}
        for subject, message in stored.items():
            if subject in subjects:
                found[subjects[subject]] = _decode(message.seq, message.data)
        for queue in queues:
            control = found.get(queue)
            if control is None or control.gone:
                self.known.pop(queue, None)
            else:
                self._keep(queue, control)
        return found

    def forget_all(self) -> None:
        """Drops what is known."""
        self.known.clear()

    def forget(self, queues: Iterable[str]) -> None:
        """Drops what is known of queues."""
        for queue in queues:
            self.known.pop(queue, None)

    async def write(self, writes: Sequence[Write]) -> list[Outcome]:
        """Writes records; an outcome for each."""
        subjects = self._streams.subjects
        headers = []
        for write in writes:
            extra = ""
            if write.whole:
                extra = f"Nats-Expected-Last-Subject-Sequence-Subject: {subjects.record_and_messages(write.queue)}\r\n"
            text = (
                f"NATS/1.0\r\nNats-Rollup: sub\r\nNats-Expected-Last-Subject-Sequence: {write.expected}\r\n{extra}\r\n"
            )
            headers.append(text.encode())
        outcomes = await self._streams.publish(
            [subjects.control(write.queue).encode() for write in writes], headers, [write.body for write in writes]
        )
        for write, outcome in zip(writes, outcomes, strict=True):
            if isinstance(outcome, Ack) and write.body != GONE:
                self._keep(write.queue, _decode(outcome.seq, write.body))
            else:
                self.known.pop(write.queue, None)
        return outcomes

    async def write_all(
        self,
        queues: Sequence[str],
        plan: Callable[[dict[str, Control], Sequence[str]], Iterable[Write]],
        found: dict[str, Control],
    ) -> None:
        """Writes what `plan` makes of the records of queues, and again where they changed meanwhile.

        `found` are the records as they were read.

        Raises:
            Rejected, ReplyTimeout: some could not be written.
        """
        todo = list(queues)
        failed: Exception | None = None
        async for _ in Attempts(self._streams.timeout):
            if failed is not None:
                found = await self.read(todo)
            writes = list(plan(found, todo))
            todo = []
            for write, outcome in zip(writes, await self.write(writes), strict=True):
                if isinstance(outcome, Ack):
                    continue
                if not (is_busy(outcome) or is_changed(outcome)):
                    raise outcome
                todo.append(write.queue)
                failed = outcome
            if not todo:
                return
        if failed is not None:
            raise failed

    def _keep(self, queue: str, control: Control) -> None:
        if len(self.known) >= _KNOWN and queue not in self.known:
            del self.known[next(iter(self.known))]
        self.known[queue] = control


def is_changed(outcome: object) -> bool:
    """Whether a write was refused because the record had changed."""
    return isinstance(outcome, Rejected) and outcome.code in WRONG_LAST_SEQUENCE


_NOTHING: Final[Mapping[int, int]] = {}


def _decode(seq: int, data: bytes) -> Control:
    fields: list[Any] = orjson.loads(data)
    if not fields:
        return Control(seq, 0, 0, _NOTHING, gone=True)
    start, dropped, again = fields
    return Control(seq, start or seq, dropped, {key: at or seq for key, at in again} or _NOTHING, gone=False)
