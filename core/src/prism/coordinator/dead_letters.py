"""Dead letters: messages that an identity was handed too often without acknowledging them. Read, and delivered anew."""

from __future__ import annotations

from collections.abc import Sequence

from prism.coordinator import frames
from prism.coordinator.auditing import audit_replay
from prism.coordinator.exchange import Exchange
from prism.coordinator.namespace import Namespace
from prism.coordinator.registrations import Registrations
from prism.model.errors import InvalidArgument, NotFound, Unsupported
from prism.model.identity import Registration
from prism.model.limits import check_size
from prism.model.message import DeadLetter
from prism.plugins.spec import SlotKind
from prism.slots.durability import DurabilityBackend


class DeadLetters:
    """The dead letters of registered identities: a queue, and what died in it, goes with its identity."""

    def __init__(self, registrations: Registrations, exchange: Exchange) -> None:
        self._registrations = registrations
        self._exchange = exchange

    async def read(self, ns: Namespace, identity: str, limit: int) -> list[DeadLetter]:
        """The oldest, at most `limit`. Raises NotFound, and Unsupported without a durability slot."""
        durability = _durability(ns)
        if limit < 1:
            raise InvalidArgument.at("limit", f"expected a number from 1, got {limit}")
        check_size("limit", limit, ns.config.limits.batch_items, "dead letters", "ask for fewer at a time")
        await self._registration(ns, identity)
        with ns.guard(SlotKind.DURABILITY)("read dead letters"):
            return await durability.dead_letters(identity, limit)

    async def replay(self, ns: Namespace, identity: str, message_ids: Sequence[str]) -> int:
        """Puts them back at the end of their queue and wakes the proxy that hosts it; how many there were."""
        durability = _durability(ns)
        limit = ns.config.limits.batch_items
        check_size("message_ids", len(message_ids), limit, "items", "send smaller batches")
        registration = await self._registration(ns, identity)
        wanted = list(dict.fromkeys(message_ids))
        if not wanted:
            return 0
        await audit_replay(ns, identity, wanted)
        with ns.guard(SlotKind.DURABILITY)("replay dead letters"):
            replayed = await durability.replay(identity, wanted)
        if replayed and registration.address:
            await self._nudge(ns, registration)
        return replayed

    async def _registration(self, ns: Namespace, identity: str) -> Registration:
        (found,) = await self._registrations.get(ns, [identity])
        if found is None:
            text = f"identity {identity!r} is not registered (or has expired); its queue and dead letters go with it"
            raise NotFound(text, details={"identity": identity})
        return found

    async def _nudge(self, ns: Namespace, registration: Registration) -> None:
        """A nudge that gets lost is made up for: proxies look into their queues every few seconds."""
        if registration.address == self._exchange.address:
            self._exchange.host.nudge(ns.name, [registration.identity])
        else:
            frame = frames.nudge(self._exchange.address, [registration.identity])
            await self._exchange.publish(ns, registration.address, frame)


def _durability(ns: Namespace) -> DurabilityBackend:
    if ns.durability is None:
        raise Unsupported(
            f"namespace {ns.name!r} has no durability slot, and so no queues and no dead letters; "
            "configure backend_slots.durability"
        )
    return ns.durability
