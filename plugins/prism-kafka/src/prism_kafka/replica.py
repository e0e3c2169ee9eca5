"""One partition of the log as this proxy has applied it, and the calls that wait for it."""

from __future__ import annotations

import asyncio
import heapq
import time
from collections.abc import Callable
from itertools import count
from typing import Any, Final

from prism.model.time import Micros

from prism_kafka.fetching import Record
from prism_kafka.machine.commands import Command, decode
from prism_kafka.machine.state import State

_DRIFT: Final = 1_000
"""By how much a second the broker's clock is allowed to fall behind ours, in microseconds."""
_AHEAD: Final[Micros] = 20_000
"""The estimate is rather too late: a look that comes too early finds nothing, one too late keeps a message waiting."""


class BrokerClock:
    """About what time it is at the broker, from the times it has put on records that just came in."""

    def __init__(self) -> None:
        self._ahead: int | None = None
        self._seen = 0

    def saw(self, timestamp: Micros) -> None:
        """Notes a record's time, which is past."""
        here = time.monotonic_ns() // 1_000
        ahead = timestamp - here
        if self._ahead is not None:
            ahead = max(ahead, self._ahead - (here - self._seen) * _DRIFT // 1_000_000)
        self._ahead, self._seen = ahead, here

    def now(self) -> Micros:
        """The time at the broker, or a little later."""
        return time.monotonic_ns() // 1_000 + (self._ahead or 0) + _AHEAD


class Replica:
    """The state of a partition, and futures for what is to come of the log."""

    def __init__(self, partition: int, issuer: str) -> None:
        self.partition = partition
        self.state = State()
        self.clock = BrokerClock()
        self.end = 0
        """The end of the log, as far as we know."""
        self.offering = False
        """Whether an offer to write a snapshot is on its way."""
        self._issuer = issuer
        self._numbers = count(1)
        self._answers: dict[int, asyncio.Future[Any]] = {}
        self._abandoned: dict[int, Callable[[Any], None]] = {}
        self._reaching: list[tuple[int, int, asyncio.Future[None]]] = []

    @property
    def behind(self) -> int:
        """Records between what is applied and the end of the log."""
        return max(0, self.end - self.state.next_offset)

    def wrote(self, offset: int) -> None:
        """Notes that there is a record of ours in the log, which is still to be read."""
        self.end = max(self.end, offset + 1)

    def expect(self) -> tuple[int, asyncio.Future[Any]]:
        """A number for a call, and the future that its answer will come to."""
        number = next(self._numbers)
        future = self._answers[number] = asyncio.get_running_loop().create_future()
        return number, future

    def forget(self, number: int) -> None:
        """The answer has come, or nobody waits for it any more."""
        self._answers.pop(number, None)

    def abandon(self, number: int, undo: Callable[[Any], None]) -> None:
        """Nobody will see an answer: it goes to `undo`, now or when it comes all the same."""
        future = self._answers[number]
        if not future.done() or future.cancelled():
            self._abandoned[number] = undo
        elif future.exception() is None:
            undo(future.result())

    def apply(self, record: Record) -> tuple[Command, Any]:
        """Applies the next record and hands its answer to who waits for it. Returns both.

        Raises Malformed (the record is then passed over) or NewerFormat.
        """
        timestamp = record.timestamp * 1_000
        self.clock.saw(timestamp)
        self.state.advance(record.offset, timestamp)
        command = decode(record.value)
        answer = self.state.apply(command, record.offset)
        if command.issuer == self._issuer:
            self._answered(command.number, answer)
        return command, answer

    async def reach(self, offset: int) -> None:
        """Waits until all records before an offset are applied."""
        if self.state.next_offset < offset:
            future = asyncio.get_running_loop().create_future()
            heapq.heappush(self._reaching, (offset, next(self._numbers), future))
            await future

    def advanced(self, after: int, end: int) -> None:
        """Notes that all before `after` is applied, of a log that ends at `end`."""
        self.state.next_offset = max(self.state.next_offset, after)  # the last of a batch may be a control record
        self.end = end
        while self._reaching and self._reaching[0][0] <= self.state.next_offset:
            future = heapq.heappop(self._reaching)[2]
            if not future.done():
                future.set_result(None)

    def fail(self, error: Exception) -> None:
        """Nothing will come any more: whoever waits gets the error."""
        for future in (*self._answers.values(), *(waiting for _, _, waiting in self._reaching)):
            if not future.done():
                future.set_exception(error)
        self._reaching.clear()

    def may_hand_out(self, queues: list[str]) -> list[str]:
        """Which of these queues might hand something out now, as far as the log is applied."""
        now = self.clock.now()
        known = self.state.queues
        return [name for name in queues if name in known and known[name].may_hand_out(now)]

    def _answered(self, number: int, answer: Any) -> None:
        future = self._answers.get(number)
        if future is not None and not future.done():
            future.set_result(answer)
            return
        undo = self._abandoned.pop(number, None)
        if undo is not None:
            undo(answer)
