"""What a namespace demands, read and held against what its slots can do (RFC: `needs`; design section 4)."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass

from prism.config.duration import parse_duration
from prism.config.section import Section
from prism.config.settings import NamespaceConfig, Needs, SlotConfig
from prism.model.errors import InvalidConfig, Violation
from prism.model.json import describe
from prism.model.time import SECOND, Micros
from prism.plugins.loader import default_loader
from prism.plugins.spec import Capability, SlotKind, SlotSpec

Capabilities = Mapping[SlotKind, frozenset[Capability]]

_SCALE = re.compile(r"\s*(\d+)\s*\+?\s*[a-z ]*", re.ASCII | re.IGNORECASE)
_SHORTEST = SECOND // 100

_ABLE_TO = {
    Capability.LOW_LATENCY: "usually answers within 10 ms",
    Capability.STRONG_CONSISTENCY: "shows every acknowledged write to every proxy",
    Capability.DURABLE: "keeps what it acknowledged across a restart",
    Capability.AUDIT: "records every effect with its transaction",
    Capability.TRANSACTIONAL_OUTBOX: "writes a registration and an outgoing multicast atomically",
    Capability.SHARED: "can be shared by proxies on several machines",
    Capability.MULTI_REGION: "replicates to several regions",
}


def read_needs(section: Section) -> Needs:
    """Reads a `needs:` block."""
    needs = Needs(
        latency=_latency(section),
        consistency=section.choice("consistency", None, ("eventual", "strong")),
        durability=section.choice("durability", None, ("ephemeral", "persistent")),
        audit=section.boolean("audit", False),
        exactly_once=section.boolean("exactly_once", False),
        scale=_scale(section),
        region=section.choice("region", None, ("single-region", "multi-region")),
        cloud=section.text("cloud", "") or None,
    )
    section.finish()
    return needs


def check_needs(
    namespace: NamespaceConfig,
    capabilities: Capabilities | None = None,
    installed: Sequence[SlotSpec] | None = None,
) -> None:
    """Refuses a namespace whose slots can't keep what it demands.

    Args:
        namespace: the namespace.
        capabilities: what its opened slots can do; None asks what their plugins declare.
        installed: the slots to recommend from; None is all that are installed.

    Raises:
        InvalidConfig: names each promise, the slot that breaks it, and the installed types that would keep it.
    """
    if capabilities is None:
        capabilities = {kind: slot.spec.capabilities for kind, slot in namespace.slots.items()}

    def offers() -> Iterable[SlotSpec]:
        return default_loader().installed() if installed is None else installed

    broken = list(broken_needs(namespace.needs, namespace.slots, capabilities, offers))
    if broken:
        violations = [Violation(f"needs.{need}", text) for need, text in broken]
        texts = "\n".join(f'namespace "{namespace.name}": {violation}' for violation in violations)
        raise InvalidConfig(texts, violations=violations)


def broken_needs(
    needs: Needs,
    slots: Mapping[SlotKind, SlotConfig],
    capabilities: Capabilities,
    installed: Callable[[], Iterable[SlotSpec]],
) -> Iterator[tuple[str, str]]:
    """The demands that can't be kept: the key in `needs`, and why with what would help."""
    shared = Capability.SHARED in capabilities.get(SlotKind.REGISTRY, frozenset())
    for demand in _demands(needs, slots):
        if demand.capability in capabilities.get(demand.slot, frozenset()):
            continue
        able = _ABLE_TO[demand.capability]
        slot = slots.get(demand.slot)
        if slot is None:
            problem = f"needs a {demand.slot} slot that {able}, and there is none"
        else:
            problem = f'needs a {demand.slot} slot that {able}, and type "{slot.type}" does not'
        # To proxies that share a registry, a slot that stays within one of them is no help.
        offers = (spec for spec in installed() if not shared or Capability.SHARED in spec.capabilities)
        keep = sorted(spec.type for spec in offers if spec.slot is demand.slot and demand.offered_by(spec))
        would = f"use {' or '.join(keep)}" if keep else f"no installed {demand.slot} type does"
        yield demand.need, f"{demand.shown} {problem} ({demand.capability}); {would}"


@dataclass(frozen=True, slots=True)
class _Demand:
    """One capability of one slot that one key of `needs` asks for."""

    need: str
    shown: str
    slot: SlotKind
    capability: Capability

    def offered_by(self, spec: SlotSpec) -> bool:
        return self.capability in spec.capabilities


def _demands(needs: Needs, slots: Mapping[SlotKind, SlotConfig]) -> Iterator[_Demand]:
    registry, messaging, durability = SlotKind.REGISTRY, SlotKind.MESSAGING, SlotKind.DURABILITY
    if needs.latency is not None:
        shown = f"<{needs.latency / 1000:g}ms"
        yield _Demand("latency", shown, registry, Capability.LOW_LATENCY)
        yield _Demand("latency", shown, messaging, Capability.LOW_LATENCY)
    if needs.consistency == "strong":
        yield _Demand("consistency", "strong", registry, Capability.STRONG_CONSISTENCY)
    if needs.durability == "persistent":
        yield _Demand("durability", "persistent", registry, Capability.DURABLE)
        yield _Demand("durability", "persistent", durability, Capability.DURABLE)
    if needs.audit:
        yield _Demand("audit", "true", registry, Capability.AUDIT)
    if needs.exactly_once:
        yield _Demand("exactly_once", "true", registry, Capability.TRANSACTIONAL_OUTBOX)
        yield _Demand("exactly_once", "true", durability, Capability.DURABLE)
    if needs.scale:
        for kind in slots:
            yield _Demand("scale", str(needs.scale), kind, Capability.SHARED)
    if needs.region == "multi-region":
        yield _Demand("region", "multi-region", registry, Capability.MULTI_REGION)


def _latency(section: Section) -> Micros | None:
    value = section.value("latency")
    if value is None:
        return None
    try:
        micros = parse_duration(value.strip().removeprefix("<").removeprefix("=") if isinstance(value, str) else value)
    except ValueError as error:
        section.wrong("latency", f'{error}; for example "<10ms"')
        return None
    if micros < _SHORTEST:
        section.wrong("latency", f"{value} is shorter than any slot promises; the shortest is <10ms")
        return None
    return micros


def _scale(section: Section) -> int | None:
    value = section.value("scale")
    if value is None:
        return None
    if isinstance(value, int) and not isinstance(value, bool) and value >= 0:
        return value
    match = _SCALE.fullmatch(value) if isinstance(value, str) and len(value) <= 60 else None
    if match is None:
        section.wrong("scale", f'expected a number or a text like "10000+ services", got {describe(value)}')
        return None
    return int(match[1])
