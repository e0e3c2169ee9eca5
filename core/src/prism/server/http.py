"""Health, readiness and metrics over HTTP, for load balancers and Prometheus."""

from __future__ import annotations

from collections.abc import Callable
from typing import Protocol

from aiohttp import web
from prometheus_client import CollectorRegistry
from prometheus_client.exposition import CONTENT_TYPE_LATEST, generate_latest

from prism.model.errors import PrismError, Unavailable
from prism.server.addresses import join_address, split_address, why_not


class Checked(Protocol):
    """What can say whether its slots serve."""

    async def check(self) -> None:
        """Raises a PrismError that names those that don't. Takes 5 seconds at most."""


class HttpEdge:
    """`/health`: the process answers. `/ready`: send it traffic. `/metrics`: Prometheus.

    `phase` answers starting, serving or draining.
    """

    def __init__(self, slots: Checked, phase: Callable[[], str], registry: CollectorRegistry) -> None:
        self._slots = slots
        self._phase = phase
        self._registry = registry
        self._runner: web.AppRunner | None = None

    async def start(self, listen: str) -> str:
        """Listens; the address with the real port. Unavailable where it can't."""
        app = web.Application()
        app.add_routes(
            [
                web.get("/health", self._health),
                web.get("/ready", self._ready),
                web.get("/metrics", self._metrics),
            ]
        )
        host, port = split_address(listen, "http_listen")
        self._runner = web.AppRunner(app, access_log=None, handle_signals=False)
        await self._runner.setup()
        site = web.TCPSite(self._runner, host, port)
        try:
            await site.start()
        except OSError as error:
            await self.close()
            text = f"can't listen on {listen} for HTTP: {why_not(host, port)}"
            raise Unavailable(text) from error
        return join_address(host, self._runner.addresses[0][1])

    async def close(self) -> None:
        """Stops listening. Idempotent."""
        runner, self._runner = self._runner, None
        if runner is not None:
            await runner.cleanup()

    async def _health(self, _: web.Request) -> web.Response:
        return web.json_response({"status": "ok"})

    async def _ready(self, _: web.Request) -> web.Response:
        phase = self._phase()
        if phase != "serving":
            return web.json_response({"status": phase}, status=503)
        try:
            await self._slots.check()
        except PrismError as error:
            body = {"status": "unready", "reason": error.reason, "message": error.message, **error.details}
            return web.json_response(body, status=503)
        return web.json_response({"status": "ready"})

    async def _metrics(self, _: web.Request) -> web.Response:
        return web.Response(body=generate_latest(self._registry), headers={"Content-Type": CONTENT_TYPE_LATEST})
