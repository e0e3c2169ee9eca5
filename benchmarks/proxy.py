"""A real proxy in a process of its own: `python -m benchmarks.proxy [HOST:PORT [CONFIG]]`, on memory by default."""

from __future__ import annotations

import asyncio
import gc
import json
import sys

from prism.config import load_config
from prism.server.app import Proxy
from prism.server.garbage import relax_collector

from benchmarks.workers import Answer, serve_commands

CONFIG = {
    "namespaces": [
        {
            "name": "bench",
            "identity_schema": {
                "region": {"type": "string", "index": True},
                "room": {"type": "string", "index": True},
            },
        }
    ]
}
NAMESPACE = "bench"


async def main() -> None:
    """Serves until the input ends."""
    listen = sys.argv[1] if len(sys.argv) > 1 else "127.0.0.1:0"
    config = json.loads(sys.argv[2]) if len(sys.argv) > 2 else CONFIG
    async with Proxy(load_config(config), listen=listen, http_listen="off") as proxy:
        relax_collector()  # as `prism serve` does

        async def address() -> Answer:
            gc.collect()
            return {"address": proxy.address, "streams": proxy.hub.sessions}

        await serve_commands({"address": address})


if __name__ == "__main__":
    asyncio.run(main())
