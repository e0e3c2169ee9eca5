"""How costs grow on Redis. See `benchmarks.growth` for what is measured, and for `--million`."""

from __future__ import annotations

import asyncio

from prism_conformance.servers import start
from redis.asyncio import Redis

from benchmarks.backends import redis_registry
from benchmarks.growth import measure
from benchmarks.harness import Report


async def main() -> None:
    """Measures and writes the report."""
    with start("redis") as server:
        registry, bare = await redis_registry(server), Redis.from_url(server.url)

        async def memory() -> int:
            return int((await bare.info("memory"))["used_memory"])

        await measure(Report("redis_growth"), registry, memory, "memory of Redis")
        await bare.aclose()
        await registry.close()


if __name__ == "__main__":
    asyncio.run(main())
