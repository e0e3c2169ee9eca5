"""Cuts many items into batches of bounded size, and keeps a few of them under way."""

from __future__ import annotations

import asyncio
from collections import deque
from collections.abc import Awaitable, Callable, Coroutine, Iterable, Iterator, Mapping, Sequence
from typing import Any, TypeAlias, TypeVar

from prism.client import arguments
from prism.client.content import metadata_bytes
from prism.client.transport import Entry
from prism.client.ttl import Seconds, to_ttl
from prism.model.errors import InvalidArgument, PrismError
from prism.model.json import describe
from prism.model.limits import check_size

Item = TypeVar("Item")
Outcome = TypeVar("Outcome")

Items: TypeAlias = "Mapping[str, Mapping[str, Any] | bytes] | Iterable[tuple[str, Mapping[str, Any] | bytes]]"
"""Identities to register: a mapping to their metadata, or pairs."""

BATCH_ITEMS = 2_000
BATCH_BYTES = 2 * 1024 * 1024
ENTRY_BYTES = 4 * 1024 * 1024
"""The largest metadata that is sent: with more, a proxy would refuse the whole batch."""
UNDER_WAY = 4
"""Batches sent and not yet answered."""


def batches(items: Iterable[Item]) -> Iterator[list[Item]]:
    """Lists of at most 2,000."""
    batch: list[Item] = []
    for item in items:
        batch.append(item)
        if len(batch) == BATCH_ITEMS:
            yield batch
            batch = []
    if batch:
        yield batch


def registrations(items: Items, ttls: Mapping[str, Seconds | None] | None) -> Iterator[list[Entry | PrismError]]:
    """Lists of entries of at most 2,000 and about 2 MiB; what can't be registered becomes an error in its place.

    `ttls`: the time to live of each, by identity, where they have their own.
    """
    batch: list[Entry | PrismError] = []
    size = 0
    for identity, metadata in items.items() if isinstance(items, Mapping) else _pairs(items):
        try:
            name = arguments.identity(identity)
            ttl = None if ttls is None else to_ttl(ttls.get(name))
            entry = Entry(name, metadata_bytes(metadata), ttl)
            check_size("metadata", len(entry.metadata_json), ENTRY_BYTES, "bytes", "store less in it")
        except InvalidArgument as error:
            batch.append(error)
            continue
        size += len(entry.metadata_json) + len(identity)
        if batch and (size > BATCH_BYTES or len(batch) >= BATCH_ITEMS):
            yield batch
            batch, size = [], len(entry.metadata_json) + len(identity)
        batch.append(entry)
    if batch:
        yield batch


async def apart(
    batch: Sequence[Item | PrismError], send: Callable[[list[Item]], Awaitable[Sequence[Outcome]]]
) -> Sequence[Outcome | PrismError]:
    """Sends what there is besides errors; the outcomes with the errors in their places."""
    sound = [item for item in batch if not isinstance(item, PrismError)]
    outcomes = await send(sound) if sound else []
    if len(sound) == len(batch):
        return outcomes
    answers = iter(outcomes)
    return [item if isinstance(item, PrismError) else next(answers) for item in batch]


async def in_batches(
    cut: Iterable[list[Item]], send: Callable[[list[Item]], Coroutine[Any, Any, Sequence[Outcome]]]
) -> list[Outcome]:
    """Sends batches, a few at a time, and returns all outcomes in order.

    The first batch that fails as a whole ends it: the others that are under way are cancelled.
    """
    outcomes: list[Outcome] = []
    under_way: deque[asyncio.Task[Sequence[Outcome]]] = deque()
    try:
        async with asyncio.TaskGroup() as group:
            for batch in cut:
                if len(under_way) == UNDER_WAY:
                    outcomes += await under_way.popleft()
                under_way.append(group.create_task(send(batch)))
            for task in under_way:
                outcomes += await task
    except BaseExceptionGroup as failures:
        raise failures.exceptions[0] from None
    return outcomes


def _pairs(items: Iterable[tuple[str, Any]]) -> Iterator[tuple[str, Any]]:
    for item in arguments.several(items, "items"):
        if not isinstance(item, tuple) or len(item) != 2:
            raise InvalidArgument.at("items", f"expected (identity, metadata) pairs, got {describe(item)} among them")
        yield item
