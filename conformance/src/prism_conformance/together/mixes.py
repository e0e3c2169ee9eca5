"""Every mix of the installed plugins, and what a configuration says to it."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from itertools import product
from typing import Any

from prism.plugins.spec import SlotKind

from prism_conformance.together.backends import BACKENDS, Options

EMBEDDED = "memory"
NAMESPACE = "together"


@dataclass(frozen=True, slots=True)
class Mix:
    """The types of a namespace's slots; `durability` None is none."""

    registry: str
    messaging: str
    durability: str | None

    def __str__(self) -> str:
        return "-".join((self.registry, self.messaging, self.durability or "none"))

    @property
    def types(self) -> set[str]:
        """The types that it is made of."""
        return {self.registry, self.messaging, self.durability or self.messaging}

    @property
    def is_sound(self) -> bool:
        """Whether proxies share its slots alike; see `prism.config.mixes`, which has to refuse exactly the others."""
        if self.registry == EMBEDDED:
            return self.durability in (None, EMBEDDED)
        return EMBEDDED not in (self.messaging, self.durability)


def every_mix() -> list[Mix]:
    """All combinations of the types that fill each slot, the embedded ones first."""
    registries, messagings, durabilities = (_types(slot) for slot in SlotKind)
    return [Mix(*types) for types in product(registries, messagings, [None, *durabilities])]


def configuration(mix: Mix, options: Mapping[str, Options], **namespace: Any) -> dict[str, Any]:
    """A configuration whose one namespace has these slots.

    Args:
        mix: the types.
        options: each type's; slots of one type get the same.
        namespace: what else the namespace says; `queues` goes into the durability slot.
    """
    queues = namespace.pop("queues", {})

    def slot(type_: str) -> Options:
        return {"type": type_, **options.get(type_, {})}

    slots = {"registry": slot(mix.registry), "messaging": slot(mix.messaging)}
    if mix.durability is not None:
        slots["durability"] = {**slot(mix.durability), **queues}
    return {"namespaces": [{"name": NAMESPACE, "backend_slots": slots, **namespace}]}


def _types(slot: SlotKind) -> list[str]:
    return [EMBEDDED, *(name for name, backend in BACKENDS.items() if backend.fills(slot))]
