"""The registry on PostgreSQL beside asyncpg alone: indexed filters, enumeration, heartbeats, batches of writes."""

from __future__ import annotations

import asyncio
import time
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import dataclass, field
from itertools import count
from pathlib import Path
from typing import Any

import asyncpg
import orjson
from prism.filters.ast import Node, Support
from prism.filters.compiled import compile_filter
from prism.filters.parse import parse
from prism.model import json
from prism.model.limits import Limits
from prism.model.time import SECOND
from prism.slots.context import SlotContext
from prism.slots.registry import (
    Absent,
    Projection,
    Query,
    RecordPage,
    Renewal,
    Renewed,
    Stored,
    Write,
)
from prism_conformance.servers import Server, start
from prism_postgres.config import PostgresConfig
from prism_postgres.registry import PostgresRegistry
from prism_postgres.scanning import select

from benchmarks.harness import Report, Rounds, in_turns_async, quick, ratio

INDEXES = [{"field": "device_type"}, {"field": "battery"}, {"field": "tags", "type": "gin"}]
KINDS: dict[tuple[str, ...], str] = {("device_type",): "string", ("battery",): "float", ("tags",): "array"}
HITS = 100
BATCH = 10_000
TTL = 3600 * SECOND
PAGE = 1_000

FULL = """
    SELECT r.identity, r.metadata, r.registration_id, r.revision, r.registered_at, r.updated_at, l.expires_at,
        r.address, r.owner
    FROM registrations r JOIN leases l ON l.namespace = r.namespace AND l.identity = r.identity
    WHERE r.namespace = 1 AND (l.expires_at IS NULL OR l.expires_at > $1) ORDER BY r.identity
"""
BARE_WRITE = """
    WITH lease AS (
        INSERT INTO leases (namespace, identity, registration_id, expires_at, bucket)
        SELECT 1, identity, 'r', $3::bigint, ($3::bigint >> 25)::integer FROM unnest($1::text[]) AS i (identity)
    )
    INSERT INTO registrations (
        namespace, identity, revision, registered_at, updated_at, registration_id, address, owner, document, metadata
    )
    SELECT 1, identity, nextval('revision'), $3::bigint, $3::bigint, 'r', '', '',
        convert_from(metadata, 'UTF8')::jsonb, metadata
    FROM unnest($1::text[], $2::bytea[]) AS i (identity, metadata)
"""
BARE_RENEW = """
    UPDATE narrow SET expires_at = i.expires_at
    FROM unnest($1::text[], $2::bigint[]) AS i (identity, expires_at) WHERE narrow.identity = i.identity
"""

numbers = count()


