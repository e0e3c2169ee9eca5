"""Queues and topics on PostgreSQL beside asyncpg alone; multicasts on PostgreSQL in all slots, and with NATS.

Storing a message in 10,000 queues, beside one INSERT of the same entries into a table like ours. Publishing to 10,000
topics, beside one statement that notifies as many channels. Multicasts to 10,000 identities attached to another proxy:
until the call has returned without waiting for receipts, beside the query for the same rows and a publication as large.
"""

from __future__ import annotations

import asyncio
import json
import statistics
import time
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from itertools import count
from typing import Any

import asyncpg
import nats
from prism.config import load_config
from prism.coordinator.coordinator import Coordinator
from prism.model.message import DeliverySemantics, Message
from prism.model.operations import MulticastCommand
from prism.model.time import SECOND
from prism.server.garbage import relax_collector
from prism.slots.context import SlotContext
from prism.slots.durability import Enqueued, Lease, Settled
from prism.slots.messaging import Publication, Published, Topic, TopicKind
from prism_conformance.servers import Server, start
from prism_postgres.config import PostgresConfig
from prism_postgres.durability import PostgresDurability
from prism_postgres.messaging import PostgresMessaging

from benchmarks.backends import NAMESPACE
from benchmarks.harness import Report, in_turns_async, quick, ratio
from benchmarks.workers import Worker

PAYLOAD = b"x" * 256
HALL = {"room": "hall"}
LONG = 600 * SECOND
PATIENCE = 60.0
QUEUES_PER_CALL = 1_000
"""What the pump of a proxy asks for at a time."""
LEASES_PER_CALL = 5_000
SESSIONS = 10

BARE_TABLE = """
    CREATE TABLE bare (LIKE entries INCLUDING ALL) WITH (fillfactor = 50);
"""
BARE_INSERT = """
    INSERT INTO bare (queue, position, message, dies_at) SELECT queue, $2, 1, 1 FROM unnest($1::bigint[]) AS queue
"""
BARE_NOTIFY = "SELECT count(pg_notify(channel, $2)) FROM unnest($1::text[]) AS channel"
BARE_QUERY = """
    SELECT r.identity, r.registration_id, r.address
    FROM registrations r JOIN leases l ON l.namespace = r.namespace AND l.identity = r.identity
    WHERE r.namespace = 1 AND r.document @> $1 AND (l.expires_at IS NULL OR l.expires_at > $2)
"""
BARE_STORE = """
    WITH stored AS (INSERT INTO bare_publications (payload) VALUES ($1) RETURNING number)
    SELECT pg_notify('bare', number::text) FROM stored
"""

numbers = count()


def options(server: Server) -> dict[str, Any]:
    """The same for each slot."""
    return {"connection": server.url, "schema": "bench", "auto_migrate": True}


def message() -> Message:
    """A message that no queue has had."""
    return Message(f"m{next(numbers)}", PAYLOAD, "application/octet-stream", 1, DeliverySemantics.AT_LEAST_ONCE)


@asynccontextmanager
async def plain(server: Server) -> AsyncIterator[asyncpg.Connection]:
    """asyncpg alone."""
    connection = await asyncpg.connect(server.url, server_settings={"search_path": "bench", "jit": "off"})
    yield connection
    await connection.close()


async def queues(report: Report, server: Server, total: int, rounds: int) -> None:
    """A message for `total` queues: stored, handed out, acked."""
    slot = PostgresDurability(PostgresConfig(**options(server)), SlotContext("bench"))
    await slot.open()
    names = [f"user-{i}" for i in range(total)]
    await slot.create(names)
    async with plain(server) as bare:
        await bare.execute(BARE_TABLE)
        ids = await bare.fetchval("SELECT array_agg(number ORDER BY name) FROM queues")
        handed_out: list[Lease] = []

        async def stored() -> float:
            began = time.perf_counter()
            outcomes = await slot.enqueue(message(), names)
            seconds = time.perf_counter() - began
            assert outcomes == [Enqueued()] * total
            return seconds

        async def taken() -> float:
            began = time.perf_counter()
            for i in range(0, total, QUEUES_PER_CALL):
                handed_out.extend(await slot.dequeue(names[i : i + QUEUES_PER_CALL], 32, LONG))
            seconds = time.perf_counter() - began
            assert len(handed_out) == total
            return seconds

        async def acked() -> float:
            began = time.perf_counter()
            for i in range(0, total, LEASES_PER_CALL):
                chunk = handed_out[i : i + LEASES_PER_CALL]
                assert await slot.ack(chunk) == [Settled()] * len(chunk)
            seconds = time.perf_counter() - began
            handed_out.clear()
            return seconds

        async def inserted() -> float:
            began = time.perf_counter()
            await bare.execute(BARE_INSERT, ids, next(numbers))
            return time.perf_counter() - began

        works = {"stored": stored, "inserted": inserted, "taken": taken, "acked": acked}
        seconds = await in_turns_async(rounds, works)
    await slot.close()
    report.rounds |= seconds
    report.add(f"a message for {total:,} queues, stored", 1_000 * statistics.median(seconds["stored"]), "ms")
    report.add("the same beside one INSERT of as many entries", ratio(seconds["stored"], seconds["inserted"]), "x")
    report.add(f"handed out of {total:,} queues", total / statistics.median(seconds["taken"]), "messages/s")
    report.add("acked", total / statistics.median(seconds["acked"]), "messages/s")


