"""The registry of a namespace, with the queues of those that are in it.

Order of effects (design section 5): queue first, then the registry makes the identity visible; on removal the
registry first, then the queue. So an identity that can be seen can be reached.
"""

from __future__ import annotations

import asyncio
from collections.abc import Collection, Mapping, Sequence

from prism.coordinator.exchange import Exchange
from prism.coordinator.metrics import Metrics
from prism.coordinator.namespace import Namespace
from prism.coordinator.refusals import refusal
from prism.model import json
from prism.model.errors import InvalidMetadata, PrismError
from prism.model.identity import Registration, Target
from prism.model.operations import Metadata
from prism.model.time import Micros
from prism.plugins.spec import SlotKind
from prism.schema import prepare_metadata, prepare_metadata_json
from prism.slots.context import Failure
from prism.slots.registry import AtRevision, Deleted, DeleteOutcome, Fence, Refusal, Refused, SetOutcome, Stored, Write


def prepared(ns: Namespace, identity: str, metadata: Metadata, now: Micros) -> bytes:
    """Metadata as it is stored. Raises InvalidMetadata where it doesn't fit the schema or the limits."""
    if isinstance(metadata, bytes):
        return prepare_metadata_json(identity, metadata, ns.config.schema, ns.config.limits, now)
    if not isinstance(metadata, Mapping):
        raise InvalidMetadata.at("metadata", f"expected an object, got {json.describe(metadata)}")
    return prepare_metadata(identity, metadata, ns.config.schema, ns.config.limits, now)


