"""The proxy as a whole: `Proxy` for use inside a process, `serve` for a process of its own."""

from __future__ import annotations

import asyncio
import logging
import signal
from collections.abc import Awaitable, Callable
from contextlib import AsyncExitStack, suppress
from types import TracebackType
from typing import Any, Self, cast

import grpc
from grpc_health.v1 import health, health_pb2, health_pb2_grpc
from grpc_reflection.v1alpha import reflection
from prometheus_client import CollectorRegistry

from prism.config import ProxyConfig
from prism.coordinator.coordinator import Coordinator
from prism.model.errors import Unavailable
from prism.model.time import SECOND, Micros
from prism.server.addresses import join_address, split_address, why_not
from prism.server.attach import AttachEdge
from prism.server.calls import Calls
from prism.server.garbage import relax_collector
from prism.server.http import HttpEdge
from prism.server.logs import configure_logs
from prism.server.metrics import CallMetrics, ProxyCollector
from prism.server.servicer import Servicer
from prism.sessions.hub import Hub
from prism.v1 import registry_pb2 as pb

logger = logging.getLogger(__name__)

SERVICE = pb.DESCRIPTOR.services_by_name["MulticastRegistryService"].full_name
MAX_REQUEST_BYTES = 8 * 1024 * 1024
"""The largest request that is read at all; what is in it has limits of its own."""
STOP_GRACE = 2.0
"""Seconds that calls under way get after the streams are gone."""
OFF = "off"
"""As an HTTP address: serve no HTTP."""


class Proxy:
    """A proxy inside this process. An async context manager: entered it serves, left it stops at once.

    Parameters:
        config: what `prism.config.load_config` returns.
        listen: `host:port` for gRPC, port 0 for any; None takes the configuration's.
        http_listen: the same for HTTP; "off" serves none.

    `address` and `http_address` have the real ports once it serves. Raises Unavailable where it can't listen.
    """

    def __init__(self, config: ProxyConfig, *, listen: str | None = None, http_listen: str | None = None) -> None:
        self.config = config
        self.coordinator = Coordinator(config)
        self.hub = Hub(self.coordinator)
        self.calls = CallMetrics()
        self.phase = "starting"
        """starting, serving, draining or stopped."""
        self.address = listen or config.server.listen
        self.http_address = http_listen or config.server.http_listen
        if self.http_address == OFF:
            self.http_address = None
        self._server = grpc.aio.server(options=_options(config))
        self._health: Any = cast("Any", health).aio.HealthServicer()
        self._stack = AsyncExitStack()

    async def __aenter__(self) -> Self:
        async with AsyncExitStack() as stack:
            await self._start_http(stack)
            await stack.enter_async_context(self.coordinator)
            await stack.enter_async_context(self.hub)
            await self._start_grpc(stack)
            await self._set_health(health_pb2.HealthCheckResponse.SERVING)
            self.phase = "serving"
            self._stack = stack.pop_all()
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.phase = "stopped"
        await self._stack.aclose()

    async def drain(self, grace: Micros | None = None) -> None:
        """Turns clients away: not ready any more, streams are told to move, calls under way are finished.

        Takes at most `grace` (the configuration's `drain_grace`) and STOP_GRACE.
        """
        self.phase = "draining"
        await self._set_health(health_pb2.HealthCheckResponse.NOT_SERVING)
        await self.hub.drain(self.config.server.drain_grace if grace is None else grace)
        await self._server.stop(STOP_GRACE)

    async def stop(self) -> None:
        """Ends every call at once."""
        await self._server.stop(None)

    async def _start_http(self, stack: AsyncExitStack) -> None:
        if self.http_address is None:
            return
        registry = CollectorRegistry()
        registry.register(ProxyCollector(self.coordinator, self.hub, self.calls))
        edge = HttpEdge(self.coordinator, lambda: self.phase, registry)
        stack.push_async_callback(edge.close)
        self.http_address = await edge.start(self.http_address)

    async def _start_grpc(self, stack: AsyncExitStack) -> None:
        attach = AttachEdge(self.hub)
        handlers = _handlers(Servicer(self.coordinator), attach, Calls(self.calls))
        self._server.add_generic_rpc_handlers((grpc.method_handlers_generic_handler(SERVICE, handlers),))
        health_pb2_grpc.add_HealthServicer_to_server(self._health, self._server)
        names = (SERVICE, health.SERVICE_NAME, reflection.SERVICE_NAME)
        reflection.enable_server_reflection(names, self._server)
        self.address = self._listen(self.address)
        stack.push_async_callback(self.stop)
        await self._server.start()
        watch = asyncio.create_task(attach.watch(), name="prism watch of streams")
        stack.push_async_callback(_end, watch)

    def _listen(self, address: str) -> str:
        host, port = split_address(address)
        try:
            bound = self._server.add_insecure_port(join_address(host, port))
        except RuntimeError as error:
            raise Unavailable(f"can't listen on {address}: {why_not(host, port)}") from error
        return join_address(host, bound)

    async def _set_health(self, status: Any) -> None:
        for name in ("", SERVICE):
            await self._health.set(name, status)


