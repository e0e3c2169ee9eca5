"""What is known of a queue beyond its messages: leases, what came back, what was lost, what was given up.

Pure: no I/O, no clock. A ledger is read, changed and written back as a whole, under the condition that nobody else
wrote it in between; so two proxies never lease one message.
"""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass
from typing import NamedTuple

import orjson
from prism.model.time import Micros
from prism.slots.context import QueuePolicy

from prism_nats.envelope import NEVER


class Waiting(NamedTuple):
    """A message that was never handed out. `body` names what is stored apart of it; empty for nothing."""

    seq: int
    dies_at: Micros
    body: str = ""


@dataclass(slots=True)
class Held:
    """A message that was handed out and isn't settled, or (`dropped` > 0) messages that were lost at this place."""

    seq: int
    dropped: int
    attempts: int
    visible_at: Micros
    leases: int
    leased: bool
    dies_at: Micros
    body: str = ""

    @property
    def token(self) -> str:
        """Names the present lease."""
        return f"{self.seq}.{self.leases}"

    def hand_out(self, until: Micros) -> None:
        """Starts a lease."""
        self.leased = True
        self.attempts += 1
        self.leases += 1
        self.visible_at = until

    def become_gap(self) -> None:
        """Turns into a loss that is to be handed out at once; a lease has ended."""
        self.dropped, self.attempts, self.visible_at, self.leased, self.body = 1, 0, 0, False, ""


class Dead(NamedTuple):
    """A message given up."""

    seq: int
    attempts: int
    died_at: Micros
    body: str = ""


