"""Filters that no index decides, evaluated here on the metadata of candidates; nothing else is read of what fails."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Final

import orjson
from prism.filters.ast import And, Node
from prism.filters.compiled import CompiledFilter, compile_filter
from prism.filters.record import Record
from prism.model.pages import at
from prism.slots.registry import RecordPage, ScanPage, TargetPage

from prism_redis.reading import Look, Member, Reader, Snapshot, identities_of
from prism_redis.records import record_page, target_page

WALK: Final = 1_000
"""Records looked at in one step, as long as nothing is known of their size."""
LEAST_STEP: Final = 16
LONGEST_STEP: Final = 4_000
STEP_BYTES: Final = 1024 * 1024
"""Bytes of metadata that a step should have."""


class Evaluation:
    """One filter over one partition, for pages of targets or (`full`) of registrations."""

    def __init__(self, reader: Reader, conjuncts: Sequence[Node], *, full: bool) -> None:
        self._reader = reader
        self._full = full
        self._filter = compile_filter(And(tuple(conjuncts)))
        self._nothing: ScanPage = RecordPage.empty() if full else TargetPage.empty()
        self.most = WALK
        """Records to look at in one step, by the size of their metadata so far."""

    async def of_entries(self, look: Look, members: Sequence[Member], start: int) -> ScanPage:
        """What is live and matches of entries that were read with a look; `start` is the length of their value.

        The metadata is read first, and the rest of what matches then. Where something was written in between, or
        something has expired, it's all read again, as of one moment.
        """
        identities = identities_of(members, start)
        if look.expired or not self._filter.metadata_only:
            return await self.of_identities(identities)
        now, documents = await self._reader.documents(identities)
        if now.expired or now.revision != look.revision or None in documents:
            return await self.of_identities(identities)
        self.most = max(LEAST_STEP, min(LONGEST_STEP, STEP_BYTES * len(members) // (sum(map(len, documents)) + 1)))  # type: ignore[arg-type]
        chosen = self._filter.documents([orjson.loads(text) for text in documents if text is not None])
        if not chosen:
            return self._nothing
        if not self._full:
            return target_page(at(members, chosen), start)
        names = at(identities, chosen)
        shot = await self._reader.snapshot(names)
        if shot.look.expired or shot.look.revision != now.revision or None in shot.heads:
            return await self.of_identities(names)
        return record_page(names, shot.heads, at(documents, chosen), shot.expiries)  # type: ignore[arg-type]

    async def of_identities(self, identities: Sequence[bytes]) -> ScanPage:
        """What is live and matches, as of one moment."""
        if not identities:
            return self._nothing
        shot = await self._reader.snapshot(identities, documents=True)
        chosen = self._matching(shot)
        return shot.records(chosen) if self._full else shot.targets(chosen)

    def _matching(self, shot: Snapshot) -> Sequence[int]:
        live = shot.live()
        if not self._filter.metadata_only:
            return at(live, matching(self._filter, shot.records(live)))
        return at(live, self._filter.documents([orjson.loads(shot.documents[i] or b"null") for i in live]))


def as_records(page: RecordPage) -> list[Record]:
    """Registrations as filters and sort orders see them."""
    documents = map(orjson.loads, page.metadata_json)
    return list(map(Record, page.identities, documents, page.registered_at, page.updated_at, page.expires_at))


def matching(evaluate: CompiledFilter, page: RecordPage) -> list[int]:
    """The positions of those for which a filter holds."""
    if evaluate.metadata_only:
        return evaluate.documents([orjson.loads(data) for data in page.metadata_json])
    return [i for i, record in enumerate(as_records(page)) if evaluate.matches(record)]
