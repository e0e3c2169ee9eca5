"""Pytest fixtures for real servers. Installing `prism-conformance` is enough to have them.

Each server fixture gives the run's one server of its kind (all pytest-xdist workers get the same), under a `scope` that
no other test has. A server that can't be had fails the test, saying what to do; none is ever skipped. pytest loads this
module in every run, so it imports nothing heavy before a fixture is used.
"""

from __future__ import annotations

import sys
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from typing import TYPE_CHECKING

import pytest

if TYPE_CHECKING:
    from prism_conformance.servers.fault_proxy_thread import BlockingFaultProxy
    from prism_conformance.servers.server import Server


def pytest_configure() -> None:
    """Makes the test run the owner of its servers, before pytest-xdist starts workers that share them."""
    from prism_conformance.servers.run import Run  # noqa: PLC0415 - see the module's docstring

    if sys.platform == "linux":  # elsewhere the fixtures fail and say so; other tests run
        Run.current()


def pytest_unconfigure() -> None:
    """Ends the run's servers. A run that is killed ends them too: their supervisor watches it."""
    from prism_conformance.servers.run import Run  # noqa: PLC0415

    if sys.platform == "linux":
        Run.current().close()


def _shared(kind: str) -> Server:
    from prism_conformance.servers.launch import shared  # noqa: PLC0415

    return shared(kind)


@pytest.fixture
def redis_server() -> Server:
    """The run's Redis."""
    return _shared("redis")


@pytest.fixture
def valkey_server() -> Server:
    """The run's Valkey."""
    return _shared("valkey")


@pytest.fixture(params=["redis", "valkey"])
def redis_or_valkey_server(request: pytest.FixtureRequest) -> Server:
    """The run's Redis, then its Valkey: the test runs on both."""
    return _shared(request.param)


@pytest.fixture
def redis_cluster() -> Server:
    """The run's cluster of three Redis primaries."""
    return _shared("redis_cluster")


@pytest.fixture
def valkey_cluster() -> Server:
    """The run's cluster of three Valkey primaries."""
    return _shared("valkey_cluster")


@pytest.fixture
def nats_server() -> Server:
    """The run's NATS server, with JetStream."""
    return _shared("nats")


@pytest.fixture
def nats_cluster() -> Server:
    """The run's cluster of three NATS servers, with JetStream."""
    return _shared("nats_cluster")


@pytest.fixture
def postgres_server() -> Server:
    """The run's PostgreSQL."""
    return _shared("postgres")


@pytest.fixture
def kafka_server() -> Server:
    """The run's Kafka."""
    return _shared("kafka")


@pytest.fixture
def start_server() -> Iterator[Callable[..., Server]]:
    """A function that starts servers for this test alone, to kill, pause and restart: `start_server("redis")`.

    Its arguments are those of `prism_conformance.servers.start`. The servers are stopped after the test.
    """
    from prism_conformance.servers.launch import start  # noqa: PLC0415

    with ExitStack() as stack:
        yield lambda *args, **kwargs: stack.enter_context(start(*args, **kwargs))


@pytest.fixture
def fault_proxy() -> Iterator[Callable[[Server], BlockingFaultProxy]]:
    """A function that puts a fault proxy in front of a server: `proxy = fault_proxy(redis_server)`."""
    from prism_conformance.servers.fault_proxy_thread import BlockingFaultProxy  # noqa: PLC0415

    with ExitStack() as stack:
        yield lambda server: stack.enter_context(BlockingFaultProxy(server.host, server.port))
