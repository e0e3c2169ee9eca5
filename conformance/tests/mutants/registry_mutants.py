"""Faults of a registry: writing, fences, time, paging, sorting, filters."""

from __future__ import annotations

import asyncio
import unicodedata
from dataclasses import replace
from typing import Any

import pytest
from prism.filters import sorting
from prism.filters.ast import And, Compare, Op, Support
from prism.filters.compiled import compile_filter
from prism.memory import registry as memory
from prism.memory import table as tables
from prism.memory.indexes import Indexes
from prism.memory.postings import FieldIndex
from prism.memory.record import NEVER, Record
from prism.memory.registry import MemoryRegistry
from prism.memory.store import Store
from prism.memory.table import Table
from prism.slots.registry import Absent, Anything, Deleted, Fence, Refusal, Refused, Renewed

from .running import registry

MP = pytest.MonkeyPatch


@registry("REG-010")
def owner_is_forgotten(patch: MP) -> None:
    original = Table.write
    patch.setattr(Table, "write", lambda self, write, *more: original(self, replace(write, owner=""), *more))


@registry("REG-012", "REG-051", "REG-052")
def get_answers_in_order_of_identity(patch: MP) -> None:
    original = MemoryRegistry.get

    async def get(self: Any, identities: Any) -> Any:
        return await original(self, sorted(identities))

    patch.setattr(MemoryRegistry, "get", get)


@registry("REG-013", "REG-014")
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


@registry("REG-020", "REG-023", "REG-031")
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


@registry("REG-022", "REG-135")
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


@registry("REG-051", "REG-200", "REG-205", "REG-224")
def identities_are_normalised(patch: MP) -> None:
    original = Table.write

    def write(self: Any, item: Any, *more: Any) -> Any:
        return original(self, replace(item, identity=unicodedata.normalize("NFC", item.identity)), *more)

    patch.setattr(Table, "write", write)


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


@registry("REG-110", "REG-135")
def expired_identity_is_got(patch: MP) -> None:
    async def get(self: Any, identities: Any) -> Any:
        return [(record := self._part._records.get(name)) and record.registration() for name in identities]

    patch.setattr(MemoryRegistry, "get", get)


@registry("REG-111", "REG-121", "FIL-040")
def expired_identity_is_enumerated(patch: MP) -> None:
    patch.setattr(Table, "_only_live", lambda self, records: records)


@registry("REG-112")
def expired_identity_is_counted(patch: MP) -> None:
    original = MemoryRegistry.count

    async def count(self: Any, conjuncts: Any) -> int:
        return await original(self, conjuncts) if conjuncts else len(self._part._records)

    patch.setattr(MemoryRegistry, "count", count)


@registry("REG-113")
def expired_identity_is_deleted(patch: MP) -> None:
    original = Table.remove
    patch.setattr(Table, "remove", lambda self, fence, now: original(self, fence, 0))


@registry("REG-114")
def expired_identity_is_renewed(patch: MP) -> None:
    original = Table.renew

    def renew(self: Any, renewals: Any, now: Any) -> Any:
        dead = [self._records[item.identity] for item in renewals if item.identity in self._records]
        for record in dead:
            record.dies_at = max(record.dies_at, now + 1)
        return original(self, renewals, now)

    patch.setattr(Table, "renew", renew)


@registry("REG-115", "REG-135")
def expired_identity_is_in_the_way_of_a_write(patch: MP) -> None:
    original = Table.write

    def write(self: Any, item: Any, now: Any, limit: Any) -> Any:
        there = item.precondition == Absent() and item.identity in self._records
        return Refused(Refusal.ALREADY_EXISTS) if there else original(self, item, now, limit)

    patch.setattr(Table, "write", write)


@registry("REG-120", "REG-123")
def renewal_only_ever_shortens(patch: MP) -> None:
    original = Record.renew
    patch.setattr(Record, "renew", lambda self, dies_at: original(self, min(self.dies_at, dies_at)))


@registry("REG-122")
def renewal_cannot_take_the_expiry_away(patch: MP) -> None:
    original = Record.renew
    patch.setattr(Record, "renew", lambda self, dies_at: None if dies_at == NEVER else original(self, dies_at))


