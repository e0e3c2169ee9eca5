"""Queues beyond the contract: how a message is stored, and what the sweep lets go of."""

from __future__ import annotations

import asyncio
from typing import Any

import asyncpg
import pytest
from prism.model.errors import InvalidArgument
from prism.model.message import DeliverySemantics, Message
from prism.model.time import SECOND
from prism.slots.context import QueuePolicy
from prism.slots.durability import DurabilityBackend, Enqueued, Gap, Lease, NoQueue, Settled
from prism_postgres.config import PostgresConfig
from prism_postgres.durability import WINDOW, PostgresDurability
from prism_postgres.pool import borrow, give_back
from prism_postgres.sweeping import QueueSweep

from .conftest import Open

MINUTE = 60 * SECOND
MANY = [f"user-{i}" for i in range(10_000)]


def message(name: str, payload: bytes = b"payload") -> Message:
    return Message(name, payload, "text/plain", 1, DeliverySemantics.AT_LEAST_ONCE, "proxy-1")


def shown(leases: list[Lease]) -> list[str | int]:
    return [item.content.dropped if isinstance(item.content, Gap) else item.content.id for item in leases]


async def put(slot: DurabilityBackend, queue: str, *names: str, ttl: int | None = None) -> None:
    await slot.create([queue])
    for name in names:
        assert await slot.enqueue(message(name), [queue], ttl) == [Enqueued()]


async def count(bare: asyncpg.Connection, table: str) -> int:
    found: int = await bare.fetchval(f"SELECT count(*) FROM {table}")
    return found


async def sweep(config: dict[str, Any], window: int = 0) -> None:
    """Sweeps as a proxy does: looks at whatever is due, with a window of its own."""
    database = await borrow(PostgresConfig(**config))
    await QueueSweep(database, config["schema"], window)()
    await give_back(database)


async def all_is_due(bare: asyncpg.Connection) -> None:
    await bare.execute("UPDATE messages SET check_at = 0")


async def test_message_for_ten_thousand_queues_is_stored_once(
    config: dict[str, Any], opened: Open, bare: asyncpg.Connection
) -> None:
    slot = await opened(PostgresDurability, config)
    await slot.create(MANY)
    assert await slot.enqueue(message("m1", b"x" * 100_000), [*MANY, "nobody"]) == [Enqueued()] * 10_000 + [NoQueue()]
    assert [await count(bare, table) for table in ("messages", "puts", "entries")] == [1, 1, 10_000]
    assert await bare.fetchval("SELECT pg_total_relation_size('messages')") < 500_000
    leases = await slot.dequeue(MANY, 1, MINUTE)
    assert sorted(item.queue for item in leases) == sorted(MANY)
    assert await slot.ack(leases) == [Settled()] * 10_000
    assert await count(bare, "entries") == 0


async def test_message_that_no_queue_holds_is_let_go_after_the_window(
    config: dict[str, Any], opened: Open, bare: asyncpg.Connection
) -> None:
    slot = await opened(PostgresDurability, config)
    await put(slot, "alice", "m1", "m2")
    [first, _] = await slot.dequeue(["alice"], 2, MINUTE)
    await slot.ack([first])
    await all_is_due(bare)
    await sweep(config)
    await all_is_due(bare)
    await sweep(config)
    assert [row["id"] for row in await bare.fetch("SELECT id FROM messages")] == ["m2"]
    assert await count(bare, "puts") == 1
    assert await slot.enqueue(message("m1"), ["alice"]) == [Enqueued()]
    assert await slot.depth(["alice"]) == [2]


