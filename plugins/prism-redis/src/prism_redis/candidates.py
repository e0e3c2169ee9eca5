"""The scan of one partition: candidates from the cheapest source, checked as of one moment."""

from __future__ import annotations

from bisect import bisect_right
from dataclasses import dataclass
from typing import Final

from prism.filters.ast import And, Compare
from prism.filters.compiled import compile_filter
from prism.slots.registry import Projection, Query, RecordPage, ScanPage, TargetPage

from prism_redis.evaluating import WALK, Evaluation, matching
from prism_redis.reading import Member, Reader, after_identity, identities_of
from prism_redis.records import identity_of, target_page
from prism_redis.terms import Keys, Stretch, Test, Where, fields_of, predicate, read_terms, sources

COLLECT: Final = 20_000
"""Entries of stretches that aren't in the order of identities, up to which they are read and sorted here; where
there are more, all records are walked in order."""
_EVERYONE: Final = Stretch(b"", b"\xff")
_ORDER: Final = Where(None, (_EVERYONE,))


@dataclass(frozen=True, slots=True)
class Source:
    """Where the candidates of a partition come from: a stretch of a sorted set, or a sorted list of identities.

    `decided` is whether the entries alone say that the query holds; `start` the bytes of them before the identity.
    """

    key: bytes
    stretch: Stretch
    decided: bool
    names: list[bytes] | None = None
    start: int = 0

    def past(self, identity: bytes | None) -> Stretch:
        """What of the stretch comes after an identity."""
        if identity is None:
            return self.stretch
        low = self.stretch.low[: self.start] + after_identity(identity)
        return Stretch(max(self.stretch.low, low), self.stretch.high)


@dataclass(frozen=True, slots=True)
class Step:
    """Some of what a scan finds, perhaps nothing; `last` when nothing comes after it.

    `reached` is the last candidate looked at, matching or not.
    """

    page: ScanPage
    last: bool
    reached: bytes


