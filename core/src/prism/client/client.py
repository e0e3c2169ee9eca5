"""The client: where it connects, when, and how it ends."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from types import TracebackType
from typing import TYPE_CHECKING, Self

from prism.client.address import parse_addresses
from prism.client.registry import Registry
from prism.model.errors import InvalidArgument
from prism.model.identity import check_namespace
from prism.model.json import describe
from prism.model.operations import DEFAULT_NAMESPACE

if TYPE_CHECKING:
    from prism.client.embedded import ConfigSource
    from prism.client.inbox import Inbox
    from prism.client.transport import Transport

DEFAULT_TIMEOUT = 10.0


class Client:
    """An application's way to one namespace (RFC: Python client API).

        client = Client(namespace="presence")
        await client.registry.register("alice", {"room": "x"}, ttl=300)

    It connects at the first call, and belongs to the event loop of that call. Use it as `async with Client(...)`,
    or call `aclose` in the end: that leaves what is attached. In code without `async` use `prism.sync.Client`.

    Args:
        namespace: which.
        address: of the proxy, `host:port`; several, separated by commas, are tried in turn. None takes the
            environment's PRISM_ADDRESS, or 127.0.0.1:7070.
        timeout: seconds that any call may take; a multicast may take its waiting time in addition.

    Raises:
        InvalidArgument: the namespace, the address or the timeout can't be one.
    """

    _make_transport: Callable[[], Awaitable[Transport]]

    def __init__(
        self, namespace: str = DEFAULT_NAMESPACE, address: str | None = None, *, timeout: float = DEFAULT_TIMEOUT
    ) -> None:
        addresses = parse_addresses(address)
        self.address: str | None = ",".join(addresses)
        """Where the proxies are; None when it is embedded."""
        self._prepare(namespace, timeout)

        async def connect() -> Transport:
            from prism.client.remote import Remote  # noqa: PLC0415 - loads gRPC, which is only needed now

            return Remote(addresses, self.namespace, self.timeout)

        self._make_transport = connect

    @classmethod
    def embedded(
        cls,
        namespace: str = DEFAULT_NAMESPACE,
        config: ConfigSource = None,
        *,
        timeout: float = DEFAULT_TIMEOUT,
    ) -> Self:
        """A client with a coordinator of its own in this process; the same API, no proxy.

        Args:
            namespace: which.
            config: the path of a configuration file, or the same as a mapping; None is memory in all slots.
            timeout: as for `Client`.

        Raises:
            InvalidConfig, PluginError: at the first call, the configuration can't be used.
        """
        self = cls.__new__(cls)
        self.address = None
        self._prepare(namespace, timeout)

        async def connect() -> Transport:
            from prism.client.embedded import Embedded  # noqa: PLC0415 - loads the coordinator

            return await Embedded.open(self.namespace, config, self.timeout)

        self._make_transport = connect
        return self

    def _prepare(self, namespace: str, timeout: float) -> None:
        self.namespace = check_namespace(namespace)
        if not isinstance(timeout, (int, float)) or isinstance(timeout, bool) or not timeout > 0:
            raise InvalidArgument.at("timeout", f"expected seconds above 0, got {describe(timeout)}")
        self.timeout = float(timeout)
        self._transport: Transport | None = None
        self._opening: asyncio.Task[Transport] | None = None
        self._loop: asyncio.AbstractEventLoop | None = None
        self._inboxes: set[Inbox] = set()
        self._closed = False
        self.registry = Registry(self._connect, self.timeout, self._inboxes)
        """The operations."""

    async def __aenter__(self) -> Self:
        await self._connect()
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        await self.aclose()

    async def aclose(self) -> None:
        """Leaves every open inbox, then closes the connections, or the coordinator. Idempotent."""
        self._closed = True
        if self._loop is not asyncio.get_running_loop():
            return
        for inbox in list(self._inboxes):
            await inbox.aclose()
        opening, self._opening = self._opening, None
        if opening is not None:
            opening.cancel()
            await asyncio.wait((opening,))
        transport, self._transport = self._transport, None
        if transport is not None:
            await transport.close()

    async def _connect(self) -> Transport:
        loop = asyncio.get_running_loop()
        if self._transport is not None and self._loop is loop:
            return self._transport
        if self._closed:
            raise RuntimeError("the client is closed; make another one")
        if self._loop is not loop:
            self._adopt(loop)
        if self._opening is None:
            self._opening = asyncio.create_task(self._open())
        opening = self._opening
        try:
            return await asyncio.shield(opening)
        finally:
            if opening.done() and self._opening is opening:
                self._opening = None

    async def _open(self) -> Transport:
        self._transport = await self._make_transport()
        return self._transport

    def _adopt(self, loop: asyncio.AbstractEventLoop) -> None:
        """Belongs to this loop from now on. What it had in an earlier one ended with it."""
        if self._loop is not None and not self._loop.is_closed():
            raise RuntimeError(
                "this client belongs to another event loop; use one client per loop, or prism.sync.Client"
            )
        self._loop = loop
        self._transport = self._opening = None
        self._inboxes.clear()
