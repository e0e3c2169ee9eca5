"""Making indexes and dropping them, while the table is read and written.

Each index is of one namespace, so that it costs the others nothing, and is named after what it is of: one that is there
is up to date. One whose making was interrupted is invalid; it's dropped and made again.
"""

from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncIterator, Iterable, Mapping, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass
from hashlib import blake2b
from typing import Final

from prism.filters.ast import MetadataField
from prism.filters.paths import format_path

from prism_postgres import expressions
from prism_postgres.documents import text
from prism_postgres.indexes import FieldIndex, Keys, columns_of
from prism_postgres.migrations import in_schema
from prism_postgres.pool import Connection, Database

_VERSION: Final = "2"
"""Changes with the definitions below, so that indexes of older ones are made anew."""
_LOCK: Final = "SELECT pg_try_advisory_lock(hashtextextended('prism indexes ' || $1, 0))"
_LOCK_PAUSE: Final = 0.1

_FOUND: Final = """
    SELECT c.relname AS name, obj_description(c.oid, 'pg_class') AS title, i.indisvalid AS valid,
        pg_relation_size(c.oid) AS bytes,
        EXISTS (SELECT FROM pg_stat_progress_create_index p WHERE p.index_relid = c.oid) AS building
    FROM pg_index i JOIN pg_class c ON c.oid = i.indexrelid
    WHERE i.indrelid = '__schema__.registrations'::regclass AND starts_with(c.relname, $1)
"""
_STATISTICS: Final = {"text": "{text_key}", "number": "{number_of}", "boolean": "{boolean}", "version": "{version}"}
"""What the planner is to know the distribution of: from an index of a part of the table it takes none."""
_DEFINITIONS: Final = {
    "text": "USING btree ({text_key}, identity) WHERE namespace = {number} AND {text_key} IS NOT NULL",
    "number": "USING btree ({number_of}, identity) WHERE namespace = {number} AND {number_of} IS NOT NULL",
    "boolean": "USING btree ({boolean}, identity) WHERE namespace = {number} AND {boolean} IS NOT NULL",
    "version": "USING btree ({version}, identity) WHERE namespace = {number} AND {version} IS NOT NULL",
    "elements": "USING gin ({value} jsonb_path_ops) WHERE namespace = {number}",
    "odd": "USING btree (identity) WHERE namespace = {number} AND jsonb_typeof({value}) = 'string'",
    "document": "USING gin (document jsonb_path_ops) WHERE namespace = {number}",
    "place": "USING gist ({place}) WHERE namespace = {number}",
}


@dataclass(frozen=True, slots=True, order=True)
class TableIndex:
    """One index of the table: one column of one field."""

    keys: Keys
    column: str

    @property
    def digest(self) -> str:
        """What its name ends with."""
        content = json.dumps([_VERSION, self.column, list(self.keys)]).encode()
        return f"{self.column}_{blake2b(content, digest_size=8).hexdigest()}"

    @property
    def title(self) -> str:
        """What it is of, for people."""
        path = format_path(MetadataField(self.keys)) if self.keys else "the whole document"
        return f"{path} ({self.column})"


@dataclass(frozen=True, slots=True)
class IndexState:
    """What is to be done: indexes to make, names of those that nothing asks for any more, and those being made."""

    missing: tuple[TableIndex, ...]
    unwanted: tuple[str, ...]
    broken: tuple[str, ...]
    building: tuple[str, ...]
    titles: Mapping[str, str]

    def title(self, name: str) -> str:
        """What an index is of, for people; its name where nothing says."""
        return self.titles.get(name, name)


def tables_of(fields: Iterable[FieldIndex]) -> tuple[TableIndex, ...]:
    """The indexes of the table that fields need."""
    return tuple(sorted({TableIndex(field.keys, column) for field in fields for column in columns_of(field)}))


