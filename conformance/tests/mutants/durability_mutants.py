"""Faults of durability: leases, order, dead letters, bounds, times to live."""

from __future__ import annotations

import unicodedata
from dataclasses import replace
from typing import Any

import pytest
from prism.memory import queue as queues
from prism.memory.deliveries import Copy, Loss
from prism.memory.durability import MemoryDurability, Queues
from prism.memory.queue import NEVER, Queue
from prism.memory.store import Store
from prism.memory.traces import Traces
from prism.slots.durability import Enqueued, LeaseLost, NoQueue, Settled

from .running import durability

MP = pytest.MonkeyPatch


@durability("DUR-011", "DUR-012", "DUR-030", "DUR-032", "DUR-052")
def queue_that_is_not_there_is_made(patch: MP) -> None:
    original = Queues.enqueue

    def enqueue(self: Any, message: Any, names: Any, ttl: Any) -> Any:
        self.create([name for name in names if self.find(name) is None])
        return original(self, message, names, ttl)

    patch.setattr(Queues, "enqueue", enqueue)


@durability("DUR-012")
def outcomes_are_those_stored_first(patch: MP) -> None:
    original = Queues.enqueue

    def enqueue(self: Any, *args: Any) -> Any:
        return sorted(original(self, *args), key=lambda outcome: isinstance(outcome, NoQueue))

    patch.setattr(Queues, "enqueue", enqueue)


@durability("DUR-013", "DUR-104")
def queue_is_a_stack(patch: MP) -> None:
    original = Queue.lease

    def lease(self: Any, limit: int, *more: Any) -> Any:
        if len(self.fresh) > 40:
            self.fresh.reverse()
        return original(self, limit, *more)

    patch.setattr(Queue, "lease", lease)


@durability("DUR-014")
def creating_a_queue_again_empties_it(patch: MP) -> None:
    original = Queues.create

    def create(self: Any, names: Any) -> None:
        if len(names) == 3:
            self.delete(names)
        original(self, names)

    patch.setattr(Queues, "create", create)


@durability("DUR-020", "DUR-021", "DUR-022", "DUR-024", "DUR-025")
def message_ids_are_not_remembered(patch: MP) -> None:
    patch.setattr(Traces, "find", lambda self, message_id: None)


@durability("DUR-022")
def acked_message_is_forgotten_at_once(patch: MP) -> None:
    original = Queue.settle

    def settle(self: Any, lease: Any, now: Any) -> bool:
        held = self.out.get(lease.token.partition(".")[0])
        done = original(self, lease, now)
        if done and isinstance(held.content, Copy):
            held.content.trace.forget(self.number)
        return done

    patch.setattr(Queue, "settle", settle)


@durability("DUR-031")
def new_queue_remembers_what_its_namesake_had(patch: MP) -> None:
    original = Queues.create

    def create(self: Any, names: Any) -> None:
        numbers = self.__dict__.setdefault("numbers_of", {})
        original(self, names)
        for name in names:
            self.find(name).number = numbers.setdefault(name, self.find(name).number)

    patch.setattr(Queues, "create", create)


@durability("DUR-033", "DUR-034", "DUR-035", "DUR-036")
def mark_is_ignored(patch: MP) -> None:
    patch.setattr(Queues, "delete_before", lambda self, names, mark: self.delete(names))


@durability("DUR-034")
def removal_with_a_mark_takes_what_came_since(patch: MP) -> None:
    original = Queue.drop_before

    def drop_before(self: Any, position: int, now: Any) -> None:
        first = self.fresh[0] if self.fresh else None
        mixed = first is not None and first.position < position <= self.fresh[-1].position
        original(self, self.fresh[-1].position + 1 if mixed else position, now)

    patch.setattr(Queue, "drop_before", drop_before)


@durability("DUR-037")
def removal_with_a_mark_leaves_dead_letters(patch: MP) -> None:
    original = Queue.drop_before

    def drop_before(self: Any, position: int, now: Any) -> None:
        kept = self._dead
        original(self, position, now)
        self._dead = kept

    patch.setattr(Queue, "drop_before", drop_before)


@durability("DUR-040", "DUR-113", "DUR-121", "DUR-202", "DUR-213")
def depth_leaves_out_what_is_leased(patch: MP) -> None:
    original = Queue.depth

    def depth(self: Any, now: Any) -> int:
        original(self, now)
        return sum(isinstance(item, Copy) for item in self.fresh)

    patch.setattr(Queue, "depth", depth)


@durability("DUR-050", "DUR-051")
def queue_names_are_normalised(patch: MP) -> None:
    original = Queues.create
    patch.setattr(
        Queues, "create", lambda self, names: original(self, [unicodedata.normalize("NFC", name) for name in names])
    )


