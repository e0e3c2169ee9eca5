"""One identity's queue: what waits, what is leased out, what came back, what was lost, what was given up."""

from __future__ import annotations

from collections import deque
from collections.abc import Iterator
from typing import Final

from prism.memory.deliveries import Content, Copy, Delivery, Loss, key_of, merged
from prism.memory.traces import Traces
from prism.model.message import Message
from prism.model.time import Micros
from prism.slots.context import QueuePolicy
from prism.slots.durability import DeadLetter, Lease

NEVER: Final[Micros] = 2**63 - 1


class Queue:
    """Two stretches, in order: `out`, all that was handed out before, and `fresh`, what never was.

    So what comes back is handed out before what is new. `size` is the number of messages in both; losses don't
    count. `latest` is the position of the last `create` or `enqueue` that named the queue.
    """

    __slots__ = (
        "_back",
        "_check_at",
        "_dead",
        "_next_expiry",
        "_policy",
        "_traces",
        "fresh",
        "latest",
        "name",
        "number",
        "out",
        "size",
    )

    def __init__(self, name: str, number: int, policy: QueuePolicy, traces: Traces) -> None:
        self.name = name
        self.number = number
        self.latest = 0
        self.size = 0
        self.fresh: list[Content] = []
        self._policy = policy
        self._traces = traces
        self.out: dict[str, Delivery] = {}
        self._back: list[Delivery] = []
        """What of `out` is to be handed out again now, as of the last look."""
        self._check_at: Micros = NEVER
        """No later than the moment at which the next of `out` joins `_back`."""
        self._next_expiry: Micros = NEVER
        """No later than the first moment at which a message that isn't leased times out."""
        self._dead: deque[tuple[int, DeadLetter]] | None = None

    def put(self, copy: Copy, now: Micros) -> None:
        """Appends a copy; the oldest makes room where the queue is full."""
        if self.size >= self._policy.max_messages:
            self._make_room(now)
        self.fresh.append(copy)
        self.size += 1
        self.latest = copy.position
        self._next_expiry = min(self._next_expiry, copy.dies_at)

    def put_again(self, copy: Copy) -> bool:
        """Puts the copy in the place of one with its message id; False where there is none. For rare cases."""
        self.latest = copy.position
        for i, content in enumerate(reversed(self.fresh), 1):
            if isinstance(content, Copy) and content.message.id == copy.message.id:
                self.fresh[-i] = copy
                self._next_expiry = min(self._next_expiry, copy.dies_at)
                return True
        for delivery in self.out.values():
            if isinstance(delivery.content, Copy) and delivery.content.message.id == copy.message.id:
                delivery.content = copy
                self._next_expiry = min(self._next_expiry, copy.dies_at)
                return True
        return False

    def drop_before(self, position: int, now: Micros) -> None:
        """Removes what was put in before the position, as if it had never been there."""
        dropped = [content for content in self._contents() if content.position < position]
        for content in dropped:
            if isinstance(content, Copy):
                self.size -= 1
                content.trace.forget(self.number)
        self.fresh = [content for content in self.fresh if content.position >= position]
        self.out = {key: held for key, held in self.out.items() if held.content.position >= position}
        self._end_leases(now)
        if self._dead is not None:
            kept = [(at, letter) for at, letter in self._dead if at >= position]
            self._dead = deque(kept, self._policy.max_dead_letters)

    def lease(self, limit: int, until: Micros, now: Micros, keys: Iterator[int]) -> list[Lease]:
        """Hands out up to `limit` of the oldest visible messages and losses."""
        if self._check_at <= now or self._next_expiry <= now:
            self._refresh(now)
        taken = self._back[:limit]
        del self._back[:limit]
        for delivery in taken:
            delivery.hand_out_again(until)
        fresh = self.fresh[: max(0, limit - len(taken))]
        del self.fresh[: len(fresh)]
        for content in fresh:
            key = str(next(keys))
            self.out[key] = delivery = Delivery(key, content, until)
            taken.append(delivery)
        if taken and until < self._check_at:
            self._check_at = until
        name = self.name
        return [Lease(name, delivery.token, delivery.attempts, delivery.shown()) for delivery in taken]

    def settle(self, lease: Lease, now: Micros) -> bool:
        """Removes what was leased. False where the lease has ended."""
        delivery = self._leased(lease, now)
        if delivery is None:
            return False
        del self.out[delivery.key]
        self._let_go(delivery.content, now)
        return True

    def give_back(self, lease: Lease, visible_at: Micros, now: Micros, *, counts: bool) -> bool:
        """Ends a lease without settling it. `counts` is whether the attempt does. False where it has ended."""
        delivery = self._leased(lease, now)
        if delivery is None:
            return False
        delivery.visible_at = visible_at
        delivery.attempts -= not counts
        self._came_back(delivery)
        self._check_at = min(self._check_at, visible_at)
        return True

    def extend(self, lease: Lease, until: Micros, now: Micros) -> bool:
        """Moves the end of a lease. False where it has ended."""
        delivery = self._leased(lease, now)
        if delivery is None:
            return False
        delivery.visible_at = until
        self._check_at = min(self._check_at, until)
        return True

    def depth(self, now: Micros) -> int:
        """How many messages wait or are leased out."""
        self._refresh(now)
        return self.size

    def dead_letters(self, now: Micros) -> list[DeadLetter]:
        """The dead letters, oldest first."""
        self._refresh(now)
        return [letter for _, letter in self._dead or ()]

    def revive(self, message_ids: set[str], now: Micros) -> list[Message]:
        """Takes the messages of the given ids from the dead letters."""
        self._refresh(now)
        dead = self._dead or ()
        kept = [(at, letter) for at, letter in dead if letter.message.id not in message_ids]
        found = [letter.message for _, letter in dead if letter.message.id in message_ids]
        self._dead = deque(kept, self._policy.max_dead_letters)
        return found

    def _contents(self) -> list[Content]:
        return [*(delivery.content for delivery in self.out.values()), *self.fresh]

    def _leased(self, lease: Lease, now: Micros) -> Delivery | None:
        delivery = self.out.get(key_of(lease.token))
        if delivery is None or not delivery.leased or delivery.visible_at <= now or delivery.token != lease.token:
            return None
        return delivery

    def _let_go(self, content: Content, now: Micros) -> None:
        """Notes that a content leaves the queue."""
        if isinstance(content, Copy):
            self.size -= 1
            self._traces.left(content.trace, self.number, now)

    def _lose(self, content: Content, now: Micros) -> Loss:
        """Notes that a content is dropped; the loss to put in its place."""
        if isinstance(content, Loss):
            return content
        self._let_go(content, now)
        return Loss(1, content.position)

    def _came_back(self, delivery: Delivery) -> None:
        delivery.leased = False
        if isinstance(delivery.content, Copy):
            self._next_expiry = min(self._next_expiry, delivery.content.dies_at)

    def _refresh(self, now: Micros) -> None:
        """Brings the queue up to the moment: leases that ended, attempts used up, messages timed out."""
        if self._check_at <= now:
            self._end_leases(now)
        if self._next_expiry <= now:
            self._time_out(now)

    def _end_leases(self, now: Micros) -> None:
        self._back = []
        self._check_at = NEVER
        for delivery in list(self.out.values()):
            if delivery.visible_at > now:
                self._check_at = min(self._check_at, delivery.visible_at)
                continue
            if delivery.leased:
                self._came_back(delivery)
            if isinstance(delivery.content, Copy) and delivery.attempts >= self._policy.max_attempts:
                self._bury(delivery, delivery.content, now)
            else:
                self._back.append(delivery)

    def _bury(self, delivery: Delivery, copy: Copy, now: Micros) -> None:
        del self.out[delivery.key]
        self._let_go(copy, now)
        if self._dead is None:
            self._dead = deque(maxlen=self._policy.max_dead_letters)
        reason = f"not acked in {delivery.attempts} deliveries; the queue allows {self._policy.max_attempts}"
        self._dead.append((copy.position, DeadLetter(self.name, copy.message, delivery.attempts, now, reason)))

    def _time_out(self, now: Micros) -> None:
        """Turns messages that have timed out into losses. Those leased out are left alone until they come back."""
        self._next_expiry = NEVER
        for delivery in self.out.values():
            if not delivery.leased and self._timed_out(delivery.content, now):
                delivery.become(self._lose(delivery.content, now), now)
        self._replace_out(now)
        fresh, self.fresh = self.fresh, []
        for content in fresh:
            kept = self._lose(content, now) if self._timed_out(content, now) else content
            last = self.fresh[-1] if self.fresh else None
            if isinstance(kept, Loss) and isinstance(last, Loss):
                last.absorb(kept)
            else:
                self.fresh.append(kept)

    def _timed_out(self, content: Content, now: Micros) -> bool:
        if isinstance(content, Loss):
            return False
        if content.dies_at > now:
            self._next_expiry = min(self._next_expiry, content.dies_at)
            return False
        return True

    def _replace_out(self, now: Micros) -> None:
        self.out = {delivery.key: delivery for delivery in merged(list(self.out.values()))}
        self._end_leases(now)

    def _make_room(self, now: Micros) -> None:
        """Drops what has timed out, else the oldest: among those never handed out, else among the others."""
        self._refresh(now)
        lost, count = Loss(0, 0), 0
        for content in self.fresh:
            if self.size < self._policy.max_messages and isinstance(content, Copy):
                break
            lost.absorb(self._lose(content, now))
            count += 1
        self.fresh[:count] = [lost] if count else []
        if self.size >= self._policy.max_messages:
            oldest = next(delivery for delivery in self.out.values() if isinstance(delivery.content, Copy))
            oldest.become(self._lose(oldest.content, now), now)
            self._replace_out(now)
