"""Real servers for tests, examples and benchmarks: started, reused, disturbed, and gone when the run is.

Redis, Valkey, NATS, PostgreSQL and Kafka: `KINDS`. `start(kind)` gives a server of one's own, `shared(kind)` the run's;
`FaultProxy` stands in front of one. Standard library only, so anything may import it; it imports nothing of `prism`.
"""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from prism_conformance.servers.asynchronous import AsyncServer
    from prism_conformance.servers.catalog import KINDS
    from prism_conformance.servers.errors import InstallFailed, ServerError, SharedServer, StartFailed, SupervisorGone
    from prism_conformance.servers.fault_proxy import Direction, FaultProxy
    from prism_conformance.servers.fault_proxy_thread import BlockingFaultProxy
    from prism_conformance.servers.launch import shared, start
    from prism_conformance.servers.run import Run
    from prism_conformance.servers.server import Node, Server

__all__ = [
    "KINDS",
    "AsyncServer",
    "BlockingFaultProxy",
    "Direction",
    "FaultProxy",
    "InstallFailed",
    "Node",
    "Run",
    "Server",
    "ServerError",
    "SharedServer",
    "StartFailed",
    "SupervisorGone",
    "shared",
    "start",
]

_MODULES = {
    "AsyncServer": "asynchronous",
    "KINDS": "catalog",
    "InstallFailed": "errors",
    "ServerError": "errors",
    "SharedServer": "errors",
    "StartFailed": "errors",
    "SupervisorGone": "errors",
    "Direction": "fault_proxy",
    "FaultProxy": "fault_proxy",
    "BlockingFaultProxy": "fault_proxy_thread",
    "shared": "launch",
    "start": "launch",
    "Run": "run",
    "Node": "server",
    "Server": "server",
}


def __getattr__(name: str) -> Any:
    """Imports a public name when it is first used: pytest loads this package in every run."""
    if name not in _MODULES:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    return getattr(import_module(f"{__name__}.{_MODULES[name]}"), name)
