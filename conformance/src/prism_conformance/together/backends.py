"""The plugins of this repository, and how each is configured for a real server. The one list of them."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from types import MappingProxyType
from typing import Any

from prism.plugins.loader import load
from prism.plugins.spec import SlotKind

from prism_conformance.servers import Server, shared

Options = dict[str, Any]


@dataclass(frozen=True, slots=True)
class Backend:
    """A plugin of ours.

    Args:
        type: its name in configurations.
        servers: the kinds of server it runs on, the usual one first; none where it needs none.
        options: its options for one of them at a URL (the server's own, or that of what stands in front of it), under a
            name that nobody else in the run uses.
        faults: entries of the server's own configuration with which what it acknowledged survives a crash.
    """

    type: str
    servers: tuple[str, ...]
    options: Callable[[Server, str], Options]
    faults: Mapping[str, str]

    def at(self, server: Server) -> Options:
        """Its options for a server of one of its kinds."""
        return self.options(server, server.url)

    def fills(self, slot: SlotKind) -> bool:
        """Whether the installed plugin fills this slot."""
        return slot in load(self.type).slots


def _redis(server: Server, url: str) -> Options:
    cluster = {"cluster": True} if server.kind.endswith("_cluster") else {}
    return {"url": url, "key_prefix": server.scope, **cluster}


def _nats(server: Server, url: str) -> Options:
    return {"servers": url.split(","), "subject_prefix": server.scope}


def _postgres(server: Server, url: str) -> Options:
    return {"connection": url, "schema": server.scope, "auto_migrate": True, "pool_size": 5}


def _kafka(server: Server, url: str) -> Options:
    return {"brokers": url.split(","), "topic_prefix": f"{server.scope}.", "partitions": 3}


_ALL = (
    Backend("redis", ("redis", "valkey", "redis_cluster"), _redis, {"appendonly": "yes", "appendfsync": "always"}),
    Backend("nats", ("nats",), _nats, {"jetstream.sync_interval": "always"}),
    Backend("postgres", ("postgres",), _postgres, {}),
    Backend("kafka", ("kafka",), _kafka, {}),
)

BACKENDS: Mapping[str, Backend] = MappingProxyType({backend.type: backend for backend in _ALL})
"""Those that need a server, by type. The embedded `memory` needs none."""


async def shared_options(types: set[str]) -> dict[str, Options]:
    """Options of each of these types on the run's shared servers, which are started where they don't run yet.

    Raises:
        ServerError: a server can't be had.
    """
    options: dict[str, Options] = {}
    for name in sorted(types & BACKENDS.keys()):
        backend = BACKENDS[name]
        options[name] = backend.at(await asyncio.to_thread(shared, backend.servers[0]))
    return options
