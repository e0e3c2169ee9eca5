"""Many registrations that run out at the same moment, while several proxies sweep: each is announced once."""

from __future__ import annotations

import asyncio
import time
from collections import Counter
from collections.abc import Mapping, Sequence
from contextlib import AsyncExitStack
from dataclasses import dataclass
from typing import Any

from prism.config import load_config
from prism.coordinator.coordinator import Coordinator
from prism.coordinator.namespace import Namespace
from prism.model.errors import PrismError
from prism.model.identity import Target
from prism.model.operations import NewIdentity
from prism.model.time import SECOND

BATCH = 1_000
PATIENCE = 300.0
"""Seconds until sweeping is given up."""


@dataclass(frozen=True, slots=True)
class Swept:
    """What came of it.

    Args:
        announced: how often each identity's expiry was announced.
        shares: how many each proxy announced.
        seconds: from the moment that the proxies began to sweep until nothing was left.
    """

    announced: Mapping[str, int]
    shares: Sequence[int]
    seconds: float


async def expire_together(config: Mapping[str, Any], count: int, proxies: int = 4) -> Swept:
    """Registers `count` identities, lets all of them run out, and starts that many proxies at once.

    Args:
        config: whose one namespace it is about.
        count: how many identities.
        proxies: how many coordinators sweep.
    """
    name = config["namespaces"][0]["name"]
    announced = _Announcements()
    async with AsyncExitStack() as stack:
        # The first one fills the registry, and keeps a memory store alive; it doesn't sweep.
        asleep = {"namespaces": [{**config["namespaces"][0], "sweep_interval": "1h"}]}
        filling = await stack.enter_async_context(Coordinator(load_config(asleep)))
        began = time.monotonic()
        for start in range(0, count, BATCH):
            items = [NewIdentity(f"guest-{i}", {"floor": i % 7}) for i in range(start, min(start + BATCH, count))]
            # All run out together, however long it takes to register them: the later, the shorter.
            left = max(1.0, 1 + count / 4_000 - (time.monotonic() - began))
            outcomes = await filling.register(name, items, ttl=round(left * SECOND), replace=False)
            errors = [outcome for outcome in outcomes if isinstance(outcome, PrismError)]
            if errors:
                raise errors[0]
        while await filling.count(name, None):  # noqa: ASYNC110 - it is the registry's clock that runs
            await asyncio.sleep(0.1)
        sweepers = [Coordinator(load_config(config)) for _ in range(proxies)]
        for sweeper in sweepers:
            announced.listen_to(sweeper)
        start_time = time.perf_counter()
        for sweeper in sweepers:
            await stack.enter_async_context(sweeper)
        await announced.until(count)
        seconds = time.perf_counter() - start_time
        # Once another expiry was announced, a second announcement of the first ones would have come.
        await filling.register(name, [NewIdentity("straggler", {})], ttl=SECOND // 10, replace=False)
        await announced.until(count + 1)
        return Swept(announced.counts, [sweeper.metrics.expired[name] for sweeper in sweepers], seconds)


class _Announcements:
    """Counts what proxies announce."""

    def __init__(self) -> None:
        self.counts: Counter[str] = Counter()
        self._news = asyncio.Condition()

    def listen_to(self, proxy: Coordinator) -> None:
        """Counts what this proxy announces from now on."""
        forget = proxy.store.forget

        async def noted(ns: Namespace, targets: Sequence[Target], mark: str | None, reason: str) -> None:
            self.counts.update(target.identity for target in targets)
            async with self._news:
                self._news.notify_all()
            await forget(ns, targets, mark, reason)

        proxy.store.forget = noted  # type: ignore[method-assign]

    async def until(self, count: int) -> None:
        """Waits until so many identities were announced."""
        async with asyncio.timeout(PATIENCE), self._news:
            await self._news.wait_for(lambda: len(self.counts) >= count)