@registry("REG-124", "REG-125")
def fence_of_a_renewal_is_ignored(patch: MP) -> None:
    original = Table.renew

    def renew(self: Any, renewals: Any, now: Any) -> Any:
        return original(self, [replace(item, registration_id=None) for item in renewals], now)

    patch.setattr(Table, "renew", renew)


@registry("REG-127")
def long_heartbeat_renews_its_first_thousand(patch: MP) -> None:
    original = MemoryRegistry.expire

    async def expire(self: Any, renewals: Any) -> Any:
        outcomes = await original(self, renewals[:1_000])
        if len(renewals) <= 1_000:
            return outcomes
        return outcomes + [Renewed(outcomes[0].expires_at)] * len(renewals[1_000:])

    patch.setattr(MemoryRegistry, "expire", expire)


@registry("REG-132")
def popping_goes_one_beyond_the_limit(patch: MP) -> None:
    original = Table.pop_unclaimed
    patch.setattr(Table, "pop_unclaimed", lambda self, limit: original(self, limit + 1))


@registry("REG-133")
def identity_registered_again_is_popped(patch: MP) -> None:
    original = Table._put

    def put(self: Any, record: Any, *more: Any) -> None:
        self.expiries.settle(self.now(), 1_000)
        expired = record is not None and record.identity in self.expiries.unclaimed
        original(self, record, *more)
        if expired:
            self.expiries.unclaimed[record.identity] = record

    patch.setattr(Table, "_put", put)


@registry("REG-134")
def racing_sweepers_both_claim(patch: MP) -> None:
    original = MemoryRegistry.pop_expired

    async def pop_expired(self: Any, limit: int) -> Any:
        table = self._part
        table.expiries.settle(table.now(), 10_000)
        seen = [record.registration() for record in list(table.expiries.unclaimed.values())[:limit]]
        await asyncio.sleep(0)
        await original(self, limit)
        return seen

    patch.setattr(MemoryRegistry, "pop_expired", pop_expired)


@registry("REG-202", "FIL-041")
def page_has_one_too_many(patch: MP) -> None:
    original = MemoryRegistry.scan
    patch.setattr(
        MemoryRegistry, "scan", lambda self, query: original(self, replace(query, page_size=query.page_size + 1))
    )


@registry("REG-203", "REG-205", "REG-211", "REG-225", "REG-226", "FIL-041")
def scan_stops_one_short_of_the_limit(patch: MP) -> None:
    original = MemoryRegistry.scan

    def scan(self: Any, query: Any) -> Any:
        return original(self, replace(query, limit=query.limit and query.limit - 1))

    patch.setattr(MemoryRegistry, "scan", scan)


@registry("REG-204", "REG-205", "REG-211", "FIL-041")
def scan_goes_on_with_the_record_itself(patch: MP) -> None:
    original = MemoryRegistry._by_identity

    def by_identity(self: Any, query: Any) -> Any:
        record = query.after and self._part.live(query.after.identity, self._part.now())
        if record:
            yield [record]
        yield from original(self, query)

    patch.setattr(MemoryRegistry, "_by_identity", by_identity)


@registry("REG-208")
def target_of_a_replaced_registration_is_kept(patch: MP) -> None:
    original = Record.rewrite

    def rewrite(self: Any, *args: Any) -> None:
        kept = self._target
        original(self, *args)
        self._target = kept

    patch.setattr(Record, "rewrite", rewrite)


@registry("REG-212")
def scan_shows_what_was_live_when_it_began(patch: MP) -> None:
    patch.setattr(Table, "still_matching", lambda self, records, conjuncts: records)


@registry("REG-214")
def count_leaves_one_out(patch: MP) -> None:
    original = MemoryRegistry.count

    async def count(self: Any, conjuncts: Any) -> int:
        found = await original(self, conjuncts)
        return found - 1 if found > 100 and not conjuncts else found

    patch.setattr(MemoryRegistry, "count", count)


@registry("REG-220", "REG-221", "REG-223", "REG-225", "REG-226")
def descending_sort_is_ascending(patch: MP) -> None:
    original = sorting.sort_key
    patch.setattr(memory, "sort_key", lambda keys: original([replace(key, descending=False) for key in keys]))