def metadata(i: int, size: int) -> bytes:
    """A device: each type, tag and stretch of battery is shared by about HITS of them."""
    groups = max(1, size // HITS)
    return orjson.dumps(
        {
            "device_type": f"type-{i % groups:05d}",
            "battery": (i * 7919 % size) / size,
            "tags": [f"tag-{i % groups:05d}", "all"],
            "firmware": f"1.{i % 40}.{i % 7}",
            "location": {"building": f"B{i % 50}", "floor": i % 12},
            "note": "x" * 80,
        }
    )


@asynccontextmanager
async def registry(
    server: Server, schema: str, indexes: Any = INDEXES, kinds: dict[tuple[str, ...], str] = KINDS
) -> AsyncIterator[PostgresRegistry]:
    """An opened registry in a schema of its own."""
    options = {"connection": server.url, "schema": schema, "auto_migrate": True, "indexes": indexes, "pool_size": 2}
    config = PostgresConfig.model_validate(options)
    opened = PostgresRegistry(config, SlotContext("bench", kinds=kinds))
    try:
        await opened.open()
        yield opened
    finally:
        await opened.close()


async def fill(made: PostgresRegistry, size: int) -> None:
    """Registers so many devices."""
    for first in range(0, size, BATCH):
        several = range(first, min(first + BATCH, size))
        outcomes = await made.set([Write(name(i), metadata(i, size), "r", TTL, Absent(), "proxy-1") for i in several])
        assert all(isinstance(outcome, Stored) for outcome in outcomes)


def name(i: int) -> str:
    """An identity."""
    return f"device-{i:07d}"


async def timed(work: Callable[[], Awaitable[Any]]) -> float:
    """Seconds of one call."""
    began = time.perf_counter()
    await work()
    return time.perf_counter() - began


@dataclass
class Meter:
    """Measures calls beside each other, also by the CPU time of this process and of the server's that answer.

    A busy machine makes each wait for the other; what they spend stays about the same.
    """

    bare: asyncpg.Connection
    cpu: Rounds = field(default_factory=dict)

    async def timed(self, name: str, work: Callable[[], Awaitable[Any]]) -> float:
        """Seconds of one call."""
        before = await self._spent()
        seconds = await timed(work)
        self.cpu.setdefault(name, []).append(await self._spent() - before)
        return seconds

    def ratio(self, name: str, other: str) -> float:
        """CPU time of one by that of the other, without the round that only warms up."""
        return ratio(self.cpu[name][1:], self.cpu[other][1:])

    async def _spent(self) -> float:
        sessions = await self.bare.fetch("SELECT pid FROM pg_stat_activity WHERE backend_type = 'client backend'")
        paths = [Path(f"/proc/{session['pid']}/schedstat") for session in sessions]
        return time.process_time() + sum(int(path.read_text().split()[0]) for path in paths) / 1e9


async def found(made: PostgresRegistry, node: Node, hits: int) -> None:
    """Reads the targets of a filter, as a multicast does."""
    total = 0
    conjuncts = tuple(node.children) if hasattr(node, "children") else (node,)
    async for page in made.scan(Query(conjuncts, projection=Projection.TARGETS)):
        total += len(page)
    assert abs(total - hits) <= hits // 10 + 1, total


async def residual(made: PostgresRegistry, pushed: Node, kept: Node) -> int:
    """The same with one part left to the core: whole records come up, and are decoded and filtered here."""
    holds, total = compile_filter(kept), 0
    async for page in made.scan(Query((pushed,))):
        assert isinstance(page, RecordPage)
        total += len(holds.documents(list(map(json.decode, page.metadata_json))))
    return total


async def measure_filters(
    report: Report, made: PostgresRegistry, bare: asyncpg.Connection, size: int, rounds: int
) -> None:
    """Indexed filters, and one whose second half isn't pushed down."""
    share = HITS / size
    asked: dict[str, dict[str, Any]] = {
        "equality": {"device_type": "type-00007"},
        "range": {"battery.lt": share},
        "prefix": {"device_type.startswith": "type-00007"},
        "membership": {"tags.contains": "tag-00007"},
        "of one in": {"device_type.in": ["type-00007", "type-none"]},
    }
    nodes = {text: parse(each, Limits()) for text, each in asked.items()}
    for text, node in nodes.items():
        assert made.plan([node]) == [Support.EXACT], text

    def work(node: Node) -> Callable[[], Awaitable[float]]:
        return lambda: timed(lambda: found(made, node, HITS))

    statement = select(made.where, Query((nodes["equality"],), projection=Projection.TARGETS), None, PAGE)
    works = {text: work(node) for text, node in nodes.items()}
    works["bare"] = lambda: timed(lambda: bare.fetch(statement.sql, *statement.values))
    seconds = await in_turns_async(rounds, works)
    report.add("the same equality by asyncpg alone, p50", 1000 * median(seconds["bare"]), "ms")
    report.add("equality / asyncpg alone", ratio(seconds["equality"], seconds["bare"]), "x")
    for text in asked:
        promised = 2.0 if text in ("equality", "range", "prefix") else None
        report.add(f"{text}, {HITS} hits of {size:,}, p50", 1000 * median(seconds[text]), "ms", at_most=promised)
    report.rounds |= {f"filter: {text}": values for text, values in seconds.items()}

    broad, narrow = parse({"battery.lt": 0.1}, Limits()), parse({"location.building": "B7"}, Limits())
    both = parse({"battery.lt": 0.1, "location.building": "B7"}, Limits())
    hits = await residual(made, broad, narrow)
    works = {
        "exact": lambda: timed(lambda: found(made, both, hits)),
        "residual": lambda: timed(lambda: residual(made, broad, narrow)),
    }
    seconds = await in_turns_async(max(3, rounds // 10), works)
    report.add(f"range and equality, all in SQL: {hits} of {size // 10:,}", 1000 * median(seconds["exact"]), "ms")
    report.add("the same with the equality left to the core", 1000 * median(seconds["residual"]), "ms")
    report.add("residual / exact", ratio(seconds["residual"], seconds["exact"]), "x")
    report.rounds |= {f"combined: {text}": values for text, values in seconds.items()}


async def measure_enumerate(
    report: Report, made: PostgresRegistry, bare: asyncpg.Connection, size: int, rounds: int
) -> None:
    """Everyone, in order, beside a cursor over the same rows."""

    async def ours() -> None:
        total = 0
        async for page in made.scan(Query(page_size=PAGE)):
            total += len(page)
        assert total == size

    async def cursor() -> None:
        total = 0
        async with bare.transaction():
            reader = await bare.cursor(FULL, time.time_ns() // 1000)
            while rows := await reader.fetch(PAGE):
                total += len(rows)
        assert total == size

    async def counted() -> None:
        assert await made.count(()) == size

    meter = Meter(bare)
    works = {
        "ours": lambda: meter.timed("ours", ours),
        "cursor": lambda: meter.timed("cursor", cursor),
        "count": lambda: timed(counted),
    }
    seconds = await in_turns_async(rounds, works)
    report.add(f"enumerate {size:,}, with metadata, in pages", 1000 * median(seconds["ours"]), "ms")
    report.add("a bare asyncpg cursor over the same rows", 1000 * median(seconds["cursor"]), "ms")
    report.add("enumerate / bare cursor", ratio(seconds["ours"], seconds["cursor"]), "x", at_most=1.5)
    report.add("the same in CPU time, client and server", meter.ratio("ours", "cursor"), "x")
    report.add(f"count of {size:,}", 1000 * median(seconds["count"]), "ms")
    report.rounds |= {f"enumerate: {text}": values for text, values in seconds.items()}


async def measure_heartbeats(
    report: Report, made: PostgresRegistry, bare: asyncpg.Connection, size: int, rounds: int
) -> None:
    """10,000 renewals in one call, beside one UPDATE of a table of two columns."""
    await bare.execute(
        'CREATE TABLE narrow (identity text COLLATE "C" PRIMARY KEY, expires_at bigint) WITH (fillfactor = 60)'
    )
    await bare.execute("INSERT INTO narrow SELECT identity, expires_at FROM leases WHERE namespace = 1")
    await bare.execute("VACUUM ANALYZE narrow")
    chosen = [name(i) for i in range(min(BATCH, size))]
    renewals = [Renewal(each, "r", TTL) for each in chosen]

    async def ours() -> None:
        outcomes = await made.expire(renewals)
        assert all(outcome.__class__ is Renewed for outcome in outcomes)

    async def update() -> None:
        await bare.execute(BARE_RENEW, chosen, [time.time_ns() // 1000 + TTL] * len(chosen))

    meter = Meter(bare)
    works = {"ours": lambda: meter.timed("ours", ours), "update": lambda: meter.timed("update", update)}
    seconds = await in_turns_async(rounds, works)
    report.add(f"{len(chosen):,} heartbeats of {size:,}", 1000 * median(seconds["ours"]), "ms")
    report.add("a bare UPDATE of a narrow table", 1000 * median(seconds["update"]), "ms")
    report.add("heartbeats / bare update", ratio(seconds["ours"], seconds["update"]), "x", at_most=1.3)
    report.add("the same in CPU time, client and server", meter.ratio("ours", "update"), "x")
    report.rounds |= {f"heartbeats: {text}": values for text, values in seconds.items()}


async def measure_register(
    report: Report, made: PostgresRegistry, bare: asyncpg.Connection, size: int, rounds: int
) -> None:
    """New registrations in one call, beside one INSERT by unnest into tables and indexes like ours."""
    many = min(BATCH, size)

    def fresh() -> list[tuple[str, bytes]]:
        turn = next(numbers)
        return [(f"new-{turn:04d}-{i:05d}", metadata(i, size)) for i in range(many)]

    async def ours() -> float:
        writes = [Write(identity, document, "r", TTL, Absent()) for identity, document in fresh()]
        outcomes: list[object] = []

        async def write() -> None:
            outcomes.extend(await made.set(writes))

        seconds = await meter.timed("ours", write)
        assert all(outcome.__class__ is Stored for outcome in outcomes)
        return seconds

    async def insert() -> float:
        identities, documents = zip(*fresh(), strict=True)
        expires_at = time.time_ns() // 1000 + TTL
        return await meter.timed("insert", lambda: bare.execute(BARE_WRITE, identities, documents, expires_at))

    meter = Meter(bare)

    seconds = await in_turns_async(rounds, {"ours": ours, "insert": insert})
    report.add(f"register {many:,}, with {len(INDEXES)} indexes", 1000 * median(seconds["ours"]), "ms")
    report.add("bare INSERT by unnest into the same tables", 1000 * median(seconds["insert"]), "ms")
    report.add("register / bare insert", ratio(seconds["ours"], seconds["insert"]), "x", at_most=1.5)
    report.add("the same in CPU time, client and server", meter.ratio("ours", "insert"), "x")
    report.rounds |= {f"register: {text}": values for text, values in seconds.items()}


def median(values: list[float]) -> float:
    """The middle one."""
    return sorted(values)[len(values) // 2]


async def connected(stack: AsyncExitStack, server: Server, schema: str) -> asyncpg.Connection:
    """A connection with nothing of ours, in a schema."""
    connection = await asyncpg.connect(
        server.url,
        server_settings={
            "search_path": schema,
            "jit": "off",
            "plan_cache_mode": "force_custom_plan",
            "random_page_cost": "1.1",
        },
    )
    stack.push_async_callback(connection.close)
    return connection


async def measure(report: Report, server: Server, size: int, rounds: int) -> None:
    """All of it, on one server. The bare inserts go into a schema of their own that is filled alike."""
    async with AsyncExitStack() as stack:
        made = await stack.enter_async_context(registry(server, "ours"))
        other = await stack.enter_async_context(registry(server, "bare"))
        bare, like_ours = await connected(stack, server, "ours"), await connected(stack, server, "bare")
        for each in (made, other):
            await fill(each, size)
        for connection in (bare, like_ours):
            await connection.execute("VACUUM ANALYZE")
        await measure_filters(report, made, bare, size, rounds * 10)
        await measure_enumerate(report, made, bare, size, rounds)
        await measure_heartbeats(report, made, bare, size, rounds)
        await measure_register(report, made, like_ours, size, rounds)


def main() -> None:
    """Measures and writes the report."""
    size, rounds = (10_000, 3) if quick() else (100_000, 15)
    report = Report("postgres")
    with start("postgres") as server:
        asyncio.run(measure(report, server, size, rounds))
    report.write()


if __name__ == "__main__":
    main()