class AnyCase(dict[str, Any]):
    """Finds a name by any spelling of its case, as a column with such a collation does."""

    def get(self, name: str, default: Any = None) -> Any:
        return super().get(name.lower(), default)

    def pop(self, name: str, *default: Any) -> Any:
        return super().pop(name.lower(), *default)

    def __setitem__(self, name: str, queue: Any) -> None:
        super().__setitem__(name.lower(), queue)

    def __delitem__(self, name: str) -> None:
        super().__delitem__(name.lower())


@durability("DUR-051")
def queues_of_names_that_differ_in_case_are_one(patch: MP) -> None:
    original = Queues.__init__

    def init(self: Any, context: Any) -> None:
        original(self, context)
        self._queues = AnyCase()
        self.find = self._queues.get

    patch.setattr(Queues, "__init__", init)


@durability("DUR-052")
def namespaces_are_prefixes_of_queues(patch: MP) -> None:
    original = Store.part
    patch.setattr(Store, "part", lambda self, kind, name, make: original(self, kind, name.removesuffix(":b"), make))


@durability("DUR-101")
def limit_is_for_all_queues_together(patch: MP) -> None:
    original = MemoryDurability.dequeue

    async def dequeue(self: Any, names: Any, limit: int, visibility: Any) -> Any:
        found = await original(self, names, limit, visibility)
        return found[:limit] if len(names) == 2 else found

    patch.setattr(MemoryDurability, "dequeue", dequeue)


@durability("DUR-105", "DUR-106", "DUR-124", "DUR-126", "DUR-201", "DUR-113", "DUR-127")
def lease_never_ends(patch: MP) -> None:
    original = Queue.lease

    def lease(self: Any, limit: int, until: Any, *more: Any) -> Any:
        return original(self, limit, NEVER, *more)

    def extend(self: Any, item: Any, until: Any, now: Any) -> bool:
        return bool(extend_(self, item, NEVER, now))

    extend_ = Queue.extend
    patch.setattr(Queue, "lease", lease)
    patch.setattr(Queue, "extend", extend)


@durability("DUR-106", "DUR-107", "DUR-126", "DUR-200", "DUR-211")
def what_comes_back_goes_behind_what_is_new(patch: MP) -> None:
    original = Queue.lease

    def lease(self: Any, limit: int, until: Any, now: Any, keys: Any) -> Any:
        self._refresh(now)
        fresh = bool(self.fresh)
        held, self._back = (self._back, []) if fresh else ([], self._back)
        taken = original(self, limit, until, now, keys)
        if fresh:
            self._back = held
            taken += original(self, limit - len(taken), until, now, keys)
        return taken

    patch.setattr(Queue, "lease", lease)


@durability("DUR-110")
def acked_message_comes_back(patch: MP) -> None:
    original = Queue.settle

    def settle(self: Any, lease: Any, now: Any) -> bool:
        held = self._leased(lease, now)
        if held is None or held.visible_at > now + 30_000_000:
            return bool(original(self, lease, now))
        held.token = "settled, and yet there"
        return True

    patch.setattr(Queue, "settle", settle)


@durability("DUR-112", "DUR-030", "DUR-033", "DUR-113", "DUR-114", "DUR-120", "DUR-213")
def every_ack_is_settled(patch: MP) -> None:
    original = MemoryDurability.ack

    async def ack(self: Any, leases: Any) -> Any:
        return [Settled() if isinstance(item, LeaseLost) else item for item in await original(self, leases)]

    patch.setattr(MemoryDurability, "ack", ack)


@durability("DUR-113", "DUR-120")
def stale_lease_is_good(patch: MP) -> None:
    original = Queue._leased

    def leased(self: Any, lease: Any, now: Any) -> Any:
        held = self.out.get(lease.token.partition(".")[0])
        return original(self, replace(lease, token=held.token) if held else lease, now)

    patch.setattr(Queue, "_leased", leased)


@durability("DUR-120", "DUR-030", "DUR-037", "DUR-200", "DUR-202", "DUR-205", "DUR-206", "DUR-207")
def nack_does_not_count_the_attempt(patch: MP) -> None:
    original = Queue.give_back

    def give_back(self: Any, lease: Any, visible_at: Any, now: Any, *, counts: bool) -> bool:
        del counts
        return bool(original(self, lease, visible_at, now, counts=False))

    patch.setattr(Queue, "give_back", give_back)


@durability("DUR-121")
def delay_of_a_nack_is_ignored(patch: MP) -> None:
    original = Queue.give_back

    def give_back(self: Any, lease: Any, visible_at: Any, now: Any, *, counts: bool) -> bool:
        del visible_at
        return bool(original(self, lease, now, now, counts=counts))

    patch.setattr(Queue, "give_back", give_back)


@durability("DUR-122", "DUR-204")
def release_counts_the_attempt(patch: MP) -> None:
    original = Queue.give_back

    def give_back(self: Any, lease: Any, visible_at: Any, now: Any, *, counts: bool) -> bool:
        del counts
        return bool(original(self, lease, visible_at, now, counts=True))

    patch.setattr(Queue, "give_back", give_back)


