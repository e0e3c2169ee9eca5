"""Durability beyond the contract: bounds, sizes, repeated calls, process death, restarts, a cluster's node dying."""

from __future__ import annotations

import asyncio
import signal
import sys
from collections.abc import Callable

import nats
import pytest
from prism.model.message import DeliverySemantics, Message
from prism.model.time import SECOND
from prism.plugins.spec import Capability
from prism.slots.context import Code, QueuePolicy
from prism.slots.durability import Enqueued, Gap, Lease, LeaseLost, NoQueue, Settled
from prism_conformance.servers import Server
from prism_nats.durability import NatsDurability
from prism_nats.errors import ConnectionLost, Rejected, ReplyTimeout, WrongStream

from .conftest import Slots, Until

LONG = 60 * SECOND
BROKEN = (ConnectionLost, Rejected, ReplyTimeout)


def message(name: str, payload: bytes = b"payload") -> Message:
    return Message(name, payload, "text/plain", 1_760_000_000_000_000, DeliverySemantics.AT_LEAST_ONCE, "proxy 1")


def ids(leases: list[Lease]) -> list[str]:
    return [lease.content.id for lease in leases if isinstance(lease.content, Message)]


async def physical(server: Server, slot: NatsDurability) -> int:
    """Messages in the stream of the queues, control records and the mark left out."""
    client = await nats.connect(server.url.split(",")[0])
    stream = slot._parts.streams.subjects.queue_stream
    info = await client.jetstream().stream_info(stream, subjects_filter=">")
    await client.close()
    return sum(count for subject, count in (info.state.subjects or {}).items() if subject.endswith(".m"))


async def test_sender_and_payload_survive_the_queue(nats_server: Server, slots: Slots) -> None:
    slot = await slots.durability(nats_server)
    await slot.create(["alice"])
    sent = message("m1", b"\n\x00{}\n")
    await slot.enqueue(sent, ["alice"])
    (lease,) = await slot.dequeue(["alice"], 1, LONG)
    assert lease.content == sent


async def test_acked_messages_leave_nothing_in_the_stream(nats_server: Server, slots: Slots) -> None:
    slot = await slots.durability(nats_server)
    queues = [f"user-{i}" for i in range(50)]
    await slot.create(queues)
    for i in range(3):
        await slot.enqueue(message(f"m{i}"), queues)
    leases = await slot.dequeue(queues, 10, LONG)
    assert len(leases) == 150
    assert await slot.ack(leases) == [Settled()] * 150
    assert await physical(nats_server, slot) == 0


async def test_queue_nobody_reads_stays_bounded_in_the_stream(nats_server: Server, slots: Slots) -> None:
    slot = await slots.durability(nats_server, QueuePolicy(max_messages=10, max_dead_letters=1))
    await slot.create(["alice"])
    for i in range(300):
        assert await slot.enqueue(message(f"m{i}"), ["alice"]) == [Enqueued()]
    assert await physical(nats_server, slot) <= 10 + 1 + 64
    assert await slot.depth(["alice"]) == [10]
    leases = await slot.dequeue(["alice"], 100, LONG)
    assert leases[0].content == Gap(290)
    assert ids(leases) == [f"m{i}" for i in range(290, 300)]


async def test_removed_queue_leaves_nothing_in_the_stream(nats_server: Server, slots: Slots) -> None:
    slot = await slots.durability(nats_server)
    await slot.create(["alice", "bob"])
    await slot.enqueue(message("m1"), ["alice", "bob"])
    mark = await slot.mark()
    await slot.delete(["alice"])
    await slot.delete(["bob"], before=mark)
    assert await physical(nats_server, slot) == 0
    assert await slot.enqueue(message("m2"), ["alice", "bob"]) == [NoQueue(), NoQueue()]


async def test_queue_removed_elsewhere_takes_nothing_from_a_proxy_that_knew_it(
    nats_server: Server, slots: Slots
) -> None:
    here, there = await slots.durability(nats_server), await slots.durability(nats_server)
    await here.create(["alice"])
    assert await here.enqueue(message("m1"), ["alice"]) == [Enqueued()]
    await there.delete(["alice"])
    assert await here.enqueue(message("m2"), ["alice"]) == [NoQueue()]
    await there.create(["alice"])
    assert await here.enqueue(message("m3"), ["alice"]) == [Enqueued()]
    assert ids(await there.dequeue(["alice"], 10, LONG)) == ["m3"]


