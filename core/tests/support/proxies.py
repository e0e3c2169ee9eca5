"""Coordinators over one memory backend, for tests of everything above the slots."""

from __future__ import annotations

import asyncio
import secrets
from collections.abc import AsyncIterator, Mapping
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import dataclass
from typing import Any

from prism.config import load_config
from prism.coordinator.coordinator import Coordinator
from prism.model.delivery import MulticastResult
from prism.model.errors import PrismError
from prism.model.identity import Registration
from prism.model.message import DeliverySemantics
from prism.model.operations import AttachItem, Attachment, Beat, Default, MulticastCommand, NewIdentity
from prism.model.time import SECOND, Clock
from prism.sessions.events import Delivery, SessionEvent
from prism.sessions.hub import Hub
from prism.sessions.session import Session

NS = "default"


class TurnableClock:
    """A clock that tests turn by hand. Microseconds."""

    def __init__(self) -> None:
        self.now = 1_700_000_000 * SECOND

    def __call__(self) -> int:
        return self.now

    def advance(self, seconds: float) -> None:
        self.now += int(seconds * SECOND)


def shared_memory(store: str, **namespace: Any) -> dict[str, Any]:
    """A configuration whose one namespace keeps everything in a memory store that several coordinators share."""
    slot = {"type": "memory", "store": store}
    slots = {"registry": dict(slot), "messaging": dict(slot), "durability": dict(slot)}
    for name, options in namespace.pop("slots", {}).items():
        if options is None:
            del slots[name]
        else:
            slots[name].update(options)
    return {"namespaces": [{"name": NS, "pattern": "multicast-registry", "backend_slots": slots, **namespace}]}


@dataclass
class Proxy:
    """A coordinator with its hub, and short names for what tests do with it."""

    coordinator: Coordinator
    hub: Hub

    async def register(
        self,
        identity: str,
        metadata: Mapping[str, Any] | None = None,
        *,
        ttl: float | None = None,
        replace: bool = False,
    ) -> Registration:
        lifetime = Default.TTL if ttl is None else int(ttl * SECOND)
        (outcome,) = await self.coordinator.register(
            NS, [NewIdentity(identity, metadata or {})], ttl=lifetime, replace=replace
        )
        if isinstance(outcome, PrismError):
            raise outcome
        return outcome

    async def get(self, identity: str) -> Registration | None:
        (found,) = await self.coordinator.get(NS, [identity])
        return found

    async def unregister(self, identity: str, registration_id: str | None = None) -> bool:
        (outcome,) = await self.coordinator.unregister(NS, [Beat(identity, registration_id)])
        if isinstance(outcome, PrismError):
            raise outcome
        return outcome

    async def send(
        self,
        filter: Any = None,  # noqa: A002
        payload: bytes = b"hello",
        *,
        delivery: str = "at-most-once",
        timeout: float | None = None,
        **more: Any,
    ) -> MulticastResult:
        wait = None if timeout is None else int(timeout * SECOND)
        command = MulticastCommand(filter, payload, delivery=DeliverySemantics(delivery), timeout=wait, **more)
        return await self.coordinator.multicast(NS, command)

    @asynccontextmanager
    async def stream(self, *items: AttachItem | str) -> AsyncIterator[Stream]:
        """An open session with a reader that acts as a transport."""
        async with await self.hub.open(NS) as session:
            stream = Stream(session)
            async with asyncio.TaskGroup() as tasks:
                reader = tasks.create_task(stream.read())
                try:
                    for item in items:
                        await stream.attach(item)
                    yield stream
                finally:
                    session.close()
                    reader.cancel()


class Stream:
    """A transport that takes events as fast as they come and remembers them."""

    def __init__(self, session: Session) -> None:
        self.session = session
        self.events: list[SessionEvent] = []
        self.paused = False
        self._arrived = asyncio.Condition()

    async def attach(self, item: AttachItem | str) -> Attachment:
        if isinstance(item, str):
            item = AttachItem(item, {})
        (outcome,) = await self.session.attach([item])
        if isinstance(outcome, PrismError):
            raise outcome
        return outcome

    async def read(self) -> None:
        while events := await self.session.take():
            self.session.handed_over(events)
            async with self._arrived:
                self.events.extend(events)
                self._arrived.notify_all()

    def of(self, kind: type) -> list[Any]:
        return [event for event in self.events if isinstance(event, kind)]

    @property
    def payloads(self) -> list[bytes]:
        return [d.message.payload for d in self.of(Delivery) for _ in d.handles]

    async def until(self, kind: type, count: int = 1, seconds: float = 10) -> list[Any]:
        """Waits for that many events of a kind (deliveries count per identity)."""

        def there() -> bool:
            return sum(len(e.handles) if isinstance(e, Delivery) else 1 for e in self.of(kind)) >= count

        async with asyncio.timeout(seconds), self._arrived:
            await self._arrived.wait_for(there)
        return self.of(kind)


async def eventually(condition: Any, seconds: float = 10) -> None:
    """Waits until an (async) condition holds; it is asked again at every turn of the loop, with growing pauses."""
    pause = 0.001
    async with asyncio.timeout(seconds):
        while True:
            result = condition()
            if asyncio.iscoroutine(result):
                result = await result
            if result:
                return
            await asyncio.sleep(pause)
            pause = min(pause * 1.5, 0.05)


@asynccontextmanager
async def opened_proxies(number: int, clock: Clock | None = None, **namespace: Any) -> AsyncIterator[list[Proxy]]:
    """That many proxies over one store of their own."""
    config = shared_memory(f"test-{secrets.token_hex(6)}", **namespace)
    async with AsyncExitStack() as stack:
        proxies = []
        for _ in range(number):
            coordinator = await stack.enter_async_context(Coordinator(load_config(config), clock=clock))
            hub = await stack.enter_async_context(Hub(coordinator))
            proxies.append(Proxy(coordinator, hub))
        yield proxies
