"""gRPC connections to the proxies: one for calls, more where many streams need them, new ones to get away."""

from __future__ import annotations

import asyncio
import os
from typing import TYPE_CHECKING, Any

# gRPC writes a line to stderr for each connection that a proxy ends; what matters of it is raised as an error.
os.environ.setdefault("GRPC_VERBOSITY", "ERROR")

import grpc

from prism.client.address import is_loopback
from prism.v1 import attach_pb2 as attach
from prism.v1 import registry_pb2_grpc

if TYPE_CHECKING:
    from collections.abc import Sequence

STREAMS_PER_CONNECTION = 1_000
"""Attach streams that share a connection, so that 10,000 of them don't wait for one TCP stream."""
OPENING = 256
"""Streams opened at the same time; the others wait their turn, so that a proxy that comes back isn't run over."""
MAX_MESSAGE_BYTES = 16 * 1024 * 1024

ATTACH = "/prism.v1.MulticastRegistryService/Attach"

_stub: Any = registry_pb2_grpc.MulticastRegistryServiceStub
_OPTIONS: list[tuple[str, Any]] = [
    ("grpc.use_local_subchannel_pool", 1),  # or all channels to one address would share a connection
    ("grpc.initial_reconnect_backoff_ms", 100),
    ("grpc.min_reconnect_backoff_ms", 1_000),
    ("grpc.max_reconnect_backoff_ms", 2_000),
    ("grpc.keepalive_time_ms", 20_000),
    ("grpc.keepalive_timeout_ms", 10_000),
    ("grpc.max_receive_message_length", MAX_MESSAGE_BYTES),
    ("grpc.max_send_message_length", MAX_MESSAGE_BYTES),
]


class Connection:
    """One channel, and how many streams are on it. `address` is where it goes."""

    __slots__ = ("address", "attach", "calls", "channel", "retired", "streams")

    def __init__(self, address: str) -> None:
        options = [*_OPTIONS, ("grpc.enable_http_proxy", 0)] if is_loopback(address) else _OPTIONS
        self.address = address
        self.channel = grpc.aio.insecure_channel(address, options=options)
        self.calls: Any = _stub(self.channel)
        self.attach: Any = self.channel.stream_stream(
            ATTACH,
            request_serializer=attach.AttachRequest.SerializeToString,
            response_deserializer=attach.AttachResponse.FromString,
        )
        self.streams = 0
        self.retired = False


class Connections:
    """The connections of one client, all in one event loop. Calls go to one proxy as long as it answers."""

    def __init__(self, addresses: Sequence[str]) -> None:
        self.addresses = tuple(addresses)
        self.reached = False
        """Whether any proxy has ever answered."""
        self.opening = asyncio.Semaphore(OPENING)
        self._preferred = 0
        self._open: list[Connection] = []
        self._closing: set[asyncio.Task[None]] = set()
        self._closed = False

    @property
    def address(self) -> str:
        """The proxy that is used at the moment."""
        return self.addresses[self._preferred]

    def for_call(self) -> Connection:
        """The connection for a call."""
        for connection in self._open:
            if connection.address == self.address and not connection.retired:
                return connection
        return self._connect()

    def for_stream(self) -> Connection:
        """A connection with room for one more stream, which is counted on it until `release`."""
        for connection in self._open:
            free = connection.streams < STREAMS_PER_CONNECTION and not connection.retired
            if free and connection.address == self.address:
                break
        else:
            connection = self._connect()
        connection.streams += 1
        return connection

    def release(self, connection: Connection) -> None:
        """A stream has left a connection."""
        connection.streams -= 1
        if connection.retired and not connection.streams:
            self._close(connection)

    def avoid(self, connection: Connection) -> None:
        """What is opened from now on goes elsewhere: to the next address, or at least over a new connection.

        Behind a load balancer, a new connection may reach another proxy.
        """
        if connection.retired:
            return
        connection.retired = True
        self.fail_over(connection.address)
        if not connection.streams:
            self._close(connection)

    def fail_over(self, address: str) -> None:
        """An address didn't answer: the next one is tried, unless somebody has moved on already."""
        if address == self.address:
            self._preferred = (self._preferred + 1) % len(self.addresses)

    async def close(self) -> None:
        """Closes every connection. Idempotent."""
        self._closed = True
        for connection in list(self._open):
            self._close(connection)
        while self._closing:
            await asyncio.wait(self._closing)

    def _connect(self) -> Connection:
        if self._closed:
            raise RuntimeError("the client is closed")
        connection = Connection(self.address)
        self._open.append(connection)
        return connection

    def _close(self, connection: Connection) -> None:
        if connection not in self._open:
            return
        self._open.remove(connection)
        task = asyncio.create_task(_close(connection.channel))
        self._closing.add(task)
        task.add_done_callback(self._closing.discard)


async def _close(channel: grpc.aio.Channel) -> None:
    await channel.close(None)
