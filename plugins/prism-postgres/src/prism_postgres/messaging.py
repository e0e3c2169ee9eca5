"""The messaging slot: LISTEN and NOTIFY, large publications by reference (design section 8)."""

from __future__ import annotations

import asyncio
import secrets
from collections.abc import Sequence
from typing import Any, Final

from prism.model.errors import InternalError, InvalidConfig, Violation
from prism.slots.messaging import (
    MessagingBackend,
    Publication,
    Published,
    PublishOutcome,
    Subscription,
    Topic,
)

from prism_postgres.batches import in_chunks
from prism_postgres.channels import Sealed, channel_of, seal
from prism_postgres.listening import Channel, Ear, Listener, join, leave
from prism_postgres.migrations import Module
from prism_postgres.plugin import MESSAGING
from prism_postgres.slot import PostgresSlot
from prism_postgres.subscription import KEPT, PostgresSubscription
from prism_postgres.sweeping import Repeated

CHANNELS: Final = 5_000
"""Channels that one transaction notifies: it keeps all others that notify waiting for some 10 ms."""
BYTES: Final = 8 * 1024 * 1024
"""Bytes that the notifications of one publication may take; larger ones are stored once instead."""
CLEANED: Final = 1_000
"""Stored publications that one statement removes."""
PATIENCE: Final = 5.0
"""Seconds that a notification of our own may take when a slot opens."""

# A publication is at most once: its commit need not wait for the disk.
NOTIFY: Final = """
    SELECT count(pg_notify(channel, $2)), set_config('synchronous_commit', 'off', true)
    FROM unnest($1::text[]) AS channel
"""
_STORE: Final = """
    WITH stored AS (INSERT INTO __schema__.publications (payload) VALUES ($3) RETURNING number)
    SELECT count(pg_notify(channel, $2 || number)), set_config('synchronous_commit', 'off', true)
    FROM stored, unnest($1::text[]) AS channel
"""
_FETCH: Final = "SELECT number, payload FROM __schema__.publications WHERE number = ANY($1)"
_CLEAN: Final = """
    WITH oldest AS (
        SELECT number, stored_at FROM __schema__.publications ORDER BY number LIMIT $1 FOR UPDATE SKIP LOCKED
    ), gone AS (
        DELETE FROM __schema__.publications p USING oldest o
        WHERE p.number = o.number AND o.stored_at < clock_timestamp() - make_interval(secs => $2)
        RETURNING p.number
    )
    SELECT count(*) AS removed FROM gone
"""
_PUBLISHED: Final = Published()


class PostgresMessaging(PostgresSlot, MessagingBackend):
    """Publications by NOTIFY: at most once, to whoever listens at that moment; how many those are it can't say."""

    spec = MESSAGING
    modules = (Module("topics", 1, {"identity_channel": ()}),)  # the function is for who listens without Prism

    def __init__(self, config: Any, context: Any) -> None:
        super().__init__(config, context)
        self._subscriptions: set[PostgresSubscription] = set()
        self._listener: Listener | None = None
        self._cleaner: Repeated | None = None

    async def open(self) -> None:
        """Connects, checks the tables, and sends a notification to ourselves.

        Raises InvalidConfig where the configuration says not to listen, or where notifications don't arrive.
        """
        if not self._config.may_listen:
            option = "listen" if self._config.listen is False else "pooler"
            text = (
                f"messaging needs LISTEN, which {option} rules out; connect the messaging slot to the server itself, "
                "without a pooler in transaction mode, or use another type for it"
            )
            raise InvalidConfig(f"{option}: {text}", violations=(Violation(option, text),))
        await super().open()
        if self._listener is None:
            self._listener = join(self._database, self)
            self._cleaner = Repeated("publications", self.clean, KEPT / 3)
        await self._see_a_notification_arrive()

    async def close(self) -> None:
        """Closes the slot's subscriptions and leaves the connections."""
        for subscription in list(self._subscriptions):
            await subscription.close()
        cleaner, self._cleaner = self._cleaner, None
        if cleaner is not None:
            await cleaner.close()
        if self._listener is not None:
            self._listener = None
            await leave(self._database, self)
        await super().close()

    async def publish(self, publication: Publication, topics: Sequence[Topic]) -> list[PublishOutcome]:
        """Publishes one payload to many topics, 5,000 in a transaction.

        The payload crosses the network once for each transaction. Where it doesn't fit into a notification, or would
        take more than 8 MiB in all of them, it is stored once, and the notifications name it.
        """
        sealed = seal(publication)
        if sealed.stored is None and len(sealed.text) * len(topics) > BYTES:
            sealed = seal(publication, longest=0)

        async def send(chunk: Sequence[Topic]) -> Sequence[PublishOutcome]:
            await self._notify(sealed, [self.channel(topic) for topic in chunk])
            return [_PUBLISHED] * len(chunk)

        return await in_chunks(topics, CHANNELS, send, "publish")

    async def subscribe(self) -> Subscription:
        """A new subscription to nothing yet; it ends with the slot at the latest."""
        if self._listener is None:
            raise InternalError("PostgresMessaging is not open; await open() first and don't use it after close()")
        return PostgresSubscription(self._listener, self.channel, self.fetch, self._subscriptions)

    def channel(self, topic: Topic) -> Channel:
        """The channel of a topic of this namespace."""
        return channel_of(self._config.db_schema, self._context.namespace, topic)

    async def fetch(self, numbers: Sequence[int]) -> dict[int, bytes]:
        """The payloads of stored publications; those that are gone are left out."""
        rows = await self._database.fetch(self._sql(_FETCH), numbers, harmless=True)
        return {row["number"]: row["payload"] for row in rows}

    async def _notify(self, sealed: Sealed, channels: Sequence[Channel]) -> None:
        """Notifies of one thing on many channels. What names a channel twice takes two transactions: the server would
        make one notification of two alike."""
        left = list(channels)
        while left:
            once = list(dict.fromkeys(left))
            if sealed.stored is None:
                await self._database.fetch(NOTIFY, once, sealed.text)
            else:
                await self._database.fetch(self._sql(_STORE), once, sealed.text, sealed.stored)
            if len(once) == len(left):
                break
            for channel in once:
                left.remove(channel)

    async def _see_a_notification_arrive(self) -> None:
        if self._listener is None:
            raise InternalError("there is no listener")
        probe = _Probe()
        channel = f"prism_probe_{secrets.token_hex(10)}"
        await self._listener.add(probe, [channel])
        try:
            await self._database.fetch(NOTIFY, [channel], "")
            async with asyncio.timeout(PATIENCE):
                await probe.arrived.wait()
        except TimeoutError as error:
            text = (
                f"a notification to ourselves didn't arrive within {PATIENCE:g} s; is there a pooler in transaction "
                "mode in between? Connect the messaging slot to the server itself"
            )
            raise InvalidConfig(f"connection: {text}", violations=(Violation("connection", text),)) from error
        finally:
            self._listener.leave(probe, [channel])

    async def clean(self) -> None:
        """Removes stored publications that are older than half a minute."""
        removed = CLEANED
        while removed == CLEANED:
            [row] = await self._database.fetch(self._sql(_CLEAN), CLEANED, KEPT, harmless=True)
            removed = row["removed"]


class _Probe(Ear):
    """Waits for one notification."""

    def __init__(self) -> None:
        self.arrived = asyncio.Event()

    def hear(self, heard: list[tuple[Channel, str]]) -> None:
        """Notes that it has come."""
        del heard
        self.arrived.set()

    def missed(self, reason: str) -> None:
        """Nothing: whoever waits gives up in time."""
