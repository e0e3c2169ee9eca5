"""How costs grow on PostgreSQL. See `benchmarks.growth` for what is measured, and for `--million`."""

from __future__ import annotations

import asyncio

import asyncpg
from prism_conformance.servers import start

from benchmarks.backends import INDEXED
from benchmarks.growth import measure
from benchmarks.harness import Report
from benchmarks.postgres import registry

SCHEMA = "growth"
INDEXES = [{"field": field} for field in INDEXED]
KINDS: dict[tuple[str, ...], str] = {(field,): "string" for field in INDEXED}
SIZE = """
    SELECT sum(pg_total_relation_size(c.oid)) FROM pg_class c
    WHERE c.relnamespace = to_regnamespace($1) AND c.relkind = 'r'
"""


async def main() -> None:
    """Measures and writes the report."""
    with start("postgres") as server:
        bare = await asyncpg.connect(server.url, server_settings={"search_path": SCHEMA})

        async def settled() -> int:
            await bare.execute("VACUUM (ANALYZE) registrations")
            await bare.execute("VACUUM (ANALYZE) leases")
            return int(await bare.fetchval(SIZE, SCHEMA))

        async with registry(server, SCHEMA, INDEXES, KINDS) as opened:
            await measure(Report("postgres_growth"), opened, settled, "tables and indexes of PostgreSQL")
        await bare.close()


if __name__ == "__main__":
    asyncio.run(main())
