"""Which slots go together: what proxies share in one slot they must be able to share in the others.

Held against what the plugins declare when a configuration is read, and again against what the slots can do once they
are open. Every refused mix is one that would deliver to the wrong identity, or never, with nobody being told.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass

from prism.config.settings import NamespaceConfig, SlotConfig
from prism.model.errors import InvalidConfig, Violation
from prism.plugins.loader import default_loader
from prism.plugins.spec import Capability, SlotKind, SlotSpec


@dataclass(frozen=True, slots=True)
class Misfit:
    """A slot that doesn't go with the registry: why, and what would."""

    slot: SlotKind
    text: str


def check_mix(namespace: NamespaceConfig, capabilities: Mapping[SlotKind, frozenset[Capability]]) -> None:
    """Refuses opened slots that don't go together.

    Args:
        namespace: the namespace.
        capabilities: what its opened slots can do.

    Raises:
        InvalidConfig: names each slot that doesn't go with the registry, why, and what would.
    """
    found = list(misfits(namespace.slots, capabilities, default_loader().installed))
    if found:
        violations = [Violation(f"backend_slots.{misfit.slot}.type", misfit.text) for misfit in found]
        texts = "\n".join(f'namespace "{namespace.name}": {violation}' for violation in violations)
        raise InvalidConfig(texts, violations=violations)


def misfits(
    slots: Mapping[SlotKind, SlotConfig],
    capabilities: Mapping[SlotKind, frozenset[Capability]],
    installed: Callable[[], Iterable[SlotSpec]],
) -> Iterator[Misfit]:
    """The slots that don't go with the registry.

    - Proxies on several machines share the registry, and not the messaging: an identity attached to another proxy is
      found, and its message goes nowhere.
    - They share the registry, and not the durability: a message waits where the identity doesn't come back to.
    - They share the durability, and not the registry: two proxies know two identities of one name, which have one
      queue, so that a message reaches somebody whom the filter never saw.

    Messaging that is shared beside a registry that isn't does no harm: proxies have inboxes of their own, and native
    subscribers of the broker can be reached.
    """
    registry = slots[SlotKind.REGISTRY]
    shared = {kind for kind in slots if Capability.SHARED in capabilities.get(kind, frozenset())}
    for kind in (SlotKind.MESSAGING, SlotKind.DURABILITY):
        slot = slots.get(kind)
        if slot is None or (kind in shared) == (SlotKind.REGISTRY in shared):
            continue
        if SlotKind.REGISTRY in shared:
            lost = _NEVER_REACHED if kind is SlotKind.MESSAGING else _NEVER_FOUND
            text = f'"{slot.type}" stays within one process, but proxies share the registry "{registry.type}": {lost}'
            yield Misfit(kind, f"{text} ({Capability.SHARED}); {_use(kind, installed(), shared=True)}")
        elif kind is SlotKind.DURABILITY:
            text = f'proxies share "{slot.type}", but the registry "{registry.type}" stays within one: {_MIXED_UP}'
            fix = (
                f"{_use(SlotKind.REGISTRY, installed(), shared=True)} there, or {_use(kind, installed(), shared=False)}"
            )
            yield Misfit(kind, f"{text} ({Capability.SHARED}); {fix} here")


_NEVER_REACHED = "an identity attached to another proxy would be found and never reached"
_NEVER_FOUND = "a message would wait where an identity that comes back to another proxy doesn't find it"
_MIXED_UP = "identities of one name on two proxies would get each other's messages"


def _use(kind: SlotKind, installed: Iterable[SlotSpec], *, shared: bool) -> str:
    types = sorted(s.type for s in installed if s.slot is kind and (Capability.SHARED in s.capabilities) is shared)
    return f"use {' or '.join(types)}" if types else f"no installed {kind} type would do"
