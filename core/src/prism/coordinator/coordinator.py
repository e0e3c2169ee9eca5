"""The coordinator: Prism's operations over the slots of each namespace. Stateless but for what is under way."""

from __future__ import annotations

import asyncio
import logging
import random
import secrets
from collections.abc import AsyncGenerator, Iterator, Mapping, Sequence
from contextlib import aclosing
from types import TracebackType
from typing import Any, Self

from prism.config import NamespaceConfig, ProxyConfig, memory_namespace
from prism.coordinator import enumeration
from prism.coordinator.attaching import Attaching
from prism.coordinator.background import Background
from prism.coordinator.dead_letters import DeadLetters
from prism.coordinator.exchange import Exchange
from prism.coordinator.hosting import Host
from prism.coordinator.metrics import Metrics
from prism.coordinator.multicast import Multicasts
from prism.coordinator.namespace import Namespace, open_namespace
from prism.coordinator.receipts import RecentMulticasts
from prism.coordinator.registrations import Registrations
from prism.coordinator.store import Store
from prism.filters.suggest import did_you_mean
from prism.model.actor import set_actor
from prism.model.deadline import no_deadline
from prism.model.delivery import MulticastResult
from prism.model.errors import DeadlineExceeded, NotFound, PrismError, QuotaExceeded, Unavailable
from prism.model.identity import Registration, check_namespace
from prism.model.message import DeadLetter
from prism.model.operations import (
    DEFAULT_NAMESPACE,
    Beat,
    EnumerateQuery,
    Explanation,
    MulticastCommand,
    NewIdentity,
    Page,
    Ttl,
)
from prism.model.time import SECOND, Clock, Micros
from prism.plugins.spec import SlotKind
from prism.slots.durability import Lease
from prism.slots.optional import Measure

logger = logging.getLogger(__name__)

EXPIRED_PER_SWEEP = 500
"""Expired registrations removed at a time, so that no read waits for a removal."""
AFTER_OUTAGE = 5.0
"""Seconds for which nothing is removed once a registry serves again: time for everybody who lives to say so.

Proxies renew again every second, hear what ran out meanwhile, and the clients register again and keep their queues.
"""


