"""What capabilities a kind of slot can have, and which checks prove them.

What isn't declared isn't there: a call that a slot can't serve is refused as UNSUPPORTED, never answered somehow.
"""

from __future__ import annotations

from collections.abc import Awaitable, Iterable
from dataclasses import dataclass
from typing import Final

from prism.model.errors import Unsupported
from prism.plugins.spec import Capability, SlotKind
from prism.slots.context import Backend, Code
from prism.slots.durability import DurabilityBackend

_ANY: Final = frozenset(SlotKind)


@dataclass(frozen=True, slots=True)
class Proof:
    """Which kinds of slots can declare a capability, and what stands for it.

    `checks` prove it where it is declared; `trusted` is what no check can see, and why.
    """

    slots: frozenset[SlotKind]
    checks: tuple[str, ...] = ()
    trusted: str = ""


PROOFS: Final = {
    Capability.STRONG_CONSISTENCY: Proof(
        frozenset({SlotKind.REGISTRY}),
        ("REG-026",),
        "that it holds for proxies on other machines: the slots of a check are in one process",
    ),
    Capability.AUDIT: Proof(
        frozenset({SlotKind.REGISTRY}),
        ("REG-500", "REG-501", "REG-502", "REG-503", "REG-504", "REG-505", "REG-506", "REG-507", "REG-508"),
        "that entry and effect are one transaction: nothing dies in between here",
    ),
    Capability.WATCH: Proof(frozenset({SlotKind.REGISTRY}), ("SLOT-030",), "what the changes are that it tells"),
    Capability.NATIVE_TTL: Proof(
        frozenset({SlotKind.REGISTRY}),
        trusted="all of it: a check can't tell the backend's removal from the slot's, nor wait for it",
    ),
    Capability.TRANSACTIONAL_OUTBOX: Proof(
        frozenset({SlotKind.REGISTRY}), trusted="all of it: the suite has no check of an outbox yet"
    ),
    Capability.SUBSCRIBER_COUNT: Proof(frozenset({SlotKind.MESSAGING}), ("MSG-021", "MSG-041")),
    Capability.ORDERED: Proof(
        frozenset({SlotKind.MESSAGING, SlotKind.DURABILITY}),
        ("MSG-022", "DUR-013"),
        "the order while servers of the backend fail over",
    ),
    Capability.DEAD_LETTER: Proof(
        frozenset({SlotKind.DURABILITY}), ("DUR-200", "DUR-201", "DUR-202", "DUR-203", "DUR-205", "DUR-206", "DUR-207")
    ),
    Capability.DURABLE: Proof(_ANY, trusted="all of it: the suite has no power to restart a server of yours"),
    Capability.SHARED: Proof(
        _ANY,
        trusted="all of it: two slots of a check share what they hold, but in one process (REG-026, MSG-023, DUR-016)",
    ),
    Capability.LOW_LATENCY: Proof(_ANY, trusted="all of it: what the suite would measure is its own machine"),
    Capability.MULTI_REGION: Proof(_ANY, trusted="all of it: the suite has one region"),
}
"""For each capability which checks prove it; what none does is taken on trust."""


def misplaced(kind: SlotKind, declared: Iterable[Capability]) -> dict[str, list[str]]:
    """The capabilities that this kind of slot can't have, each with the kinds that can (none: there is no such)."""
    known = {capability: PROOFS[capability].slots if capability in PROOFS else frozenset() for capability in declared}
    return {str(capability): sorted(slots) for capability, slots in known.items() if kind not in slots}


async def refused(slot: Backend, call: Awaitable[object], what: str) -> None:
    """Fails the check unless the slot refuses the call as UNSUPPORTED."""
    try:
        answer = await call
    except Unsupported:
        return
    except Exception as error:
        if slot.classify(error) is Code.UNSUPPORTED:
            return
        raise AssertionError(f"{what} is refused, but not as UNSUPPORTED: {error!r}") from error
    raise AssertionError(f"{what} isn't declared, but it is answered: {answer!r}")


async def keeps_dead_letters(slot: DurabilityBackend) -> bool:
    """Whether the slot declares dead letters. One that doesn't must refuse to read and to replay any."""
    if Capability.DEAD_LETTER in slot.capabilities:
        return True
    await refused(slot, slot.dead_letters("alice", 10), "reading dead letters")
    await refused(slot, slot.replay("alice", ["m1"]), "replaying dead letters")
    return False
