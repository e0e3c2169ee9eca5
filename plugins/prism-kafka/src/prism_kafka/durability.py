"""The durability slot: every call is a record in its queues' partition, and its answer is what that record comes to.

Each proxy reads the logs of all partitions and applies them to states of its own, so a queue can be used from
anywhere, nobody owns it, and there is nothing to hand over when proxies come and go.
"""

from __future__ import annotations

import asyncio
from collections import defaultdict
from collections.abc import Awaitable, Callable, Iterable, Mapping, Sequence
from functools import partial
from typing import Any, Final, TypeVar
from zlib import crc32

from prism.model.errors import InvalidArgument
from prism.model.message import Message
from prism.model.time import Micros
from prism.slots.context import Failure
from prism.slots.durability import (
    DeadLetter,
    DurabilityBackend,
    Enqueued,
    EnqueueOutcome,
    Gap,
    Lease,
    LeaseLost,
    NoQueue,
    Settled,
    SettleOutcome,
)

from prism_kafka.errors import PASSING, failure
from prism_kafka.fetching import END, offsets
from prism_kafka.journal import Journal
from prism_kafka.machine.commands import LONGEST, Kind, described
from prism_kafka.machine.contents import Dead, Handed
from prism_kafka.naming import by_partition, partition_of

_STORED: Final[Mapping[bool, Enqueued | NoQueue]] = {True: Enqueued(), False: NoQueue()}
_ENDED: Final[Mapping[bool, Settled | LeaseLost]] = {True: Settled(), False: LeaseLost()}

NAME_BYTES: Final = 600
"""What one name takes in a record at most, about."""

T = TypeVar("T")
Outcome = TypeVar("Outcome")


