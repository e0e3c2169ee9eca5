"""Connections that slots of one process share: those with equal options, in one event loop.

Behind a pooler in transaction mode nothing may outlive a transaction: no named prepared statement, no setting of the
session. Elsewhere statements are prepared once for each connection, and always planned for the values at hand, since
only then can the index of a field be found whose path is a parameter.
"""

from __future__ import annotations

import asyncio
import errno
import random
import ssl
from collections.abc import AsyncIterator, Awaitable, Callable, Sequence
from contextlib import asynccontextmanager, suppress
from dataclasses import dataclass, field
from typing import Any, Final, TypeAlias, TypeVar

import asyncpg

from prism_postgres.config import PostgresConfig
from prism_postgres.errors import LOST, RETRIED, ConnectionLost, NoConnection, StatementTimeout

Connection: TypeAlias = Any
"""An asyncpg connection, or a pool's proxy of one."""
Row: TypeAlias = Any
"""An asyncpg record."""
Result = TypeVar("Result")

ATTEMPTS: Final = 8
"""How often a transaction is tried that the server rolls back for another's sake."""
_PAUSE: Final = 0.002
"""Seconds at most before the second attempt, doubled for each further one."""
_CLOSE_PATIENCE: Final = 3.0
"""Seconds that closing waits for calls that still run."""
_SLACK: Final = 2.0
"""Seconds that we wait longer than the server's own limit, so that it is the server that says so."""


class Database:
    """A pool of connections to one server. Made by `borrow`."""

    def __init__(self, config: PostgresConfig) -> None:
        self.config = config
        self._pool: Any = None

    async def open(self) -> None:
        """Makes the pool, and one connection to see that it can."""
        config = self.config
        self._pool = asyncpg.create_pool(
            min_size=config.pool_min,
            max_size=config.pool_size,
            connect=self._connect,
            reset=_keep_session,
            max_inactive_connection_lifetime=300.0,
        )
        await self._pool
        async with self.connection():
            pass

    async def close(self) -> None:
        """Ends all connections, those in use after a few seconds."""
        pool, self._pool = self._pool, None
        if pool is None:
            return
        try:
            async with asyncio.timeout(_CLOSE_PATIENCE):
                await pool.close()
        except (TimeoutError, *LOST):
            pool.terminate()

    async def connect(self, kind: type | None = None) -> Connection:
        """A connection of one's own, to LISTEN on or to build indexes; close it when done. Raises NoConnection.

        `kind` is a subclass of asyncpg's Connection.
        """
        try:
            return await self._connect(**({} if kind is None else {"connection_class": kind}))
        except Exception as error:
            raise self._no_connection(error) from error

    @asynccontextmanager
    async def connection(self) -> AsyncIterator[Connection]:
        """A connection from the pool. Raises NoConnection when none can be had in time."""
        pool = self._pool
        if pool is None:
            raise NoConnection("the slot is closed")
        try:
            connection = await pool.acquire(timeout=self.config.acquire_timeout)
        except TimeoutError as error:
            text = f"no connection within {self.config.acquire_timeout:g} s: all {self.config.pool_size} are busy"
            raise NoConnection(f"{text}, or the server doesn't answer; see pool_size and acquire_timeout") from error
        except Exception as error:
            raise self._no_connection(error) from error
        try:
            yield connection
        finally:
            await self._release(pool, connection)

    async def run(self, act: Callable[[Connection], Awaitable[Result]], *, harmless: bool = False) -> Result:
        """Does something on a connection, again where the server rolled it back for another's sake, and, of several
        hosts, where this one takes no writes any more.

        Args:
            act: one statement, or one transaction.
            harmless: whether repeating it changes nothing; then a connection that was lost is replaced, once.

        Raises ConnectionLost, NoConnection, StatementTimeout, or asyncpg's error.
        """
        lost = False
        for attempt in range(ATTEMPTS):
            if attempt:
                await asyncio.sleep(random.uniform(0, _PAUSE * 2 ** (attempt - 1)))  # noqa: S311 - jitter, not a secret
            async with self.connection() as connection:
                try:
                    return await act(connection)
                except RETRIED:
                    if attempt + 1 == ATTEMPTS:
                        raise
                except asyncpg.ReadOnlySQLTransactionError:
                    if attempt + 1 == ATTEMPTS or len(hosts(self.config)) <= 1:
                        raise
                    await self._pool.expire_connections()  # another host has taken over: look for it again
                except TimeoutError as error:
                    raise StatementTimeout(f"no answer within {self.config.statement_timeout:g} s") from error
                except LOST as error:
                    if not _is_lost(connection, error):
                        raise
                    if lost or not harmless:
                        raise ConnectionLost(_text(error), harmless=harmless) from error
                    lost = True
        raise AssertionError("unreachable: the last attempt returns or raises")

    async def fetch(self, sql: str, *arguments: Any, harmless: bool = False) -> list[Row]:
        """The rows of one statement; see `run`."""

        async def act(connection: Connection) -> list[Row]:
            rows: list[Row] = await connection.fetch(sql, *arguments)
            return rows

        return await self.run(act, harmless=harmless)

    async def fetch_row(self, sql: str, *arguments: Any, harmless: bool = False) -> Row | None:
        """The first row of one statement, None for none; see `run`."""
        rows = await self.fetch(sql, *arguments, harmless=harmless)
        return rows[0] if rows else None

    async def in_transaction(self, act: Callable[[Connection], Awaitable[Result]], *, harmless: bool = False) -> Result:
        """Like `run`, in a transaction that is rolled back when `act` raises."""

        async def whole(connection: Connection) -> Result:
            async with connection.transaction():
                return await act(connection)

        return await self.run(whole, harmless=harmless)

    async def _connect(
        self, *_arguments: Any, connection_class: type = asyncpg.Connection, **_options: Any
    ) -> Connection:
        """Connects, for the pool or for ourselves. What the pool passes on are its defaults."""
        config = self.config
        options: dict[str, Any] = {
            "timeout": config.connect_timeout,
            "command_timeout": config.statement_timeout + _SLACK,
            "connection_class": connection_class,
        }
        if config.tls:
            options["ssl"] = tls_context(config)
        if len(hosts(config)) > 1:
            options["target_session_attrs"] = "read-write"
        if config.pooler:
            options["statement_cache_size"] = 0
        else:
            options["server_settings"] = {
                "application_name": "prism",
                "plan_cache_mode": "force_custom_plan",
                "default_transaction_isolation": "read committed",  # who has waited for a lock must see what came of it
                "statement_timeout": str(round(config.statement_timeout * 1000)),
                "idle_in_transaction_session_timeout": str(round(config.statement_timeout * 2000)),
                "jit": "off",  # compiling takes longer than the statements that we have
            }
            if config.random_page_cost is not None:
                options["server_settings"]["random_page_cost"] = f"{config.random_page_cost:g}"
        return await asyncpg.connect(config.url, **options)

    def _no_connection(self, error: Exception) -> NoConnection:
        """Why there is no connection, and what to do where the server's words don't say it."""
        text = _text(error)
        if isinstance(error, asyncpg.InvalidCatalogNameError):
            name = text.partition('"')[2].rpartition('"')[0] or "name"
            text += f"; make it: CREATE DATABASE \"{name}\" ENCODING 'UTF8' TEMPLATE template0"
        elif isinstance(error, OSError) and "Connect call failed" in text:
            text = f"no PostgreSQL server answers at {', '.join(hosts(self.config)) or 'the default address'}"
            if isinstance(error, ConnectionRefusedError) or f"Errno {errno.ECONNREFUSED}" in _text(error):
                text += " (connection refused)"
        return NoConnection(f"can't connect: {text}")

    async def _release(self, pool: Any, connection: Connection) -> None:
        """Gives a connection back. The pool ends one that doesn't answer, and says so after the call's own error."""
        with suppress(TimeoutError, *LOST):
            await pool.release(connection)


