"""Faults of a registry: writing, preconditions, fences, revisions, quotas, namespaces."""

from __future__ import annotations

import asyncio
import unicodedata
from dataclasses import replace
from typing import Any

import pytest
from prism.memory import table as tables
from prism.memory.registry import MemoryRegistry
from prism.memory.store import Store
from prism.memory.table import Table
from prism.slots.registry import Absent, Anything, Deleted, Fence, Refusal, Refused

from .running import registry

MP = pytest.MonkeyPatch


@registry("REG-010")
def owner_is_forgotten(patch: MP) -> None:
    original = Table.write
    patch.setattr(Table, "write", lambda self, write, *more: original(self, replace(write, owner=""), *more))


@registry("REG-012", "REG-050", "REG-051")
def get_answers_in_order_of_identity(patch: MP) -> None:
    original = MemoryRegistry.get

    async def get(self: Any, identities: Any) -> Any:
        return await original(self, sorted(identities))

    patch.setattr(MemoryRegistry, "get", get)


@registry("REG-013", "REG-014", "REG-022", "REG-023", "REG-135")
def absent_is_not_checked(patch: MP) -> None:
    original = Table.write

    def write(self: Any, item: Any, *more: Any) -> Any:
        return original(self, replace(item, precondition=Anything()) if item.precondition == Absent() else item, *more)

    patch.setattr(Table, "write", write)


@registry("REG-014")
def absent_is_checked_before_the_write_and_not_with_it(patch: MP) -> None:
    original = MemoryRegistry.set

    async def set_(self: Any, writes: Any) -> Any:
        if len(writes) != 1 or writes[0].precondition != Absent():
            return await original(self, writes)
        [there] = await self.get([writes[0].identity])
        await asyncio.sleep(0)
        return await original(self, writes if there else [replace(writes[0], precondition=Anything())])

    patch.setattr(MemoryRegistry, "set", set_)


@registry("REG-015")
def replaced_target_is_not_named(patch: MP) -> None:
    original = Table.write

    def write(self: Any, item: Any, *more: Any) -> Any:
        outcome = original(self, item, *more)
        return replace(outcome, replaced=None) if item.precondition == Anything() and _stored(outcome) else outcome

    patch.setattr(Table, "write", write)


@registry("REG-016")
def change_counts_as_a_new_registration(patch: MP) -> None:
    original = Table.write

    def write(self: Any, item: Any, now: Any, limit: Any) -> Any:
        outcome = original(self, item, now, limit)
        if _stored(outcome) and not isinstance(item.precondition, (Absent, Anything)):
            record = self._records[item.identity]
            record.written = record._current = replace(record.written, registered_at=now)
            return replace(outcome, registration=record.written)
        return outcome

    patch.setattr(Table, "write", write)


@registry("REG-017")
def revision_may_be_newer_than_asked(patch: MP) -> None:
    original = tables._refusal

    def refusal(write: Any, current: Any) -> Any:
        refused = original(write, current)
        wanted = getattr(write.precondition, "revision", None)
        return None if refused and current and wanted == current.written.revision + 1 else refused

    patch.setattr(tables, "_refusal", refusal)


@registry("REG-019")
def revision_is_checked_before_the_write_and_not_with_it(patch: MP) -> None:
    original = MemoryRegistry.set

    async def set_(self: Any, writes: Any) -> Any:
        wanted = getattr(writes[0].precondition, "revision", None) if len(writes) == 1 else None
        if wanted is None:
            return await original(self, writes)
        [there] = await self.get([writes[0].identity])
        await asyncio.sleep(0)
        if there is None or there.revision != wanted:
            return await original(self, writes)
        [now] = await self.get([writes[0].identity])
        return await original(self, [replace(writes[0], precondition=type(writes[0].precondition)(now.revision))])

    patch.setattr(MemoryRegistry, "set", set_)


@registry("REG-020", "REG-019", "REG-021", "REG-023", "REG-031")
def revision_is_the_clock_alone(patch: MP) -> None:
    original = Table.write

    def write(self: Any, *args: Any) -> Any:
        self._revision = 0
        return original(self, *args)

    patch.setattr(Table, "write", write)


@registry("REG-021")
def revision_starts_anew_after_a_deletion(patch: MP) -> None:
    original = Table.remove

    def remove(self: Any, *args: Any) -> Any:
        self._revision = 0
        return original(self, *args)

    patch.setattr(Table, "remove", remove)


@registry("REG-022")
def item_after_a_refused_one_is_refused_too(patch: MP) -> None:
    original = MemoryRegistry.set

    async def set_(self: Any, writes: Any) -> Any:
        outcomes: list[Any] = []
        for write in writes:
            bad = [item for item in outcomes if isinstance(item, Refused)]
            again = write.precondition == Absent() and bad
            outcomes += [bad[0]] if again else await original(self, [write])
        return outcomes

    patch.setattr(MemoryRegistry, "set", set_)