class KafkaDurability(Journal, DurabilityBackend):
    """Queues by what was done to them. A cancelled call may have taken effect, or may still; a lease that was taken
    for nobody is given back when its record comes by."""

    async def create(self, queues: Sequence[str]) -> None:
        """Makes queues where there are none, and notes that they were asked for."""
        await self._each_partition(queues, lambda part, names: self._call(part, Kind.CREATE, [names]))

    async def mark(self) -> str:
        """The ends of all partitions."""
        ends = await offsets(self._link, self._log, range(self._count), END)
        return ",".join(str(ends[partition]) for partition in range(self._count))

    async def delete(self, queues: Sequence[str], before: str | None = None) -> None:
        """Removes queues with all they hold, or what they held before a mark."""
        marks: Mapping[int, int | None] = dict.fromkeys(range(self._count)) if before is None else self._marks(before)
        await self._each_partition(queues, lambda part, names: self._call(part, Kind.DELETE, [names, marks[part]]))

    async def enqueue(self, message: Message, queues: Sequence[str], ttl: Micros | None = None) -> list[EnqueueOutcome]:
        """Appends one message to many queues: one record for each partition."""
        if ttl is None:
            ttl = self._context.queues.message_ttl
        elif ttl <= 0:
            raise InvalidArgument.at("ttl", f"{ttl} microseconds is not more than 0; leave it out for the policy's")
        ttl = None if ttl is None else min(ttl, LONGEST)
        fields = described(message)

        async def call(partition: int, names: list[str]) -> list[bool]:
            stored: list[bool] = await self._call(partition, Kind.ENQUEUE, [*fields, names, ttl], message.payload)
            return stored

        return await self._outcomes(queues, list(queues), call, _STORED, "enqueue")

    async def dequeue(self, queues: Sequence[str], limit: int, visibility: Micros) -> list[Lease]:
        """Leases up to `limit` of the oldest visible messages of each queue.

        Writes nothing where nothing is there: what this proxy has applied says so, once it has caught up with what
        was in the log when it was asked.
        """
        visibility = _positive("visibility", visibility)
        limit = max(0, limit)
        parts = by_partition(queues, self._count)
        promising = self._promising(parts)
        unsure = [part for part, names in parts.items() if len(promising.get(part, ())) < len(names)]
        if unsure:
            await self._catch_up(unsure)
            promising = self._promising(parts)
        tasks = {
            part: asyncio.ensure_future(self._lease(part, names, limit, visibility))
            for part, names in promising.items()
        }
        try:
            await asyncio.gather(*tasks.values(), return_exceptions=True)
        except BaseException:
            for part, task in tasks.items():
                task.add_done_callback(partial(self._unwanted, part))
            raise
        leases = [lease for task in tasks.values() if task.exception() is None for lease in task.result()]
        errors = [error for task in tasks.values() if (error := task.exception()) is not None]
        if errors and not leases:
            raise errors[0]  # what other partitions have handed out is worth more than the error
        return leases

    async def ack(self, leases: Sequence[Lease]) -> list[SettleOutcome]:
        """Removes delivered messages for good."""
        return await self._settle(Kind.ACK, leases)

    async def nack(self, leases: Sequence[Lease], delay: Micros = 0) -> list[SettleOutcome]:
        """Gives messages back, visible again after `delay`. The attempt counts."""
        if delay < 0:
            raise InvalidArgument.at("delay", f"{delay} microseconds is less than 0; give 0 or a positive time")
        return await self._settle(Kind.NACK, leases, min(delay, LONGEST))

    async def release(self, leases: Sequence[Lease]) -> list[SettleOutcome]:
        """Gives messages back at once that nobody saw. The attempt doesn't count."""
        return await self._settle(Kind.RELEASE, leases)

    async def extend(self, leases: Sequence[Lease], visibility: Micros) -> list[SettleOutcome]:
        """Keeps leases for `visibility` microseconds from now."""
        return await self._settle(Kind.EXTEND, leases, _positive("visibility", visibility))

    async def depth(self, queues: Sequence[str]) -> list[int]:
        """How many messages each queue holds; 0 where there is no queue."""

        async def call(partition: int, names: list[str]) -> list[int]:
            sizes: list[int] = await self._call(partition, Kind.DEPTH, [names])
            return sizes

        sizes, errors = await self._for_each(queues, list(queues), call)
        for error in errors.values():
            raise error
        return sizes

    async def dead_letters(self, queue: str, limit: int) -> list[DeadLetter]:
        """The oldest dead letters of a queue. Those that are older than `retention` are gone."""
        partition = partition_of(queue, self._count)
        found: list[Dead] = await self._call(partition, Kind.DEAD_LETTERS, [queue, max(0, limit)])
        messages = await self._payloads.find(partition, (dead.at for dead in found))
        return [
            DeadLetter(queue, messages[dead.at], dead.attempts, dead.died_at, self._reason(dead))
            for dead in found
            if dead.at in messages
        ]

    async def replay(self, queue: str, message_ids: Sequence[str]) -> int:
        """Puts dead letters back at the end of their queue as new."""
        arguments = [queue, list(message_ids), self._context.queues.message_ttl]
        revived: int = await self._call(partition_of(queue, self._count), Kind.REPLAY, arguments)
        return revived

    def _reason(self, dead: Dead) -> str:
        return f"not acked in {dead.attempts} deliveries; the queue allows {self._context.queues.max_attempts}"

    def _marks(self, mark: str) -> dict[int, int | None]:
        parts = mark.split(",")
        if len(parts) != self._count or not all(part.isdecimal() for part in parts):
            raise InvalidArgument.at("before", f"{mark!r} is not a mark of this slot; pass what mark() returned")
        return {partition: int(part) for partition, part in enumerate(parts)}

    def _promising(self, parts: Mapping[int, list[str]]) -> dict[int, list[str]]:
        found = {part: self._replicas[part].may_hand_out(names) for part, names in parts.items()}
        return {part: names for part, names in found.items() if names}

    async def _catch_up(self, partitions: Sequence[int]) -> None:
        """Waits until all that is in the log by now is applied."""
        ends = await offsets(self._link, self._log, partitions, END)
        await self._in_time(
            asyncio.gather(*(self._replicas[partition].reach(end) for partition, end in ends.items())), "catch up"
        )

    async def _lease(self, partition: int, names: list[str], limit: int, visibility: Micros) -> list[Lease]:
        def give_back(handed: list[Handed]) -> None:
            self._give_back(partition, handed)

        leases: list[Lease] = []
        for piece in self._pieces(names, NAME_BYTES):
            handed: list[Handed] = await self._call(partition, Kind.DEQUEUE, [piece, limit, visibility], undo=give_back)
            try:
                messages = await self._payloads.find(partition, (item.at for item in handed if item.at is not None))
            except BaseException:
                give_back(handed)
                raise
            for item in handed:
                # What somebody has removed from the log by hand is a gap too: it can't be had any more.
                content = Gap(item.dropped) if item.at is None else messages.get(item.at, Gap(1))
                leases.append(Lease(item.queue, item.token, item.attempt, content))
        return leases

    def _unwanted(self, partition: int, task: asyncio.Future[list[Lease]]) -> None:
        if not task.cancelled() and task.exception() is None:
            self._give_back(partition, task.result())

    def _give_back(self, partition: int, handed: Sequence[Handed | Lease]) -> None:
        """Releases what was leased for a call that nobody waits for any more."""
        if handed:
            pairs = [[item.queue, item.token] for item in handed]
            self._soon(self._call(partition, Kind.RELEASE, [pairs]), "give leases back")

    async def _settle(self, kind: Kind, leases: Sequence[Lease], *more: int) -> list[SettleOutcome]:
        async def call(partition: int, pairs: list[list[str]]) -> list[bool]:
            settled: list[bool] = await self._call(partition, kind, [pairs, *more])
            return settled

        pairs = [[lease.queue, lease.token] for lease in leases]
        queues = [lease.queue for lease in leases]
        return await self._outcomes(queues, pairs, call, _ENDED, kind)

    async def _each_partition(self, queues: Sequence[str], call: Callable[[int, list[str]], Any]) -> None:
        async def in_pieces(partition: int, names: list[str]) -> None:
            for piece in self._pieces(names, NAME_BYTES):
                await call(partition, piece)

        await _together(in_pieces(*part) for part in by_partition(queues, self._count).items())

    async def _outcomes(
        self,
        queues: Sequence[str],
        items: list[T],
        call: Callable[[int, list[T]], Awaitable[list[bool]]],
        meaning: Mapping[bool, Outcome],
        action: str,
    ) -> list[Outcome | Failure]:
        """One outcome for each item. Where all partitions fail, the error of one is raised."""
        answers, errors = await self._for_each(queues, items, call)
        failures = {i: failure(error, action) for error_items, error in errors.items() for i in error_items}
        if failures and len(failures) == len(items):
            raise next(iter(errors.values()))
        return [failures[i] if i in failures else meaning[answer] for i, answer in enumerate(answers)]

    async def _for_each(
        self, queues: Sequence[str], items: list[T], call: Callable[[int, list[T]], Awaitable[Sequence[Any]]]
    ) -> tuple[list[Any], dict[tuple[int, ...], Exception]]:
        """Asks for one answer for each item in the partition of its queue.

        Returns the answers in order, and errors by the items that have no answer because of them.
        """
        places: defaultdict[int, list[int]] = defaultdict(list)
        count = self._count
        for i, queue in enumerate(queues):
            places[crc32(queue.encode()) % count].append(i)
        answers: list[Any] = [None] * len(items)
        errors: dict[tuple[int, ...], Exception] = {}

        async def ask(partition: int, indexes: list[int]) -> None:
            for piece in self._pieces(indexes, NAME_BYTES):
                try:
                    found = await call(partition, [items[i] for i in piece])
                except PASSING as error:
                    errors[tuple(piece)] = error
                    continue
                for i, answer in zip(piece, found, strict=True):
                    answers[i] = answer

        await _together(ask(*place) for place in places.items())
        return answers, errors


async def _together(work: Iterable[Awaitable[Any]]) -> None:
    """Runs things side by side and raises the first error as it is, once all are done."""
    for result in await asyncio.gather(*work, return_exceptions=True):
        if isinstance(result, BaseException):
            raise result


def _positive(field: str, duration: Micros) -> Micros:
    if duration <= 0:
        raise InvalidArgument.at(field, f"{duration} microseconds is not more than 0; give a positive time")
    return min(duration, LONGEST)