def hosts(config: PostgresConfig) -> Sequence[str]:
    """The hosts of the connection URL."""
    authority = config.url.partition("://")[2].partition("/")[0].rpartition("@")[2]
    return [host for host in authority.split(",") if host]


def tls_context(config: PostgresConfig) -> ssl.SSLContext:
    """How connections are encrypted. Raises OSError when a file can't be read."""
    context = ssl.create_default_context(cafile=config.tls_ca)
    if not config.tls_verify:
        context.check_hostname = False
        context.verify_mode = ssl.CERT_NONE
    if config.tls_cert is not None:
        context.load_cert_chain(config.tls_cert, config.tls_key)
    return context


@dataclass(slots=True)
class _Lent:
    database: Database
    users: int = 0
    opening: asyncio.Lock = field(default_factory=asyncio.Lock)
    is_open: bool = False


_Key: TypeAlias = tuple[asyncio.AbstractEventLoop, PostgresConfig]
_lent: dict[_Key, _Lent] = {}


async def borrow(config: PostgresConfig) -> Database:
    """An open database with these options, shared by all who borrow it in this event loop; `give_back` it."""
    key = _key(config)
    for other in [known for known in _lent if known[0].is_closed()]:
        del _lent[other]  # its users ended without giving it back; nobody can reach it any more
    lent = _lent.setdefault(key, _Lent(Database(key[1])))
    lent.users += 1
    try:
        async with lent.opening:
            if not lent.is_open:
                await lent.database.open()
                lent.is_open = True
    except BaseException:
        await _leave(key, lent)
        raise
    return lent.database


async def give_back(database: Database) -> None:
    """Ends the use of a borrowed database; its last user closes it."""
    key = _key(database.config)
    lent = _lent.get(key)
    if lent is not None and lent.database is database:
        await _leave(key, lent)


async def _leave(key: _Key, lent: _Lent) -> None:
    lent.users -= 1
    if lent.users == 0:
        if _lent.get(key) is lent:
            del _lent[key]
        await lent.database.close()


def _key(config: PostgresConfig) -> _Key:
    """What concerns connections: slots that differ in the rest share them."""
    plain = config.model_copy(update={"db_schema": "prism", "indexes": (), "auto_migrate": False, "audit_days": None})
    return asyncio.get_running_loop(), plain


async def _keep_session(connection: Connection) -> None:
    """Nothing to reset: we leave no setting, lock or cursor behind, and it would be a round trip for each call."""
    del connection


def _is_lost(connection: Connection, error: BaseException) -> bool:
    """Whether an error is the connection's end. An InterfaceError may also be a mistake of ours.

    An InternalClientError is a connection that broke while a statement was prepared, and whose end asyncpg hasn't
    noticed: it must not be used again.
    """
    if isinstance(error, asyncpg.InternalClientError):
        connection.terminate()
    if isinstance(error, asyncpg.InterfaceError):
        return bool(connection.is_closed())
    return True


def _text(error: BaseException) -> str:
    return str(error) or type(error).__name__