async def test_message_is_known_for_a_window_after_its_last_ack_however_often_others_sweep(
    config: dict[str, Any], opened: Open, bare: asyncpg.Connection
) -> None:
    slot = await opened(PostgresDurability, config)
    await put(slot, "alice", "m1")
    await slot.ack(await slot.dequeue(["alice"], 1, MINUTE))
    await all_is_due(bare)
    for _ in range(3):
        await sweep(config, WINDOW)
    checked, now = await bare.fetchrow("SELECT check_at, queue_clock() FROM messages")
    assert WINDOW - 30 * SECOND < checked - now <= WINDOW
    await slot.enqueue(message("m1"), ["alice"])
    assert await slot.depth(["alice"]) == [0]
    assert await bare.fetchval("SELECT idle FROM messages") is False


async def test_sweep_turns_what_timed_out_into_gaps_and_its_message_goes(
    config: dict[str, Any], opened: Open, bare: asyncpg.Connection
) -> None:
    slot = await opened(PostgresDurability, config)
    queues = [f"user-{i}" for i in range(50)]
    await slot.create(queues)
    await slot.enqueue(message("m1"), queues, ttl=1)
    await slot.enqueue(message("m2"), queues, ttl=1)
    await slot.enqueue(message("m3"), queues)
    await all_is_due(bare)
    await sweep(config)
    entries = await bare.fetch("SELECT dropped, message IS NULL AS gap, count(*) AS n FROM entries GROUP BY 1, 2")
    assert sorted(map(tuple, entries)) == [(0, False, 50), (2, True, 50)]
    await all_is_due(bare)
    await sweep(config)
    assert [row["id"] for row in await bare.fetch("SELECT id FROM messages")] == ["m3"]
    assert shown(await slot.dequeue(["user-7"], 10, MINUTE)) == [2, "m3"]


async def test_dead_letter_keeps_its_message(config: dict[str, Any], opened: Open, bare: asyncpg.Connection) -> None:
    slot = await opened(PostgresDurability, config, queues=QueuePolicy(max_attempts=1))
    await put(slot, "alice", "m1")
    await slot.nack(await slot.dequeue(["alice"], 1, MINUTE))
    assert len(await slot.dead_letters("alice", 10)) == 1
    for _ in range(3):
        await all_is_due(bare)
        await sweep(config)
    assert await slot.replay("alice", ["m1"]) == 1
    assert shown(await slot.dequeue(["alice"], 10, MINUTE)) == ["m1"]


async def test_handing_out_touches_no_index(config: dict[str, Any], opened: Open, bare: asyncpg.Connection) -> None:
    slot = await opened(PostgresDurability, config)
    queues = MANY[:2_000]
    await slot.create(queues)
    await slot.enqueue(message("m1"), queues)
    grown = []
    for _ in range(3):  # another test's open transaction keeps old rows, and with them the room for new ones
        before = await bare.fetchval("SELECT pg_relation_size('entries_pkey')")
        for _ in range(5):
            leases = await slot.dequeue(queues, 1, MINUTE)
            assert len(leases) == 2_000
            await slot.extend(leases, MINUTE)
            await slot.release(leases)
        grown.append(await bare.fetchval("SELECT pg_relation_size('entries_pkey')") - before)
    assert min(grown) == 0


async def test_removed_queues_leave_nothing_behind(
    config: dict[str, Any], opened: Open, bare: asyncpg.Connection
) -> None:
    slot = await opened(PostgresDurability, config, queues=QueuePolicy(max_attempts=1))
    queues = MANY[:1_500]
    await slot.create(queues)
    for name in ("m1", "m2", "m3"):
        await slot.enqueue(message(name), queues)
    await slot.nack(await slot.dequeue(queues, 1, MINUTE))
    await slot.dequeue(queues, 1, MINUTE)
    assert await count(bare, "dead_letters") == 1_500
    await slot.delete(queues)
    tables = ("queues", "entries", "dead_letters", "removed_queues")
    assert [await count(bare, table) for table in tables] == [0] * 4