async def serve(
    config: ProxyConfig,
    *,
    listen: str | None = None,
    http_listen: str | None = None,
    ready: Callable[[Proxy], object] | None = None,
) -> None:
    """Serves until SIGTERM, SIGINT or SIGHUP, then drains; a second signal ends it at once.

    For a process that does nothing else: it configures logging and the garbage collector. `ready` is called once,
    with the proxy, when it serves and its real addresses are known.
    """
    configure_logs(config.server.log_level)
    signals = _Signals()
    with signals:
        async with Proxy(config, listen=listen, http_listen=http_listen) as proxy:
            relax_collector()
            http = f"HTTP on {proxy.http_address}" if proxy.http_address else "no HTTP"
            logger.info("serving gRPC on %s, %s", proxy.address, http)
            if ready is not None:
                ready(proxy)
            await signals.first.wait()
            logger.info("draining: streams get %g s to move", config.server.drain_grace / SECOND)
            if not await _unless(proxy.drain(), signals.second):
                logger.warning("ended by a second signal, before draining was done")
    logger.info("stopped")


class _Signals:
    """SIGTERM, SIGINT and SIGHUP as events, while entered. A SIGHUP that is ignored, as under nohup, stays ignored."""

    def __init__(self) -> None:
        self.first = asyncio.Event()
        self.second = asyncio.Event()
        self._loop = asyncio.get_running_loop()
        self._numbers = [signal.SIGTERM, signal.SIGINT]
        if signal.getsignal(signal.SIGHUP) is not signal.SIG_IGN:
            self._numbers.append(signal.SIGHUP)

    def __enter__(self) -> None:
        for number in self._numbers:
            self._loop.add_signal_handler(number, self._came)

    def __exit__(self, *_: object) -> None:
        for number in self._numbers:
            self._loop.remove_signal_handler(number)

    def _came(self) -> None:
        if self.first.is_set():
            self.second.set()
        self.first.set()


async def _unless(work: Awaitable[None], stopped: asyncio.Event) -> bool:
    """Runs `work` unless the event comes first; whether it was finished."""
    working = asyncio.ensure_future(work)
    waiting = asyncio.ensure_future(stopped.wait())
    try:
        await asyncio.wait((working, waiting), return_when=asyncio.FIRST_COMPLETED)
        if working.done():
            working.result()
            return True
        return False
    finally:
        for task in (working, waiting):
            await _end(task)


async def _end(task: asyncio.Future[Any]) -> None:
    task.cancel()
    with suppress(asyncio.CancelledError):
        await task


def _handlers(servicer: Servicer, attach: AttachEdge, calls: Calls) -> dict[str, grpc.RpcMethodHandler[Any, Any]]:
    """Every method of the service."""
    unary: dict[str, tuple[Any, Callable[[Any], Awaitable[Any]]]] = {
        "Register": (pb.RegisterRequest, servicer.register),
        "RegisterMany": (pb.RegisterManyRequest, servicer.register_many),
        "Get": (pb.GetRequest, servicer.get),
        "Enumerate": (pb.EnumerateRequest, servicer.enumerate),
        "Count": (pb.CountRequest, servicer.count),
        "Explain": (pb.EnumerateRequest, servicer.explain),
        "Multicast": (pb.MulticastRequest, servicer.multicast),
        "GetMulticast": (pb.GetMulticastRequest, servicer.get_multicast),
        "ReplayDeadLetters": (pb.ReplayDeadLettersRequest, servicer.replay_dead_letters),
        "Unregister": (pb.UnregisterRequest, servicer.unregister),
        "UnregisterMany": (pb.UnregisterManyRequest, servicer.unregister_many),
        "Heartbeat": (pb.HeartbeatRequest, servicer.heartbeat),
        "Update": (pb.UpdateRequest, servicer.update),
    }
    handlers = {name: calls.unary(name, request, behaviour) for name, (request, behaviour) in unary.items()}
    handlers["EnumeratePages"] = calls.pages("EnumeratePages", pb.EnumerateRequest, servicer.enumerate_pages)
    handlers["ListDeadLetters"] = calls.pages("ListDeadLetters", pb.ListDeadLettersRequest, servicer.list_dead_letters)
    handlers["Attach"] = calls.stream("Attach", attach.serve)
    return handlers


def _options(config: ProxyConfig) -> list[tuple[str, int]]:
    pending = config.limits.pending_requests
    return [
        ("grpc.so_reuseport", 0),
        ("grpc.max_receive_message_length", MAX_REQUEST_BYTES),
        ("grpc.server.max_pending_requests", pending),
        ("grpc.server.max_pending_requests_hard_limit", 2 * pending),
        ("grpc.keepalive_time_ms", 30_000),
        ("grpc.keepalive_timeout_ms", 10_000),
        ("grpc.http2.min_recv_ping_interval_without_data_ms", 5_000),
    ]
