"""Register, get, update, renew, unregister; and attach, as far as the registry is concerned.

Order of effects (design section 5): queue first, then the registry makes the identity visible; on removal the
registry first, then the queue. So an identity that can be seen can be reached.
"""

from __future__ import annotations

import asyncio
import random
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, TypeVar

from prism.coordinator.exchange import Exchange
from prism.coordinator.metrics import Metrics
from prism.coordinator.namespace import Namespace
from prism.model import json
from prism.model.errors import (
    AlreadyExists,
    InternalError,
    InvalidMetadata,
    NotFound,
    PrismError,
    QuotaExceeded,
    RevisionConflict,
    StaleRegistration,
    Superseded,
)
from prism.model.identity import Registration, Target, check_identity, new_registration_id
from prism.model.limits import check_size
from prism.model.operations import AttachItem, Beat, Metadata, NewIdentity, Ttl
from prism.model.time import Micros, wall_clock
from prism.plugins.spec import SlotKind
from prism.schema import merge_patch, prepare_metadata, prepare_metadata_json
from prism.slots.context import Failure
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
    SetOutcome,
    Stored,
    Write,
)

Outcome = TypeVar("Outcome")

ATTEMPTS = 16
"""How often a read-modify-write is tried when others write the same identity."""


@dataclass(frozen=True, slots=True)
class Claim:
    """An identity that a session is about to host, under a registration id made beforehand."""

    item: AttachItem
    registration_id: str


class Registrations:
    """The registry operations of a coordinator. See `prism.coordinator.service.Service` for what each does."""

    def __init__(self, metrics: Metrics, exchange: Exchange) -> None:
        self._metrics = metrics
        self._exchange = exchange

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
                data = self._metadata(ns, item.identity, item.metadata, now)
            except PrismError as error:
                writes.append(error)
            else:
                writes.append(Write(item.identity, data, new_registration_id(), lifetime, precondition))
        return await self._write(ns, writes)

    async def get(self, ns: Namespace, identities: Sequence[str]) -> list[Registration | None]:
        """Reads by name."""
        check_size("identities", len(identities), ns.config.limits.batch_items, "items", "ask for fewer at a time")
        for identity in identities:
            check_identity(identity, ns.config.limits.identity_bytes)
        return await self._get(ns, identities)

    async def update(
        self, ns: Namespace, identity: str, patch: Mapping[str, Any], revision: int | None
    ) -> Registration:
        """Read, patch, write at the revision that was read; again if somebody was quicker and none was named."""
        check_identity(identity, ns.config.limits.identity_bytes)
        for attempt in range(ATTEMPTS):
            (current,) = await self._get(ns, [identity])
            if current is None:
                raise _not_found(identity)
            if revision is not None and current.revision != revision:
                raise _conflict(identity, revision, current.revision)
            data = self._metadata(ns, identity, merge_patch(current.metadata, patch), wall_clock())
            write = Write(
                identity,
                data,
                current.registration_id,
                Keep.EXPIRY,
                AtRevision(current.revision),
                current.address,
                current.owner,
            )
            (outcome,) = await self._set(ns, [write])
            if isinstance(outcome, Stored):
                return outcome.registration
            if isinstance(outcome, Refused) and outcome.reason is Refusal.CONFLICT:
                if revision is not None:
                    raise _conflict(identity, revision, None)
                await _give_way(attempt)
                continue
            raise _refusal(identity, outcome)
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
                results.append(_refusal(renewal.identity, outcome))
        self._metrics.renewed[ns.name] += sum(isinstance(outcome, Renewed) for outcome in outcomes)
        return results

    async def unregister(self, ns: Namespace, beats: Sequence[Beat]) -> list[bool | PrismError]:
        """Removes from the registry, tells the sessions, then removes the queues."""
        check_size("identities", len(beats), ns.config.limits.batch_items, "items", "send smaller batches")
        sound, unsound = _sound(ns, beats)
        return _in_place(unsound, await self._remove(ns, sound) if sound else [])

    async def _remove(self, ns: Namespace, beats: Sequence[Beat]) -> list[bool | PrismError]:
        mark = await self._mark(ns)
        fences = [Fence(beat.identity, beat.registration_id) for beat in beats]
        guard = ns.guard(SlotKind.REGISTRY)
        with guard("unregister"):
            outcomes = guard.matched(await ns.registry.delete(fences), fences, "delete")
        removed = [outcome.target for outcome in outcomes if isinstance(outcome, Deleted)]
        self._metrics.unregistered[ns.name] += len(removed)
        await self.forget(ns, removed, mark, "UNREGISTERED")
        results: list[bool | PrismError] = []
        for beat, outcome in zip(beats, outcomes, strict=True):
            if isinstance(outcome, Deleted):
                results.append(True)
            elif isinstance(outcome, Refused) and outcome.reason is Refusal.NOT_FOUND:
                results.append(False)
            else:
                results.append(_refusal(beat.identity, outcome))
        return results

    async def forget(self, ns: Namespace, targets: Sequence[Target], mark: str | None, reason: str) -> None:
        """What follows a removal from the registry: sessions are told, and queues from before `mark` go."""
        if not targets:
            return
        await self._exchange.evict(ns, targets, reason)
        if ns.durability is not None:
            with ns.guard(SlotKind.DURABILITY)("delete queues"):
                await ns.durability.delete([target.identity for target in targets], mark)

    async def pop_expired(self, ns: Namespace, limit: int) -> int:
        """Removes up to `limit` expired registrations with their mapping and queues; how many there were."""
        mark = await self._mark(ns)
        with ns.guard(SlotKind.REGISTRY)("remove expired registrations"):
            expired = await ns.registry.pop_expired(limit)
        targets = [Target(r.identity, r.registration_id, r.address) for r in expired]
        self._metrics.expired[ns.name] += len(expired)
        await self.forget(ns, targets, mark, "EXPIRED")
        return len(expired)

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
            found = await self._get(ns, [claims[i].item.identity for i in reads]) if reads else []
            current = dict(zip(reads, found, strict=True))
            writes = [self._claim(ns, claims[i], current.get(i), address) for i in waiting]
            outcomes = await self._write(ns, writes)
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
            await _give_way(attempt)
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
            for found in await self._get(ns, list(waiting)):
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
            outcomes = await self._set(ns, writes) if writes else []
            again = {}
            for write, outcome in zip(writes, outcomes, strict=True):
                if isinstance(outcome, Refused) and outcome.reason is Refusal.CONFLICT:
                    again[write.identity] = waiting[write.identity]
                elif isinstance(outcome, Failure):
                    raise outcome.error
            waiting = again
            if waiting:
                await _give_way(attempt)

    def _claim(self, ns: Namespace, claim: Claim, current: Registration | None, address: str) -> Write | PrismError:
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
                return _not_found(item.identity)
            data = self._metadata(ns, item.identity, item.metadata, wall_clock())
            precondition = Absent() if item.only_if_absent or item.resume else Anything()
            return Write(item.identity, data, claim.registration_id, lifetime, precondition, address)
        except PrismError as error:
            return error

    def _metadata(self, ns: Namespace, identity: str, metadata: Metadata, now: Micros) -> bytes:
        if isinstance(metadata, bytes):
            return prepare_metadata_json(identity, metadata, ns.config.schema, ns.config.limits, now)
        if not isinstance(metadata, Mapping):
            raise InvalidMetadata.at("metadata", f"expected an object, got {json.describe(metadata)}")
        return prepare_metadata(identity, metadata, ns.config.schema, ns.config.limits, now)

    async def _write(self, ns: Namespace, writes: Sequence[Write | PrismError]) -> list[Registration | PrismError]:
        """Makes queues, then sets; errors among the writes stay in their places."""
        good = [write for write in writes if isinstance(write, Write)]
        outcomes: list[SetOutcome] = []
        if good:
            if ns.durability is not None:
                with ns.guard(SlotKind.DURABILITY)("create queues"):
                    await ns.durability.create([write.identity for write in good])
            outcomes = await self._set(ns, good)
            await self._undo_queues(ns, good, outcomes)
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
                results.append(_refusal(write.identity, outcome))
        self._metrics.registered[ns.name] += sum(isinstance(outcome, Stored) for outcome in outcomes)
        return results

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
        mark = await self._mark(ns)
        found = await self._get(ns, refused)
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

    async def _get(self, ns: Namespace, identities: Sequence[str]) -> list[Registration | None]:
        guard = ns.guard(SlotKind.REGISTRY)
        with guard("get"):
            return guard.matched(await ns.registry.get(identities), identities, "get")

    async def _set(self, ns: Namespace, writes: Sequence[Write]) -> list[SetOutcome]:
        guard = ns.guard(SlotKind.REGISTRY)
        with guard("register"):
            return guard.matched(await ns.registry.set(writes), writes, "set")

    async def _mark(self, ns: Namespace) -> str | None:
        if ns.durability is None:
            return None
        with ns.guard(SlotKind.DURABILITY)("mark"):
            return await ns.durability.mark()


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


