"""The audit: recording multicasts, reading entries, a partition for each month, and the retention."""

from __future__ import annotations

import json
import logging
from collections.abc import Sequence
from typing import Any, Final

from prism.model.audit import AuditEntry, AuditKind, AuditQuery
from prism.model.time import Micros, from_datetime, to_datetime

from prism_postgres.migrations import Module, in_schema
from prism_postgres.pool import Connection, Database
from prism_postgres.statement import Parameters

_NEEDS: Final = {
    "audit": ("SELECT", "INSERT"),
    "audit_default": (),
    "refuse_change": (),
    "make_audit_partitions": (),
    "drop_outlived_audit": (),
}
TABLES: Final = Module("audit", 1, _NEEDS)
MONTHS_AHEAD: Final = 3
"""Partitions that are made before they are needed."""
LOCK_TIMEOUT: Final = 1_000
"""Milliseconds that making and dropping partitions waits for those who use the audit; new ones wait behind it."""

_RECORD: Final = """
    INSERT INTO __schema__.audit (
        namespace, kind, actor, identity, registration_id, revision, message_id, filter, targets, outcomes, detail
    )
    SELECT $1, i.* FROM unnest(
        $2::text[], $3::text[], $4::text[], $5::text[], $6::bigint[], $7::text[], $8::text[], $9::bigint[], $10::text[],
        $11::text[]
    ) AS i
"""
_COLUMNS: Final = (
    "sequence, at, kind, actor, identity, registration_id, revision, message_id, filter, targets, outcomes, detail"
)
_PEER: Final = r"COALESCE(substring(actor FROM ' \(([^()]*)\)$'), actor)"
"""Where a call came from: what stands in parentheses at the end of the actor, or all of it."""
_KEEP: Final = """
    UPDATE __schema__.namespaces SET audit_days = $2 WHERE number = $1 AND audit_days IS DISTINCT FROM $2
"""

logger = logging.getLogger("prism.postgres")


async def record(database: Database, schema: str, number: int, entries: Sequence[AuditEntry]) -> None:
    """Appends entries."""
    columns = [
        [entry.kind.value for entry in entries],
        [_clean(entry.actor) for entry in entries],
        [_clean(entry.identity) for entry in entries],
        [_clean(entry.registration_id) for entry in entries],
        [entry.revision for entry in entries],
        [_clean(entry.message_id) for entry in entries],
        [_json(entry.filter) for entry in entries],
        [entry.targets for entry in entries],
        [_json(entry.outcomes) for entry in entries],
        [_clean(entry.detail) for entry in entries],
    ]
    await database.fetch(in_schema(_RECORD, schema), number, *columns)


async def read(database: Database, schema: str, number: int, query: AuditQuery) -> list[AuditEntry]:
    """The entries that a query asks for, the latest first."""
    parameters = Parameters(number)
    conditions = ["namespace = $1"]

    def where(condition: str, value: Any, kind: str) -> None:
        conditions.append(f"{condition} {parameters.bind(value, kind)}")

    if query.kinds:
        conditions.append(f"kind = ANY({parameters.bind(sorted(query.kinds), 'text[]')})")
    if query.since is not None:
        where("at >=", to_datetime(query.since), "timestamptz")
    if query.until is not None:
        where("at <", to_datetime(query.until), "timestamptz")
    if query.actor is not None:
        conditions.append(_made_for(_clean(query.actor), parameters))
    if query.identity is not None:
        conditions.append("identity <> ''")
        where("identity =", _clean(query.identity), "text")
    if query.message_id is not None:
        conditions.append("message_id <> ''")
        where("message_id =", _clean(query.message_id), "text")
    if query.before is not None:
        where("sequence <", query.before, "bigint")
    limit = parameters.bind(query.limit, "bigint")
    sql = (
        f"SELECT {_COLUMNS} FROM __schema__.audit WHERE {' AND '.join(conditions)} "  # noqa: S608 - all values are bound
        f"ORDER BY sequence DESC LIMIT {limit}"
    )
    rows = await database.fetch(in_schema(sql, schema), *parameters.values, harmless=True)
    return [
        AuditEntry(
            AuditKind(row["kind"]),
            row["actor"],
            row["sequence"],
            _micros(row["at"]),
            row["identity"],
            row["registration_id"],
            row["revision"],
            row["message_id"],
            None if row["filter"] is None else json.loads(row["filter"]),
            row["targets"],
            None if row["outcomes"] is None else json.loads(row["outcomes"]),
            row["detail"],
        )
        for row in rows
    ]


async def keep(database: Database, schema: str, number: int, days: int | None) -> None:
    """Notes how long a namespace keeps its audit: days, or None for ever."""
    await database.fetch(in_schema(_KEEP, schema), number, days or 0, harmless=True)


async def pending(database: Database, schema: str, number: int, days: int | None) -> list[str]:
    """The partitions that `maintain` would drop once a namespace keeps its audit for so many days.

    0 is for ever, None what is noted of it.
    """
    sql = "SELECT * FROM __schema__.outlived_audit_partitions($1, $2) AS name"
    rows = await database.fetch(in_schema(sql, schema), number, days, harmless=True)
    return [row["name"] for row in rows]


async def maintain(database: Database, schema: str) -> tuple[list[str], list[str]]:
    """Makes the partitions of the next months and drops those that are kept no longer; the names of both.

    Raises asyncpg's LockNotAvailableError where somebody reads the audit all the while, as `pg_dump` does: writers
    would have to wait behind us.
    """

    async def act(connection: Connection) -> tuple[list[str], list[str]]:
        await connection.execute(f"SET LOCAL lock_timeout = {LOCK_TIMEOUT}")
        made = await connection.fetch(
            in_schema("SELECT * FROM __schema__.make_audit_partitions($1) AS name", schema), MONTHS_AHEAD
        )
        dropped = await connection.fetch(in_schema("SELECT * FROM __schema__.drop_outlived_audit() AS name", schema))
        return [row["name"] for row in made], [row["name"] for row in dropped]

    return await database.in_transaction(act, harmless=True)


def _made_for(actor: str, parameters: Parameters) -> str:
    """Entries whose actor is this one as recorded, its name, or its peer with or without the port.

    Recorded are `NAME`, `PEER` or `NAME (PEER)`. Texts are compared as they are: no character in them is special.
    """
    peers = (actor, f"ipv4:{actor}", f"ipv6:{actor}", f"ipv6:[{actor}]")
    whole, named = parameters.bind(actor, "text"), parameters.bind(f"{actor} (", "text")
    hosts = [f"starts_with({_PEER}, {parameters.bind(f'{peer}:', 'text')})" for peer in peers if actor]
    exactly = f"{_PEER} = ANY({parameters.bind(list(peers), 'text[]')})"
    return f"({' OR '.join((f'actor = {whole}', f'starts_with(actor, {named})', exactly, *hosts))})"


def _json(value: Any) -> str | None:
    return None if value is None else json.dumps(value, separators=(",", ":"))


def _micros(moment: Any) -> Micros:
    return from_datetime(moment)


def _clean(text: str) -> str:
    """No text of the server's has a U+0000; it can't be lost on anyone that it was there."""
    return text.replace("\0", "\\0")
