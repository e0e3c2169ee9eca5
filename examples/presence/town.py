"""Everybody who takes part in the demo, and what should have reached whom."""

from __future__ import annotations

import asyncio
import time
from contextlib import AsyncExitStack
from itertools import cycle

from person import Person, present
from prism import Client
from screen import Screen

PATIENCE = 30.0
"""Seconds in which what is claimed has to come true."""


class ClaimFailed(Exception):
    """Something that the demo claims doesn't hold."""


class Town:
    """People in rooms, attached to the proxies in turn. It keeps its own books, and holds the registry to them."""

    def __init__(self, clients: list[Client], screen: Screen) -> None:
        self.people: dict[str, Person] = {}
        self.proxy_of: dict[str, int] = {}
        self.statuses: dict[str, str] = {}
        self.times: dict[str, list[float]] = {"register": [], "enumerate": [], "multicast": []}
        """Milliseconds that each operation took."""
        self.checked = 0
        self._clients = clients
        self._turn = cycle(range(len(clients)))
        self._screen = screen
        self._stays: dict[str, AsyncExitStack] = {}
        self._hearers: dict[str, frozenset[Person]] = {}
        """Who should have heard each message."""
        self._everybody: set[Person] = set()

    async def join(self, name: str, room: str) -> Person:
        """Somebody comes into a room, by the next proxy."""
        proxy = next(self._turn)
        stay = AsyncExitStack()
        start = time.perf_counter()
        person = await stay.enter_async_context(present(self._clients[proxy], name, room, _nothing))
        self._took("register", start)
        self.people[name], self._stays[name] = person, stay
        self.proxy_of[name], self.statuses[name] = proxy, "online"
        self._everybody.add(person)
        self._draw()
        return person

    async def leave(self, name: str) -> None:
        """Somebody goes."""
        await self._stays.pop(name).aclose()
        del self.people[name], self.proxy_of[name], self.statuses[name]
        self._draw()

    async def move(self, name: str, room: str) -> None:
        """Somebody goes to another room."""
        await self.people[name].move(room)
        self._draw()

    async def turn(self, name: str, status: str) -> None:
        """Somebody is away, busy or back."""
        await self.people[name].set_status(status)
        self.statuses[name] = status
        self._draw()

    async def say(self, name: str, text: str) -> None:
        """Somebody says something: exactly those in the room are reached, and each of them hears it."""
        speaker = self.people[name]
        audience = frozenset(person for person in self.people.values() if person.room == speaker.room)
        start = time.perf_counter()
        message_id, reached = await speaker.say(text)
        self._took("multicast", start)
        self._hearers[message_id] = audience
        self.holds(f"{name} reaches the {len(audience)} in {speaker.room}", reached, len(audience))
        async with asyncio.timeout(PATIENCE), asyncio.TaskGroup() as hearing:
            for person in audience:
                hearing.create_task(person.until_heard(message_id))
        self._screen.said(speaker.room, name, text, reached)

    async def agrees(self, room: str) -> None:
        """Both proxies find exactly those who are in the room, with their statuses."""
        expected = {name: self.statuses[name] for name, person in self.people.items() if person.room == room}
        for number, client in enumerate(self._clients):
            start = time.perf_counter()
            found = await client.registry.enumerate({"current_room": room})
            self._took("enumerate", start)
            seen = {identity.metadata["display_name"]: identity.metadata.get("status") for identity in found}
            self.holds(f"who is in {room}, asked of proxy {number}", seen, expected)

    def nobody_heard_too_much(self) -> int:
        """Each message was heard by those who were in its room then, and by nobody else; how many messages."""
        for message_id, audience in self._hearers.items():
            heard = {person.name for person in self._everybody if message_id in person.heard}
            self.holds(f"who heard {message_id}", heard, {person.name for person in audience})
        return len(self._hearers)

    def holds(self, claim: str, actual: object, expected: object) -> None:
        """The two have to be equal."""
        if actual != expected:
            raise ClaimFailed(f"{claim}: expected {expected!r}, got {actual!r}")
        self.checked += 1

    def _took(self, operation: str, start: float) -> None:
        self.times[operation].append((time.perf_counter() - start) * 1000)

    def _draw(self) -> None:
        rooms: dict[str, dict[str, str]] = {}
        for name, person in self.people.items():
            rooms.setdefault(person.room, {})[name] = self.statuses[name]
        self._screen.rooms(rooms)


def _nothing(_line: str) -> None:
    """What people hear is shown once, where it is said."""