async def _give_way(attempt: int) -> None:
    await asyncio.sleep(random.uniform(0, 0.002 * 2 ** min(attempt, 6)))  # noqa: S311 - jitter, not a secret


def _not_found(identity: str) -> NotFound:
    return NotFound(f"identity {identity!r} is not registered (or has expired)", details={"identity": identity})


def _conflict(identity: str, asked: int, current: int | None) -> RevisionConflict:
    now = "" if current is None else f", now {current}"
    return RevisionConflict(
        f"identity {identity!r} is not at revision {asked} any more{now}; read it again",
        details={"identity": identity},
    )


def _refusal(identity: str, outcome: object) -> PrismError:
    """The error for an item that a registry refused or failed."""
    if isinstance(outcome, Failure):
        return outcome.error
    if not isinstance(outcome, Refused):
        return InternalError(f"the registry answered {outcome!r} for {identity!r}")
    details = {"identity": identity}
    match outcome.reason:
        case Refusal.ALREADY_EXISTS:
            return AlreadyExists(f"identity {identity!r} is registered already; use replace", details=details)
        case Refusal.NOT_FOUND:
            return _not_found(identity)
        case Refusal.CONFLICT:
            return RevisionConflict(f"identity {identity!r} was changed meanwhile; read it again", details=details)
        case Refusal.STALE:
            return StaleRegistration(
                f"the registration id is not that of {identity!r} any more: a newer registration took its place",
                details=details,
            )
        case Refusal.QUOTA_EXCEEDED:
            return QuotaExceeded(
                f"the namespace's registration limit is reached; {identity!r} was not registered", details=details
            )
