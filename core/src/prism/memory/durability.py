"""The durability slot: a queue per identity, in this process."""

from __future__ import annotations

from array import array
from collections.abc import Callable, Sequence
from itertools import count
from typing import TYPE_CHECKING, Final

from prism.memory.deliveries import Copy
from prism.memory.plugin import DURABILITY
from prism.memory.queue import NEVER, Queue
from prism.memory.store import MemorySlot, Store, forward_only
from prism.memory.traces import Traces
from prism.memory.turns import Turns
from prism.model.errors import InvalidArgument
from prism.slots.durability import (
    DeadLetter,
    DurabilityBackend,
    Enqueued,
    EnqueueOutcome,
    Lease,
    LeaseLost,
    NoQueue,
    Settled,
    SettleOutcome,
)

if TYPE_CHECKING:
    from prism.model.message import Message
    from prism.model.time import Micros
    from prism.slots.context import QueuePolicy, SlotContext

CHUNK: Final = 4_096
"""Queues that one message is put into between two turns of the event loop."""

_ENQUEUED: Final = Enqueued()
_NO_QUEUE: Final = NoQueue()
_SETTLED: Final = Settled()
_LOST: Final = LeaseLost()


class Queues:
    """The queues of one namespace, by name."""

    def __init__(self, context: SlotContext) -> None:
        self.now = forward_only(context.clock)
        self.policy: QueuePolicy = context.queues
        self._queues: dict[str, Queue] = {}
        self.find = self._queues.get
        """The queue of a name, None where there is none."""
        self._traces = Traces()
        self._numbers = count()
        self.keys = count()
        """Numbers for deliveries, none used twice."""
        self._positions = count(1)

    def __len__(self) -> int:
        """How many queues there are."""
        return len(self._queues)

    def mark(self) -> int:
        """A position between all that was done and all that is to come."""
        return next(self._positions)

    def create(self, names: Sequence[str]) -> None:
        """Makes queues where there are none, and notes that they were asked for."""
        position = next(self._positions)
        for name in names:
            queue = self._queues.get(name)
            if queue is None:
                # A number of its own, so that a queue made anew has had none of its namesake's messages.
                queue = self._queues[name] = Queue(name, next(self._numbers), self.policy, self._traces)
            queue.latest = position

    def delete(self, names: Sequence[str]) -> None:
        """Removes queues with all they hold."""
        for name in names:
            self._queues.pop(name, None)

    def delete_before(self, names: Sequence[str], mark: int) -> None:
        """Removes queues that nobody has named since the mark, and from the others what they held before."""
        now = self.now()
        for name in names:
            queue = self._queues.get(name)
            if queue is None:
                continue
            if queue.latest < mark:
                del self._queues[name]
            else:
                queue.drop_before(mark, now)

    def enqueue(self, message: Message, names: Sequence[str], ttl: Micros | None) -> list[EnqueueOutcome]:
        """Appends one message to many queues; those that have, or have just had it, stay as they are."""
        now = self.now()
        self._traces.forget_old(now)
        trace = self._traces.find(message.id)
        known = None if trace is None else trace.known
        complete = trace is None or trace.complete
        if trace is None:
            trace = self._traces.start(message.id, now)
        copy = Copy(message, NEVER if ttl is None else now + ttl, trace, next(self._positions))
        queues, numbers = self._queues, array("Q")
        outcomes: list[EnqueueOutcome] = []
        for name in names:
            queue = queues.get(name)
            if queue is None:
                outcomes.append(_NO_QUEUE)
                continue
            outcomes.append(_ENQUEUED)
            if queue.fresh and queue.fresh[-1] is copy:
                continue  # the batch names the queue twice
            if known is not None:
                # Where it still is, it counts as put in now: a removal marked before must leave it there.
                again = (queue.number in known or not complete) and queue.put_again(copy)
                if again or queue.number in known:
                    continue
            queue.put(copy, now)
            numbers.append(queue.number)
        trace.note(numbers)
        return outcomes

    def replay(self, name: str, message_ids: set[str]) -> int:
        """Puts dead letters back at the end of their queue as new."""
        queue = self._queues.get(name)
        if queue is None:
            return 0
        now, ttl = self.now(), self.policy.message_ttl
        messages = queue.revive(message_ids, now)
        for message in messages:
            trace = self._traces.find(message.id) or self._traces.start(message.id, now)
            trace.note((queue.number,))
            copy = Copy(message, NEVER if ttl is None else now + ttl, trace, next(self._positions))
            queue.put(copy, now)
        return len(messages)