class PartScan:
    """The scan of one partition: steps of matching live records, by identity."""

    def __init__(self, reader: Reader, query: Query) -> None:
        self._reader = reader
        self._query = query
        self._source: Source | None = None
        self._full = query.projection is Projection.FULL or bool(query.sort)
        self.nothing: ScanPage = RecordPage.empty() if self._full else TargetPage.empty()
        self._known = [node for node in query.conjuncts if reader.answers(node)]
        """The parts of the filter that indexes decide; the rest is evaluated on the metadata."""
        self._evaluation: Evaluation | None = None
        if len(self._known) < len(query.conjuncts):
            self._evaluation = Evaluation(reader, query.conjuncts, full=self._full)
        self._fields = {keys for node in self._known for keys in fields_of(node)}
        self._tests: list[Test] = [predicate(node) for node in self._known]

    @property
    def most(self) -> int:
        """How many candidates to look at in one step at most."""
        return WALK if self._evaluation is None else self._evaluation.most

    async def step(self, after: bytes | None, size: int) -> Step:
        """What matches and is live of the next `size` candidates past an identity."""
        if self._source is None:
            self._source = await self._choose()
        source = self._source
        if source.names is not None:
            first = 0 if after is None else bisect_right(source.names, after)
            names = source.names[first : first + size]
            return Step(await self._checked(names), first + size >= len(source.names), names[-1] if names else b"")
        look, members = await self._reader.page(source.key, source.past(after), size + 1)
        if not members:
            return Step(self.nothing, last=True, reached=b"")
        last = len(members) <= size  # with one more than a step the last step is known to be it
        del members[size:]
        if self._evaluation is not None:
            found = await self._evaluation.of_entries(look, members, source.start)
        elif not source.decided:
            found = await self._checked(identities_of(members, source.start))
        elif self._full:
            found = await self._completed(identities_of(members, source.start), look.revision)
        else:
            found = await self._live_targets(members, source.start, expired=look.expired > 0)
        return Step(found, last, identity_of(members[-1]))

    async def count(self) -> int:
        """How many live records match."""
        source = self._source = await self._choose()
        if source.decided and source.names is None:
            look = await self._reader.look()
            if not look.expired:
                return (await self._reader.sizes([(source.key, source.stretch)]))[0]
            if not self._query.conjuncts:
                return look.stored - look.expired
        total, after, last = 0, None, False
        while not last:
            step = await self.step(after, self.most)
            total, after, last = total + len(step.page), step.reached, step.last
        return total

    async def _choose(self) -> Source:
        """The cheapest source that holds all that matches."""
        after = self._query.after
        start = b"" if after is None or self._query.sort else after_identity(after.identity.encode())
        order = self._reader.key(_ORDER)
        assert order is not None
        everyone = Source(order, Stretch(start, _EVERYONE.high), decided=not self._query.conjuncts)
        known = [part for part in map(sources, self._known) if part is not None]
        if not known:
            return everyone
        if any(not part for part in known):
            return Source(order, _EVERYONE, decided=False, names=[])
        best, size = await self._smallest(known)
        only = best[0] if len(best) == 1 and len(best[0].stretches) == 1 else None
        if only is not None and only.by_identity:
            return self._in_order(only, start)
        if size > COLLECT:
            return everyone
        asked = self._pairs(best)
        found = await self._reader.entries(asked)
        names = sorted({name for members in found for name in identities_of(members) if name + b"\x00" > start})
        return Source(order, _EVERYONE, decided=False, names=names)

    def _in_order(self, only: Where, start: bytes) -> Source:
        """A single stretch whose entries are by identity: of the order itself, or of one value."""
        key = self._reader.key(only)
        assert key is not None
        [stretch] = only.stretches
        decided = len(self._query.conjuncts) == 1 and isinstance(self._query.conjuncts[0], Compare)
        if only.keys is None:
            return Source(key, Stretch(max(stretch.low, start), stretch.high), decided=decided)
        low = stretch.low
        return Source(key, Stretch(low + start, stretch.high), decided=decided, start=len(low))

    async def _smallest(self, known: list[list[Where]]) -> tuple[list[Where], int]:
        """The alternative with the fewest entries, and how many those are; not asked for where it is the only one."""
        if len(known) == 1 and len(known[0]) == 1 and known[0][0].by_identity and len(known[0][0].stretches) == 1:
            return known[0], 0
        asked = [self._pairs(part) for part in known]
        sizes = iter(await self._reader.sizes([pair for pairs in asked for pair in pairs]))
        totals = [sum(next(sizes) for _ in pairs) for pairs in asked]
        size, i = min((total, i) for i, total in enumerate(totals))
        return known[i], size

    def _pairs(self, part: list[Where]) -> list[tuple[bytes, Stretch]]:
        pairs = []
        for where in part:
            key = self._reader.key(where)
            assert key is not None
            pairs += [(key, stretch) for stretch in where.stretches]
        return pairs

    async def _live_targets(self, members: list[Member], start: int, *, expired: bool) -> TargetPage:
        if expired:
            gone = await self._reader.expired(identities_of(members, start))
            members = [member for member in members if identity_of(member) not in gone]
        return target_page(members, start)

    async def _completed(self, identities: list[bytes], revision: int) -> RecordPage:
        """The registrations of entries that match; what was written since they were read is looked at again."""
        shot = await self._reader.snapshot(identities, documents=True)
        found = shot.records(shot.live())
        if not self._query.conjuncts or max(found.revisions, default=0) <= revision:
            return found
        still = set(matching(compile_filter(And(self._query.conjuncts)), found))
        return found.chosen([i for i, written in enumerate(found.revisions) if written <= revision or i in still])

    async def _checked(self, identities: list[bytes]) -> ScanPage:
        """The live ones of some candidates for which the query holds, as of one moment."""
        if not identities:
            return self.nothing
        if self._evaluation is not None:
            return await self._evaluation.of_identities(identities)
        shot = await self._reader.snapshot(identities, terms=bool(self._fields), documents=self._full)
        names, tests = self._names(), self._tests
        chosen = []
        for i in shot.live():
            terms = read_terms(shot.terms[i], names) if names else {}
            if all(test(shot.identities[i], terms) for test in tests):
                chosen.append(i)
        return shot.records(chosen) if self._full else shot.targets(chosen)

    def _names(self) -> dict[int, Keys]:
        return {number: keys for number, keys in self._reader.fields.names.items() if keys in self._fields}