async def test_late_removal_racing_with_enqueues_loses_none_that_was_acknowledged(
    nats_server: Server, slots: Slots
) -> None:
    here, there = await slots.durability(nats_server), await slots.durability(nats_server)
    for turn in range(10):
        queue = f"user-{turn}"
        await here.create([queue])
        mark = await here.mark()
        names = [f"{turn}-{i}" for i in range(10)]

        async def enqueue(name: str, queue: str = queue) -> str | None:
            (outcome,) = await here.enqueue(message(name), [queue])
            return name if outcome == Enqueued() else None

        results = await asyncio.gather(there.delete([queue], before=mark), *map(enqueue, names))
        stored = {name for name in results if name is not None}
        assert set(ids(await there.dequeue([queue], 100, LONG))) == stored


async def test_message_leased_by_a_process_that_is_killed_comes_back(
    nats_server: Server, slots: Slots, until: Until
) -> None:
    slot = await slots.durability(nats_server)
    await slot.create(["alice"])
    await slot.enqueue(message("m1"), ["alice"])
    code = f"""
import asyncio
from prism.plugins.spec import Capability
from prism.slots.context import SlotContext
from prism_nats.config import NatsConfig
from prism_nats.durability import NatsDurability
from prism_nats.errors import ConnectionLost, Rejected, ReplyTimeout, WrongStream

async def main():
    config = NatsConfig(servers=({nats_server.url!r},), subject_prefix={nats_server.scope!r})
    slot = NatsDurability(config, SlotContext("room"))
    await slot.open()
    print(len(await slot.dequeue(["alice"], 10, 1_000_000)), flush=True)
    await asyncio.Event().wait()

asyncio.run(main())
"""
    process = await asyncio.create_subprocess_exec(sys.executable, "-c", code, stdout=asyncio.subprocess.PIPE)
    assert process.stdout is not None
    assert await process.stdout.readline() == b"1\n"
    process.send_signal(signal.SIGKILL)
    await process.wait()
    found: list[Lease] = []

    async def came_back() -> bool:
        found.extend(await slot.dequeue(["alice"], 10, LONG))
        return bool(found)

    await until(came_back, 10)
    assert [(lease.attempt, ids([lease])) for lease in found] == [(2, ["m1"])]


async def test_what_was_acknowledged_survives_a_killed_server(
    start_server: Callable[..., Server], slots: Slots, until: Until
) -> None:
    server = await asyncio.to_thread(start_server, "nats")
    slot = await slots.durability(server, reconnect={"wait": 0.05})
    queues = [f"user-{i}" for i in range(200)]
    await slot.create(queues)
    assert await slot.enqueue(message("m1"), queues) == [Enqueued()] * 200
    (lease,) = await slot.dequeue(queues[:1], 1, LONG)
    await asyncio.to_thread(server.kill)
    await asyncio.to_thread(server.restart)

    async def is_back() -> bool:
        try:
            await slot.check()
        except BROKEN:
            return False
        return True

    await until(is_back)
    assert await slot.ack([lease]) == [Settled()]
    assert await slot.depth(queues) == [0] + [1] * 199
    leases = await slot.dequeue(queues, 10, LONG)
    assert [lease.queue for lease in leases] == queues[1:]


async def test_stream_that_was_made_for_something_else_is_refused(nats_server: Server, slots: Slots) -> None:
    slot = await slots.durability(nats_server)
    name = slot._parts.streams.subjects.queue_stream
    client = await nats.connect(nats_server.url)
    await client.jetstream().delete_stream(name)
    await client.jetstream().add_stream(name=name, subjects=[f"{nats_server.scope}.room.queue.>"])
    with pytest.raises(WrongStream, match=f"stream {name}: subjects is .*; delete the stream") as caught:
        await slots.durability(nats_server)
    assert slot.classify(caught.value) is Code.INVALID_CONFIG
    await client.close()