class Store:
    """Batches of writes, reads and removals, one outcome for each item."""

    def __init__(self, metrics: Metrics, exchange: Exchange) -> None:
        self._metrics = metrics
        self._exchange = exchange

    async def get(self, ns: Namespace, identities: Sequence[str]) -> list[Registration | None]:
        """Reads by name; None for whoever isn't registered."""
        guard = ns.guard(SlotKind.REGISTRY)
        with guard("get"):
            return guard.matched(await ns.registry.get(identities), identities, "get")

    async def set(self, ns: Namespace, writes: Sequence[Write]) -> list[SetOutcome]:
        """Writes to the registry alone: for those that have their queue."""
        guard = ns.guard(SlotKind.REGISTRY)
        with guard("register"):
            return guard.matched(await ns.registry.set(writes), writes, "set")

    async def mark(self, ns: Namespace) -> str | None:
        """The moment that queues of what is removed from now on are older than; None without durability."""
        if ns.durability is None:
            return None
        with ns.guard(SlotKind.DURABILITY)("mark"):
            return await ns.durability.mark()

    async def write(
        self, ns: Namespace, writes: Sequence[Write | PrismError], going_on: Collection[str] = ()
    ) -> list[Registration | PrismError]:
        """Makes queues, then sets; errors among the writes stay in their places.

        Who begins anew gets nothing that was sent to an earlier registration. `going_on` names those who don't: their
        client has been there all along, and their registration ran out only since it couldn't be renewed.
        """
        good = [write for write in writes if isinstance(write, Write)]
        outcomes: list[SetOutcome] = []
        if good:
            held, mark = await self._make_queues(ns, [write.identity for write in good])
            outcomes = await self.set(ns, good)
            await self._undo_queues(ns, good, outcomes)
            await self._disinherit(ns, held.difference(going_on), mark, good, outcomes)
            await self._supersede(ns, outcomes)
        answers = iter(outcomes)
        results: list[Registration | PrismError] = []
        for write in writes:
            if isinstance(write, PrismError):
                results.append(write)
                continue
            outcome = next(answers)
            if isinstance(outcome, Stored):
                results.append(outcome.registration)
            else:
                results.append(refusal(write.identity, outcome))
        self._metrics.registered[ns.name] += sum(isinstance(outcome, Stored) for outcome in outcomes)
        return results

    async def delete(self, ns: Namespace, fences: Sequence[Fence]) -> list[DeleteOutcome]:
        """Removes from the registry, tells the sessions, then removes the queues."""
        mark = await self.mark(ns)
        guard = ns.guard(SlotKind.REGISTRY)
        with guard("unregister"):
            outcomes = guard.matched(await ns.registry.delete(fences), fences, "delete")
        removed = [outcome.target for outcome in outcomes if isinstance(outcome, Deleted)]
        self._metrics.unregistered[ns.name] += len(removed)
        await self.forget(ns, removed, mark, "UNREGISTERED")
        return outcomes

    async def pop_expired(self, ns: Namespace, limit: int) -> int:
        """Removes up to `limit` expired registrations with their mapping and queues; how many there were."""
        mark = await self.mark(ns)
        with ns.guard(SlotKind.REGISTRY)("remove expired registrations"):
            expired = await ns.registry.pop_expired(limit)
        targets = [Target(r.identity, r.registration_id, r.address) for r in expired]
        self._metrics.expired[ns.name] += len(expired)
        await self.forget(ns, targets, mark, "EXPIRED")
        return len(expired)

    async def forget(self, ns: Namespace, targets: Sequence[Target], mark: str | None, reason: str) -> None:
        """What follows a removal from the registry: sessions are told, and queues from before `mark` go."""
        if not targets:
            return
        await self._exchange.evict(ns, targets, reason)
        if ns.durability is not None:
            with ns.guard(SlotKind.DURABILITY)("delete queues"):
                await ns.durability.delete([target.identity for target in targets], mark)

    async def _make_queues(self, ns: Namespace, identities: Sequence[str]) -> tuple[frozenset[str], str | None]:
        """Makes queues; those that held something already, and a mark after all of that."""
        durability = ns.durability
        mark = await self.mark(ns)
        if durability is None:
            return frozenset(), mark
        guard = ns.guard(SlotKind.DURABILITY)
        with guard("create queues"):
            _, depths = await asyncio.gather(durability.create(identities), durability.depth(identities))
            guard.matched(depths, identities, "depth")
        held = frozenset(identity for identity, depth in zip(identities, depths, strict=True) if depth)
        return held, mark

    async def _disinherit(
        self,
        ns: Namespace,
        held: Collection[str],
        mark: str | None,
        writes: Sequence[Write],
        outcomes: Sequence[SetOutcome],
    ) -> None:
        """Drops what was sent to an earlier registration whose queue was left behind.

        It expired and wasn't swept yet, or the proxy that removed it was killed before it removed the queue.
        """
        if ns.durability is None or not held:
            return
        left_behind = {
            write.identity
            for write, outcome in zip(writes, outcomes, strict=True)
            if write.identity in held and isinstance(outcome, Stored) and _begins(write, outcome)
        }
        if left_behind:
            with ns.guard(SlotKind.DURABILITY)("delete messages of earlier registrations"):
                await ns.durability.delete(sorted(left_behind), mark)

    async def _undo_queues(self, ns: Namespace, writes: Sequence[Write], outcomes: Sequence[SetOutcome]) -> None:
        """Removes the queues made for identities that were not stored and aren't registered otherwise."""
        if ns.durability is None:
            return
        refused = [
            write.identity
            for write, outcome in zip(writes, outcomes, strict=True)
            if isinstance(outcome, Failure)
            or (isinstance(outcome, Refused) and outcome.reason is not Refusal.ALREADY_EXISTS)
        ]
        if not refused:
            return
        mark = await self.mark(ns)
        found = await self.get(ns, refused)
        orphans = [identity for identity, registration in zip(refused, found, strict=True) if registration is None]
        if orphans:
            with ns.guard(SlotKind.DURABILITY)("delete queues"):
                await ns.durability.delete(orphans, mark)

    async def _supersede(self, ns: Namespace, outcomes: Sequence[SetOutcome]) -> None:
        replaced = [
            outcome.replaced
            for outcome in outcomes
            if isinstance(outcome, Stored)
            and outcome.replaced is not None
            and outcome.replaced.address
            and outcome.replaced.registration_id != outcome.registration.registration_id
        ]
        if replaced:
            await self._exchange.evict(ns, replaced, "SUPERSEDED")


def _begins(write: Write, outcome: Stored) -> bool:
    """Whether the identity wasn't registered before."""
    return outcome.replaced is None and not isinstance(write.precondition, AtRevision)
