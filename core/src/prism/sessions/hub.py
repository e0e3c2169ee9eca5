"""All sessions of one proxy, over all namespaces: opens them, routes what comes in, drains."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Sequence
from types import TracebackType
from typing import Self

from prism.coordinator.coordinator import Coordinator
from prism.coordinator.hosting import NO_STREAM, NoHost
from prism.coordinator.receipts import FrameReceipt
from prism.model.errors import QuotaExceeded, Unavailable
from prism.model.message import Message
from prism.model.time import SECOND, Micros
from prism.sessions.hosting import TICK, Hosting
from prism.sessions.session import Session

logger = logging.getLogger(__name__)


class Hub:
    """Hosts the sessions of a coordinator's proxy (it is the coordinator's Host). An async context manager."""

    def __init__(self, coordinator: Coordinator) -> None:
        self._coordinator = coordinator
        self._hostings: dict[str, Hosting] = {}
        self._draining = False

    async def __aenter__(self) -> Self:
        self._coordinator.host(self)
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._draining = True
        for hosting in self._hostings.values():
            for session in list(hosting.sessions):
                session.close()
            if hosting.pump is not None:
                try:
                    async with asyncio.timeout(5):
                        await hosting.pump.flush()
                except Exception:
                    logger.exception("settling the last messages of namespace %r failed", hosting.ns.name)
        self._coordinator.host(NoHost())

    @property
    def sessions(self) -> int:
        """How many sessions are open."""
        return sum(len(hosting.sessions) for hosting in self._hostings.values())

    @property
    def attached(self) -> dict[str, int]:
        """Identities attached here, by namespace."""
        return {name: hosting.attached for name, hosting in self._hostings.items()}

    async def open(self, namespace: str) -> Session:
        """A new session. QuotaExceeded over the proxy's stream limit, Unavailable while it drains."""
        if self._draining:
            raise Unavailable("this proxy is draining; attach to another one")
        limit = self._coordinator.config.limits.streams
        if self.sessions >= limit:
            raise QuotaExceeded(f"this proxy has its limit of {limit:,} streams; attach to another one")
        ns = await self._coordinator.namespace(namespace)
        hosting = self._hostings.get(ns.name)
        if hosting is None:
            if not self._hostings:
                self._coordinator.background.start("stalls", self._stay_awake)
            hosting = self._hostings[ns.name] = Hosting(self._coordinator, ns)
            self._coordinator.background.start(f"hosting of {ns.name}", hosting.tick)
            if hosting.pump is not None:
                self._coordinator.background.start(f"queues of {ns.name}", hosting.pump.fetch)
                self._coordinator.background.start(f"acks of {ns.name}", hosting.pump.settle)
        session = Session(hosting)
        hosting.sessions.add(session)
        hosting.emptied.clear()
        return session

    async def drain(self, grace: Micros) -> None:
        """Tells every session to move, lets their registrations live on, waits until they left or `grace` is over."""
        self._draining = True
        hostings = list(self._hostings.values())
        for hosting in hostings:
            for session in list(hosting.sessions):
                session.drain(grace)
        try:
            async with asyncio.timeout(grace / SECOND):
                for hosting in hostings:
                    await hosting.prolong(grace)
                for hosting in hostings:
                    if hosting.sessions:
                        await hosting.emptied.wait()
        except TimeoutError:
            logger.warning("%d sessions were still open when the grace period ended", self.sessions)
        for hosting in hostings:
            for session in list(hosting.sessions):
                session.close()

    async def _stay_awake(self) -> None:
        """Lets no namespace take a stall of this process for the silence of its clients."""
        while True:
            await asyncio.sleep(TICK)
            for hosting in self._hostings.values():
                hosting.forgive_stall()

    # What the coordinator asks of its host

    def deliver(
        self,
        namespace: str,
        message: Message,
        identities: Sequence[str],
        registration_ids: Sequence[str],
        receipt: FrameReceipt,
    ) -> None:
        """See Host."""
        hosting = self._hostings.get(namespace)
        if hosting is None:
            receipt.fail(range(len(identities)), NO_STREAM)
        else:
            hosting.deliver(message, identities, registration_ids, receipt)

    def nudge(self, namespace: str, identities: Sequence[str]) -> None:
        """See Host."""
        hosting = self._hostings.get(namespace)
        if hosting is not None:
            hosting.nudge(identities)

    def evict(self, namespace: str, identities: Sequence[str], registration_ids: Sequence[str], reason: str) -> None:
        """See Host."""
        hosting = self._hostings.get(namespace)
        if hosting is not None:
            hosting.evict(identities, registration_ids, reason)

    def interrupted(self, namespace: str, reason: str) -> None:
        """See Host."""
        hosting = self._hostings.get(namespace)
        if hosting is not None:
            hosting.interrupted(reason)
