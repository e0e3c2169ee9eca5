"""Presence on Redis: what keeping 10,000 attached identities alive costs, and registering through a proxy.

Beside registering: redis-py writing the same documents with an expiry by hand, with and without two sets for the
indexed fields and an order.
"""

from __future__ import annotations

import asyncio
import itertools
import json
import statistics
import time
from collections.abc import Awaitable, Callable
from typing import Any

import orjson
from prism import Client, PrismError
from prism.server.garbage import relax_collector
from prism_conformance.servers import Server, start
from redis.asyncio import Redis

from benchmarks.backends import NAMESPACE, config, slot
from benchmarks.documents import document, identity
from benchmarks.harness import Report, in_turns_async, quick, ratio
from benchmarks.register import in_flight
from benchmarks.workers import Worker

TTL = 9
"""Seconds; a proxy renews what is attached every third of it."""
SESSIONS = 100


async def script_calls(bare: Redis) -> tuple[int, float]:
    """How many scripts the server has run, and the CPU seconds that it has used."""
    stats: dict[str, Any] = await bare.info("commandstats")
    cpu: dict[str, Any] = await bare.info("cpu")
    calls = stats.get("cmdstat_evalsha", {"calls": 0})["calls"]
    return int(calls), float(cpu["used_cpu_sys"]) + float(cpu["used_cpu_user"])


async def heartbeats(report: Report, server: Server, total: int, seconds: float) -> None:
    """Keeps identities attached through a few of their TTLs."""
    settings = json.dumps(config(registry=slot("redis", server), messaging=slot("redis", server)))
    async with Redis.from_url(server.url) as bare:
        with Worker("hosts", settings) as host:
            host.ask("attach", first=0, sessions=SESSIONS, each=total // SESSIONS, room="hall", ttl=TTL)
            calls_before, cpu_before = await script_calls(bare)
            kept = await host.ask_async("live", seconds=seconds)
            calls_after, cpu_after = await script_calls(bare)
            calls, cpu = calls_after - calls_before, cpu_after - cpu_before
            assert kept["attached"] == total, kept
    renewals = total * seconds / (TTL / 3)
    report.add(f"heartbeats of {total:,} attached identities, calls of Redis", calls / seconds, "a second")
    report.add("renewals in one call", renewals / max(calls, 1), "identities")
    report.add("CPU of the proxy for a renewal", kept["cpu"] / renewals * 1e6, "us")
    report.add("CPU of Redis for a renewal", cpu / renewals * 1e6, "us")
    share = kept["cpu"] / seconds * 100 * (TTL / 3) / 10
    report.add(f"the same at a TTL of 30 s: CPU of the proxy for {total:,} identities", share, "% of a core")


async def registered(report: Report, server: Server, count: int, calls: int, rounds: int) -> None:
    """Batches and single calls through gRPC."""
    settings = json.dumps(config(registry=slot("redis", server), messaging=slot("redis", server)))
    devices = [(identity(number), document(number)) for number in range(count)]
    texts = [(name, orjson.dumps(metadata)) for name, metadata in devices]
    numbers = itertools.count()
    with Worker("proxy", "127.0.0.1:0", settings) as proxy:
        client = Client(NAMESPACE, proxy.ask("address")["address"], timeout=120)
        bare = Redis.from_url(server.url)
        relax_collector()

        async def batches() -> None:
            outcomes = await client.registry.register_many(devices, replace=True, ttl=3_600)
            assert not any(isinstance(outcome, PrismError) for outcome in outcomes)

        async def set_by_hand() -> None:
            pipeline = bare.pipeline(transaction=False)
            for name, text in texts:
                pipeline.set(f"device:{name}", text, ex=3_600)
            await pipeline.execute()

        async def set_and_index_by_hand() -> None:
            pipeline = bare.pipeline(transaction=False)
            for name, text in texts:
                pipeline.set(f"device:{name}", text, ex=3_600)
                pipeline.sadd("room:hall", name)
                pipeline.sadd("region:1", name)
                pipeline.zadd("order", {name: 0})
            await pipeline.execute()

        async def one_by_one() -> None:
            await in_flight(calls, lambda: client.registry.register(f"one-{next(numbers)}", {"room": "hall"}, ttl=60))

        async def set_one_by_one() -> None:
            await in_flight(calls, lambda: bare.set(f"one:{next(numbers)}", b'{"room":"hall"}', ex=60))

        works = {
            "batches": timed(batches),
            "SET by hand": timed(set_by_hand),
            "SET and indexes by hand": timed(set_and_index_by_hand),
            "one by one": timed(one_by_one),
            "SET one by one": timed(set_one_by_one),
        }
        seconds = await in_turns_async(rounds, works)
        await client.aclose()
        await bare.aclose()
    report.rounds |= seconds
    median = {name: statistics.median(values) for name, values in seconds.items()}
    report.add("SET EX by a redis-py pipeline", count / median["SET by hand"], "identities/s")
    report.add("the same with two sets and an order", count / median["SET and indexes by hand"], "identities/s")
    report.add(f"register_many of {count:,} through a proxy", count / median["batches"], "identities/s")
    report.add("register_many / SET EX by hand", ratio(seconds["batches"], seconds["SET by hand"]), "x")
    share = ratio(seconds["batches"], seconds["SET and indexes by hand"])
    report.add("register_many / SET EX with sets and order by hand", share, "x")
    report.add("SET EX one by one, 64 in flight", calls / median["SET one by one"], "calls/s")
    report.add("register through a proxy, one by one, 64 in flight", calls / median["one by one"], "calls/s")


def timed(work: Callable[[], Awaitable[None]]) -> Callable[[], Awaitable[float]]:
    """The work, measuring itself."""

    async def measured() -> float:
        began = time.perf_counter()
        await work()
        return time.perf_counter() - began

    return measured


async def main() -> None:
    """Measures and reports."""
    small = quick()
    report = Report("presence")
    with start("redis") as server:
        await heartbeats(report, server, 1_000 if small else 10_000, 6 if small else 18)
        await registered(report, server, *((1_000, 500, 2) if small else (10_000, 3_000, 7)))
    report.write()


if __name__ == "__main__":
    asyncio.run(main())
