"""The registrations of one namespace, and what one write, renewal or removal does to them. All synchronous."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence

import orjson

from prism.filters.ast import And, Node
from prism.filters.compiled import compile_filter
from prism.memory.expiry import Expiries
from prism.memory.indexes import Indexes
from prism.memory.ordered import OrderedKeys
from prism.memory.postings import Candidates
from prism.memory.record import GONE, NEVER, Record
from prism.memory.store import forward_only
from prism.model.errors import InvalidArgument, InvalidMetadata, PrismError, Violation
from prism.model.identity import Registration
from prism.model.json import Document
from prism.model.time import Clock, Micros
from prism.slots.context import Failure, IndexedField
from prism.slots.registry import (
    Absent,
    AtRevision,
    Deleted,
    DeleteOutcome,
    Fence,
    Keep,
    Refusal,
    Refused,
    Renewal,
    Renewed,
    RenewOutcome,
    SetOutcome,
    Stored,
    Write,
)

CHUNK = 1_024
"""Records handled between two turns of the event loop: about a millisecond of reading, several of writing."""

_NOT_FOUND = Refused(Refusal.NOT_FOUND)


class Table:
    """Records by identity, with their order, their indexes and their expiry.

    A record stays until it is removed or popped; whether it is *live* depends on the clock, which every
    method looks at. `now` never goes back.
    """

    def __init__(self, clock: Clock) -> None:
        self.now = forward_only(clock)
        self.indexes = Indexes()
        self._records: dict[str, Record] = {}
        self._order = OrderedKeys()
        self.expiries = Expiries(self._records)
        self._revision = 0
        self.changes = 0
        """Writes and removals so far: while it stays the same, what matched still does."""

    def __len__(self) -> int:
        """How many records there are, the expired included that nobody has popped."""
        return len(self._records)

    def ensure_indexes(self, fields: Iterable[IndexedField]) -> None:
        """Makes the indexes that aren't there yet."""
        self.indexes.ensure(fields, self._records.values())

    def live(self, identity: str, now: Micros) -> Record | None:
        """The identity's record if it is live."""
        record = self._records.get(identity)
        return record if record is not None and record.dies_at > now else None

    def live_at_most(self) -> int:
        """An upper bound of the number of live records; exact when no timer is due."""
        return len(self._records) - len(self.expiries.unclaimed)

    def write(self, write: Write, now: Micros, limit: int | None) -> SetOutcome:
        """Does one write. `limit` is the registrations the namespace may hold."""
        record = self._records.get(write.identity)
        current = record if record is not None and record.dies_at > now else None
        refused = _refusal(write, current)
        if refused is not None:
            return refused
        if current is None and limit is not None and self.live_at_most() >= limit:
            return Refused(Refusal.QUOTA_EXCEEDED)
        try:
            dies_at = _expiry(write, current, now)
            document = _document(write)
        except PrismError as error:
            return Failure(error)
        replaced = current.target() if current is not None else None
        keeps = current is not None and write.precondition.__class__ is AtRevision
        self._revision = max(self._revision + 1, now)
        written = Registration(
            write.identity,
            # A copy of its own size: orjson leaves a buffer of 4 KiB behind what it wrote, whatever that is.
            memoryview(write.metadata_json).tobytes(),
            write.registration_id,
            self._revision,
            current.registered_at if current is not None and keeps else now,
            now,
            None if dies_at == NEVER else dies_at,
            write.address,
            write.owner,
        )
        self._put(record, written, document, dies_at)
        return Stored(written, replaced)

    def renew(self, renewals: Iterable[Renewal], now: Micros) -> list[RenewOutcome]:
        """Moves expiries, one outcome each."""
        outcomes: list[RenewOutcome] = []
        renewed: dict[Micros | None, Renewed] = {}  # one heartbeat mostly has one TTL for all
        for renewal in renewals:
            record = self._records.get(renewal.identity)
            if record is None or record.dies_at <= now:
                outcomes.append(_NOT_FOUND)
                continue
            wanted, ttl = renewal.registration_id, renewal.ttl
            if wanted is not None and wanted != record.written.registration_id:
                outcomes.append(Refused(Refusal.STALE, record.registration()))
                continue
            if ttl is not None and ttl <= 0:
                outcomes.append(Failure(_bad_ttl(ttl)))
                continue
            outcome = renewed.get(ttl)
            if outcome is None:
                outcome = renewed[ttl] = Renewed(None if ttl is None else now + ttl)
            outcomes.append(outcome)
            record.renew(NEVER if outcome.expires_at is None else outcome.expires_at)
            if record.dies_at < record.timer_at:
                self.expiries.schedule(record)
        return outcomes

    def remove(self, fence: Fence, now: Micros) -> DeleteOutcome:
        """Removes one live registration."""
        record = self.live(fence.identity, now)
        if record is None:
            return _NOT_FOUND
        wanted = fence.registration_id
        if wanted is not None and wanted != record.written.registration_id:
            return Refused(Refusal.STALE, record.registration())
        target = record.target()
        self._drop(record)
        return Deleted(target)

    def pop_unclaimed(self, limit: int) -> list[Registration]:
        """Removes up to `limit` of the records known to be expired."""
        popped: list[Registration] = []
        unclaimed = self.expiries.unclaimed
        while unclaimed and len(popped) < limit:
            record = next(iter(unclaimed.values()))
            popped.append(record.registration())
            self._drop(record)
        return popped

    def matching(
        self, conjuncts: Sequence[Node], after: str | None = None, step: int = CHUNK
    ) -> Iterator[list[Record]]:
        """The live records for which all conjuncts hold, by identity, those after `after` only.

        Comes in lists, which may be empty, of what was live and matched when the list was taken: whoever
        iterates may let others run in between. `step` is how many records to look at for the first list.
        """
        rows = compile_filter(And(tuple(conjuncts))).rows if conjuncts else None
        chosen = self._worth_it(conjuncts)
        lists = self._walk(after, step) if chosen is None else _chunks(chosen.rows(), after)
        decided = chosen is not None and chosen.exact and len(conjuncts) == 1
        begin = self.changes
        for candidates in lists:
            found = self._only_live(candidates, self.changes if chosen is None else begin)
            yield found if rows is None or (decided and self.changes == begin) else rows(found)

    def still_matching(self, records: list[Record], conjuncts: Sequence[Node], since: int) -> list[Record]:
        """Those of the records that are live and match now; they did when there had been `since` changes."""
        found = self._only_live(records, since)
        if not conjuncts or self.changes == since:
            return found
        return compile_filter(And(tuple(conjuncts))).rows(found)

    def _worth_it(self, conjuncts: Sequence[Node]) -> Candidates | None:
        """What an index gives, None where walking the table is cheaper."""
        chosen = self.indexes.candidates(conjuncts) if conjuncts else None
        # Sorting what an index gives costs several times what walking the table in order does.
        if chosen is None or (chosen.size if chosen.in_order else 4 * chosen.size) > len(self._records):
            return None
        return chosen

    def _walk(self, after: str | None, step: int) -> Iterator[list[Record]]:
        """All records in order. Each list seeks where the last one ended, so writes in between do no harm."""
        records = self._records
        while True:
            identities = self._order.following(after, step)
            yield list(map(records.__getitem__, identities))
            if len(identities) < step:
                return
            after, step = identities[-1], CHUNK

    def _only_live(self, records: list[Record], since: int) -> list[Record]:
        """Those that are live of records that were in the table when there had been `since` changes."""
        now, expiries = self.now(), self.expiries
        if self.changes == since and not expiries.unclaimed and not expiries.due(now):
            return records  # nobody has gone and nobody has expired: there is nothing to look at one by one
        return [record for record in records if record.dies_at > now]

    def _put(self, record: Record | None, written: Registration, document: Document, dies_at: Micros) -> None:
        self.changes += 1
        if record is None:
            record = Record(written, document, dies_at)
            self._records[written.identity] = record
            self._order.add(written.identity)
            self.indexes.add(record)
        else:
            self.expiries.withdraw(record)
            self.indexes.move(record, document)
            record.rewrite(written, document, dies_at)
        self.expiries.schedule(record)

    def _drop(self, record: Record) -> None:
        self.changes += 1
        self.expiries.withdraw(record)
        self.indexes.remove(record)
        del self._records[record.identity]
        self._order.discard(record.identity)
        record.dies_at = GONE