async def test_bound_holds_when_many_put_at_the_same_time(config: dict[str, Any], opened: Open) -> None:
    slots = [await opened(PostgresDurability, config, queues=QueuePolicy(max_messages=20)) for _ in range(3)]
    await slots[0].create(["alice", "bob"])
    await asyncio.gather(*(slots[i % 3].enqueue(message(f"m{i}"), ["alice", "bob"]) for i in range(120)))
    await slots[0].enqueue(message("last"), ["alice", "bob"])
    assert await slots[0].depth(["alice", "bob"]) == [20, 20]
    for queue in ("alice", "bob"):
        leases = await slots[1].dequeue([queue], 200, MINUTE)
        messages = [item for item in leases if isinstance(item.content, Message)]
        gaps = sum(item.content.dropped for item in leases if isinstance(item.content, Gap))
        assert (len(messages), gaps) == (20, 101)
        assert shown(leases)[-1] == "last"


async def test_multicasts_to_the_same_queues_in_opposite_orders_do_not_block_each_other(
    config: dict[str, Any], opened: Open
) -> None:
    slots = [await opened(PostgresDurability, config) for _ in range(2)]
    queues = MANY[:2_000]

    async def churn(slot: DurabilityBackend, number: int) -> None:
        for turn in range(5):
            names = queues if (number + turn) % 2 else queues[::-1]
            await slot.create(names[:500])
            await slot.enqueue(message(f"m{number}.{turn}"), names)
            await slot.delete(names[-10:], await slot.mark())
            await slot.create(names[-10:])

    await slots[0].create(queues)
    async with asyncio.TaskGroup() as tasks:
        for number in range(6):
            tasks.create_task(churn(slots[number % 2], number))
    assert await slots[0].depth(queues[500:1_500]) == [30] * 1_000


async def test_dequeue_reads_each_content_once(config: dict[str, Any], opened: Open, bare: asyncpg.Connection) -> None:
    slot = await opened(PostgresDurability, config)
    await slot.create(MANY[:100])
    await slot.enqueue(message("m1"), MANY[:100])
    number = await bare.fetchval("SELECT number FROM namespaces")
    rows = await bare.fetch("SELECT * FROM dequeue($1, $2, 1, 1000000, 5, 10)", number, MANY[:100])
    assert (len(rows), sum(row["payload"] is not None for row in rows)) == (100, 1)


async def test_message_removed_by_hand_is_reported_as_a_gap(
    config: dict[str, Any], opened: Open, bare: asyncpg.Connection
) -> None:
    slot = await opened(PostgresDurability, config)
    await put(slot, "alice", "m1", "m2")
    await bare.execute("DELETE FROM messages WHERE id = 'm1'")
    leases = await slot.dequeue(["alice"], 10, MINUTE)
    assert shown(leases) == [1, "m2"]
    assert await slot.ack(leases) == [Settled()] * 2


async def test_name_and_message_that_no_text_column_can_hold_are_refused_or_not_there(
    config: dict[str, Any], opened: Open
) -> None:
    slot = await opened(PostgresDurability, config)
    await slot.create(["alice"])
    with pytest.raises(InvalidArgument, match=r"U\+0000"):
        await slot.create(["a\0b"])
    with pytest.raises(InvalidArgument, match=r"message\.id"):
        await slot.enqueue(message("m\0"), ["alice"])
    assert await slot.enqueue(message("m1"), ["a\0b", "alice"]) == [NoQueue(), Enqueued()]
    assert await slot.depth(["a\0b", "alice"]) == [0, 1]
    assert len(await slot.dequeue(["a\0b", "alice"], 10, MINUTE)) == 1
    assert (await slot.dead_letters("a\0b", 1), await slot.replay("a\0b", ["m1"])) == ([], 0)
    await slot.delete(["a\0b"])


@pytest.mark.parametrize("mark", ["", "x", "1.5", "-1", "9" * 30])
async def test_mark_that_is_none_is_refused(config: dict[str, Any], opened: Open, mark: str) -> None:
    slot = await opened(PostgresDurability, config)
    with pytest.raises(InvalidArgument, match="mark"):
        await slot.delete(["alice"], before=mark)
