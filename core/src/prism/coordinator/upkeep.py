"""What operators do beside the proxies: preparing storage, checking a changed schema against what is registered, audit.

A changed `identity_schema` never changes what is registered. Registrations that don't fit it any more live on as they
are, found and reached by what they hold, until they are next written; then they must fit.
"""

from __future__ import annotations

import re
from collections.abc import AsyncIterator, Iterable
from contextlib import asynccontextmanager
from dataclasses import dataclass, field, replace

from prism.config import NamespaceConfig, SlotConfig
from prism.coordinator.guard import Guard, answer_within
from prism.coordinator.namespace import OPEN_TIMEOUT
from prism.coordinator.refusals import whose_config
from prism.model import json
from prism.model.audit import AuditEntry, AuditQuery
from prism.model.errors import InvalidMetadata, Unsupported
from prism.model.pages import RecordPage
from prism.model.time import wall_clock
from prism.plugins.loader import make_factory
from prism.plugins.spec import SlotKind
from prism.schema import IdentitySchema
from prism.slots.context import Backend
from prism.slots.optional import Auditable, Migratable
from prism.slots.registry import Projection, Query, RegistryBackend

TABLES = "tables: "
"""What a line about tables begins with: until that is done, the slot can't be opened."""
EXAMPLES = 3
"""Identities named for each field that doesn't fit."""

_INDEX = re.compile(r"\[\d+\]")


@dataclass(frozen=True, slots=True)
class SlotWork:
    """What is to be done, or was done, for one slot: a line for people each."""

    slot: SlotKind
    type: str
    lines: tuple[str, ...]


@dataclass(slots=True)
class Misfits:
    """Registrations one field of which doesn't fit: how many, the problem of the first, and some of them."""

    place: str
    problem: str
    count: int = 0
    examples: list[str] = field(default_factory=list)


@dataclass(frozen=True, slots=True)
class Fit:
    """How what is registered fits a schema. `misfitting` counts registrations, each once."""

    checked: int
    misfitting: int
    misfits: tuple[Misfits, ...]


async def pending(config: NamespaceConfig, *, prune: bool) -> list[SlotWork]:
    """What `migrate` would do for a namespace."""
    return [work async for work in _each(config, prune=prune, act=False)]


async def migrate(config: NamespaceConfig, *, prune: bool) -> list[SlotWork]:
    """Prepares the storage of a namespace's slots, and says what was done."""
    return [work async for work in _each(config, prune=prune, act=True)]


async def fit(config: NamespaceConfig) -> Fit:
    """Reads every live registration and holds it against the schema. Without one, everything fits.

    The storage must be prepared. Takes as long as reading everything does, and little memory.
    """
    schema = config.schema
    if schema is None:
        return Fit(0, 0, ())
    found: dict[str, Misfits] = {}
    checked = misfitting = 0
    async with _opened(config) as (registry, guard):
        with guard("read what is registered"):
            async for page in registry.scan(Query(projection=Projection.FULL)):
                assert isinstance(page, RecordPage)
                checked += len(page)
                misfitting += _hold_against(schema, page, found)
    return Fit(checked, misfitting, tuple(sorted(found.values(), key=lambda each: each.place)))


async def audit(config: NamespaceConfig, query: AuditQuery) -> list[AuditEntry]:
    """The audit entries of a namespace, the latest first. Raises Unsupported where none are recorded.

    Those from before audit was switched off can still be read.
    """
    async with _opened(config) as (registry, guard):
        if not isinstance(registry, Auditable):
            raise Unsupported(f"type {config.registry.type!r} keeps no audit; namespace {config.name!r} has none")
        with guard("read the audit"):
            entries = await registry.audit(query)
    if not entries and not config.needs.audit:
        raise Unsupported(f"namespace {config.name!r} records no audit; set needs: {{audit: true}}")
    return entries


async def _each(config: NamespaceConfig, *, prune: bool, act: bool) -> AsyncIterator[SlotWork]:
    """Work for each slot that prepares anything; what several slots would do alike is said once."""
    said: set[str] = set()
    for kind, slot in config.slots.items():
        backend = _make(config, slot)
        if not isinstance(backend, Migratable):
            continue
        with whose_config(kind, slot.type, config.name), Guard(backend, kind, slot.type, config.name)("migrate"):
            lines = await (backend.migrate(prune=prune) if act else backend.pending(prune=prune))
        new = tuple(line for line in lines if line not in said)
        said.update(new)
        yield SlotWork(kind, slot.type, new)


def _make(config: NamespaceConfig, slot: SlotConfig, *, looking: bool = False) -> Backend:
    backend: Backend = make_factory(slot.spec)(slot.config, replace(config.slot_context(), looking=looking))
    return backend


@asynccontextmanager
async def _opened(config: NamespaceConfig) -> AsyncIterator[tuple[RegistryBackend, Guard]]:
    """The registry of a namespace alone, to be read: nothing is changed by opening it."""
    registry = _make(config, config.registry, looking=True)
    assert isinstance(registry, RegistryBackend)
    guard = Guard(registry, SlotKind.REGISTRY, config.registry.type, config.name)
    try:
        with whose_config(SlotKind.REGISTRY, config.registry.type, config.name), guard("open"):
            await answer_within(OPEN_TIMEOUT, registry.open())
        yield registry, guard
    finally:
        await registry.close()


def _hold_against(schema: IdentitySchema, page: RecordPage, found: dict[str, Misfits]) -> int:
    """Adds what doesn't fit, and counts the registrations."""
    now, misfitting = wall_clock(), 0
    for identity, metadata in zip(page.identities, page.metadata_json, strict=True):
        try:
            schema.validate(identity, json.decode(metadata), now)
        except InvalidMetadata as error:
            misfitting += 1
            _add(found, identity, ((violation.field, violation.description) for violation in error.violations))
    return misfitting


def _add(found: dict[str, Misfits], identity: str, violations: Iterable[tuple[str, str]]) -> None:
    for exact_place, problem in violations:
        place = _INDEX.sub("[]", exact_place)  # of arrays, whichever element it is
        misfits = found.setdefault(place, Misfits(place, problem))
        misfits.count += 1
        if len(misfits.examples) < EXAMPLES:
            misfits.examples.append(identity)
