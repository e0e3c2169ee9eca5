"""What a reader gets of the topics it listens to, in order, with stored publications filled in."""

from __future__ import annotations

import asyncio
from collections import deque
from collections.abc import Awaitable, Callable, Mapping, Sequence
from typing import Final, TypeAlias

from prism.slots.buffer import BufferedSubscription
from prism.slots.messaging import Publication, Received, Topic

from prism_postgres.channels import Reference, unseal
from prism_postgres.errors import classify
from prism_postgres.listening import Channel, Ear, Listener

KEPT: Final = 30
"""Seconds that a stored publication is there for its readers."""
UNREAD: Final = 10_000
"""Notifications that may wait for a stored publication to be fetched."""
FETCHED: Final = 50
"""Notifications whose stored publications are fetched together."""

Fetch: TypeAlias = Callable[[Sequence[int]], Awaitable[Mapping[int, bytes]]]
"""Reads the payloads of stored publications; those that are gone are left out."""
Item: TypeAlias = "tuple[Topic, Publication | Reference] | str"
"""What has come in on a topic, or why something may be missing here."""


class PostgresSubscription(BufferedSubscription, Ear):
    """Channels at the process's listener, and a buffer for the one reader."""

    def __init__(
        self,
        listener: Listener,
        channel_of: Callable[[Topic], Channel],
        fetch: Fetch,
        open_ones: set[PostgresSubscription],
    ) -> None:
        super().__init__()
        self._listener = listener
        self._channel_of = channel_of
        self._fetch = fetch
        self._open_ones = open_ones
        open_ones.add(self)
        self._topics: dict[Channel, Topic] = {}
        self._latest: tuple[str, Publication | Reference] = ("", Publication(b""))
        self._unread: deque[Item] = deque()
        self._fetching: asyncio.Task[None] | None = None

    async def add(self, topics: Sequence[Topic]) -> None:
        """Listens to more topics; returns when the server does so.

        Raises InternalError on a closed subscription; NoConnection after the configured `acquire_timeout`.
        """
        self.check_open()
        new = {self._channel_of(topic): topic for topic in topics}
        new = {channel: topic for channel, topic in new.items() if channel not in self._topics}
        self._topics.update(new)
        try:
            await self._listener.add(self, new)
        except BaseException:
            for channel in new:
                self._topics.pop(channel, None)
            raise

    async def remove(self, topics: Sequence[Topic]) -> None:
        """Stops listening to some; what has come in already is still delivered."""
        channels = {self._channel_of(topic) for topic in topics} & self._topics.keys()
        await self._listener.remove(self, channels)
        for channel in channels:
            self._topics.pop(channel, None)

    async def close(self) -> None:
        """Stops listening to everything. Idempotent."""
        self.buffer.close()
        self._open_ones.discard(self)
        self._listener.leave(self, self._topics)
        self._topics = {}
        if self._fetching is not None:
            self._fetching.cancel()
            await asyncio.wait([self._fetching])

    def hear(self, heard: list[tuple[Channel, str]]) -> None:
        """Buffers publications; those that are stored, and all that come after them, when they have been fetched."""
        known, opened = self._topics, []
        for channel, text in heard:
            topic = known.get(channel)
            if topic is None:
                continue
            if text != self._latest[0]:
                self._latest = (text, unseal(text))
            opened.append((topic, self._latest[1]))
        if not self._unread and not any(isinstance(content, Reference) for _, content in opened):
            self.buffer.put_all(
                Received(topic, content) for topic, content in opened if isinstance(content, Publication)
            )
            return
        for item in opened:
            if len(self._unread) < UNREAD:
                self._unread.append(item)
            elif not isinstance(self._unread[-1], str):
                self._unread.append(f"{UNREAD:,} publications waited for a stored one to be fetched; more were dropped")
        self._fetch_soon()

    def missed(self, reason: str) -> None:
        """Buffers the mark of a loss, in its place."""
        if self._unread:
            self._unread.append(reason)
            self._fetch_soon()
        else:
            self.buffer.interrupt(reason)

    def _fetch_soon(self) -> None:
        if self.buffer.is_closed() or (self._fetching is not None and not self._fetching.done()):
            return
        self._fetching = asyncio.create_task(self._fetch_all(), name="prism-postgres publications")

    async def _fetch_all(self) -> None:
        """Passes on what waits, in order, with what is stored filled in."""
        while self._unread:
            batch = [self._unread[i] for i in range(min(len(self._unread), FETCHED))]
            numbers = {each[1].number for each in batch if not isinstance(each, str) and isinstance(each[1], Reference)}
            payloads: Mapping[int, bytes] = {}
            reason = f"a stored publication was not there any more: they are kept for {KEPT} s"
            if numbers:
                try:
                    payloads = await self._fetch(sorted(numbers))
                except Exception as error:
                    if classify(error) is None:
                        raise
                    reason = f"a stored publication could not be fetched: {error}"
            for _ in batch:
                self._pass_on(self._unread.popleft(), payloads, reason)

    def _pass_on(self, item: Item, payloads: Mapping[int, bytes], reason: str) -> None:
        if isinstance(item, str):
            self.buffer.interrupt(item)
            return
        topic, content = item
        if isinstance(content, Publication):
            self.buffer.put(Received(topic, content))
        elif (payload := payloads.get(content.number)) is None:
            self.buffer.interrupt(reason)
        else:
            self.buffer.put(Received(topic, Publication(payload, content.headers)))
