"""Register, get, update, renew and unregister, as an application asks for it."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, TypeVar

from prism.coordinator.metrics import Metrics
from prism.coordinator.namespace import Namespace
from prism.coordinator.refusals import conflict, not_found, refusal
from prism.coordinator.retrying import ATTEMPTS, give_way
from prism.coordinator.store import Store, prepared
from prism.model.errors import PrismError, RevisionConflict
from prism.model.identity import Registration, check_identity, new_registration_id
from prism.model.limits import check_size
from prism.model.operations import Beat, NewIdentity, Ttl
from prism.model.time import Micros, wall_clock
from prism.plugins.spec import SlotKind
from prism.schema import merge_patch
from prism.slots.registry import (
    Absent,
    Anything,
    AtRevision,
    Deleted,
    Fence,
    Keep,
    Refusal,
    Refused,
    Renewal,
    Renewed,
    Stored,
    Write,
)

Outcome = TypeVar("Outcome")


class Registrations:
    """The registry operations of a coordinator. See `prism.coordinator.service.Service` for what each does."""

    def __init__(self, metrics: Metrics, store: Store) -> None:
        self._metrics = metrics
        self._store = store

    async def register(
        self, ns: Namespace, items: Sequence[NewIdentity], ttl: Ttl, *, replace: bool
    ) -> list[Registration | PrismError]:
        """Stores identities without attaching them."""
        check_size("identities", len(items), ns.config.limits.batch_items, "items", "send smaller batches")
        lifetime = ns.lifetime(ttl, ns.config.ttl_default)
        now = wall_clock()
        precondition = Anything() if replace else Absent()
        writes: list[Write | PrismError] = []
        for item in items:
            try:
                check_identity(item.identity, ns.config.limits.identity_bytes)
                data = prepared(ns, item.identity, item.metadata, now)
                asked = lifetime if item.ttl is None else ns.lifetime(item.ttl, ns.config.ttl_default)
            except PrismError as error:
                writes.append(error)
            else:
                writes.append(Write(item.identity, data, new_registration_id(), asked, precondition))
        return await self._store.write(ns, writes)

    async def get(self, ns: Namespace, identities: Sequence[str]) -> list[Registration | None]:
        """Reads by name."""
        check_size("identities", len(identities), ns.config.limits.batch_items, "items", "ask for fewer at a time")
        for identity in identities:
            check_identity(identity, ns.config.limits.identity_bytes)
        return await self._store.get(ns, identities)

    async def update(
        self, ns: Namespace, identity: str, patch: Mapping[str, Any], revision: int | None
    ) -> Registration:
        """Read, patch, write at the revision that was read; again if somebody was quicker and none was named."""
        check_identity(identity, ns.config.limits.identity_bytes)
        for attempt in range(ATTEMPTS):
            (current,) = await self._store.get(ns, [identity])
            if current is None:
                raise not_found(identity)
            if revision is not None and current.revision != revision:
                raise conflict(identity, revision, current.revision)
            data = prepared(ns, identity, merge_patch(current.metadata, patch), wall_clock())
            write = Write(
                identity,
                data,
                current.registration_id,
                Keep.EXPIRY,
                AtRevision(current.revision),
                current.address,
                current.owner,
            )
            (outcome,) = await self._store.set(ns, [write])
            if isinstance(outcome, Stored):
                return outcome.registration
            if isinstance(outcome, Refused) and outcome.reason is Refusal.CONFLICT:
                if revision is not None:
                    raise conflict(identity, revision, None)
                await give_way(attempt)
                continue
            raise refusal(identity, outcome)
        raise RevisionConflict(f"{identity!r} was changed by others {ATTEMPTS} times in a row; try again")

    async def heartbeat(self, ns: Namespace, beats: Sequence[Beat], ttl: Ttl) -> list[Micros | PrismError | None]:
        """Renews in one batch."""
        check_size("identities", len(beats), ns.config.limits.batch_items, "items", "send smaller batches")
        lifetime = ns.lifetime(ttl, ns.config.ttl_default)
        sound, unsound = _sound(ns, beats)
        renewals = [Renewal(beat.identity, beat.registration_id, lifetime) for beat in sound]
        return _in_place(unsound, await self.renew(ns, renewals))

    async def renew(self, ns: Namespace, renewals: Sequence[Renewal]) -> list[Micros | PrismError | None]:
        """Renews registrations, each with its own TTL."""
        if not renewals:
            return []
        guard = ns.guard(SlotKind.REGISTRY)
        with guard("renew registrations"):
            outcomes = guard.matched(await ns.registry.expire(renewals), renewals, "renew")
        results: list[Micros | PrismError | None] = []
        for renewal, outcome in zip(renewals, outcomes, strict=True):
            if isinstance(outcome, Renewed):
                results.append(outcome.expires_at)
            else:
                results.append(refusal(renewal.identity, outcome))
        self._metrics.renewed[ns.name] += sum(isinstance(outcome, Renewed) for outcome in outcomes)
        return results

    async def unregister(self, ns: Namespace, beats: Sequence[Beat]) -> list[bool | PrismError]:
        """Removes from the registry, tells the sessions, then removes the queues."""
        check_size("identities", len(beats), ns.config.limits.batch_items, "items", "send smaller batches")
        sound, unsound = _sound(ns, beats)
        fences = [Fence(beat.identity, beat.registration_id) for beat in sound]
        results: list[bool | PrismError] = []
        for fence, outcome in zip(fences, await self._store.delete(ns, fences) if fences else [], strict=True):
            if isinstance(outcome, Deleted):
                results.append(True)
            elif isinstance(outcome, Refused) and outcome.reason is Refusal.NOT_FOUND:
                results.append(False)
            else:
                results.append(refusal(fence.identity, outcome))
        return _in_place(unsound, results)


def _sound(ns: Namespace, beats: Sequence[Beat]) -> tuple[list[Beat], dict[int, PrismError]]:
    """Those that can be asked for, and by position what is wrong with the others: each fails alone."""
    sound: list[Beat] = []
    unsound: dict[int, PrismError] = {}
    for i, beat in enumerate(beats):
        try:
            check_identity(beat.identity, ns.config.limits.identity_bytes)
        except PrismError as error:
            unsound[i] = error
        else:
            sound.append(beat)
    return sound, unsound


def _in_place(unsound: Mapping[int, PrismError], outcomes: Sequence[Outcome]) -> list[Outcome | PrismError]:
    """The outcomes of the sound with the errors of the others in their places."""
    if not unsound:
        return list(outcomes)
    rest = iter(outcomes)
    return [unsound[i] if i in unsound else next(rest) for i in range(len(unsound) + len(outcomes))]