@durability("DUR-123")
def extension_never_lengthens(patch: MP) -> None:
    original = Queue.extend

    def extend(self: Any, lease: Any, until: Any, now: Any) -> bool:
        held = self._leased(lease, now)
        return bool(original(self, lease, min(until, held.visible_at) if held else until, now))

    patch.setattr(Queue, "extend", extend)


@durability("DUR-200")
def message_gets_one_attempt_too_many(patch: MP) -> None:
    original = Queue._bury

    def bury(self: Any, delivery: Any, copy: Any, now: Any) -> None:
        if delivery.attempts == 3 and copy.message.id == "m1":
            self._back.append(delivery)
        else:
            original(self, delivery, copy, now)

    patch.setattr(Queue, "_bury", bury)


@durability("DUR-203", "DUR-204")
def last_attempt_cannot_be_acked(patch: MP) -> None:
    original = Queue.settle

    def settle(self: Any, lease: Any, now: Any) -> bool:
        last = self._policy.max_attempts == 1 and not isinstance(lease.content, queues.Loss)
        return False if last and lease.attempt == 1 and len(self.out) == 1 else bool(original(self, lease, now))

    patch.setattr(Queue, "settle", settle)


@durability("DUR-205", "DUR-206")
def newest_dead_letters_come_first(patch: MP) -> None:
    original = Queue.dead_letters
    patch.setattr(Queue, "dead_letters", lambda self, now: original(self, now)[::-1])


@durability("DUR-207")
def replayed_dead_letter_stays(patch: MP) -> None:
    original = Queue.revive

    def revive(self: Any, ids: Any, now: Any) -> Any:
        kept = list(self._dead or ())
        found = original(self, ids, now)
        self._dead.extend(kept)
        return found

    patch.setattr(Queue, "revive", revive)


@durability("DUR-210", "DUR-211", "DUR-212")
def full_queue_drops_in_silence(patch: MP) -> None:
    original = Queue._make_room

    def make_room(self: Any, now: Any) -> None:
        original(self, now)
        self.fresh = [item for item in self.fresh if not isinstance(item, Loss)]
        for key in [key for key, held in self.out.items() if isinstance(held.content, Loss)]:
            del self.out[key]

    patch.setattr(Queue, "_make_room", make_room)


@durability("DUR-210")
def gap_counts_one_too_few(patch: MP) -> None:
    original = Loss.absorb

    def absorb(self: Any, other: Any) -> None:
        original(self, other)
        if self.dropped == 5:
            self.dropped = 4

    patch.setattr(Loss, "absorb", absorb)


@durability("DUR-212", "DUR-225")
def gap_is_counted_in_the_depth(patch: MP) -> None:
    original = Queue.depth

    def depth(self: Any, now: Any) -> int:
        leased = sum(isinstance(held.content, Loss) and held.leased for held in self.out.values())
        return int(original(self, now)) + leased

    patch.setattr(Queue, "depth", depth)


@durability("DUR-220", "DUR-222", "DUR-226")
def message_times_out_in_silence(patch: MP) -> None:
    original = Queue._time_out

    def time_out(self: Any, now: Any) -> None:
        original(self, now)
        self.fresh = [item for item in self.fresh if not isinstance(item, Loss)]

    patch.setattr(Queue, "_time_out", time_out)


@durability("DUR-221")
def timed_out_message_is_counted(patch: MP) -> None:
    patch.setattr(Queue, "depth", lambda self, now: self.size)


@durability("DUR-223")
def message_without_a_ttl_times_out(patch: MP) -> None:
    original = Queues.enqueue

    def enqueue(self: Any, message: Any, names: Any, ttl: Any) -> Any:
        return original(self, message, names, 1_000_000 if ttl is None else ttl)

    patch.setattr(Queues, "enqueue", enqueue)


@durability("DUR-224")
def message_times_out_while_leased(patch: MP) -> None:
    original = Queue._leased

    def leased(self: Any, lease: Any, now: Any) -> Any:
        held = original(self, lease, now)
        late = held and isinstance(held.content, Copy) and held.content.dies_at <= now and len(self.out) == 1
        if late and not self.fresh and self._check_at != now and self.__class__ is Queue and settling[0]:
            return None
        return held

    settling = [False]
    settle = Queue.settle

    def settle_(self: Any, lease: Any, now: Any) -> bool:
        settling[0] = True
        try:
            return bool(settle(self, lease, now))
        finally:
            settling[0] = False

    patch.setattr(Queue, "_leased", leased)
    patch.setattr(Queue, "settle", settle_)


@durability("DUR-023")
def queue_named_twice_gets_two_copies(patch: MP) -> None:
    original = Queues.enqueue

    def enqueue(self: Any, message: Any, names: Any, ttl: Any) -> Any:
        outcomes = original(self, message, names, ttl)
        for name in {name for name in names if names.count(name) > 1}:
            twin = replace(message, id=f"{message.id} again")
            assert original(self, twin, [name], ttl) == [Enqueued()]
        return outcomes

    patch.setattr(Queues, "enqueue", enqueue)