class MemoryDurability(MemorySlot[Queues], DurabilityBackend):
    """Queues in this process. All but `enqueue` are done in one go: cancelling them can't leave anything half done."""

    spec = DURABILITY

    def _join_part(self, store: Store, context: SlotContext) -> Queues:
        return store.part(Queues, context.namespace, lambda: Queues(context))

    async def create(self, queues: Sequence[str]) -> None:
        """Makes queues; those that exist are left as they are."""
        self._part.create(queues)

    async def mark(self) -> str:
        """A point in this slot's life."""
        return str(self._part.mark())

    async def delete(self, queues: Sequence[str], before: str | None = None) -> None:
        """Removes queues with all they hold, or what they held before a mark."""
        if before is None:
            self._part.delete(queues)
        elif before.isdecimal():
            self._part.delete_before(queues, int(before))
        else:
            raise InvalidArgument.at("before", f"{before!r} is not a mark of this slot; pass what mark() returned")

    async def enqueue(self, message: Message, queues: Sequence[str], ttl: Micros | None = None) -> list[EnqueueOutcome]:
        """Appends one message to many queues. Cancelled, it leaves some with it and others without."""
        part = self._part
        if ttl is None:
            ttl = part.policy.message_ttl
        elif ttl <= 0:
            raise InvalidArgument.at("ttl", f"{ttl} microseconds is not more than 0; leave it out for the policy's")
        outcomes: list[EnqueueOutcome] = []
        turns = Turns()
        for i in range(0, len(queues), CHUNK):
            await turns.rest()
            outcomes += part.enqueue(message, queues[i : i + CHUNK], ttl)
        return outcomes

    async def dequeue(self, queues: Sequence[str], limit: int, visibility: Micros) -> list[Lease]:
        """Leases up to `limit` of the oldest visible messages of each queue."""
        part = self._part
        now = part.now()
        until = now + _positive("visibility", visibility)
        leases: list[Lease] = []
        for queue in map(part.find, queues):
            if queue is not None and (queue.fresh or queue.out):
                leases += queue.lease(limit, until, now, part.keys)
        return leases

    async def ack(self, leases: Sequence[Lease]) -> list[SettleOutcome]:
        """Removes delivered messages for good."""
        now = self._part.now()
        return self._each(leases, lambda queue, lease: queue.settle(lease, now))

    async def nack(self, leases: Sequence[Lease], delay: Micros = 0) -> list[SettleOutcome]:
        """Gives messages back, visible again after `delay`. The attempt counts."""
        if delay < 0:
            raise InvalidArgument.at("delay", f"{delay} microseconds is less than 0; give 0 or a positive time")
        now = self._part.now()
        return self._each(leases, lambda queue, lease: queue.give_back(lease, now + delay, now, counts=True))

    async def release(self, leases: Sequence[Lease]) -> list[SettleOutcome]:
        """Gives messages back at once that nobody saw. The attempt doesn't count."""
        now = self._part.now()
        return self._each(leases, lambda queue, lease: queue.give_back(lease, now, now, counts=False))

    async def extend(self, leases: Sequence[Lease], visibility: Micros) -> list[SettleOutcome]:
        """Keeps leases for `visibility` microseconds from now."""
        now = self._part.now()
        until = now + _positive("visibility", visibility)
        return self._each(leases, lambda queue, lease: queue.extend(lease, until, now))

    async def depth(self, queues: Sequence[str]) -> list[int]:
        """How many messages each queue holds; 0 where there is no queue."""
        part = self._part
        now = part.now()
        found = map(part.find, queues)
        return [0 if queue is None else queue.depth(now) for queue in found]

    async def dead_letters(self, queue: str, limit: int) -> list[DeadLetter]:
        """The oldest dead letters of a queue."""
        part = self._part
        found = part.find(queue)
        return [] if found is None else found.dead_letters(part.now())[: max(0, limit)]

    async def replay(self, queue: str, message_ids: Sequence[str]) -> int:
        """Puts dead letters back at the end of their queue as new."""
        return self._part.replay(queue, set(message_ids))

    def _each(self, leases: Sequence[Lease], act: Callable[[Queue, Lease], bool]) -> list[SettleOutcome]:
        part = self._part
        found = ((part.find(lease.queue), lease) for lease in leases)
        return [_SETTLED if queue is not None and act(queue, lease) else _LOST for queue, lease in found]


def _positive(field: str, duration: Micros) -> Micros:
    if duration <= 0:
        raise InvalidArgument.at(field, f"{duration} microseconds is not more than 0; give a positive time")
    return duration