def _chunks(rows: list[Record], after: str | None) -> Iterator[list[Record]]:
    if after is not None:
        rows = [record for record in rows if record.identity > after]
    return (rows[i : i + CHUNK] for i in range(0, len(rows), CHUNK))


def _refusal(write: Write, current: Record | None) -> Refused | None:
    condition = write.precondition
    if condition.__class__ is Absent:
        return None if current is None else Refused(Refusal.ALREADY_EXISTS, current.registration())
    if not isinstance(condition, AtRevision):
        return None
    if current is None:
        return _NOT_FOUND
    if current.written.revision != condition.revision:
        return Refused(Refusal.CONFLICT, current.registration())
    return None


def _expiry(write: Write, current: Record | None, now: Micros) -> Micros:
    ttl = write.ttl
    if ttl is None:
        return NEVER
    if not isinstance(ttl, Keep):
        if ttl <= 0:
            raise _bad_ttl(ttl)
        return now + ttl
    if current is None or not isinstance(write.precondition, AtRevision):
        raise InvalidArgument.at("ttl", "Keep.EXPIRY goes with AtRevision only; give a length of time or None")
    return current.dies_at


def _bad_ttl(ttl: Micros) -> InvalidArgument:
    return InvalidArgument.at("ttl", f"{ttl} microseconds is not more than 0; give a positive time, or None for ever")


def _document(write: Write) -> Document:
    try:
        document = orjson.loads(write.metadata_json)
    except orjson.JSONDecodeError as error:
        problem = f"the metadata of {write.identity!r} is not JSON: {error}"
        raise InvalidMetadata(problem, violations=(Violation("metadata", problem),)) from error
    if document.__class__ is not dict:
        problem = f"the metadata of {write.identity!r} is not a JSON object; wrap it in one"
        raise InvalidMetadata(problem, violations=(Violation("metadata", problem),))
    return document