class Coordinator:
    """Register, enumerate, multicast, expire. Any number of coordinators may share the same backends.

    An async context manager that may be entered and left by different tasks. Namespaces are opened when they
    are first used, those that the configuration lists at once. Implements `prism.coordinator.service.Service`.

    Parameters:
        config: what `prism.config.load_config` returns.
        clock: for backends without a clock of their own; a steady one by default.
        address: this proxy's inbox; random by default, and it must not be another proxy's.
    """

    def __init__(self, config: ProxyConfig, *, clock: Clock | None = None, address: str | None = None) -> None:
        self.config = config
        self.address = address or f"proxy-{secrets.token_hex(8)}"
        self.metrics = Metrics()
        self.background = Background(self.metrics)
        recent = RecentMulticasts()
        self._clock = clock
        self._exchange = Exchange(self.address, self.metrics, recent)
        self.store = Store(self.metrics, self._exchange)
        self.registrations = Registrations(self.metrics, self.store)
        self.attaching = Attaching(self.store)
        self._multicasts = Multicasts(self.metrics, self._exchange, recent)
        self._dead_letters = DeadLetters(self.registrations, self._exchange)
        self._namespaces: dict[str, Namespace] = {}
        self._opening: dict[str, asyncio.Task[Namespace]] = {}
        self._closed = False

    async def __aenter__(self) -> Self:
        await self.background.open()
        self.background.start("receipts", self._exchange.send_answers)
        try:
            for name in self.config.namespaces:
                await self.namespace(name)
        except BaseException:
            await self.close()
            raise
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        await self.close()

    async def close(self) -> None:
        """Ends background work and closes every slot. Idempotent."""
        self._closed = True
        for opening in list(self._opening.values()):
            opening.cancel()
        await self.background.close()
        namespaces, self._namespaces = self._namespaces, {}
        for ns in namespaces.values():
            await ns.close()

    def host(self, host: Host) -> None:
        """Says who hosts the identities that are attached to this proxy."""
        self._exchange.host = host

    async def report_acks(self, ns: Namespace, leases: Sequence[Lease]) -> None:
        """Tells the senders of at-least-once messages who acknowledged them."""
        await self._exchange.report_acks(ns, leases)

    async def check(self) -> None:
        """Readiness: one cheap operation on every open slot, all at the same time.

        Raises the error of the one that failed, or one that names them all.
        """
        checks = await asyncio.gather(*(ns.check() for ns in list(self._namespaces.values())))
        failures = [error for failed in checks for error in failed]
        if len(failures) > 1:
            raise type(failures[0])("; ".join(error.message for error in failures), details=failures[0].details)
        for error in failures:
            raise error

    def measures(self) -> Iterator[tuple[str, str, Measure]]:
        """The numbers of slots that have some: namespace, slot, number."""
        for ns in list(self._namespaces.values()):
            for kind, measure in ns.measures():
                yield ns.name, kind, measure

    async def namespaces(self) -> list[str]:
        """The names of those that are open."""
        return sorted(self._namespaces)

    async def namespace(self, name: str) -> Namespace:
        """The opened namespace; NotFound where the configuration doesn't have it, QuotaExceeded beyond the limit."""
        ns = self._namespaces.get(name or DEFAULT_NAMESPACE)
        if ns is not None:
            return ns
        name = name or DEFAULT_NAMESPACE
        if self._closed:
            raise Unavailable("this coordinator is closed")
        opening = self._opening.get(name)
        if opening is None:
            config = self._settings(name)
            opening = self._opening[name] = asyncio.create_task(self._open(config), name=f"prism open {name}")
            opening.add_done_callback(lambda _: self._opening.pop(name, None))
        return await asyncio.shield(opening)

    async def register(
        self, namespace: str, items: Sequence[NewIdentity], *, ttl: Ttl, replace: bool
    ) -> list[Registration | PrismError]:
        """See Service."""
        return await self.registrations.register(await self.namespace(namespace), items, ttl, replace=replace)

    async def get(self, namespace: str, identities: Sequence[str]) -> list[Registration | None]:
        """See Service."""
        return await self.registrations.get(await self.namespace(namespace), identities)

    async def update(
        self, namespace: str, identity: str, patch: Mapping[str, Any], *, revision: int | None
    ) -> Registration:
        """See Service."""
        return await self.registrations.update(await self.namespace(namespace), identity, patch, revision)

    async def heartbeat(self, namespace: str, beats: Sequence[Beat], *, ttl: Ttl) -> list[Micros | PrismError | None]:
        """See Service."""
        return await self.registrations.heartbeat(await self.namespace(namespace), beats, ttl)

    async def unregister(self, namespace: str, beats: Sequence[Beat]) -> list[bool | PrismError]:
        """See Service."""
        return await self.registrations.unregister(await self.namespace(namespace), beats)

    async def enumerate(self, namespace: str, query: EnumerateQuery) -> AsyncGenerator[Page]:
        """See Service."""
        async with aclosing(enumeration.enumerate_pages(await self.namespace(namespace), query)) as pages:
            async for page in pages:
                yield page

    async def count(self, namespace: str, filter: Any) -> int:  # noqa: A002 - the field's word
        """See Service."""
        return await enumeration.count(await self.namespace(namespace), filter)

    async def explain(self, namespace: str, query: EnumerateQuery) -> Explanation:
        """See Service."""
        return await enumeration.explain(await self.namespace(namespace), query)

    async def multicast(self, namespace: str, command: MulticastCommand) -> MulticastResult:
        """See Service."""
        return await self._multicasts.send(await self.namespace(namespace), command)

    async def get_multicast(self, namespace: str, message_id: str) -> MulticastResult:
        """See Service."""
        return await self._multicasts.report(await self.namespace(namespace), message_id)

    async def dead_letters(self, namespace: str, identity: str, limit: int) -> list[DeadLetter]:
        """See Service."""
        return await self._dead_letters.read(await self.namespace(namespace), identity, limit)

    async def replay(self, namespace: str, identity: str, message_ids: Sequence[str]) -> int:
        """See Service."""
        return await self._dead_letters.replay(await self.namespace(namespace), identity, message_ids)

    def _settings(self, name: str) -> NamespaceConfig:
        config = self.config.namespaces.get(name)
        if config is not None:
            return config
        if not self.config.any_namespace:
            known = ", ".join(sorted(self.config.namespaces))
            hint = did_you_mean(name, self.config.namespaces)
            raise NotFound(f"there is no namespace {name!r} here; configured: {known}{hint}")
        check_namespace(name)
        limit = self.config.limits.namespaces
        if len(self._namespaces) + len(self._opening) >= limit:
            raise QuotaExceeded(f"this proxy has its limit of {limit:,} namespaces; configure those that are needed")
        return memory_namespace(name)

    async def _open(self, config: NamespaceConfig) -> Namespace:
        no_deadline()  # others wait for it too
        ns = await open_namespace(config, self.address, self._clock)
        if self._closed:
            await ns.close()
            raise Unavailable("this coordinator is closed")
        self._namespaces[config.name] = ns
        self.background.start(f"inbox of {config.name}", lambda: self._exchange.read_inbox(ns))
        self.background.start(f"sweeper of {config.name}", lambda: self._sweep(ns))
        return ns

    async def _sweep(self, ns: Namespace) -> None:
        """Removes what has expired, a little at a time, for ever. Safe in every proxy: each expiry is popped once."""
        interval = ns.config.sweep_interval / SECOND
        set_actor(f"expiry at {self.address}")
        while True:
            await asyncio.sleep(interval * random.uniform(0.75, 1.25))  # noqa: S311 - jitter, not a secret
            removed = EXPIRED_PER_SWEEP
            try:
                while removed == EXPIRED_PER_SWEEP:
                    removed = await self.store.pop_expired(ns, EXPIRED_PER_SWEEP)
            except (Unavailable, DeadlineExceeded) as error:
                self.metrics.background_failures[f"sweeper of {ns.name}"] += 1
                logger.warning("namespace %r: the expired are not removed for now: %s", ns.name, error)
                await self._outlast(ns)

    async def _outlast(self, ns: Namespace) -> None:
        """Waits until the registry has been serving for AFTER_OUTAGE."""
        loop = asyncio.get_running_loop()
        since: float | None = None
        while since is None or loop.time() - since < AFTER_OUTAGE:
            await asyncio.sleep(AFTER_OUTAGE / 10)
            try:
                with ns.guard(SlotKind.REGISTRY)("answer"):
                    await ns.registry.check()
            except (Unavailable, DeadlineExceeded):
                since = None
            else:
                since = since or loop.time()
