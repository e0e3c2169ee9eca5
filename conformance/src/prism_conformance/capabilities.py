"""What isn't declared isn't there: a call that a slot can't serve is refused as UNSUPPORTED, never answered somehow."""

from __future__ import annotations

from collections.abc import Awaitable

from prism.model.errors import Unsupported
from prism.plugins.spec import Capability
from prism.slots.context import Backend, Code
from prism.slots.durability import DurabilityBackend


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
