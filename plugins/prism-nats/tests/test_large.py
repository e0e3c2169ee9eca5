"""Payloads that are stored apart: large ones, and those that go to several queues."""

from __future__ import annotations

import asyncio
import signal
import sys
from collections.abc import Callable, Sequence

import pytest
from prism.model.errors import LimitExceeded
from prism.model.message import DeliverySemantics, Message
from prism.model.time import SECOND
from prism.slots.context import Failure, QueuePolicy
from prism.slots.durability import Enqueued, Gap, Lease, NoQueue, Settled
from prism_conformance.servers import Server
from prism_nats import bodies
from prism_nats.durability import NatsDurability
from prism_nats.enqueueing import Enqueueing

from .conftest import Slots, Until

LONG = 60 * SECOND
MEBIBYTE = 1024 * 1024
ENQUEUED = Enqueued()


def message(name: str, size: int) -> Message:
    payload = (name.encode() + bytes(range(251))) * (size // 251 + 1)
    sent_at = 1_760_000_000_000_000
    return Message(name, payload[:size], "text/plain", sent_at, DeliverySemantics.AT_LEAST_ONCE, "proxy 1")


def contents(leases: Sequence[Lease]) -> list[tuple[str, Message | Gap]]:
    return [(lease.queue, lease.content) for lease in leases]


async def parts(slot: NatsDurability) -> int:
    """How many parts of bodies are stored once those that nobody needs are swept."""
    await slot._parts.bodies.sweep()
    return len((await slot._parts.streams.count(slot._parts.streams.subjects.body("*", "*")))[0])


async def references(slot: NatsDurability) -> int:
    return len((await slot._parts.streams.count(f"{slot._parts.streams.subjects.mark}.*.b.*"))[0])


@pytest.mark.parametrize("size", [0, 1_000_000, MEBIBYTE - 1_000, MEBIBYTE, 3 * MEBIBYTE + 7])
async def test_payload_of_any_size_survives_on_a_server_as_it_comes(
    nats_server: Server, slots: Slots, size: int
) -> None:
    slot = await slots.durability(nats_server)
    assert slot._parts.link.max_payload == MEBIBYTE
    await slot.create(["alice"])
    assert await slot.enqueue(message("m1", size), ["alice"]) == [ENQUEUED]
    leases = await slot.dequeue(["alice"], 1, LONG)
    assert contents(leases) == [("alice", message("m1", size))]
    assert await slot.ack(leases) == [Settled()]
    assert (await parts(slot), await references(slot)) == (0, 0)


@pytest.mark.parametrize("size", [MEBIBYTE - 6_000, MEBIBYTE - 4_000, MEBIBYTE - 1_500, MEBIBYTE])
async def test_longest_name_leaves_room_for_any_payload(nats_server: Server, slots: Slots, size: int) -> None:
    slot = await slots.durability(nats_server)
    name = "\u00e9" * 256
    await slot.create([name])
    assert await slot.enqueue(message("m" * 64, size), [name]) == [ENQUEUED]
    assert contents(await slot.dequeue([name], 1, LONG)) == [(name, message("m" * 64, size))]


async def test_server_that_carries_little_stores_much(start_server: Callable[..., Server], slots: Slots) -> None:
    server = await asyncio.to_thread(start_server, "nats", config={"max_payload": "4KB"})
    slot = await slots.durability(server)
    await slot.create(["alice"])
    assert await slot.enqueue(message("m1", 100_000), ["alice"]) == [ENQUEUED]
    assert contents(await slot.dequeue(["alice"], 1, LONG)) == [("alice", message("m1", 100_000))]


async def test_payload_of_many_queues_is_stored_once(nats_server: Server, slots: Slots) -> None:
    slot = await slots.durability(nats_server)
    queues = [f"user-{i}" for i in range(100)]
    await slot.create(queues)
    sent = message("m1", MEBIBYTE)
    assert await slot.enqueue(sent, [*queues, "nobody"]) == [ENQUEUED] * 100 + [NoQueue()]
    assert (await parts(slot), await references(slot)) == (2, 100)
    leases = await slot.dequeue(queues, 10, LONG)
    assert contents(leases) == [(queue, sent) for queue in queues]
    await slot.ack(leases[1:])
    assert (await parts(slot), await references(slot)) == (2, 1)
    await slot.ack(leases[:1])
    assert (await parts(slot), await references(slot)) == (0, 0)


async def test_small_and_large_messages_keep_their_order(nats_server: Server, slots: Slots) -> None:
    slot = await slots.durability(nats_server)
    await slot.create(["alice", "bob"])
    sent = [message(f"m{i}", size) for i, size in enumerate([10, 20_000, 0, MEBIBYTE, 100_000, 5])]
    for each in sent:
        await slot.enqueue(each, ["alice", "bob"])
    leases = await slot.dequeue(["alice", "bob"], 10, LONG)
    assert contents(leases) == [(queue, each) for queue in ("alice", "bob") for each in sent]
    assert await slot.depth(["alice", "bob"]) == [6, 6]


async def test_repeated_enqueue_leaves_one_copy_and_one_body(nats_server: Server, slots: Slots) -> None:
    here, there = await slots.durability(nats_server), await slots.durability(nats_server)
    queues = ["alice", "bob"]
    await here.create([*queues, "carol"])
    sent = message("m1", MEBIBYTE)
    assert await here.enqueue(sent, queues) == [ENQUEUED] * 2
    assert await there.enqueue(sent, queues) == [ENQUEUED] * 2
    assert (await parts(here), await references(here)) == (2, 2)
    assert await there.enqueue(sent, [*queues, "carol"]) == [ENQUEUED] * 3
    assert (await parts(here), await references(here)) == (4, 3)
    leases = await here.dequeue([*queues, "carol"], 10, LONG)
    assert contents(leases) == [(queue, sent) for queue in (*queues, "carol")]
    await here.ack(leases)
    assert (await parts(here), await references(here)) == (0, 0)


async def test_concurrent_enqueues_of_one_message_store_one_copy_that_is_whole(
    nats_server: Server, slots: Slots
) -> None:
    here, there = await slots.durability(nats_server), await slots.durability(nats_server)
    queues = [f"user-{i}" for i in range(10)]
    await here.create(queues)
    sent = message("m1", MEBIBYTE)
    calls = [slot.enqueue(sent, queues) for slot in (here, there) for _ in range(3)]
    assert await asyncio.gather(*calls) == [[ENQUEUED] * 10] * 6
    await here._parts.bodies.sweep()
    assert await references(here) == 10
    leases = await there.dequeue(queues, 10, LONG)
    assert contents(leases) == [(queue, sent) for queue in queues]
    await there.ack(leases)
    assert (await parts(here), await references(here)) == (0, 0)


async def test_large_message_comes_back_dies_and_is_replayed(nats_server: Server, slots: Slots) -> None:
    slot = await slots.durability(nats_server, QueuePolicy(max_attempts=2))
    await slot.create(["alice"])
    sent = message("m1", MEBIBYTE)
    await slot.enqueue(sent, ["alice"])
    for attempt in (1, 2):
        (lease,) = await slot.dequeue(["alice"], 1, LONG)
        assert (lease.attempt, lease.content) == (attempt, sent)
        await slot.nack([lease])
    assert await slot.dequeue(["alice"], 1, LONG) == []
    assert [letter.message for letter in await slot.dead_letters("alice", 10)] == [sent]
    assert await parts(slot) == 2
    assert await slot.replay("alice", ["m1"]) == 1
    assert await slot.dead_letters("alice", 10) == []
    leases = await slot.dequeue(["alice"], 1, LONG)
    assert contents(leases) == [("alice", sent)]
    await slot.ack(leases)
    assert (await parts(slot), await references(slot)) == (0, 0)


async def test_large_messages_that_are_dropped_leave_nothing(nats_server: Server, slots: Slots) -> None:
    slot = await slots.durability(nats_server, QueuePolicy(max_messages=3, max_dead_letters=1))
    await slot.create(["alice", "bob"])
    for i in range(6):
        await slot.enqueue(message(f"m{i}", 20_000), ["alice", "bob"])
    leases = await slot.dequeue(["alice"], 10, LONG)
    assert leases[0].content == Gap(3)
    assert [content for _, content in contents(leases)[1:]] == [message(f"m{i}", 20_000) for i in range(3, 6)]
    assert await references(slot) == 9
    await slot.ack(leases)
    await slot.ack(await slot.dequeue(["bob"], 10, LONG))
    assert (await parts(slot), await references(slot)) == (0, 0)


async def test_large_message_that_times_out_leaves_a_gap_and_nothing_else(
    nats_server: Server, slots: Slots, until: Until
) -> None:
    slot = await slots.durability(nats_server)
    await slot.create(["alice"])
    await slot.enqueue(message("m1", MEBIBYTE), ["alice"], ttl=1)

    async def timed_out() -> bool:  # by the server's clock, which is known as well as an answer travels
        return await slot.depth(["alice"]) == [0]

    await until(timed_out)
    leases = await slot.dequeue(["alice"], 10, LONG)
    assert contents(leases) == [("alice", Gap(1))]
    assert (await parts(slot), await references(slot)) == (0, 0)


async def test_removed_queues_leave_no_bodies(nats_server: Server, slots: Slots) -> None:
    slot = await slots.durability(nats_server)
    queues = ["alice", "bob", "carol"]
    await slot.create(queues)
    await slot.enqueue(message("m1", MEBIBYTE), queues)
    mark = await slot.mark()
    await slot.enqueue(message("m2", MEBIBYTE), ["carol"])
    await slot.delete(["alice"])
    await slot.delete(["bob", "carol"], before=mark)
    assert (await parts(slot), await references(slot)) == (2, 1)
    leases = await slot.dequeue(queues, 10, LONG)
    assert contents(leases) == [("carol", message("m2", MEBIBYTE))]
    await slot.ack(leases)
    assert await parts(slot) == 0


async def test_message_enqueued_again_after_the_mark_keeps_its_body(nats_server: Server, slots: Slots) -> None:
    slot = await slots.durability(nats_server)
    await slot.create(["alice"])
    await slot.enqueue(message("m1", MEBIBYTE), ["alice"])
    await slot.enqueue(message("m2", MEBIBYTE), ["alice"])
    mark = await slot.mark()
    await slot.enqueue(message("m1", MEBIBYTE), ["alice"])
    await slot.delete(["alice"], before=mark)
    leases = await slot.dequeue(["alice"], 10, LONG)
    assert contents(leases) == [("alice", message("m1", MEBIBYTE))]
    await slot.ack(leases)
    assert (await parts(slot), await references(slot)) == (0, 0)


async def test_call_that_is_broken_off_hands_out_nothing_and_may_be_repeated(
    nats_server: Server, slots: Slots, monkeypatch: pytest.MonkeyPatch
) -> None:
    slot = await slots.durability(nats_server)
    await slot.create(["alice", "bob"])
    sent = message("m1", MEBIBYTE)

    async def broken_off(*_: object) -> list[str]:
        raise asyncio.CancelledError

    with monkeypatch.context() as patch:
        patch.setattr(Enqueueing, "_append", broken_off)
        with pytest.raises(asyncio.CancelledError):
            await slot.enqueue(sent, ["alice", "bob"])
    assert await slot.depth(["alice", "bob"]) == [0, 0]
    assert await slot.dequeue(["alice", "bob"], 10, LONG) == []
    assert (await parts(slot), await references(slot)) == (2, 2)
    assert await slot.enqueue(sent, ["alice"]) == [ENQUEUED]
    leases = await slot.dequeue(["alice", "bob"], 10, LONG)
    assert contents(leases) == [("alice", sent)]
    await slot.ack(leases)


async def test_what_a_call_left_that_was_broken_off_long_ago_is_removed_at_the_next_opening(
    nats_server: Server, slots: Slots, monkeypatch: pytest.MonkeyPatch
) -> None:
    slot = await slots.durability(nats_server)
    await slot.create(["alice", "bob"])

    async def broken_off(*_: object) -> list[str]:
        raise asyncio.CancelledError

    with monkeypatch.context() as patch:
        patch.setattr(Enqueueing, "_append", broken_off)
        with pytest.raises(asyncio.CancelledError):
            await slot.enqueue(message("m1", MEBIBYTE), ["alice", "bob"])
    await slot.enqueue(message("m2", MEBIBYTE), ["bob"])
    later = await slots.durability(nats_server)
    assert await parts(later) == 4
    assert await references(later) == 3
    monkeypatch.setattr(bodies, "ABANDONED", -SECOND)  # as if ten minutes had passed
    await later._parts.bodies.sweep()
    assert await references(later) == 2  # bob's queue holds a message: nobody can say whose reference it is
    await later.ack(await later.dequeue(["bob"], 10, LONG))
    await later._parts.bodies.sweep()
    assert (await parts(later), await references(later)) == (0, 0)


async def test_bodies_are_swept_in_the_background(nats_server: Server, slots: Slots, until: Until) -> None:
    slot = await slots.durability(nats_server)
    await slot.create(["alice"])
    await slot.enqueue(message("m1", MEBIBYTE), ["alice"])
    await slot.ack(await slot.dequeue(["alice"], 1, LONG))

    async def swept() -> bool:
        return not await slot._parts.bodies.exist()

    await until(swept)


async def test_queue_made_anew_while_a_large_message_is_stored_gets_it_whole(
    nats_server: Server, slots: Slots, monkeypatch: pytest.MonkeyPatch
) -> None:
    here, there = await slots.durability(nats_server), await slots.durability(nats_server)
    queues = ["alice", "bob"]
    await here.create(queues)
    sent = message("m1", MEBIBYTE)
    store = bodies.Bodies.store
    turns = 0

    async def store_slowly(self: bodies.Bodies, body: object, payload: bytes) -> object:
        nonlocal turns
        turns += 1
        outcome = await store(self, body, payload)  # type: ignore[arg-type]
        if turns == 1:
            await there.delete(["alice"])
            await there._parts.bodies.sweep()
            await there.create(["alice"])
        return outcome

    monkeypatch.setattr(bodies.Bodies, "store", store_slowly)
    assert await here.enqueue(sent, queues) == [ENQUEUED] * 2
    assert turns == 2
    leases = await there.dequeue(queues, 10, LONG)
    assert contents(leases) == [(queue, sent) for queue in queues]
    await there.ack(leases)
    assert (await parts(here), await references(here)) == (0, 0)


async def test_stream_without_room_for_a_large_message_fails_and_keeps_nothing(
    nats_server: Server, slots: Slots
) -> None:
    slot = await slots.durability(nats_server, stream={"max_bytes": 1_500_000})
    await slot.create(["alice"])
    (outcome,) = await slot.enqueue(message("m1", 2 * MEBIBYTE), ["alice"])
    assert isinstance(outcome, Failure)
    assert isinstance(outcome.error, LimitExceeded)
    assert "maximum bytes" in outcome.error.message
    assert (await parts(slot), await references(slot)) == (0, 0)
    assert await slot.enqueue(message("m1", MEBIBYTE), ["alice"]) == [ENQUEUED]


async def test_large_messages_in_a_replicated_stream(nats_cluster: Server, slots: Slots) -> None:
    slot = await slots.durability(nats_cluster, stream={"replicas": 3}, timeout=15)
    queues = [f"user-{i}" for i in range(20)]
    await slot.create(queues)
    sent = [message("m1", MEBIBYTE), message("m2", 20_000)]
    for each in sent:
        assert await slot.enqueue(each, queues) == [ENQUEUED] * 20
    leases = await slot.dequeue(queues, 10, LONG)
    assert contents(leases) == [(queue, each) for queue in queues for each in sent]
    assert await slot.ack(leases) == [Settled()] * 40
    assert (await parts(slot), await references(slot)) == (0, 0)


SENDER = """
import asyncio, sys
from prism.model.message import DeliverySemantics, Message
from prism.slots.context import SlotContext
from prism.slots.durability import Enqueued
from prism_nats.config import NatsConfig
from prism_nats.durability import NatsDurability

async def main(url, scope):
    slot = NatsDurability(NatsConfig(servers=(url,), subject_prefix=scope), SlotContext("room"))
    await slot.open()
    for i in range(10_000):
        message = Message(f"m{i}", b"%06d" % i * 200_000, "text/plain", 1, DeliverySemantics.AT_LEAST_ONCE, "proxy 1")
        if await slot.enqueue(message, ["alice", "bob"]) == [Enqueued()] * 2:
            print(i, flush=True)

asyncio.run(main(*sys.argv[1:]))
"""


async def test_sender_killed_in_the_middle_of_large_messages_leaves_whole_ones_and_no_rests(
    nats_server: Server, slots: Slots, monkeypatch: pytest.MonkeyPatch
) -> None:
    slot = await slots.durability(nats_server)
    queues = ["alice", "bob"]
    await slot.create(queues)
    arguments = ["-c", SENDER, nats_server.url, nats_server.scope]
    process = await asyncio.create_subprocess_exec(sys.executable, *arguments, stdout=asyncio.subprocess.PIPE)
    assert process.stdout is not None
    async with asyncio.timeout(30):
        while await process.stdout.readline() != b"20\n":
            pass
    process.send_signal(signal.SIGKILL)
    acknowledged = 21 + len((await process.stdout.read()).split())
    await process.wait()
    for queue in queues:
        leases = await slot.dequeue([queue], 1_000, LONG)
        sent = [lease.content for lease in leases if isinstance(lease.content, Message)]
        assert len(sent) == len(leases) >= acknowledged
        assert [item.payload for item in sent] == [b"%06d" % i * 200_000 for i in range(len(sent))]
        assert set(await slot.ack(leases)) == {Settled()}
    monkeypatch.setattr(bodies, "ABANDONED", -SECOND)  # as if ten minutes had passed
    slot._parts.bodies._abandoned_sought = None
    await slot._parts.bodies.sweep()
    assert (await parts(slot), await references(slot)) == (0, 0)
