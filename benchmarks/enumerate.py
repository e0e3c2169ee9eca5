"""Reading 100,000 identities through gRPC beside a bare stream of the same bytes; an indexed filter with 100 hits."""

from __future__ import annotations

import asyncio
import statistics
import time
from typing import Any

import grpc
import orjson
from prism import Client, F
from prism.v1.registry_pb2 import IdentityPage

from benchmarks.documents import REGIONS, devices
from benchmarks.harness import Report, in_turns_async, quick, ratio
from benchmarks.proxy import CONFIG, NAMESPACE
from benchmarks.workers import Worker

PAGE = 1_000
OPTIONS = [("grpc.max_receive_message_length", 16 << 20)]


async def everyone(report: Report, count: int, rounds: int) -> None:
    """All identities through gRPC: into client objects, and with every object's metadata decoded."""
    with Worker("proxy") as proxy, Worker("bare_server") as bare:
        client = Client(NAMESPACE, proxy.ask("address")["address"], timeout=300)
        await client.registry.register_many(devices(count), raise_on_error=True)
        prepared = bare.ask("prepare", count=count, page_size=PAGE)["bytes"]
        channel: Any = grpc.aio.insecure_channel(bare.ask("address")["address"], options=OPTIONS)
        read_pages = channel.unary_stream("/bare/Pages", response_deserializer=IdentityPage.FromString)

        async def objects() -> float:
            start = time.perf_counter()
            found = await client.registry.enumerate()
            seconds = time.perf_counter() - start
            assert len(found) == count
            return seconds

        async def objects_with_metadata() -> float:
            start = time.perf_counter()
            found = [(each.identity, each.metadata) for each in await client.registry.enumerate()]
            seconds = time.perf_counter() - start
            assert found[-1][1]["region"] == f"region-{(count - 1) % REGIONS:04}"
            return seconds

        async def columns() -> float:
            start = time.perf_counter()
            found: list[str] = []
            kept = []
            async for page in read_pages(b""):
                found.extend(page.identities)
                kept.append((list(page.metadata_json), list(page.registered_at_us), list(page.revisions)))
            seconds = time.perf_counter() - start
            assert len(found) == count
            return seconds

        async def dictionaries() -> float:
            start = time.perf_counter()
            found: list[tuple[str, Any]] = []
            async for page in read_pages(b""):
                found.extend(zip(page.identities, map(orjson.loads, page.metadata_json), strict=True))
            seconds = time.perf_counter() - start
            assert len(found) == count
            return seconds

        works = {
            "objects": objects,
            "columns": columns,
            "objects with metadata": objects_with_metadata,
            "dictionaries": dictionaries,
        }
        seconds = await in_turns_async(rounds, works)
        await client.aclose()
        await channel.close()
    report.rounds |= seconds
    median = {name: statistics.median(values) * 1e3 for name, values in seconds.items()}
    report.add(f"bare pages of {count:,}, {prepared / 1e6:.0f} MB", median["columns"], "ms")
    report.add(f"enumerate {count:,} into client objects", median["objects"], "ms")
    report.add("client objects / bare pages", ratio(seconds["objects"], seconds["columns"]), "x", at_most=1.5)
    report.add("bare pages into dictionaries", median["dictionaries"], "ms")
    report.add("enumerate, and read all metadata", median["objects with metadata"], "ms")
    share = ratio(seconds["objects with metadata"], seconds["dictionaries"])
    report.add("all metadata read / bare dictionaries", share, "x", at_most=1.5)


async def a_few(report: Report, count: int, times: int) -> None:
    """An indexed filter with one hit in a thousand, embedded."""
    async with Client.embedded(NAMESPACE, CONFIG) as client:
        await client.registry.register_many(devices(count), raise_on_error=True)
        seconds = []
        for number in range(times):
            start = time.perf_counter()
            found = await client.registry.enumerate(F.region == f"region-{number % REGIONS:04}")
            seconds.append(time.perf_counter() - start)
            assert len(found) == max(count // REGIONS, 1)
    hits = count // REGIONS
    p50, p99 = statistics.median(seconds), statistics.quantiles(seconds, n=100)[98]
    report.rounds["indexed filter"] = seconds
    report.add(f"indexed filter, {hits} hits among {count:,}, embedded, p50", p50 * 1e3, "ms", at_most=1)
    report.add(f"indexed filter, {hits} hits among {count:,}, embedded, p99", p99 * 1e3, "ms")


async def main() -> None:
    """Measures and reports."""
    small = quick()
    report = Report("enumerate")
    await everyone(report, 5_000 if small else 100_000, 2 if small else 9)
    await a_few(report, 5_000 if small else 100_000, 50 if small else 2_000)
    report.write()


if __name__ == "__main__":
    asyncio.run(main())
