"""`FaultProxy` for blocking code: the same methods, carried out on an event loop in a thread."""

from __future__ import annotations

import asyncio
import threading
from collections.abc import Callable, Coroutine
from typing import Any, Self, TypeVar

from prism_conformance.servers.fault_proxy import Direction, FaultProxy

Result = TypeVar("Result")


class BlockingFaultProxy:
    """A TCP proxy that breaks connections on demand; see `FaultProxy`, whose methods these are.

    Open it as a context manager; leaving it breaks all connections and ends its thread.

    Args:
        host: the server's host.
        port: the server's port.
        listen_port: the proxy's own port on 127.0.0.1; 0 takes a free one.
        timeout_s: seconds after which any method gives up with TimeoutError.
    """

    def __init__(self, host: str, port: int, *, listen_port: int = 0, timeout_s: float = 10.0) -> None:
        self._proxy = FaultProxy(host, port, listen_port=listen_port)
        self._timeout_s = timeout_s
        self._loop = asyncio.new_event_loop()
        self._thread = threading.Thread(target=self._loop.run_forever, name=f"fault proxy {self.port}", daemon=True)

    def __enter__(self) -> Self:
        self._thread.start()
        self._call(self._proxy.__aenter__())
        return self

    def __exit__(self, *_exc: object) -> None:
        try:
            self._call(self._proxy.close())
        finally:
            self._loop.call_soon_threadsafe(self._loop.stop)
            self._thread.join()
            self._loop.close()

    @property
    def host(self) -> str:
        """Where to connect: always 127.0.0.1."""
        return self._proxy.host

    @property
    def port(self) -> int:
        """Where to connect; the same for the proxy's whole life."""
        return self._proxy.port

    @property
    def accepted(self) -> int:
        """How many connections clients have made so far."""
        return self._proxy.accepted

    @property
    def connections(self) -> int:
        """How many connections lead through to the server now."""
        return self._proxy.connections

    def url(self, server_url: str) -> str:
        """Returns the server's URL with the proxy's host and port in it."""
        return self._proxy.url(server_url)

    def passed(self, direction: Direction) -> int:
        """Returns how many bytes have passed so far."""
        return self._proxy.passed(direction)

    def cut(self) -> None:
        """Resets all connections, on both sides; new ones get through."""
        self._call(self._proxy.cut())

    def cut_after(self, count: int, direction: Direction) -> None:
        """Resets all connections once `count` more bytes have passed in a direction."""
        self._call(self._proxy.cut_after(count, direction))

    def refuse(self) -> None:
        """Refuses new connections; existing ones go on."""
        self._call(self._proxy.refuse())

    def delay(self, seconds: float, direction: Direction = Direction.BOTH) -> None:
        """Holds all bytes back by `seconds` each way given."""
        self._call(self._proxy.delay(seconds, direction))

    def throttle(self, bytes_per_s: float, direction: Direction = Direction.BOTH) -> None:
        """Lets at most this many bytes a second through on each connection."""
        self._call(self._proxy.throttle(bytes_per_s, direction))

    def blackhole(self, direction: Direction = Direction.BOTH) -> None:
        """Lets nothing through and says nothing: a half-open connection."""
        self._call(self._proxy.blackhole(direction))

    def heal(self) -> None:
        """Ends all faults."""
        self._call(self._proxy.heal())

    def wait_until(self, condition: Callable[[], bool]) -> None:
        """Returns when `condition` holds, which is asked on the proxy's thread; at most `timeout_s`."""
        self._call(self._proxy.wait_until(condition))

    def _call(self, work: Coroutine[Any, Any, Result]) -> Result:
        async def bounded() -> Result:
            async with asyncio.timeout(self._timeout_s):
                return await work

        return asyncio.run_coroutine_threadsafe(bounded(), self._loop).result()
