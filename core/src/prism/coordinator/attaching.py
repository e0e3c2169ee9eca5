"""Attaching, as far as the registry is concerned: whose registration is hosted where."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from prism.coordinator.namespace import Namespace
from prism.coordinator.refusals import not_found
from prism.coordinator.retrying import ATTEMPTS, give_way
from prism.coordinator.store import Store, prepared
from prism.model.errors import AlreadyExists, NotFound, PrismError, RevisionConflict, Superseded
from prism.model.identity import Registration, check_identity
from prism.model.operations import AttachItem
from prism.model.time import wall_clock
from prism.slots.context import Failure
from prism.slots.registry import Absent, Anything, AtRevision, Refusal, Refused, Renewal, Write


@dataclass(frozen=True, slots=True)
class Claim:
    """An identity that a session is about to host, under a registration id made beforehand."""

    item: AttachItem
    registration_id: str


class Attaching:
    """Claims registrations for sessions, and leaves them behind."""

    def __init__(self, store: Store) -> None:
        self._store = store

    async def claim(
        self, ns: Namespace, claims: Sequence[Claim], address: str
    ) -> list[tuple[Registration, bool] | PrismError]:
        """Registers identities, or takes over their registrations, as hosted at `address`.

        Each comes back with whether it resumed what a lost session had. Superseded where a newer session has
        overtaken the one to resume; NotFound where nothing is there to take over.
        """
        results: list[tuple[Registration, bool] | PrismError | None] = [None] * len(claims)
        waiting = list(range(len(claims)))
        for attempt in range(ATTEMPTS):
            reads = [i for i in waiting if claims[i].item.resume or claims[i].item.metadata is None]
            found = await self._store.get(ns, [claims[i].item.identity for i in reads]) if reads else []
            current = dict(zip(reads, found, strict=True))
            writes = [_claim(ns, claims[i], current.get(i), address) for i in waiting]
            going_on = [claims[i].item.identity for i in waiting if claims[i].item.resume]
            outcomes = await self._store.write(ns, writes, going_on)
            again = []
            for i, write, outcome in zip(waiting, writes, outcomes, strict=True):
                if isinstance(outcome, Registration):
                    resumed = isinstance(write, Write) and isinstance(write.precondition, AtRevision)
                    results[i] = (outcome, resumed)
                elif (
                    i in current
                    and isinstance(outcome, (RevisionConflict, NotFound, AlreadyExists))
                    and isinstance(write, Write)
                ):
                    again.append(i)
                else:
                    results[i] = outcome
            waiting = again
            if not waiting:
                break
            await give_way(attempt)
        return [
            RevisionConflict(f"{claims[i].item.identity!r} is being changed by others; try again")
            if result is None
            else result
            for i, result in enumerate(results)
        ]

    async def park(self, ns: Namespace, renewals: Sequence[Renewal]) -> None:
        """Leaves registrations in place for their TTL, but no longer hosted anywhere."""
        waiting = {renewal.identity: renewal for renewal in renewals}
        for attempt in range(ATTEMPTS):
            if not waiting:
                return
            writes = []
            for found in await self._store.get(ns, list(waiting)):
                if found is None:
                    continue
                renewal = waiting[found.identity]
                if found.registration_id == renewal.registration_id:
                    at = AtRevision(found.revision)
                    writes.append(
                        Write(
                            found.identity, found.metadata_json, found.registration_id, renewal.ttl, at, "", found.owner
                        )
                    )
            outcomes = await self._store.set(ns, writes) if writes else []
            again = {}
            for write, outcome in zip(writes, outcomes, strict=True):
                if isinstance(outcome, Refused) and outcome.reason is Refusal.CONFLICT:
                    again[write.identity] = waiting[write.identity]
                elif isinstance(outcome, Failure):
                    raise outcome.error
            waiting = again
            if waiting:
                await give_way(attempt)


def _claim(ns: Namespace, claim: Claim, current: Registration | None, address: str) -> Write | PrismError:
    item = claim.item
    try:
        check_identity(item.identity, ns.config.limits.identity_bytes)
        lifetime = ns.lifetime(item.ttl, ns.config.attach_ttl)
        takes_over = bool(item.resume) or item.metadata is None
        if takes_over and current is not None:
            if item.resume and current.registration_id != item.resume:
                return Superseded(f"{item.identity!r} was taken over by a newer session or registration")
            at = AtRevision(current.revision)
            return Write(
                item.identity, current.metadata_json, claim.registration_id, lifetime, at, address, current.owner
            )
        if item.metadata is None:
            return not_found(item.identity)
        data = prepared(ns, item.identity, item.metadata, wall_clock())
        precondition = Absent() if item.only_if_absent or item.resume else Anything()
        return Write(item.identity, data, claim.registration_id, lifetime, precondition, address)
    except PrismError as error:
        return error