async def test_longer_queues_make_room_in_the_stream_that_is_there(nats_server: Server, slots: Slots) -> None:
    await slots.durability(nats_server, QueuePolicy(max_messages=10, max_dead_letters=1))
    slot = await slots.durability(nats_server, QueuePolicy(max_messages=500, max_dead_letters=1))
    await slot.create(["alice"])
    for i in range(300):
        await slot.enqueue(message(f"m{i}"), ["alice"])
    assert await slot.depth(["alice"]) == [300]


async def test_streams_in_memory_are_made_again_after_a_restart_and_nothing_old_is_taken_for_new(
    start_server: Callable[..., Server], slots: Slots, until: Until
) -> None:
    server = await asyncio.to_thread(start_server, "nats")
    slot = await slots.durability(server, stream={"storage": "memory"}, reconnect={"wait": 0.05})
    assert Capability.DURABLE not in slot.capabilities
    await slot.create(["alice"])
    await slot.enqueue(message("m1"), ["alice"])
    leases = await slot.dequeue(["alice"], 1, LONG)
    for _ in range(5):
        mark = await slot.mark()
    await asyncio.to_thread(server.kill)
    await asyncio.to_thread(server.restart)

    async def is_back() -> bool:
        try:
            return await slot.enqueue(message("m2"), ["alice"]) == [NoQueue()]
        except BROKEN:
            return False

    await until(is_back)
    await slot.create(["alice"])
    assert await slot.enqueue(message("m2"), ["alice"]) == [Enqueued()]
    assert ids(await slot.dequeue(["alice"], 1, LONG)) == ["m2"]
    assert await slot.ack(leases) == [LeaseLost()]
    await slot.delete(["alice"], before=mark)
    assert await slot.depth(["alice"]) == [1]


@pytest.mark.timeout(240)
@pytest.mark.parametrize(
    "ours", [True, pytest.param(False, marks=pytest.mark.soak)], ids=["the node we talk to", "another node"]
)
async def test_node_that_dies_in_the_middle_loses_nothing_acknowledged(
    start_server: Callable[..., Server], slots: Slots, until: Until, ours: bool
) -> None:
    cluster = await asyncio.to_thread(start_server, "nats_cluster")
    slot = await slots.durability(cluster, stream={"replicas": 3}, timeout=20, reconnect={"wait": 0.05})
    at = slot._parts.link.wire.connected_url
    assert at is not None
    node = next(i for i, each in enumerate(cluster.nodes) if (each.port == at.port) is ours)
    queues = [f"user-{i}" for i in range(100)]
    names = [f"m{i}" for i in range(30)]
    await slot.create(queues)
    under_way, dead = asyncio.Event(), asyncio.Event()
    after_death = 0

    async def acknowledged(name: str) -> bool:
        try:
            return await slot.enqueue(message(name), queues) == [Enqueued()] * 100
        except BROKEN:
            return False

    async def multicasts() -> None:
        nonlocal after_death
        for i, name in enumerate(names):
            if i == 5:
                under_way.set()
            if i == 25:
                await dead.wait()
            await until(lambda name=name: acknowledged(name), 60)
            after_death += dead.is_set()

    async with asyncio.TaskGroup() as tasks:
        running = tasks.create_task(multicasts())
        await under_way.wait()
        await asyncio.to_thread(cluster.kill, node=node)
        dead.set()
        await running
    assert after_death >= 5
    copies: dict[tuple[str, str], set[str]] = {}

    async def drained() -> bool:
        try:
            leases = await slot.dequeue(queues, 100, 2 * SECOND)
            for lease in leases:
                for name in ids([lease]):
                    copies.setdefault((lease.queue, name), set()).add(lease.token.partition(".")[0])
            await slot.ack(leases)
            return await slot.depth(queues) == [0] * 100
        except BROKEN:
            return False

    await until(drained, 60)
    assert copies.keys() == {(queue, name) for queue in queues for name in names}
    assert {len(sequences) for sequences in copies.values()} == {1}