@registry("REG-240")
def scan_copies_everything_first(patch: MP) -> None:
    original = MemoryRegistry.scan

    async def scan(self: Any, query: Any) -> Any:
        pages = [[replace(item) for item in page] async for page in original(self, query)]
        for page in pages:
            yield page

    patch.setattr(MemoryRegistry, "scan", scan)


@registry("FIL-010", "FIL-020", "FIL-021", "FIL-022")
def null_is_not_missing(patch: MP) -> None:
    _judged(patch, lambda clause, record: clause.op is Op.EXISTS and _null(clause, record))


@registry("FIL-020", "FIL-021", "FIL-022", "FIL-010", "FIL-041")
def count_ignores_the_filter(patch: MP) -> None:
    original = MemoryRegistry.count

    async def count(self: Any, conjuncts: Any) -> int:
        del conjuncts
        return await original(self, ())

    patch.setattr(MemoryRegistry, "count", count)


@registry("FIL-022")
def index_is_not_told_of_what_is_written_over(patch: MP) -> None:
    patch.setattr(Indexes, "move", lambda self, record, document: None)
    patch.setattr(Indexes, "remove", lambda self, record: None)


@registry("FIL-030")
def index_takes_true_for_one(patch: MP) -> None:
    original = FieldIndex.equal
    patch.setattr(FieldIndex, "equal", lambda self, value: original(self, int(value) if value is True else value))


@registry("FIL-031")
def index_does_not_know_that_an_int_is_a_float(patch: MP) -> None:
    original = FieldIndex.ordered

    def ordered(self: Any, low: Any, high: Any, **more: Any) -> Any:
        return original(self, float(low) + 1 if isinstance(low, int) and low >= 2**53 else low, high, **more)

    patch.setattr(FieldIndex, "ordered", ordered)


@registry("FIL-032")
def prefix_ends_before_the_last_code_point(patch: MP) -> None:
    original = FieldIndex._range

    def starting(self: Any, prefix: str) -> Any:
        return original(self, self._ordered_texts(), prefix, prefix + "\U0010ffff", with_high=False)

    patch.setattr(FieldIndex, "starting", starting)


@registry("FIL-033")
def index_of_elements_answers_for_texts_too(patch: MP) -> None:
    original = FieldIndex.having

    def having(self: Any, element: Any) -> Any:
        kept, self._text_keys = self._text_keys, 0
        try:
            return original(self, element)
        finally:
            self._text_keys = kept

    patch.setattr(FieldIndex, "having", having)


@registry("FIL-034")
def quote_ends_the_text(patch: MP) -> None:
    _judged(patch, lambda clause, record: isinstance(clause.value, str) and "'" in clause.value)


@registry("FIL-040")
def index_keeps_the_expired(patch: MP) -> None:
    walk = Table.matching

    def matching(self: Any, conjuncts: Any, *more: Any) -> Any:
        for records in walk(self, conjuncts, *more):
            expired = [record for record in self._records.values() if record.dies_at <= self.now()] if conjuncts else []
            yield [*compile_filter(And(tuple(conjuncts))).rows(expired), *records] if expired else records

    patch.setattr(Table, "matching", matching)


@registry("REG-230", "FIL-010", "FIL-020", "FIL-021", "FIL-022", "FIL-030", "FIL-031", "FIL-032", "FIL-033")
def plan_answers_once_for_all(patch: MP) -> None:
    patch.setattr(MemoryRegistry, "plan", lambda self, conjuncts: [Support.EXACT])


def _stored(outcome: object) -> bool:
    return not isinstance(outcome, Refused)


def _null(clause: Compare, record: Any) -> bool:
    key = getattr(clause.field, "keys", ("",))[0]
    return key in record.document and record.document[key] is None


def _judged(patch: MP, wrong: Any) -> None:
    """Turns a filter of one clause around where the judgement is wrong."""
    original = tables.compile_filter

    class Wrong:
        def __init__(self, node: Any) -> None:
            self.right = original(node)
            self.clauses = [part for part in node.children if isinstance(part, Compare)]

        def rows(self, records: Any) -> Any:
            held = {id(record) for record in self.right.rows(records)}
            return [
                record
                for record in records
                if (id(record) in held) != any(wrong(clause, record) for clause in self.clauses)
            ]

    patch.setattr(tables, "compile_filter", Wrong)
