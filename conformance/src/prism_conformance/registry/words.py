"""Short words for what registry tests do."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from prism.model.identity import Registration, Target
from prism.model.time import SECOND, Micros
from prism.slots.registry import (
    Anything,
    Keep,
    Precondition,
    Query,
    Refusal,
    Refused,
    RegistryBackend,
    ScanPage,
    Stored,
    TargetPage,
    Write,
)

HOUR: Micros = 3600 * SECOND
MINUTE: Micros = 60 * SECOND
SHORT = 2.0
"""Seconds of a time to live that a test waits for."""
PAST = 2.1
"""Seconds after which what lives that long is over."""


def write(
    identity: str,
    metadata: bytes = b"{}",
    *,
    registration_id: str = "r0",
    ttl: Micros | Keep | None = None,
    precondition: Precondition | None = None,
    address: str = "",
    owner: str = "",
) -> Write:
    """A write; what isn't said is that of an ordinary registration without a TTL."""
    return Write(identity, metadata, registration_id, ttl, precondition or Anything(), address, owner)


async def store(registry: RegistryBackend, identity: str, metadata: bytes = b"{}", **more: Any) -> Stored:
    """Writes one registration, which must succeed."""
    [outcome] = await registry.set([write(identity, metadata, **more)])
    assert isinstance(outcome, Stored)
    return outcome


async def store_short(registry: RegistryBackend, identity: str, metadata: bytes = b"{}", **more: Any) -> Stored:
    """Writes one registration that lives for `SHORT`."""
    return await store(registry, identity, metadata, ttl=round(SHORT * SECOND), **more)


def stored(outcome: object) -> Registration:
    """The registration of an outcome that must be Stored."""
    assert isinstance(outcome, Stored)
    return outcome.registration


def reason(outcome: object) -> Refusal | None:
    """Why an outcome was refused, None where it wasn't."""
    return outcome.reason if isinstance(outcome, Refused) else None


async def scanned(registry: RegistryBackend, **query: Any) -> list[Any]:
    """All that a scan finds, as objects: Target or Registration."""
    return [item async for page in registry.scan(Query(**query)) for item in objects(page)]


def objects(page: ScanPage) -> Sequence[Registration | Target]:
    """An object for each row of a page."""
    return page.targets() if isinstance(page, TargetPage) else page.registrations()


async def names(registry: RegistryBackend, **query: Any) -> list[str]:
    """The identities that a scan finds, in its order."""
    return [name async for page in registry.scan(Query(**query)) for name in page.identities]
