"""The one connection of a process that listens to channels, and comes back when it is lost."""

from __future__ import annotations

import asyncio
import logging
import random
from abc import ABC, abstractmethod
from collections.abc import Collection, Iterable
from typing import Any, Final

import asyncpg

from prism_postgres.errors import LOST, NoConnection
from prism_postgres.pool import Connection, Database

logger = logging.getLogger("prism.postgres")

QUIET: Final = 10.0
"""Seconds between two looks whether the server still answers, while nothing else is to be done."""
FIRST_PAUSE: Final = 0.05
LONGEST_PAUSE: Final = 2.0
"""Seconds between attempts to connect: doubled each time, with jitter."""
_CHANNELS: Final = 1_000
"""Channels in one command."""

Channel = str


class Ear(ABC):
    """Whom a listener tells what it hears."""

    @abstractmethod
    def hear(self, heard: list[tuple[Channel, str]]) -> None:
        """Notifications, in the order of arrival."""

    @abstractmethod
    def missed(self, reason: str) -> None:
        """The connection was lost, and all channels are listened to again."""


class _Hearing(asyncpg.Connection):  # type: ignore[misc]
    """A connection that hands all its notifications to one function: asyncpg itself takes a round trip for each
    channel, and a turn of the event loop for each notification."""

    tell: Any = None

    def _process_notification(self, pid: int, channel: Channel, payload: str) -> None:
        del pid
        if self.tell is not None:
            self.tell(channel, payload)


