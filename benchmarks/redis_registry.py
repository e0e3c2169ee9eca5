"""The registry on Redis beside redis-py doing the same work by hand: reading by index, filtering, writing, renewing."""

from __future__ import annotations

import asyncio
import statistics
import time
from collections.abc import Awaitable, Callable
from functools import partial
from typing import Any

import orjson
from prism import Client, F
from prism.filters.parse import parse
from prism.model.time import SECOND
from prism.server.garbage import relax_collector
from prism.slots.registry import Anything, Projection, Query, Renewal, Renewed, Stored, Write
from prism_conformance.servers import Server, start
from prism_redis.registry import RedisRegistry
from redis.asyncio import Redis

from benchmarks.backends import NAMESPACE, config, redis_registry, slot
from benchmarks.documents import REGIONS, document, identity
from benchmarks.harness import Report, Rounds, in_turns_async, quick, ratio

BATCH = 5_000
HOUR = 3_600 * SECOND
FEW, MANY = 0.001, 0.2
"""Battery levels, and the part of the devices that is below."""
Work = Callable[[], Awaitable[float]]


def write(number: int, room: str) -> Write:
    """A device in a room."""
    text = orjson.dumps({**document(number), "room": room})
    return Write(identity(number), text, f"{number:024x}", HOUR, Anything(), f"proxy-{number % 2}")