async def look(database: Database, schema: str, number: int, fields: Sequence[FieldIndex]) -> IndexState:
    """Compares what is there of a namespace with what is wanted."""
    prefix = f"ix_{number}_"
    rows = await database.fetch(in_schema(_FOUND, schema), prefix, harmless=True)
    wanted = {prefix + index.digest: index for index in tables_of(fields)}
    valid = {row["name"] for row in rows if row["valid"]}
    building = {row["name"] for row in rows if row["building"]}
    broken = {row["name"] for row in rows if not row["valid"]} - building
    return IndexState(
        tuple(index for name, index in wanted.items() if name not in valid | building),
        tuple(sorted(valid - set(wanted))),
        tuple(sorted(broken)),
        tuple(sorted(building)),
        {row["name"]: row["title"] for row in rows if row["title"]} | {name: wanted[name].title for name in wanted},
    )


async def build(database: Database, schema: str, number: int, fields: Sequence[FieldIndex]) -> list[str]:
    """Makes the indexes that are missing, one after the other, and says which. Others may do so at the same time."""
    state = await look(database, schema, number, fields)
    if not state.missing:
        return []
    async with _changing(database, schema) as connection:
        state = await look(database, schema, number, fields)  # another may have made them meanwhile
        for name in state.broken:
            await _drop(connection, schema, name)
        for index in state.missing:
            await _make(connection, schema, number, index)
        if state.missing:
            await connection.execute(in_schema("ANALYZE __schema__.registrations", schema), timeout=None)
    return [index.title for index in state.missing]


async def prune(database: Database, schema: str, number: int, fields: Sequence[FieldIndex]) -> list[str]:
    """Drops the indexes of a namespace that nothing asks for, and says what they were of."""
    state = await look(database, schema, number, fields)
    names = [*state.unwanted, *state.broken]
    if names:
        async with _changing(database, schema) as connection:
            for name in names:
                await _drop(connection, schema, name)
    return [state.title(name) for name in names]


@asynccontextmanager
async def _changing(database: Database, schema: str) -> AsyncIterator[Connection]:
    """A connection of one's own on which nobody else makes or drops indexes of the schema, however long it takes.

    The lock is asked for again and again: who waits for it in a statement has a snapshot, which the making of an index
    waits for in turn. A pooler would leave the lock behind, so there it's not taken; see the README.
    """
    connection = await database.connect()
    try:
        if not database.config.pooler:
            await connection.execute("SET statement_timeout = 0")
            while not await connection.fetchval(_LOCK, schema):  # noqa: ASYNC110 - nothing says when it is free
                await asyncio.sleep(_LOCK_PAUSE)
        yield connection
    finally:
        await connection.close()


async def _make(connection: Connection, schema: str, number: int, index: TableIndex) -> None:
    value = expressions.value([f"%{i + 1}$L" for i in range(len(index.keys))], "document")
    parts = {
        "number": number,
        "value": value,
        "text_key": expressions.text_key(value),
        "number_of": expressions.number(value),
        "boolean": expressions.boolean(value),
        "version": expressions.short_version_key(value),
        "place": expressions.place(value),
    }
    name = f"{number}_{index.digest}"
    definition = _DEFINITIONS[index.column].format_map(parts)
    await _execute(
        connection,
        in_schema(
            f'CREATE INDEX CONCURRENTLY IF NOT EXISTS "ix_{name}" ON __schema__.registrations {definition}', schema
        ),
        index.keys,
    )
    comment = in_schema(f'COMMENT ON INDEX __schema__."ix_{name}" IS %1$L', schema)
    await _execute(connection, comment, (index.title,))
    if index.column in _STATISTICS:
        expression = _STATISTICS[index.column].format_map(parts)
        statistics = (
            f'CREATE STATISTICS IF NOT EXISTS __schema__."st_{name}" ON ({expression}) FROM __schema__.registrations'
        )
        await _execute(connection, in_schema(statistics, schema), index.keys)


async def _execute(connection: Connection, template: str, keys: Keys) -> None:
    """Runs a statement that can't have parameters: the server puts the keys in, as literals."""
    statement = await connection.fetchval("SELECT format($1, VARIADIC $2::text[])", template, [*map(text, keys)])
    await connection.execute(statement, timeout=None)


async def _drop(connection: Connection, schema: str, name: str) -> None:
    await connection.execute(in_schema(f'DROP INDEX CONCURRENTLY IF EXISTS __schema__."{name}"', schema), timeout=None)
    statistics = name.replace("ix_", "st_", 1)
    await connection.execute(in_schema(f'DROP STATISTICS IF EXISTS __schema__."{statistics}"', schema))