class Listener:
    """Listens to channels for many ears; see `join`. Its task alone uses the connection."""

    def __init__(self, database: Database) -> None:
        self._database = database
        self._ears: dict[Channel, list[Ear]] = {}
        self._actual: set[Channel] = set()
        self._changed: dict[Channel, None] = {}
        self._waiting: list[asyncio.Future[None]] = []
        self._work = asyncio.Event()
        self._heard: list[tuple[Channel, str]] = []
        self._shaken: dict[Ear, str] = {}
        self._problem: Exception | None = None
        self._task = asyncio.create_task(self._run(), name="prism-postgres listener")

    async def add(self, ear: Ear, channels: Iterable[Channel]) -> None:
        """Listens to channels; returns when the server does so. Raises NoConnection when it can't in time."""
        new = []
        for channel in channels:
            ears = self._ears.setdefault(channel, [])
            if ear not in ears:
                ears.append(ear)
                new.append(channel)
        if not new:
            return
        self._note(new)
        try:
            await self._round_trip()
        except TimeoutError as error:
            self.leave(ear, new)
            text = f"could not listen within {self._database.config.acquire_timeout:g} s"
            raise NoConnection(f"{text}: {self._problem or 'the server does not answer'}") from self._problem or error
        except BaseException:
            self.leave(ear, new)
            raise

    async def remove(self, ear: Ear, channels: Collection[Channel]) -> None:
        """Stops listening to channels. What was published to them before has been heard when it returns."""
        if self._actual.intersection(channels):
            try:
                await self._round_trip()
            except TimeoutError:
                logger.debug("what was published before some channels were left may be missed: %s", self._problem)
        self.leave(ear, channels)

    def leave(self, ear: Ear, channels: Iterable[Channel]) -> None:
        """Stops listening to channels: this ear hears nothing of them any more, and the server is told soon."""
        idle = []
        for channel in channels:
            ears = self._ears.get(channel, [])
            if ear in ears:
                ears.remove(ear)
            if not ears and self._ears.pop(channel, None) is not None:
                idle.append(channel)
        self._note(idle)

    async def close(self) -> None:
        """Ends the task and the connection."""
        self._task.cancel()
        await asyncio.wait([self._task])

    async def _round_trip(self) -> None:
        """Returns when the server has done what is noted, and we have heard all that it had for us before.

        Raises TimeoutError.
        """
        done = asyncio.get_running_loop().create_future()
        self._waiting.append(done)
        self._work.set()
        async with asyncio.timeout(self._database.config.acquire_timeout):
            await asyncio.wait([done, self._task], return_when=asyncio.FIRST_COMPLETED)
        if self._task.done():
            self._task.result()  # a mistake of ours: it ends by nothing else

    def _note(self, channels: Iterable[Channel]) -> None:
        self._changed.update(dict.fromkeys(channels))
        self._work.set()

    async def _run(self) -> None:
        pause = FIRST_PAUSE
        while True:
            try:
                connection = await self._database.connect(_Hearing)
            except NoConnection as error:
                if not isinstance(self._problem, NoConnection):
                    logger.warning("listening failed and is tried again: %s", error)
                self._problem = error
            else:
                pause = FIRST_PAUSE
                await self._listen_until_lost(connection)
            await asyncio.sleep(pause * random.uniform(0.5, 1.5))  # noqa: S311 - jitter, not a secret
            pause = min(pause * 2, LONGEST_PAUSE)

    async def _listen_until_lost(self, connection: Connection) -> None:
        connection.tell = self._hear
        connection.add_termination_listener(lambda _: self._work.set())
        self._changed.update(dict.fromkeys(self._ears))
        self._work.set()
        self._problem = None
        try:
            while not connection.is_closed():
                await self._serve(connection)
        except (*LOST, asyncpg.PostgresError, TimeoutError) as error:
            self._problem = error
        finally:
            self._forget()
            connection.terminate()

    async def _serve(self, connection: Connection) -> None:
        """Waits for something to do and does it, or sees whether the server still answers."""
        try:
            async with asyncio.timeout(QUIET):
                await self._work.wait()
        except TimeoutError:
            await connection.execute("SELECT 1", timeout=QUIET)
            return
        self._work.clear()
        changed, self._changed = self._changed, {}
        waiting, self._waiting = self._waiting, []
        try:
            await _tell(connection, "LISTEN", [c for c in changed if c in self._ears and c not in self._actual])
            await _tell(connection, "UNLISTEN", [c for c in changed if c not in self._ears and c in self._actual])
            if waiting:
                # Of a command that is over, the server has sent before what was notified before.
                await connection.execute("SELECT 1")
                self._pass_on()
        except BaseException:
            self._changed.update(changed)
            self._waiting += waiting
            raise
        for channel in changed:
            (self._actual.add if channel in self._ears else self._actual.discard)(channel)
        for done in waiting:
            if not done.done():
                done.set_result(None)
        shaken, self._shaken = self._shaken, {}
        for ear, reason in shaken.items():
            ear.missed(reason)

    def _hear(self, channel: Channel, payload: str) -> None:
        if not self._heard:
            asyncio.get_running_loop().call_soon(self._pass_on)
        self._heard.append((channel, payload))

    def _pass_on(self) -> None:
        """Hands what was read from the connection in one go to those whom it concerns."""
        heard, self._heard = self._heard, []
        shares: dict[Ear, list[tuple[Channel, str]]] = {}
        for item in heard:
            for ear in self._ears.get(item[0], ()):
                shares.setdefault(ear, []).append(item)
        for ear, share in shares.items():
            ear.hear(share)

    def _forget(self) -> None:
        """The connection is gone, and with it what was listened to."""
        reason = f"the connection was lost: {self._problem or 'the server ended it'}"
        for channel in self._actual:
            self._shaken.update(dict.fromkeys(self._ears.get(channel, ()), reason))
        self._actual = set()


async def _tell(connection: Connection, command: str, channels: list[Channel]) -> None:
    """LISTEN or UNLISTEN, many in one round trip. Names are ours: letters, digits and underscores."""
    for i in range(0, len(channels), _CHANNELS):
        await connection.execute(";".join(f'{command} "{channel}"' for channel in channels[i : i + _CHANNELS]))


_listeners: dict[Database, tuple[Listener, set[object]]] = {}


def join(database: Database, user: object) -> Listener:
    """The listener of a database, started by its first user; `leave` it."""
    if database not in _listeners:
        _listeners[database] = (Listener(database), set())
    listener, users = _listeners[database]
    users.add(user)
    return listener


async def leave(database: Database, user: object) -> None:
    """Ends the use of a listener; its last user closes it."""
    if database not in _listeners:
        return
    listener, users = _listeners[database]
    users.discard(user)
    if not users:
        del _listeners[database]
        await listener.close()
