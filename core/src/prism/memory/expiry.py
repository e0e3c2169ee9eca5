"""When records expire: a heap of timers with lazy deletion, and the expired that nobody has claimed yet."""

from __future__ import annotations

import heapq

from prism.memory.record import NEVER, Record
from prism.model.time import Micros

_SLACK = 1_024


class Expiries:
    """The expiry of a table's records.

    A renewal touches only the record: the heap keeps the earlier timer, which goes back in at the later
    moment when its own has come. So renewing is cheap, and the heap has one valid timer for each record that
    expires. Timers of removed records stay until their moment, or until they outnumber the valid ones.
    """

    def __init__(self, records: dict[str, Record]) -> None:
        self._records = records
        self._timers: list[tuple[Micros, str]] = []
        self._expired: dict[str, Record] = {}

    def __len__(self) -> int:
        return len(self._timers)

    @property
    def unclaimed(self) -> dict[str, Record]:
        """Records known to be expired and still in the table, the first to expire first. Not to be changed."""
        return self._expired

    def schedule(self, record: Record) -> None:
        """Sees to it that the record, which is live and has its `dies_at`, is found when it expires."""
        if record.dies_at < record.timer_at:
            record.timer_at = record.dies_at
            heapq.heappush(self._timers, (record.dies_at, record.identity))
            if len(self._timers) > 2 * len(self._records) + _SLACK:
                self._compact()

    def withdraw(self, record: Record) -> None:
        """Takes a record off the unclaimed: it is being written anew, or leaves the table."""
        self._expired.pop(record.identity, None)

    def due(self, now: Micros) -> bool:
        """Whether timers are waiting to be looked at. If not, all expired records are known."""
        timers = self._timers
        return bool(timers) and timers[0][0] <= now

    def settle(self, now: Micros, budget: int) -> None:
        """Looks at up to `budget` timers whose moment has come."""
        timers, records = self._timers, self._records
        while budget > 0 and timers and timers[0][0] <= now:
            budget -= 1
            moment, identity = timers[0]
            record = records.get(identity)
            if record is None or record.timer_at != moment:
                heapq.heappop(timers)
            elif record.dies_at <= now:
                heapq.heappop(timers)
                record.timer_at = NEVER
                self._expired[identity] = record
            elif record.dies_at == NEVER:
                heapq.heappop(timers)
                record.timer_at = NEVER
            else:
                record.timer_at = record.dies_at
                heapq.heapreplace(timers, (record.dies_at, identity))

    def _compact(self) -> None:
        self._timers = [
            (record.timer_at, identity) for identity, record in self._records.items() if record.timer_at != NEVER
        ]
        heapq.heapify(self._timers)
