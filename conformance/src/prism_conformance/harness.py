"""What the contract tests know of a backend: how to open its slots, and how to let time pass."""

from __future__ import annotations

import asyncio
import secrets
from collections.abc import Awaitable, Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from prism.model.limits import Limits
from prism.model.time import SECOND, Clock, Micros, steady_clock
from prism.plugins.loader import make_factory, resolve
from prism.plugins.spec import SlotKind, SlotSpec
from prism.slots.context import Backend, IndexedField, QueuePolicy, SlotContext
from prism.slots.durability import DurabilityBackend
from prism.slots.messaging import MessagingBackend
from prism.slots.registry import RegistryBackend

from prism_conformance.awkward import NAMES

PATIENCE = 5.0
"""Seconds after which a test gives up waiting for what must come."""


class TurnableClock:
    """A clock that is turned by hand, for a backend that takes its clock from the context."""

    def __init__(self, now: Micros = 1_760_000_000 * SECOND) -> None:
        self.now = now

    def __call__(self) -> Micros:
        """The moment it shows, in microseconds."""
        return self.now

    async def advance(self, seconds: float) -> None:
        """Lets time pass."""
        self.now += round(seconds * SECOND)


@dataclass(frozen=True)
class Subject:
    """The backend under test: an installed entry point and a configuration for it.

    Slots opened with this configuration share what they hold. A backend with a clock of its own is given
    `asyncio.sleep` as `advance`; the tests never let more than a few seconds pass at a time.
    """

    type: str
    config: Mapping[str, Any] = field(default_factory=dict)
    clock: Clock = field(default_factory=steady_clock)
    advance: Callable[[float], Awaitable[None]] = asyncio.sleep

    def spec(self, kind: SlotKind) -> SlotSpec:
        """What the plugin says of its slot of this kind.

        Raises:
            PluginError: no plugin of this type is installed, it is broken, or it doesn't fill this slot.
        """
        return resolve(kind, self.type)

    def make(self, kind: SlotKind, context: SlotContext) -> Backend:
        """An unopened slot, made by the plugin's factory."""
        spec = self.spec(kind)
        backend: Backend = make_factory(spec)(spec.config(**self.config), context)
        return backend


class Opener:
    """Opens slots of the subject in namespaces of one test, and closes them when it is over."""

    def __init__(self, subject: Subject) -> None:
        self.subject = subject
        self.namespace = f"contract-{secrets.token_hex(8)}"
        self.opened: list[Backend] = []

    async def registry(
        self,
        *,
        namespace: str | None = None,
        limits: Limits | None = None,
        indexes: Sequence[str] = (),
        audit: bool = False,
    ) -> RegistryBackend:
        """An opened registry. `indexes` are keys of the metadata to index; `audit` is whether effects are recorded."""
        fields = tuple(IndexedField((key,), "string") for key in indexes)
        slot = await self._open(SlotKind.REGISTRY, namespace, limits=limits or Limits(), indexes=fields, audit=audit)
        assert isinstance(slot, RegistryBackend)
        return slot

    async def messaging(self, *, namespace: str | None = None) -> MessagingBackend:
        """An opened messaging slot."""
        slot = await self._open(SlotKind.MESSAGING, namespace)
        assert isinstance(slot, MessagingBackend)
        return slot

    async def durability(self, *, namespace: str | None = None, policy: QueuePolicy | None = None) -> DurabilityBackend:
        """An opened durability slot."""
        slot = await self._open(SlotKind.DURABILITY, namespace, queues=policy or QueuePolicy())
        assert isinstance(slot, DurabilityBackend)
        return slot

    def namespaces(self) -> list[str]:
        """Namespaces of this test with names that a careless encoding mixes up."""
        prefix = f"contract-{secrets.token_hex(4)}"
        return [prefix, *(f"{prefix}{name}" for name in NAMES.values() if len(name.encode()) < 100)]

    async def _open(self, kind: SlotKind, namespace: str | None, **more: Any) -> Backend:
        context = SlotContext(namespace or self.namespace, clock=self.subject.clock, **more)
        slot = self.subject.make(kind, context)
        self.opened.append(slot)
        await slot.open()
        return slot

    async def close(self) -> None:
        """Closes what was opened, the last one first."""
        while self.opened:
            await self.opened.pop().close()
