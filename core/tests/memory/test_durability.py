"""Durability where it is the memory backend's own: windows too long to sit out, sharing, and bounded work."""

from __future__ import annotations

import asyncio
import gc

import pytest
from prism.memory.durability import MemoryDurability
from prism.model.errors import InvalidArgument
from prism.model.message import Message
from prism.model.time import SECOND
from prism.slots.context import QueuePolicy
from prism.slots.durability import Enqueued, Gap, LeaseLost, NoQueue

from .conftest import Clock, Open

LONG = 3600 * SECOND


def message(name: str) -> Message:
    return Message(name, b"payload", "text/plain", 0)


async def drain(queues: MemoryDurability, name: str) -> list[str | int]:
    leases = await queues.dequeue([name], 10_000, LONG)
    await queues.ack(leases)
    return [item.content.dropped if isinstance(item.content, Gap) else item.content.id for item in leases]


async def opened(slot: Open, *names: str, **policy: object) -> MemoryDurability:
    queues: MemoryDurability = await slot(MemoryDurability, queues=QueuePolicy(**policy))  # type: ignore[arg-type]
    await queues.create(names)
    return queues


@pytest.mark.parametrize("wait", [0, 60, 119, 3600])
async def test_message_id_is_known_as_long_as_the_message_is_there(slot: Open, clock: Clock, wait: int) -> None:
    queues = await opened(slot, "alice", "bob", message_ttl=None)
    await queues.enqueue(message("m1"), ["alice", "bob"])
    clock.turn(wait)
    await queues.enqueue(message("other"), ["bob"])
    assert await queues.enqueue(message("m1"), ["alice", "bob"]) == [Enqueued(), Enqueued()]
    assert await drain(queues, "alice") == ["m1"]
    assert await drain(queues, "bob") == ["m1", "other"]


@pytest.mark.parametrize("held", [0, 600])
@pytest.mark.parametrize("wait", [0, 60, 119])
async def test_message_id_is_known_for_two_minutes_after_the_ack(
    slot: Open, clock: Clock, held: int, wait: int
) -> None:
    queues = await opened(slot, "alice", "bob", message_ttl=None)
    await queues.enqueue(message("m1"), ["alice", "bob"])
    clock.turn(held)
    await queues.enqueue(message("other"), ["bob"])
    assert await drain(queues, "alice") == ["m1"]
    clock.turn(wait)
    await queues.enqueue(message("another"), ["bob"])
    assert await queues.enqueue(message("m1"), ["alice"]) == [Enqueued()]
    assert await drain(queues, "alice") == []


async def test_message_ids_are_forgotten_in_the_end(slot: Open, clock: Clock) -> None:
    queues = await opened(slot, "alice")
    for i in range(100):
        await queues.enqueue(message(f"m{i}"), ["alice"])
        await drain(queues, "alice")
    clock.turn(300)
    await queues.enqueue(message("last"), ["alice"])
    gc.collect()
    assert len(queues._part._traces) == 1


async def test_one_message_object_is_shared_by_all_queues(slot: Open) -> None:
    names = [f"user-{i}" for i in range(10)]
    queues = await opened(slot, *names)
    sent = message("m1")
    await queues.enqueue(sent, names)
    assert all(item.content is sent for item in await queues.dequeue(names, 1, LONG))


async def test_long_list_of_queues_is_worked_off_in_turns_without_a_second_copy(slot: Open) -> None:
    names = [f"user-{i}" for i in range(10_000)]
    queues = await opened(slot, *names)
    twice = [*names, *names]
    assert await queues.enqueue(message("m1"), twice) == [Enqueued()] * 20_000
    assert sum(await queues.depth(names)) == 10_000


async def test_interleaved_pages_of_many_messages_make_no_second_copies(slot: Open) -> None:
    names = [f"user-{i}" for i in range(100)]
    queues = await opened(slot, *names)
    for page in range(0, 100, 10):
        for i in range(20):
            await queues.enqueue(message(f"m{i}"), names[: page + 10])
    assert await queues.depth(names) == [20] * 100


async def test_lease_ends_at_its_moment(slot: Open, clock: Clock) -> None:
    queues = await opened(slot, "alice")
    await queues.enqueue(message("m1"), ["alice"])
    leases = await queues.dequeue(["alice"], 1, 10 * SECOND)
    clock.now += 10 * SECOND
    assert await queues.ack(leases) == [LeaseLost()]
    assert await queues.depth(["alice"]) == [1]


async def test_clock_that_jumps_back_keeps_what_is_visible(slot: Open, clock: Clock) -> None:
    queues = await opened(slot, "alice")
    await queues.enqueue(message("m1"), ["alice"])
    await queues.dequeue(["alice"], 1, 10 * SECOND)
    clock.turn(11)
    assert await queues.depth(["alice"]) == [1]
    clock.turn(-3600)
    assert await drain(queues, "alice") == ["m1"]