class Ledger:
    """The ledger of one queue. `next` is the first sequence that was never handed out.

    `removable` gathers the sequences whose messages nobody needs once the ledger has been written, and `bodies` the
    names of what was stored apart of them.
    """

    __slots__ = ("bodies", "dead", "held", "next", "removable")

    def __init__(self, next_seq: int = 0, held: list[Held] | None = None, dead: list[Dead] | None = None) -> None:
        self.next = next_seq
        self.held = held or []
        self.dead = dead or []
        self.removable: list[int] = []
        self.bodies: list[str] = []

    @classmethod
    def decode(cls, data: bytes) -> Ledger:
        """The ledger that was written; an empty one for no bytes."""
        if not data:
            return cls()
        next_seq, held, dead = orjson.loads(data)
        return cls(next_seq, [Held(*item) for item in held], [Dead(*item) for item in dead])

    def encode(self) -> bytes:
        """The bytes to write."""
        held = [
            [h.seq, h.dropped, h.attempts, h.visible_at, h.leases, h.leased, h.dies_at, *([h.body] if h.body else [])]
            for h in self.held
        ]
        return orjson.dumps([self.next, held, [[*dead] if dead.body else dead[:3] for dead in self.dead]])

    @property
    def messages(self) -> int:
        """Messages that were handed out and aren't settled."""
        return sum(not held.dropped for held in self.held)

    @property
    def floor(self) -> int:
        """The first sequence that is still needed."""
        needed = [held.seq for held in self.held if not held.dropped]
        return min(self.next, *needed, *(dead.seq for dead in self.dead)) if needed or self.dead else self.next

    def refresh(self, now: Micros, policy: QueuePolicy) -> None:
        """Brings the ledger up to the moment: leases that ended, attempts used up, messages timed out."""
        kept: list[Held] = []
        for held in self.held:
            if held.visible_at <= now:
                held.leased = False
                if not held.dropped and held.attempts >= policy.max_attempts:
                    self.dead.append(Dead(held.seq, held.attempts, now, held.body))
                    continue
            if not held.leased and not held.dropped and held.dies_at <= now:
                self._drop(held)
                held.become_gap()
            kept.append(held)
        self.held = _merged(kept)
        surplus = len(self.dead) - policy.max_dead_letters
        if surplus > 0:
            for dead in self.dead[:surplus]:
                self._drop(dead)
            self.dead = self.dead[surplus:]

    def has(self, seq: int) -> bool:
        """Whether the message of that sequence waits or is handed out."""
        return seq >= self.next or any(held.seq == seq and not held.dropped for held in self.held)

    def returned(self, now: Micros, limit: int) -> list[Held]:
        """What is to be handed out again now."""
        return [held for held in self.held if not held.leased and held.visible_at <= now][: max(0, limit)]

    def forget(self, gone: Collection[int]) -> None:
        """Leaves out messages that are no longer stored."""
        self._keep_held([held for held in self.held if held.dropped or held.seq not in gone])

    def make_room(self, waiting: Sequence[Waiting], now: Micros, policy: QueuePolicy) -> Sequence[Waiting]:
        """Drops what is too much, given all that waits; returns what of it is left.

        The oldest goes, first among what was never handed out. The newest always stays.
        """
        alive = sum(item.dies_at > now for item in waiting)
        excess = self.messages + alive - policy.max_messages
        to_drop = min(excess, alive - 1)
        taken = 0
        while to_drop > 0:
            to_drop -= waiting[taken].dies_at > now
            excess -= waiting[taken].dies_at > now
            taken += 1
        if taken:
            self.held.append(Held(waiting[taken - 1].seq, taken, 0, 0, 0, False, NEVER))
            for item in waiting[:taken]:
                self._drop(item)
            self.next = waiting[taken - 1].seq + 1
        for held in self.held:
            if excess <= 0:
                break
            if not held.dropped:
                self._drop(held)
                held.become_gap()
                excess -= 1
        self.held = _merged(self.held)
        return waiting[taken:]

    def lease(self, waiting: Sequence[Waiting], limit: int, until: Micros, now: Micros) -> list[Held]:
        """Hands out up to `limit`: what came back, then what waits, in order."""
        taken = self.returned(now, limit)
        lost: list[Waiting] = []
        for item in waiting:
            if item.dies_at <= now:
                lost.append(item)
                continue
            if lost and len(taken) < limit:
                taken.append(self._lose(lost))
                lost = []
            if len(taken) >= limit:
                break
            taken.append(Held(item.seq, 0, 0, 0, 0, False, item.dies_at, item.body))
            self.held.append(taken[-1])
            self.next = item.seq + 1
        else:
            if lost and len(taken) < limit:
                taken.append(self._lose(lost))
        for held in taken:
            held.hand_out(until)
        return taken

    def leased(self, token: str, now: Micros) -> Held | None:
        """What a token is the lease of; None where that has ended."""
        seq, _, leases = token.partition(".")
        for held in self.held:
            if str(held.seq) == seq:
                alive = held.leased and held.visible_at > now and str(held.leases) == leases
                return held if alive else None
        return None

    def settle(self, held: Held) -> None:
        """Removes what was leased."""
        self.held.remove(held)
        if not held.dropped:
            self._drop(held)

    def void(self, mark: int, spared: Collection[int], bodies: Mapping[int, str]) -> None:
        """Removes what was put in up to the mark, but for the spared, as if it had never been there.

        `bodies` are the names of what is stored apart of messages that wait.
        """
        kept = [held for held in self.held if held.seq > mark or held.seq in spared]
        kept += [Held(seq, 0, 0, 0, 0, False, NEVER, bodies.get(seq, "")) for seq in spared if self.next <= seq <= mark]
        self._keep_held(sorted(kept, key=lambda held: held.seq))
        self.bodies += [dead.body for dead in self.dead if dead.seq <= mark and dead.body]
        self.bodies += [body for seq, body in bodies.items() if self.next <= seq <= mark and seq not in spared]
        self.dead = [dead for dead in self.dead if dead.seq > mark]
        self.next = max(self.next, mark + 1)

    def _lose(self, items: Sequence[Waiting]) -> Held:
        for item in items:
            self._drop(item)
        self.next = items[-1].seq + 1
        held = Held(items[-1].seq, len(items), 0, 0, 0, False, NEVER)
        self.held.append(held)
        return held

    def _drop(self, item: Waiting | Held | Dead) -> None:
        """Notes that a message isn't needed any more, nor what is stored apart of it."""
        self.removable.append(item.seq)
        if item.body:
            self.bodies.append(item.body)

    def _keep_held(self, kept: list[Held]) -> None:
        """Leaves out all others; their messages are gone, what is stored apart of them isn't."""
        names = {held.body for held in kept}
        self.bodies += [held.body for held in self.held if held.body and held.body not in names]
        self.held = kept


def _merged(all_held: list[Held]) -> list[Held]:
    """Losses next to each other made one, where nobody has them."""
    kept: list[Held] = []
    for held in all_held:
        last = kept[-1] if kept else None
        if last is not None and last.dropped and held.dropped and not last.leased and not held.leased:
            last.dropped += held.dropped
            last.seq, last.leases = held.seq, max(last.leases, held.leases)
        else:
            kept.append(held)
    return kept
