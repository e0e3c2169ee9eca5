"""One person in a chat: present in a room, seen by the others, and hearing what is said there."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager

from prism import Client, Filter, Identity, Message

TTL = 30
"""Seconds after which somebody whose program was killed is gone from the room."""


class Person:
    """A user's session, as `present` yields it."""

    def __init__(self, client: Client, name: str, room: str, show: Callable[[str], None]) -> None:
        self.name = name
        self.room = room
        self.identity = f"user-{name.lower()}"
        self._registry = client.registry
        self._show = show
        self._heard: set[str] = set()
        self._news = asyncio.Condition()

    async def say(self, text: str) -> tuple[str, int]:
        """Sends to everyone in the room; the message's id and how many took it."""
        message = {"type": "chat", "from": self.name, "text": text}
        result = await self._registry.multicast(Filter(current_room=self.room), message)
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

    async def heard(self, message_id: str) -> None:
        """Waits until a message has been heard."""
        async with self._news:
            await self._news.wait_for(lambda: message_id in self._heard)

    def metadata(self) -> dict[str, str]:
        """What the registry knows of the person (the RFC's presence schema)."""
        return {
            "user_id": self.name.lower(),
            "display_name": self.name,
            "status": "online",
            "current_room": self.room,
            "client_version": "terminal-1.0",
        }

    async def hear(self, message: Message) -> None:
        """Shows a message of somebody else's."""
        said = message.json()
        if said["from"] != self.name:
            self._show(f"[{self.room}] {self.name} hears {said['from']}: {said['text']}")
        async with self._news:
            self._heard.add(message.id)
            self._news.notify_all()


@asynccontextmanager
async def present(client: Client, name: str, room: str, show: Callable[[str], None]) -> AsyncIterator[Person]:
    """Somebody is in the room as long as the block runs.

    Args:
        client: a client of the namespace `presence`.
        name: what the others see; one session a name.
        room: where to be.
        show: called with a line whenever something is heard.
    """
    person = Person(client, name, room, show)
    async with client.registry.attach(person.identity, person.metadata(), ttl=TTL) as inbox:

        async def listen() -> None:
            async for message in inbox:
                await person.hear(message)

        async with asyncio.TaskGroup() as group:
            listening = group.create_task(listen())
            try:
                yield person
            finally:
                listening.cancel()