@pytest.mark.parametrize("handed_out", [False, True])
async def test_message_put_in_again_times_out_by_the_later_call(slot: Open, clock: Clock, handed_out: bool) -> None:
    queues = await opened(slot, "alice", message_ttl=100 * SECOND)
    await queues.enqueue(message("m1"), ["alice"])
    if handed_out:
        await queues.release(await queues.dequeue(["alice"], 1, SECOND))
    await queues.enqueue(message("m1"), ["alice"], 10 * SECOND)
    clock.now += 11 * SECOND
    assert await drain(queues, "alice") == [1]


async def test_losses_next_to_each_other_are_one_gap(slot: Open, clock: Clock) -> None:
    queues = await opened(slot, "alice", max_messages=3)
    for i in range(6):
        await queues.enqueue(message(f"m{i}"), ["alice"], 10 * SECOND if i == 3 else LONG)
    clock.turn(11)
    assert await drain(queues, "alice") == [4, "m4", "m5"]


async def test_gaps_that_come_back_next_to_each_other_are_one(slot: Open, clock: Clock) -> None:
    queues = await opened(slot, "alice")
    for name in ("m1", "m2"):
        await queues.enqueue(message(name), ["alice"], 10 * SECOND)
    leases = await queues.dequeue(["alice"], 10, LONG)
    clock.turn(11)
    await queues.nack(leases)
    assert await drain(queues, "alice") == [2]


async def test_full_queue_drops_what_timed_out_before_what_is_good(slot: Open, clock: Clock) -> None:
    queues = await opened(slot, "alice", max_messages=2)
    await queues.enqueue(message("m1"), ["alice"])
    await queues.enqueue(message("m2"), ["alice"], 10 * SECOND)
    clock.turn(11)
    await queues.enqueue(message("m3"), ["alice"])
    assert await drain(queues, "alice") == ["m1", 1, "m3"]


async def test_overflow_of_messages_that_are_all_leased_ends_the_oldest_lease(slot: Open) -> None:
    queues = await opened(slot, "alice", max_messages=2)
    for name in ("m1", "m2"):
        await queues.enqueue(message(name), ["alice"])
    first, second = await queues.dequeue(["alice"], 2, LONG)
    await queues.enqueue(message("m3"), ["alice"])
    assert await queues.ack([first]) == [LeaseLost()]
    assert await queues.depth(["alice"]) == [2]
    await queues.nack([second])
    assert await drain(queues, "alice") == [1, "m2", "m3"]


async def test_replayed_message_waits_its_full_time_again(slot: Open, clock: Clock) -> None:
    queues = await opened(slot, "alice", max_attempts=1, message_ttl=100 * SECOND)
    await queues.enqueue(message("m1"), ["alice"])
    await queues.nack(await queues.dequeue(["alice"], 1, LONG))
    clock.turn(90)
    assert await queues.replay("alice", ["m1"]) == 1
    clock.turn(90)
    assert await drain(queues, "alice") == ["m1"]


async def test_deleted_queues_leave_nothing_behind(slot: Open, clock: Clock) -> None:
    queues = await opened(slot)
    for i in range(1_000):
        name = f"user-{i}"
        await queues.create([name])
        await queues.enqueue(message(f"m{i}"), [name])
        await queues.dequeue([name], 1, LONG)
        await queues.delete([name])
    clock.turn(300)
    await queues.enqueue(message("last"), ["nobody"])
    gc.collect()
    assert len(queues._part) == 0
    assert len(queues._part._traces) <= 1


async def test_cancelled_enqueue_can_be_repeated(slot: Open) -> None:
    names = [f"user-{i}" for i in range(20_000)]
    queues = await opened(slot, *names)
    task = asyncio.create_task(queues.enqueue(message("m1"), names))
    await asyncio.sleep(0)
    task.cancel()
    await asyncio.wait([task])
    await queues.enqueue(message("m1"), names)
    assert await queues.depth(names) == [1] * 20_000


async def test_wrong_durations_and_marks_are_refused(slot: Open) -> None:
    queues = await opened(slot, "alice")
    with pytest.raises(InvalidArgument, match="ttl"):
        await queues.enqueue(message("m1"), ["alice"], 0)
    with pytest.raises(InvalidArgument, match="visibility"):
        await queues.dequeue(["alice"], 1, 0)
    with pytest.raises(InvalidArgument, match="delay"):
        await queues.nack([], -1)
    with pytest.raises(InvalidArgument, match="before"):
        await queues.delete(["alice"], before="yesterday")
    assert await queues.enqueue(message("m1"), ["nobody"]) == [NoQueue()]


async def test_redelivery_of_many_leases_is_not_looked_for_before_one_has_ended(slot: Open, clock: Clock) -> None:
    queues = await opened(slot, "alice")
    for i in range(1_000):
        await queues.enqueue(message(f"m{i}"), ["alice"])
    assert len(await queues.dequeue(["alice"], 1_000, LONG)) == 1_000
    queue = queues._part.find("alice")
    assert queue is not None
    for _ in range(100):
        clock.turn(1)
        assert queue._check_at > clock()  # the only reason to go through the leases
        assert await queues.dequeue(["alice"], 10, LONG) == []