async def topics(report: Report, server: Server, total: int, rounds: int) -> None:
    """A publication for `total` topics that nobody listens to."""
    slot = PostgresMessaging(PostgresConfig(**options(server)), SlotContext("bench"))
    await slot.open()
    wanted = [Topic(TopicKind.IDENTITY, f"user-{i}") for i in range(total)]
    channels = [slot.channel(topic) for topic in wanted]
    text = "x" * (len(PAYLOAD) + len("PRISM/1 text\n\n"))
    async with plain(server) as bare:

        async def published() -> float:
            began = time.perf_counter()
            outcomes = await slot.publish(Publication(PAYLOAD), wanted)
            seconds = time.perf_counter() - began
            assert outcomes == [Published()] * total
            return seconds

        async def notified() -> float:
            began = time.perf_counter()
            await bare.fetchval(BARE_NOTIFY, channels, text)
            return time.perf_counter() - began

        seconds = await in_turns_async(rounds, {"published": published, "notified": notified})
    await slot.close()
    report.rounds |= seconds
    each = 1e6 * statistics.median(seconds["published"]) / total
    report.add(f"publishing to {total:,} topics, each", each, "us")
    report.add("the same beside one statement that notifies", ratio(seconds["published"], seconds["notified"]), "x")


async def multicasts(report: Report, server: Server, broker: Server | None, total: int, rounds: int) -> None:
    """Multicasts to `total` identities attached to another proxy, on PostgreSQL alone or with NATS."""
    of_postgres = {"type": "postgres", **options(server)}
    messaging = of_postgres if broker is None else {"type": "nats", "servers": [broker.url]}
    slots = {"registry": of_postgres, "messaging": messaging, "durability": of_postgres}
    settings = {"namespaces": [{"name": NAMESPACE, "backend_slots": slots}]}
    where = "PostgreSQL alone" if broker is None else "PostgreSQL and NATS"
    with Worker("hosts", json.dumps(settings)) as host:
        host.ask("attach", first=0, sessions=SESSIONS, each=total // SESSIONS, room="hall")
        async with Coordinator(load_config(settings)) as coordinator, plain(server) as bare:
            relax_collector()  # as `prism serve` does
            await bare.execute("ANALYZE")
            publish = await by_hand(bare, broker)

            async def sent() -> float:
                host.ask("expect", total=total)
                began = time.perf_counter()
                result = await coordinator.multicast(NAMESPACE, MulticastCommand(HALL, PAYLOAD, timeout=0))
                seconds = time.perf_counter() - began
                assert result.pending_count == total, result
                await host.ask_async("wait", seconds=PATIENCE)
                return seconds

            async def sent_by_hand() -> float:
                began = time.perf_counter()
                rows = await bare.fetch(BARE_QUERY, json.dumps(HALL), time.time_ns() // 1_000)
                targets = b"\n".join(f"{row[0]}\t{row[1]}".encode() for row in rows)
                await publish(PAYLOAD + targets)
                seconds = time.perf_counter() - began
                assert len(rows) == total
                return seconds

            async def delivered(delivery: DeliverySemantics) -> float:
                host.ask("expect", total=total)
                command = MulticastCommand(HALL, PAYLOAD, delivery, timeout=60 * SECOND)
                began = time.monotonic()
                result = await coordinator.multicast(NAMESPACE, command)
                assert result.delivered_count == total, result
                return time.monotonic() - began

            works: dict[str, Callable[[], Awaitable[float]]] = {
                "sent": sent,
                "sent by hand": sent_by_hand,
                "delivered": lambda: delivered(DeliverySemantics.AT_MOST_ONCE),
            }
            seconds = await in_turns_async(rounds, works)
    report.rounds |= {f"{where}, {name}": values for name, values in seconds.items()}
    report.add(f"multicast to {total:,} on {where}, sent", 1_000 * statistics.median(seconds["sent"]), "ms")
    by_hand_ratio = ratio(seconds["sent"], seconds["sent by hand"])
    report.add(f"the same beside a bare query and publication on {where}", by_hand_ratio, "x")
    rate = total / statistics.median(seconds["delivered"])
    report.add(f"multicast to {total:,} on {where}, all receipts in", rate, "deliveries/s")


async def by_hand(bare: asyncpg.Connection, broker: Server | None) -> Callable[[bytes], Awaitable[object]]:
    """A publication without Prism: too large for a notification, so in a row; or NATS's."""
    if broker is not None:
        client = await nats.connect(broker.url)

        async def publish(data: bytes) -> None:
            for i in range(0, len(data), 500_000):
                await client.publish("bare", data[i : i + 500_000])
            await client.flush()

        return publish
    await bare.execute(
        "CREATE UNLOGGED TABLE IF NOT EXISTS bare_publications (number bigserial PRIMARY KEY, payload bytea);"
        "ALTER TABLE bare_publications ALTER payload SET STORAGE EXTERNAL"
    )
    return lambda data: bare.execute(BARE_STORE, data)


async def main() -> None:
    """Measures and reports."""
    total, rounds = (1_000, 2) if quick() else (10_000, 9)
    report = Report("postgres_queues")
    with start("postgres") as server:
        await queues(report, server, total, rounds)
        await topics(report, server, total, rounds)
    with start("postgres", durable=True) as server:
        await multicasts(report, server, None, total, rounds)
    with start("postgres", durable=True) as server, start("nats") as broker:
        await multicasts(report, server, broker, total, rounds)
    report.write()


if __name__ == "__main__":
    asyncio.run(main())
