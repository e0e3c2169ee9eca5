"""The state of one partition: what its records, applied one after another, come to."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from typing import Any, Final

from prism.model.time import SECOND, Micros

from prism_kafka.machine.commands import Command, Kind
from prism_kafka.machine.contents import Copy, Dead, Handed
from prism_kafka.machine.policy import Policy
from prism_kafka.machine.queue import Queue
from prism_kafka.machine.traces import Traces

CLAIM_TIME: Final[Micros] = 120 * SECOND
"""How long a proxy that claimed a snapshot may take to write it before another may try."""


@dataclass(frozen=True, slots=True)
class Claim:
    """Who is writing a snapshot, of the state as of which offset, since when."""

    offset: int
    issuer: str
    at: Micros


class Counter(Iterator[int]):
    """Numbers, none given twice; a snapshot keeps the next."""

    __slots__ = ("next",)

    def __init__(self, start: int = 1) -> None:
        self.next = start

    def __next__(self) -> int:
        number = self.next
        self.next += 1
        return number


class State:
    """Queues, and what else the records decide. Time is the log's: it never goes back.

    `next_offset` is that of the first record that isn't applied. `work` rises with what replaying costs.
    """

    def __init__(self) -> None:
        self.next_offset = 0
        self.now: Micros = 0
        self.queues: dict[str, Queue] = {}
        self.traces = Traces()
        self.policy = Policy()
        self.numbers = Counter()
        self.keys = Counter()
        self.claim: Claim | None = None
        self.snapshot_at = -1
        """The offset of the last snapshot's claim; -1 where there is none."""
        self.work = 0
        """Queues touched since the last snapshot."""
        self._doers: dict[Kind, Callable[[Command, int], Any]] = {
            Kind.CREATE: self._create,
            Kind.DELETE: self._delete,
            Kind.ENQUEUE: self._enqueue,
            Kind.DEQUEUE: self._dequeue,
            Kind.ACK: self._ack,
            Kind.NACK: self._nack,
            Kind.RELEASE: self._release,
            Kind.EXTEND: self._extend,
            Kind.DEPTH: self._depth,
            Kind.DEAD_LETTERS: self._dead_letters,
            Kind.REPLAY: self._replay,
            Kind.POLICY: self._set_policy,
            Kind.CLAIM: self._take_claim,
            Kind.DONE: self._end_claim,
        }

    def advance(self, offset: int, timestamp: Micros) -> None:
        """Notes a record of the log, whatever is in it: where it stood and when the broker wrote it."""
        self.next_offset = offset + 1
        self.now = max(self.now, timestamp)

    def apply(self, command: Command, offset: int) -> Any:
        """Does what a record says and returns its answer. Call `advance` before."""
        self.work += 1
        return self._doers[command.kind](command, offset)

    def is_claimed(self) -> bool:
        """Whether somebody is writing a snapshot, and in time."""
        return self.claim is not None and self.claim.at + CLAIM_TIME > self.now

    def _create(self, command: Command, offset: int) -> None:
        [names] = command.arguments
        self.work += len(names)
        for name in names:
            queue = self.queues.get(name)
            if queue is None:
                # A number of its own, so that a queue made anew has had none of its namesake's messages.
                queue = self.queues[name] = Queue(name, next(self.numbers))
            queue.latest = offset

    def _delete(self, command: Command, _offset: int) -> None:
        names, mark = command.arguments
        self.work += len(names)
        for name in names:
            queue = self.queues.get(name)
            if queue is None:
                continue
            if mark is None or queue.latest < mark:
                queue.dissolve(self.traces)
                del self.queues[name]
            else:
                queue.drop_before(mark, self.traces)

    def _enqueue(self, command: Command, offset: int) -> list[bool]:
        """For each queue, whether it exists."""
        message_id, names, ttl = command.arguments[0], command.arguments[5], command.arguments[6]
        self.work += len(names)
        now, policy, traces = self.now, self.policy, self.traces
        traces.forget_old(now)
        trace = traces.find(message_id)
        known = None if trace is None else set(trace.receivers)
        if trace is None:
            trace = traces.start(message_id, now)
        copy = Copy(trace, offset, self._dies_at(ttl), offset)
        receivers: list[int] = []
        outcomes: list[bool] = []
        for name in names:
            queue = self.queues.get(name)
            if queue is None:
                outcomes.append(False)
                continue
            outcomes.append(True)
            if queue.fresh and queue.fresh[-1] is copy:
                continue  # the record names the queue twice
            if known is not None:
                # Where it still is, it counts as put in now: a removal marked before must leave it there.
                again = (queue.number in known or not trace.complete) and queue.put_again(copy)
                if again or queue.number in known:
                    continue
            queue.put(copy, now, policy, traces)
            receivers.append(queue.number)
        traces.put(trace, receivers)
        return outcomes

    def _dequeue(self, command: Command, _offset: int) -> list[Handed]:
        names, limit, visibility = command.arguments
        self.work += len(names)
        until = self.now + visibility
        found: list[Handed] = []
        for queue in self._known(names):
            queue.refresh(self.now, self.policy, self.traces)
            found += queue.lease(limit, until, self.keys, self.now)
        return found

    def _ack(self, command: Command, _offset: int) -> list[bool]:
        """For each lease, whether it was still held; so with the next three."""
        return self._each(command, lambda queue, token: queue.settle(token, self.now, self.traces))

    def _nack(self, command: Command, _offset: int) -> list[bool]:
        visible_at = self.now + command.arguments[1]
        return self._each(command, lambda queue, token: queue.give_back(token, visible_at, self.now, counts=True))

    def _release(self, command: Command, _offset: int) -> list[bool]:
        return self._each(command, lambda queue, token: queue.give_back(token, self.now, self.now, counts=False))

    def _extend(self, command: Command, _offset: int) -> list[bool]:
        until = self.now + command.arguments[1]
        return self._each(command, lambda queue, token: queue.extend(token, until, self.now))

    def _depth(self, command: Command, _offset: int) -> list[int]:
        sizes: list[int] = []
        for name in command.arguments[0]:
            queue = self.queues.get(name)
            if queue is not None:
                queue.refresh(self.now, self.policy, self.traces)
            sizes.append(0 if queue is None else queue.size)
        return sizes

    def _dead_letters(self, command: Command, _offset: int) -> list[Dead]:
        name, limit = command.arguments
        for queue in self._known([name]):
            queue.refresh(self.now, self.policy, self.traces)
            return queue.dead[: max(0, limit)]
        return []

    def _replay(self, command: Command, offset: int) -> int:
        name, message_ids, ttl = command.arguments
        dies_at = self._dies_at(ttl)
        revived: list[Dead] = []
        for queue in self._known([name]):
            queue.refresh(self.now, self.policy, self.traces)
            revived = queue.revive(set(message_ids))
            for dead in revived:
                trace = self.traces.find(dead.message_id) or self.traces.start(dead.message_id, self.now)
                copy = Copy(trace, dead.at, dies_at, offset)
                queue.put(copy, self.now, self.policy, self.traces)
                self.traces.put(trace, [queue.number])
        return len(revived)

    def _set_policy(self, command: Command, _offset: int) -> None:
        self.policy = Policy(*command.arguments)

    def _take_claim(self, command: Command, offset: int) -> bool:
        """Whether the issuer is to write the snapshot. What has timed out is let go, so that its payload can go too."""
        if self.is_claimed():
            return False
        for queue in self.queues.values():
            queue.refresh(self.now, self.policy, self.traces)
        self.traces.forget_old(self.now)
        self.claim = Claim(offset, command.issuer, self.now)
        return True

    def _end_claim(self, command: Command, _offset: int) -> bool:
        """Whether the snapshot counts: what it replaces may be removed."""
        claim = self.claim
        if claim is None or (claim.offset, claim.issuer) != (command.arguments[0], command.issuer):
            return False
        self.claim = None
        self.snapshot_at = claim.offset
        self.work = 0
        return True

    def _dies_at(self, ttl: Micros | None) -> Micros:
        retention = self.policy.retention
        return self.now + (retention if ttl is None else min(ttl, retention))

    def _known(self, names: Sequence[str]) -> Iterator[Queue]:
        for name in names:
            queue = self.queues.get(name)
            if queue is not None:
                yield queue

    def _each(self, command: Command, act: Callable[[Queue, str], bool]) -> list[bool]:
        pairs = command.arguments[0]
        self.work += len(pairs)
        found = ((self.queues.get(name), token) for name, token in pairs)
        return [queue is not None and act(queue, token) for queue, token in found]
