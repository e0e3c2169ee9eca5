"""Heartbeats: one statement that touches leases alone, and a look at those that it didn't find."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, Final

from prism.slots.registry import Refusal, Refused, Renewal, Renewed, RenewOutcome

from prism_postgres.migrations import in_schema
from prism_postgres.pool import Database
from prism_postgres.scanning import LIVE
from prism_postgres.writing import shortened

RENEWALS: Final = 10_000
"""Renewals in one statement."""

_ATTEMPTS: Final = 3
_RENEW: Final = "SELECT * FROM __schema__.renew_leases($1, $2, $3, $4)"
_LEASES: Final = f"""
    SELECT l.identity, l.registration_id FROM __schema__.leases l
    WHERE l.namespace = $1 AND l.identity = ANY($2) AND {LIVE}
"""  # noqa: S608 - our own condition


async def renew(database: Database, schema: str, number: int, renewals: Sequence[Renewal]) -> Sequence[RenewOutcome]:
    """An outcome for each, in their order: that of identities, no identity twice. It's repeated when it was cut off.

    Leases are locked in the order that they are given: when everybody does so, nobody waits in a circle.
    """
    outcomes: list[Any] = [None] * len(renewals)
    left: Sequence[int] = range(len(renewals))
    for _ in range(_ATTEMPTS):
        chosen = [renewals[i] for i in left]
        row = await database.fetch_row(
            in_schema(_RENEW, schema),
            number,
            [renewal.identity for renewal in chosen],
            [renewal.registration_id for renewal in chosen],
            shortened([renewal.ttl for renewal in chosen]),
            harmless=True,
        )
        assert row is not None
        now, places = row["moment"], row["renewed"]
        until = {ttl: Renewed(None if ttl is None else now + ttl) for ttl in {renewal.ttl for renewal in chosen}}
        if places is None and len(chosen) == len(renewals):
            return [until[renewal.ttl] for renewal in renewals]
        for i in left if places is None else [left[place - 1] for place in places]:
            outcomes[i] = until[renewals[i].ttl]
        left = [i for i in left if outcomes[i] is None]
        if not left:
            return outcomes
        await _refuse(database, schema, number, renewals, left, outcomes)
        left = [i for i in left if outcomes[i] is None]  # registered a moment ago: once more
        if not left:
            return outcomes
    for i in left:
        outcomes[i] = Refused(Refusal.NOT_FOUND)
    return outcomes


async def _refuse(
    database: Database,
    schema: str,
    number: int,
    renewals: Sequence[Renewal],
    left: Sequence[int],
    outcomes: list[Any],
) -> None:
    """Says of those that weren't renewed why, unless they could be by now."""
    missed = [renewals[i].identity for i in left]
    rows = await database.fetch(in_schema(_LEASES, schema), number, missed, harmless=True)
    live = {row["identity"]: row["registration_id"] for row in rows}
    for i in left:
        current = live.get(renewals[i].identity)
        if current is None:
            outcomes[i] = Refused(Refusal.NOT_FOUND)
        elif renewals[i].registration_id not in (None, current):
            outcomes[i] = Refused(Refusal.STALE)
