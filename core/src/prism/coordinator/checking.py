"""Trying a configuration's slots out, as `prism check --connect` does: opened, asked once, and closed again."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Sequence
from dataclasses import dataclass, replace
from time import perf_counter

from prism.config import NamespaceConfig, SlotConfig, check_mix, check_needs
from prism.coordinator.guard import Guard, answer_within
from prism.coordinator.namespace import CHECK_TIMEOUT, OPEN_TIMEOUT
from prism.model.errors import PrismError
from prism.plugins.loader import make_factory
from prism.plugins.spec import Capability, SlotKind
from prism.slots.context import Backend

logger = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True)
class Tried:
    """What was found of a slot, or (`slot` and `type` None) of the slots of a namespace together.

    `seconds` is how long it took to answer, once open; `error` is why it can't serve.
    """

    namespace: str
    slot: SlotKind | None
    type: str | None
    capabilities: frozenset[Capability] = frozenset()
    seconds: float = 0.0
    error: PrismError | None = None


async def try_out(namespaces: Sequence[NamespaceConfig]) -> list[Tried]:
    """Opens every slot of these namespaces, all at the same time, and runs its check.

    A slot is opened as `SlotContext.looking`: nothing is migrated. What a slot makes whenever it is opened, such as a
    broker's topics and streams, it makes now too. Takes OPEN_TIMEOUT and CHECK_TIMEOUT at most.
    """
    tried = await asyncio.gather(*(_namespace(config) for config in namespaces))
    return [each for found in tried for each in found]


async def _namespace(config: NamespaceConfig) -> list[Tried]:
    found = list(await asyncio.gather(*(_slot(config, kind, slot) for kind, slot in config.slots.items())))
    if any(each.error for each in found):
        return found
    capabilities = {each.slot: each.capabilities for each in found if each.slot is not None}
    try:
        check_mix(config, capabilities)
        check_needs(config, capabilities)
    except PrismError as error:
        found.append(Tried(config.name, None, None, error=error))
    return found


async def _slot(config: NamespaceConfig, kind: SlotKind, slot: SlotConfig) -> Tried:
    try:
        backend: Backend = make_factory(slot.spec)(slot.config, replace(config.slot_context(), looking=True))
    except PrismError as error:
        return Tried(config.name, kind, slot.type, error=error)
    guard = Guard(backend, kind, slot.type, config.name)
    try:
        with guard("open"):
            await answer_within(OPEN_TIMEOUT, backend.open())
        started = perf_counter()
        with guard("answer a health check"):
            await answer_within(CHECK_TIMEOUT, backend.check())
        return Tried(config.name, kind, slot.type, backend.capabilities, perf_counter() - started)
    except PrismError as error:
        return Tried(config.name, kind, slot.type, error=error)
    finally:
        await _close(backend)


async def _close(backend: Backend) -> None:
    try:
        await answer_within(CHECK_TIMEOUT, backend.close())
    except Exception as error:  # noqa: BLE001 - it was tried out, which is what counts
        logger.warning("a slot that was tried out could not be closed: %s", str(error) or type(error).__name__)