@registry("REG-025")
def outcomes_of_a_later_chunk_are_out_of_order(patch: MP) -> None:
    original = MemoryRegistry.set

    async def set_(self: Any, writes: Any) -> Any:
        outcomes = await original(self, writes)
        return [*outcomes[:1_024], *reversed(outcomes[1_024:])]

    patch.setattr(MemoryRegistry, "set", set_)


@registry("REG-030", "REG-033", "REG-119")
def quota_is_ignored(patch: MP) -> None:
    original = Table.write
    patch.setattr(Table, "write", lambda self, write, now, limit: original(self, write, now, None))


@registry("REG-031")
def replacement_counts_against_the_quota(patch: MP) -> None:
    original = Table.write

    def write(self: Any, item: Any, now: Any, limit: Any) -> Any:
        there = self.live(item.identity, now)
        if there and limit is not None and item.precondition == Anything() and self.live_at_most() >= limit:
            return Refused(Refusal.QUOTA_EXCEEDED)
        return original(self, item, now, limit)

    patch.setattr(Table, "write", write)


@registry("REG-033")
def quota_is_checked_before_the_write_and_not_with_it(patch: MP) -> None:
    original = MemoryRegistry.set
    write = Table.write

    async def set_(self: Any, writes: Any) -> Any:
        limit = self._context.limits.registrations
        if limit is None or len(writes) > 1:
            return await original(self, writes)
        room = self._part.live_at_most() < limit
        await asyncio.sleep(0)
        return [write(self._part, writes[0], self._part.now(), None)] if room else await original(self, writes)

    patch.setattr(MemoryRegistry, "set", set_)


@registry("REG-041", "REG-043")
def fence_of_a_deletion_is_ignored(patch: MP) -> None:
    original = Table.remove
    patch.setattr(Table, "remove", lambda self, fence, now: original(self, Fence(fence.identity), now))


@registry("REG-044")
def deletion_is_answered_before_it_is_done(patch: MP) -> None:
    original = MemoryRegistry.delete

    async def delete(self: Any, fences: Any) -> Any:
        if len(fences) != 1:
            return await original(self, fences)
        record = self._part.live(fences[0].identity, self._part.now())
        wanted = fences[0].registration_id
        await asyncio.sleep(0)
        done = await original(self, fences)
        right = record is not None and wanted in (None, record.written.registration_id)
        return [Deleted(record.target())] if right else done

    patch.setattr(MemoryRegistry, "delete", delete)


@registry("REG-051", "REG-050", "REG-200", "REG-205", "REG-224")
def identities_are_normalised(patch: MP) -> None:
    original = Table.write

    def write(self: Any, item: Any, *more: Any) -> Any:
        return original(self, replace(item, identity=unicodedata.normalize("NFC", item.identity)), *more)

    patch.setattr(Table, "write", write)


@registry("REG-051", "REG-200", "REG-205", "REG-224")
def identities_that_differ_in_case_are_one(patch: MP) -> None:
    get, set_, delete = MemoryRegistry.get, MemoryRegistry.set, MemoryRegistry.delete

    def first(slot: Any, identity: str) -> str:
        spellings = slot._part.__dict__.setdefault("spellings", {})
        found: str = spellings.setdefault(identity.lower(), identity)
        return found

    async def get_first(self: Any, identities: Any) -> Any:
        return await get(self, [first(self, identity) for identity in identities])

    async def set_first(self: Any, writes: Any) -> Any:
        return await set_(self, [replace(write, identity=first(self, write.identity)) for write in writes])

    async def delete_first(self: Any, fences: Any) -> Any:
        return await delete(self, [replace(fence, identity=first(self, fence.identity)) for fence in fences])

    patch.setattr(MemoryRegistry, "get", get_first)
    patch.setattr(MemoryRegistry, "set", set_first)
    patch.setattr(MemoryRegistry, "delete", delete_first)


@registry("REG-052")
def long_metadata_is_cut(patch: MP) -> None:
    original = Table.write

    def write(self: Any, item: Any, *more: Any) -> Any:
        too_long = len(item.metadata_json) >= 60_000
        return original(self, replace(item, metadata_json=b"{}") if too_long else item, *more)

    patch.setattr(Table, "write", write)


@registry("REG-060")
def namespaces_are_split_at_a_colon(patch: MP) -> None:
    original = Store.part

    def part(self: Any, kind: Any, namespace: str, make: Any) -> Any:
        first, _, rest = namespace.partition(":a")
        return original(self, kind, f"{first}:a" if rest.startswith(":b") else namespace, make)

    patch.setattr(Store, "part", part)


@registry("REG-061")
def namespaces_do_not_know_case(patch: MP) -> None:
    original = Store.part

    def part(self: Any, kind: Any, namespace: str, make: Any) -> Any:
        return original(self, kind, unicodedata.normalize("NFC", namespace), make)

    patch.setattr(Store, "part", part)


def _stored(outcome: object) -> bool:
    return not isinstance(outcome, Refused)
