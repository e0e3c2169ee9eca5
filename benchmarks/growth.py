"""How costs grow with the size of the registry, and with the number of hits.

`python -m benchmarks.redis_growth` and `python -m benchmarks.postgres_growth` go to 100,000 identities, and with
`--million` to 1,000,000 (about 2 GB of memory or disk, some minutes).
"""

from __future__ import annotations

import argparse
import statistics
import time
from collections.abc import Awaitable, Callable
from dataclasses import dataclass

import orjson
from prism.filters.parse import parse
from prism.model.time import SECOND
from prism.server.garbage import relax_collector
from prism.slots.registry import Anything, Projection, Query, RegistryBackend, Renewal, Renewed, Stored, Write

from benchmarks.documents import document, identity
from benchmarks.harness import Report

BATCH = 5_000
FEW = 100
"""Hits at every size of the registry, and identities in a batch of writes."""
HOUR = 3_600 * SECOND


@dataclass(frozen=True)
class Cost:
    """One point of a curve."""

    name: str
    at: int
    """Identities in the registry, or hits."""
    microseconds: float


def write(number: int, region: str) -> Write:
    """A device in a region; the room says how many others are in it: 1, 10, 100 ..."""
    text = orjson.dumps({**document(number), "region": region, "room": f"of-{room(number):,}"})
    return Write(identity(number), text, f"{number:024x}", HOUR, Anything(), f"proxy-{number % 2}")


def room(number: int) -> int:
    """Devices 0 to 9 are in the room of 10, up to 109 in that of 100, up to 1,109 in that of 1,000, and so on."""
    size, first = 10, 0
    while number >= first + size:
        first += size
        size *= 10
    return size


async def fill(registry: RegistryBackend, first: int, last: int) -> float:
    """Registers more devices; microseconds for each."""
    began = time.perf_counter()
    for begin in range(first, last, BATCH):
        batch = [write(i, f"region-{i // FEW}") for i in range(begin, min(begin + BATCH, last))]
        assert all(isinstance(outcome, Stored) for outcome in await registry.set(batch))
    return (time.perf_counter() - began) / (last - first) * 1e6


async def quartile(work: Callable[[], Awaitable[object]], rounds: int) -> float:
    """Microseconds that a quarter of the rounds stay below: sizes can't take turns, and a busy machine isn't growth."""
    await work()
    seconds = []
    for _ in range(rounds):
        began = time.perf_counter()
        await work()
        seconds.append(time.perf_counter() - began)
    return statistics.quantiles(seconds, n=4)[0] * 1e6


async def at_size(registry: RegistryBackend, size: int, rounds: int) -> list[Cost]:
    """What the same work costs in a registry of this size."""
    some = [write(i, f"region-{i // FEW}") for i in range(size // 2, size // 2 + FEW)]
    names = [each.identity for each in some]
    renewals = [Renewal(name, None, HOUR) for name in names]
    region = parse({"region": f"region-{size // FEW // 2}"})

    async def found(projection: Projection) -> None:
        pages = registry.scan(Query((region,), projection=projection))
        assert sum([len(page) async for page in pages]) == FEW

    async def counted() -> None:
        assert await registry.count((region,)) == FEW

    async def renewed() -> None:
        assert all(isinstance(outcome, Renewed) for outcome in await registry.expire(renewals))

    works: dict[str, Callable[[], Awaitable[object]]] = {
        f"enumerate, {FEW} hits by index": lambda: found(Projection.FULL),
        f"targets, {FEW} hits by index": lambda: found(Projection.TARGETS),
        "count by index": counted,
        f"get {FEW}": lambda: registry.get(names),
        f"write {FEW}": lambda: registry.set(some),
        f"renew {FEW}": renewed,
    }
    return [Cost(name, size, await quartile(work, rounds)) for name, work in works.items()]


async def at_hits(registry: RegistryBackend, size: int, rounds: int) -> list[Cost]:
    """What finding more costs in one registry."""
    costs = []
    hits, first = 10, 0
    while first + hits <= size:
        query = parse({"room": f"of-{hits:,}"})

        async def found(projection: Projection, query: object = query, hits: int = hits) -> None:
            pages = registry.scan(Query((query,), projection=projection, page_size=5_000))  # type: ignore[arg-type]
            assert sum([len(page) async for page in pages]) == hits

        fewer = max(5, rounds * 100 // max(hits, 100))
        for name, projection in (("targets", Projection.TARGETS), ("registrations", Projection.FULL)):
            costs.append(Cost(name, hits, await quartile(lambda p=projection: found(p), fewer)))  # type: ignore[misc]
        first += hits
        hits *= 10
    return costs


async def measure(report: Report, registry: RegistryBackend, settled: Callable[[], Awaitable[int]], what: str) -> None:
    """Measures and reports.

    Args:
        report: takes the figures.
        registry: an empty one, with indexes on `region` and `room`.
        settled: waits until what follows a load is over (statistics, vacuuming); the bytes that are in use then.
        what: whose bytes they are: "memory of Redis".
    """
    sizes, rounds, report.hasty = wanted()
    relax_collector()
    filled = 0
    by_size: list[Cost] = []
    for size in sizes:
        each = await fill(registry, filled, size)
        filled = size
        report.add(f"{size:,} identities: registering, batches of {BATCH:,}", each, "us each")
        report.add(f"{size:,} identities: {what}", await settled() / size, "bytes each")
        by_size += await at_size(registry, size, rounds)
    by_hits = await at_hits(registry, sizes[-1], rounds)
    for cost in by_size:
        report.add(f"{cost.at:,} identities: {cost.name}", cost.microseconds, "us")
    for cost in by_hits:
        report.add(f"{cost.name} by index, {cost.at:,} hits among {sizes[-1]:,}", cost.microseconds, "us")
    for cost in by_size:
        report.rounds.setdefault(f"size: {cost.name}", []).append(cost.microseconds / 1e6)
    for cost in by_hits:
        report.rounds.setdefault(f"hits: {cost.name}", []).append(cost.microseconds / 1e6)
    report.points = {"size": list(sizes), "hits": sorted({cost.at for cost in by_hits})}
    report.write()


def wanted() -> tuple[tuple[int, ...], int, bool]:
    """The sizes that the command line asks for, how often each thing is measured, and whether it's a quick look."""
    parser = argparse.ArgumentParser(allow_abbrev=False)
    parser.add_argument("--quick", action="store_true", help="smaller sizes and fewer rounds, to see that it runs")
    parser.add_argument("--million", action="store_true", help="up to 1,000,000 identities")
    arguments = parser.parse_args()
    if arguments.quick:
        return (1_000, 5_000), 5, True
    return (1_000, 10_000, 100_000, *((1_000_000,) if arguments.million else ())), 50, False
