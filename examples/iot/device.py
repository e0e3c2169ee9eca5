"""What runs on the devices: they take commands, do them once, and report by their own metadata."""

from __future__ import annotations

import asyncio
from collections import Counter
from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager
from dataclasses import dataclass, field

from fleet import Device
from prism import Client, Inbox, InboxEvent, Message, PrismError, Reattached

UPDATED = "1.1.0"
TTL = 600
"""Seconds that a device which is away stays registered."""
RETRY = 0.5
"""Seconds until a command comes again that couldn't be followed."""


@dataclass
class Log:
    """What happened on all devices, for the demo to check.

    Args:
        firmware: what each device has, as it knows itself.
    """

    firmware: dict[str, str]
    installed: dict[str, str] = field(default_factory=dict)
    """By device, the id of the command that it followed."""
    received: Counter[str] = field(default_factory=Counter)
    """How often each device got a command, repetitions counted."""
    wrong: list[str] = field(default_factory=list)
    """What must never happen, in words."""
    reattached: int = 0
    news: asyncio.Condition = field(default_factory=asyncio.Condition)

    async def until_installed(self, count: int) -> None:
        """Waits until so many devices have followed."""
        async with self.news:
            await self.news.wait_for(lambda: len(self.installed) >= count)


@asynccontextmanager
async def connected(client: Client, devices: Mapping[str, Device | None], log: Log) -> AsyncIterator[None]:
    """Devices are attached by one stream, as behind a gateway, as long as the block runs; then they sleep.

    Args:
        client: of any proxy.
        devices: with their metadata; None takes over what the registry has.
        log: what they do is written there.
    """

    def note(event: InboxEvent) -> None:
        if isinstance(event, Reattached):
            log.reattached += 1

    attaching = client.registry.attach(dict(devices), ttl=TTL, keep=True, on_event=note)
    async with attaching as inbox, asyncio.TaskGroup() as tasks:
        following = tasks.create_task(follow(client, inbox, log))
        try:
            yield
        finally:
            following.cancel()


async def follow(client: Client, inbox: Inbox, log: Log) -> None:
    """Follows every command, and acks it when that is done: a device that dies in between gets it again."""
    async for message in inbox:
        try:
            await obey(client, message, log)
        except PrismError as error:
            if not error.retryable:
                raise
            await message.nack(RETRY)
        else:
            await message.ack()


async def obey(client: Client, message: Message, log: Log) -> None:
    """Installs firmware once, however often the command comes."""
    device, command = message.identity, message.json()
    log.received[device] += 1
    known = log.installed.get(device)
    if known is None and not log.firmware[device].startswith(command["from"]):
        log.wrong.append(f"{device} has {log.firmware[device]} and got a command for {command['from']}")
    if known not in (None, message.id):
        log.wrong.append(f"{device} got the command again under another id: {known} and {message.id}")
    await client.registry.update(device, {"firmware_version": command["to"]})
    async with log.news:
        log.firmware[device] = command["to"]
        log.installed[device] = message.id
        log.news.notify_all()
