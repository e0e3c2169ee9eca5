"""One identity's queue: what waits, what is leased out, what came back, what was lost, what was given up."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Final

from prism.model.time import Micros

from prism_kafka.machine.contents import NEVER, Content, Copy, Dead, Delivery, Handed, Loss, merged
from prism_kafka.machine.policy import Policy
from prism_kafka.machine.traces import Traces

_DIGITS: Final = 19
"""How long a delivery's key can be."""


class Queue:
    """Two stretches, in order: `out`, all that was handed out before, and `fresh`, what never was.

    So what comes back is handed out before what is new. `size` is the number of messages in both; losses don't
    count. `latest` is the offset of the last record that created the queue or put something into it. Everything
    that a record does here depends on the log alone: also `check_at` and `next_expiry`, no later than the next
    moment at which a lease ends, or a message that isn't leased times out.
    """

    __slots__ = ("check_at", "dead", "fresh", "latest", "name", "next_expiry", "number", "out", "size")

    def __init__(self, name: str, number: int) -> None:
        self.name = name
        self.number = number
        self.latest = 0
        self.size = 0
        self.fresh: list[Content] = []
        self.out: dict[int, Delivery] = {}
        self.dead: list[Dead] = []
        self.check_at: Micros = NEVER
        self.next_expiry: Micros = NEVER

    def contents(self) -> Iterator[Content]:
        """All that waits or is leased out, in order."""
        for delivery in self.out.values():
            yield delivery.content
        yield from self.fresh

    def may_hand_out(self, now: Micros) -> bool:
        """Whether `lease` might find something, or would change something."""
        return bool(self.fresh) or self.check_at <= now

    def put(self, copy: Copy, now: Micros, policy: Policy, traces: Traces) -> None:
        """Appends a copy; the oldest makes room where the queue is full."""
        if self.size >= policy.max_messages:
            self._make_room(now, policy, traces)
        self.fresh.append(copy)
        self.size += 1
        self.latest = copy.position
        self.next_expiry = min(self.next_expiry, copy.dies_at)

    def put_again(self, copy: Copy) -> bool:
        """Puts the copy in the place of one with its message id; False where there is none. For rare cases."""
        self.latest = copy.position
        for i, content in enumerate(reversed(self.fresh), 1):
            if isinstance(content, Copy) and content.trace is copy.trace:
                self.fresh[-i] = copy
                self.next_expiry = min(self.next_expiry, copy.dies_at)
                return True
        for delivery in self.out.values():
            if isinstance(delivery.content, Copy) and delivery.content.trace is copy.trace:
                delivery.content = copy
                self.next_expiry = min(self.next_expiry, copy.dies_at)
                return True
        return False

    def drop_before(self, position: int, traces: Traces) -> None:
        """Removes what was put in before the position, as if it had never been there."""
        for content in self.contents():
            if isinstance(content, Copy) and content.position < position:
                self.size -= 1
                traces.removed(content.trace, self.number, forget=True)
        self.fresh = [content for content in self.fresh if content.position >= position]
        self.out = {key: held for key, held in self.out.items() if held.content.position >= position}
        self.dead = [dead for dead in self.dead if dead.position >= position]

    def dissolve(self, traces: Traces) -> None:
        """Lets everything go: the queue is removed."""
        for content in self.contents():
            if isinstance(content, Copy):
                traces.removed(content.trace, self.number, forget=False)

    def lease(self, limit: int, until: Micros, keys: Iterator[int], now: Micros) -> list[Handed]:
        """Hands out up to `limit` of the oldest visible messages and losses. Call `refresh` before."""
        taken: list[Delivery] = []
        if self.check_at <= now:
            soonest = NEVER
            for delivery in self.out.values():
                if delivery.visible_at <= now and len(taken) < limit:
                    delivery.hand_out(until)
                    taken.append(delivery)
                soonest = min(soonest, delivery.visible_at)
            self.check_at = soonest
        room = max(0, limit - len(taken))
        for content in self.fresh[:room]:
            delivery = Delivery(next(keys), content)
            delivery.hand_out(until)
            self.out[delivery.key] = delivery
            taken.append(delivery)
        del self.fresh[:room]
        if taken:
            self.check_at = min(self.check_at, until)
        return [self._handed(delivery) for delivery in taken]

    def settle(self, token: str, now: Micros, traces: Traces) -> bool:
        """Removes what was leased. False where the lease has ended."""
        delivery = self._leased(token, now)
        if delivery is None:
            return False
        del self.out[delivery.key]
        self._let_go(delivery.content, now, traces)
        return True

    def give_back(self, token: str, visible_at: Micros, now: Micros, *, counts: bool) -> bool:
        """Ends a lease without settling it. `counts` is whether the attempt does. False where it has ended."""
        delivery = self._leased(token, now)
        if delivery is None:
            return False
        delivery.visible_at = visible_at
        delivery.attempts -= not counts
        self._came_back(delivery)
        self.check_at = min(self.check_at, visible_at)
        return True

    def extend(self, token: str, until: Micros, now: Micros) -> bool:
        """Moves the end of a lease. False where it has ended."""
        delivery = self._leased(token, now)
        if delivery is None:
            return False
        delivery.visible_at = until
        self.check_at = min(self.check_at, until)
        return True

    def revive(self, message_ids: set[str]) -> list[Dead]:
        """Takes the messages of the given ids from the dead letters."""
        found = [dead for dead in self.dead if dead.message_id in message_ids]
        self.dead = [dead for dead in self.dead if dead.message_id not in message_ids]
        return found

    def refresh(self, now: Micros, policy: Policy, traces: Traces) -> None:
        """Brings the queue up to the moment: leases that ended, attempts used up, messages timed out."""
        if self.check_at <= now:
            self._end_leases(now, policy, traces)
        if self.next_expiry <= now:
            self._time_out(now, policy, traces)
        while self.dead and self.dead[0].died_at + policy.retention <= now:
            del self.dead[0]

    def _handed(self, delivery: Delivery) -> Handed:
        content = delivery.content
        if isinstance(content, Copy):
            return Handed(self.name, delivery.token, delivery.attempts, content.at)
        return Handed(self.name, delivery.token, delivery.attempts, None, content.dropped)

    def _leased(self, token: str, now: Micros) -> Delivery | None:
        key = token.partition(".")[0]
        delivery = self.out.get(int(key)) if key.isdecimal() and len(key) <= _DIGITS else None
        if delivery is None or not delivery.leased or delivery.visible_at <= now or delivery.token != token:
            return None
        return delivery

    def _let_go(self, content: Content, now: Micros, traces: Traces) -> None:
        if isinstance(content, Copy):
            self.size -= 1
            traces.left(content.trace, self.number, now)

    def _lose(self, content: Content, now: Micros, traces: Traces) -> Loss:
        """Notes that a content is dropped; the loss to put in its place."""
        if isinstance(content, Loss):
            return content
        self._let_go(content, now, traces)
        return Loss(1, content.position)

    def _came_back(self, delivery: Delivery) -> None:
        delivery.leased = False
        if isinstance(delivery.content, Copy):
            self.next_expiry = min(self.next_expiry, delivery.content.dies_at)

    def _end_leases(self, now: Micros, policy: Policy, traces: Traces) -> None:
        self.check_at = NEVER
        for delivery in list(self.out.values()):
            if delivery.visible_at <= now:
                if delivery.leased:
                    self._came_back(delivery)
                if isinstance(delivery.content, Copy) and delivery.attempts >= policy.max_attempts:
                    self._bury(delivery, delivery.content, now, policy, traces)
                    continue
            self.check_at = min(self.check_at, delivery.visible_at)

    def _bury(self, delivery: Delivery, copy: Copy, now: Micros, policy: Policy, traces: Traces) -> None:
        del self.out[delivery.key]
        self._let_go(copy, now, traces)
        self.dead.append(Dead(copy.trace.message_id, copy.at, copy.position, delivery.attempts, now))
        del self.dead[: max(0, len(self.dead) - policy.max_dead_letters)]

    def _time_out(self, now: Micros, policy: Policy, traces: Traces) -> None:
        """Turns messages that have timed out into losses. Those leased out are left alone until they come back."""
        self.next_expiry = NEVER
        for delivery in self.out.values():
            if not delivery.leased and self._timed_out(delivery.content, now):
                delivery.become(self._lose(delivery.content, now, traces), now)
        self._replace_out(now, policy, traces)
        fresh, self.fresh = self.fresh, []
        for content in fresh:
            kept = self._lose(content, now, traces) if self._timed_out(content, now) else content
            last = self.fresh[-1] if self.fresh else None
            if isinstance(kept, Loss) and isinstance(last, Loss):
                last.absorb(kept)
            else:
                self.fresh.append(kept)

    def _timed_out(self, content: Content, now: Micros) -> bool:
        if isinstance(content, Loss):
            return False
        if content.dies_at > now:
            self.next_expiry = min(self.next_expiry, content.dies_at)
            return False
        return True

    def _replace_out(self, now: Micros, policy: Policy, traces: Traces) -> None:
        self.out = {delivery.key: delivery for delivery in merged(list(self.out.values()))}
        self._end_leases(now, policy, traces)

    def _make_room(self, now: Micros, policy: Policy, traces: Traces) -> None:
        """Drops what has timed out, else the oldest: among those never handed out, else among the others."""
        self.refresh(now, policy, traces)
        lost, count = Loss(0, 0), 0
        for content in self.fresh:
            if self.size < policy.max_messages and isinstance(content, Copy):
                break
            lost.absorb(self._lose(content, now, traces))
            count += 1
        self.fresh[:count] = [lost] if count else []
        if self.size >= policy.max_messages:
            oldest = next(delivery for delivery in self.out.values() if isinstance(delivery.content, Copy))
            oldest.become(self._lose(oldest.content, now, traces), now)
            self._replace_out(now, policy, traces)
