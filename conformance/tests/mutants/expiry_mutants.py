"""Faults of a registry: expiry, renewal, claiming the expired."""

from __future__ import annotations

import asyncio
from dataclasses import replace
from typing import Any

import pytest
from prism.memory.record import NEVER, Record
from prism.memory.registry import MemoryRegistry
from prism.memory.table import Table
from prism.slots.registry import Absent, Refusal, Refused, Renewed

from .running import registry

MP = pytest.MonkeyPatch


@registry("REG-110", "REG-114")
def expired_identity_is_got(patch: MP) -> None:
    async def get(self: Any, identities: Any) -> Any:
        return [(record := self._part._records.get(name)) and record.registration() for name in identities]

    patch.setattr(MemoryRegistry, "get", get)


@registry("REG-111", "FIL-040", "REG-112", "REG-123", "REG-124", "REG-212")
def expired_identity_is_enumerated(patch: MP) -> None:
    patch.setattr(Table, "_only_live", lambda self, records, since: records)


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


@registry("REG-120", "REG-121", "REG-122", "REG-127")
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
