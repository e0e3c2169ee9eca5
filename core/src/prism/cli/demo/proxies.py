"""Two proxies in this process over one backend, as two machines would share a Redis."""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

from prism.cli.demo.airports import SCHEMA

FREE_PORT = "127.0.0.1:0"


@asynccontextmanager
async def two_proxies(namespace: str) -> AsyncIterator[list[str]]:
    """Serves the namespace by two proxies as long as the block runs; yields their addresses."""
    from prism.config import load_config  # noqa: PLC0415 - only the demo pays for the proxy
    from prism.server.app import OFF, Proxy  # noqa: PLC0415

    slot = {"type": "memory", "store": "prism-demo"}
    config = load_config(
        {
            "namespaces": [
                {
                    "name": namespace,
                    "pattern": "multicast-registry",
                    "identity_schema": SCHEMA,
                    "backend_slots": {"registry": slot, "messaging": slot, "durability": slot},
                }
            ]
        }
    )
    async with (
        Proxy(config, listen=FREE_PORT, http_listen=OFF) as first,
        Proxy(config, listen=FREE_PORT, http_listen=OFF) as second,
    ):
        yield [first.address, second.address]