async def fill(registry: RedisRegistry, count: int, hits: int) -> None:
    """Registers devices, `hits` of them in the hall, spread evenly."""
    for begin in range(0, count, BATCH):
        numbers = range(begin, min(begin + BATCH, count))
        outcomes = await registry.set([write(i, "hall" if i % (count // hits) == 0 else "yard") for i in numbers])
        assert all(isinstance(outcome, Stored) for outcome in outcomes)


def timed(work: Callable[[], Awaitable[object]], expected: object) -> Work:
    """The work as something that measures itself and checks its result."""

    async def measured() -> float:
        began = time.perf_counter()
        found = await work()
        seconds = time.perf_counter() - began
        assert found == expected, (found, expected)
        return seconds

    return measured


async def targets(report: Report, registry: RedisRegistry, bare: Redis, hits: int, rounds: int) -> None:
    """The targets of a multicast by an indexed field, beside a set of names."""
    await bare.sadd("members", *[identity(i) for i in range(hits)])
    query = Query((parse({"room": "hall"}),), page_size=10_000, projection=Projection.TARGETS)

    async def scan() -> int:
        return sum([len(page) async for page in registry.scan(query)])

    async def members() -> int:
        return len(await bare.smembers("members"))

    works = {"targets by index": timed(scan, hits), "SMEMBERS": timed(members, hits)}
    seconds = await in_turns_async(rounds, works)
    report.rounds |= seconds
    report.add(f"{hits:,} targets by an indexed field", milliseconds(seconds, "targets by index"), "ms")
    report.add(f"SMEMBERS of {hits:,} names", milliseconds(seconds, "SMEMBERS"), "ms")
    report.add("targets by index / SMEMBERS", ratio(seconds["targets by index"], seconds["SMEMBERS"]), "x")


async def filtered(report: Report, server: Server, bare: Redis, count: int, rounds: int, times: int) -> None:
    """Enumerations by the client, embedded: a few hits by an index, and a filter without one beside a hash by hand."""
    for begin in range(0, count, BATCH):
        numbers = range(begin, min(begin + BATCH, count))
        await bare.hset("documents", mapping={identity(i): write(i, "yard").metadata_json for i in numbers})
    settings = config(registry=slot("redis", server), messaging=slot("redis", server))
    async with Client.embedded(NAMESPACE, settings) as client:
        relax_collector()

        async def by_index(number: int) -> int:
            return len(await client.registry.enumerate(F.region == f"region-{number % REGIONS:04}"))

        few = [await timed(partial(by_index, number), count // REGIONS)() for number in range(times)]

        def hits_below(level: float) -> int:
            return sum(document(i)["battery_level"] < level for i in range(count))

        async def enumerate_below(level: float) -> int:
            return len(await client.registry.enumerate(F.battery_level < level))

        async def count_below(level: float) -> int:
            return await client.registry.count(F.battery_level < level)

        async def by_hand(level: float) -> int:
            found: list[Any] = []
            cursor = 0
            while True:
                cursor, page = await bare.hscan("documents", cursor, count=1_000)
                assert isinstance(page, dict)
                found += [(name, text) for name, text in page.items() if orjson.loads(text)["battery_level"] < level]
                if not cursor:
                    return len(found)

        works: dict[str, Work] = {}
        for name, level in (("few", FEW), ("many", MANY)):
            works |= {
                f"unindexed, {name} hits": timed(partial(enumerate_below, level), hits_below(level)),
                f"by hand, {name} hits": timed(partial(by_hand, level), hits_below(level)),
            }
        works["counted"] = timed(partial(count_below, FEW), hits_below(FEW))
        seconds = await in_turns_async(rounds, works)
    report.rounds |= seconds | {"indexed filter": few}
    p50, p99 = statistics.median(few), statistics.quantiles(few, n=100)[98]
    hits = count // REGIONS
    report.add(f"indexed filter, {hits} hits among {count:,}, p50", p50 * 1e3, "ms", at_most=2)
    report.add(f"indexed filter, {hits} hits among {count:,}, p99", p99 * 1e3, "ms")
    for name, level, target in (("few", FEW, 1.5), ("many", MANY, None)):
        ours, bare_one = f"unindexed, {name} hits", f"by hand, {name} hits"
        where = f"{round(count * level):,} hits among {count:,}"
        report.add(f"HSCAN, decode and filter by hand, {where}", milliseconds(seconds, bare_one), "ms")
        report.add(f"unindexed filter, {where}", milliseconds(seconds, ours), "ms")
        report.add(f"unindexed filter / by hand, {where}", ratio(seconds[ours], seconds[bare_one]), "x", at_most=target)
    share = ratio(seconds["counted"], seconds["by hand, few hits"])
    report.add("unindexed filter, counted / by hand", share, "x")


async def written(report: Report, registry: RedisRegistry, bare: Redis, count: int, rounds: int) -> None:
    """Batches of writes and renewals beside pipelines of redis-py."""
    writes = [write(i, "hall") for i in range(count)]
    renewals = [Renewal(each.identity, each.registration_id, HOUR) for each in writes]

    async def registered() -> int:
        return sum(isinstance(outcome, Stored) for outcome in await registry.set(writes))

    async def renewed() -> int:
        return sum(isinstance(outcome, Renewed) for outcome in await registry.expire(renewals))

    async def set_by_hand() -> int:
        pipeline = bare.pipeline(transaction=False)
        for each in writes:
            pipeline.set(f"device:{each.identity}", each.metadata_json, ex=3_600)
        return sum(map(bool, await pipeline.execute()))

    async def set_and_index_by_hand() -> int:
        pipeline = bare.pipeline(transaction=False)
        for each in writes:
            pipeline.set(f"device:{each.identity}", each.metadata_json, ex=3_600)
            pipeline.sadd("room:hall", each.identity)
            pipeline.sadd("region:1", each.identity)
            pipeline.zadd("order", {each.identity: 0})
        return len(await pipeline.execute()) // 4

    async def expire_by_hand() -> int:
        pipeline = bare.pipeline(transaction=False)
        for each in writes:
            pipeline.expire(f"device:{each.identity}", 3_600)
        return sum(map(bool, await pipeline.execute()))

    works = {
        "set": timed(registered, count),
        "SET by hand": timed(set_by_hand, count),
        "SET and indexes by hand": timed(set_and_index_by_hand, count),
        "heartbeat": timed(renewed, count),
        "EXPIRE by hand": timed(expire_by_hand, count),
    }
    seconds = await in_turns_async(rounds, works)
    report.rounds |= seconds
    each = {name: statistics.median(values) / count * 1e6 for name, values in seconds.items()}
    report.add("SET EX by a redis-py pipeline", each["SET by hand"], "us each")
    report.add("the same with two sets and an order by hand", each["SET and indexes by hand"], "us each")
    report.add(f"registry set, batches of {count:,}, two indexes", each["set"], "us each")
    report.add("registry set / SET EX by hand", ratio(seconds["set"], seconds["SET by hand"]), "x")
    share = ratio(seconds["set"], seconds["SET and indexes by hand"])
    report.add("registry set / SET EX with sets and order by hand", share, "x")
    report.add("EXPIRE by a redis-py pipeline", each["EXPIRE by hand"], "us each")
    report.add(f"heartbeats of {count:,}, one batch", each["heartbeat"], "us each")
    report.add("heartbeats / EXPIRE by hand", ratio(seconds["heartbeat"], seconds["EXPIRE by hand"]), "x")


def milliseconds(seconds: Rounds, name: str) -> float:
    """The median of some rounds."""
    return statistics.median(seconds[name]) * 1e3


async def main() -> None:
    """Measures and reports."""
    small = quick()
    count, hits, rounds = (5_000, 500, 2) if small else (100_000, 10_000, 9)
    report = Report("redis_registry")
    with start("redis") as server:
        registry, bare = await redis_registry(server), Redis.from_url(server.url)
        await fill(registry, count, hits)
        await targets(report, registry, bare, hits, 3 if small else 25)
        await filtered(report, server, bare, count, 2 if small else 5, 50 if small else 1_000)
        await written(report, registry, bare, hits, rounds)
        await bare.aclose()
        await registry.close()
    report.write()


if __name__ == "__main__":
    asyncio.run(main())
