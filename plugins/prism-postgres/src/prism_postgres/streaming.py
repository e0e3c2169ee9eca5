"""A statement whose rows are read as they are wanted, on a connection that is only borrowed for as long as they are."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from contextlib import AsyncExitStack, suppress
from types import TracebackType
from typing import Any, Final, Self

from prism_postgres.errors import LOST
from prism_postgres.pool import Connection, Database, Row

IDLE: Final = 0.25
"""Seconds without a call after which the connection is given back."""
LIFETIME: Final = 2.0
"""Seconds after which the rows are taken for too old: others have written since."""


class RowStream:
    """The rows of one statement, as of the moment it began. An async context manager; used by one task.

    A reader who takes too long finds it over, and begins another one where it stopped: so no connection is held for
    somebody who isn't reading, nor rows that are long out of date.
    """

    def __init__(self, database: Database, sql: str, values: Sequence[Any]) -> None:
        self._database = database
        self._sql = sql
        self._values = values
        self._stack = AsyncExitStack()
        self._connection: Connection = None
        self._cursor: Any = None
        self._idle: asyncio.TimerHandle | None = None
        self._closing: asyncio.Task[None] | None = None
        self._began = 0.0
        self._has_begun = False

    async def __aenter__(self) -> Self:
        """Begins. Raises NoConnection or asyncpg's error."""
        async with AsyncExitStack() as stack:
            connection = await stack.enter_async_context(self._database.connection())
            await stack.enter_async_context(connection.transaction(readonly=True))
            self._connection = connection
            self._cursor = await connection.cursor(self._sql, *self._values)
            self._stack = stack.pop_all()
        self._began = asyncio.get_running_loop().time()
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._rest()
        if self._closing is not None:
            await self._closing
        with suppress(*LOST):
            await self._stack.aclose()

    async def fetch(self, count: int) -> list[Row] | None:
        """Up to so many rows, fewer only at the end; None when it is over before the end. Raises asyncpg's error."""
        self._rest()
        loop = asyncio.get_running_loop()
        if self._closing is not None or (self._has_begun and loop.time() - self._began > LIFETIME):
            return None
        self._has_begun = True  # the first rows come however long they take: every stream gets on
        rows: list[Row] = await self._cursor.fetch(count)
        self._idle = loop.call_later(IDLE, self._give_back)
        return rows

    async def now(self, sql: str, *values: Any) -> list[Row] | None:
        """The rows of another statement, as of now, on the same connection: who waits for a second one while holding
        one may wait for ever. None when the stream is over. Raises asyncpg's error."""
        self._rest()
        if self._closing is not None:
            return None
        rows: list[Row] = await self._connection.fetch(sql, *values)
        self._idle = asyncio.get_running_loop().call_later(IDLE, self._give_back)
        return rows

    def _rest(self) -> None:
        if self._idle is not None:
            self._idle.cancel()
            self._idle = None

    def _give_back(self) -> None:
        self._closing = asyncio.ensure_future(self._close())

    async def _close(self) -> None:
        with suppress(*LOST):
            await self._stack.aclose()
