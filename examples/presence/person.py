"""One person in a chat: present in a room, seen by the others, and hearing what is said there."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager

from prism import Client, Filter, Identity, InboxEvent, Message, Reattached

TTL = 30
"""Seconds after which somebody whose program was killed is gone from the room."""
RECEIPTS = 5
"""Seconds that a speaker waits at most to be told who was reached."""


class Person:
    """A user's session, as `present` yields it."""

    def __init__(self, client: Client, name: str, room: str, show: Callable[[str], None]) -> None:
        self.name = name
        self.room = room
        self.identity = f"user-{name.lower()}"
        self._registry = client.registry
        self._show = show
        self.heard: set[str] = set()
        """The ids of all messages that reached this person."""
        self.returns = 0
        """How often it was attached again after its proxy was lost."""
        self._news = asyncio.Condition()

    async def say(self, text: str) -> tuple[str, int]:
        """Sends to everyone in the room; the message's id and how many took it."""
        message = {"type": "chat", "from": self.name, "text": text}
        result = await self._registry.multicast(Filter(current_room=self.room), message, timeout=RECEIPTS)
        return result.message_id, result.delivered_count

    async def who(self) -> list[Identity]:
        """Everybody in the room, by name."""
        return await self._registry.enumerate(Filter(current_room=self.room), sort_by=["display_name"])

    async def set_status(self, status: str) -> None:
        """Tells the others: online, away, busy or offline."""
        await self._registry.update(self.identity, {"status": status})

    async def move(self, room: str) -> None:
        """Goes to another room."""
        await self._registry.update(self.identity, {"current_room": room})
        self.room = room

    async def until_heard(self, message_id: str) -> None:
        """Waits until a message has been heard."""
        async with self._news:
            await self._news.wait_for(lambda: message_id in self.heard)

    async def until_returned(self) -> None:
        """Waits until it has been attached again."""
        async with self._news:
            await self._news.wait_for(lambda: self.returns > 0)

    def metadata(self) -> dict[str, str]:
        """What the registry knows of the person (the RFC's presence schema)."""
        return {
            "user_id": self.name.lower(),
            "display_name": self.name,
            "status": "online",
            "current_room": self.room,
        }

    async def hear(self, message: Message) -> None:
        """Shows a message of somebody else's."""
        said = message.json()
        if said["from"] != self.name:
            self._show(f"[{self.room}] {self.name} hears {said['from']}: {said['text']}")
        async with self._news:
            self.heard.add(message.id)
            self._news.notify_all()

    async def notice(self, event: InboxEvent) -> None:
        """Counts the returns."""
        if isinstance(event, Reattached):
            async with self._news:
                self.returns += 1
                self._news.notify_all()


@asynccontextmanager
async def present(
    client: Client, name: str, room: str, show: Callable[[str], None], ttl: int = TTL
) -> AsyncIterator[Person]:
    """Somebody is in the room as long as the block runs.

    Args:
        client: a client of the namespace `presence`.
        name: what the others see; one session a name.
        room: where to be.
        show: called with a line whenever something is heard.
        ttl: seconds after which somebody whose program was killed is gone.
    """
    person = Person(client, name, room, show)
    async with client.registry.attach(person.identity, person.metadata(), ttl=ttl, on_event=person.notice) as inbox:

        async def listen() -> None:
            async for message in inbox:
                await person.hear(message)

        async with asyncio.TaskGroup() as group:
            listening = group.create_task(listen())
            try:
                yield person
            finally:
                listening.cancel()
