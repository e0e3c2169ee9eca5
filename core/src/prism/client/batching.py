"""Cuts many items into batches of bounded size, and keeps a few of them under way."""

from __future__ import annotations

import asyncio
from collections import deque
from collections.abc import Callable, Coroutine, Iterable, Iterator, Mapping, Sequence
from typing import Any, TypeAlias, TypeVar

from prism.client.content import metadata_bytes
from prism.client.transport import Entry
from prism.model.errors import InvalidArgument, InvalidMetadata, PrismError
from prism.model.json import describe

Item = TypeVar("Item")
Outcome = TypeVar("Outcome")

Items: TypeAlias = "Mapping[str, Mapping[str, Any] | bytes] | Iterable[tuple[str, Mapping[str, Any] | bytes]]"
"""Identities to register: a mapping to their metadata, or pairs."""

BATCH_ITEMS = 2_000
BATCH_BYTES = 2 * 1024 * 1024
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


def registrations(items: Items) -> Iterator[list[Entry | PrismError]]:
    """Lists of entries of at most 2,000 and about 2 MiB; metadata that isn't JSON becomes an error in its place."""
    batch: list[Entry | PrismError] = []
    size = 0
    for identity, metadata in items.items() if isinstance(items, Mapping) else _pairs(items):
        try:
            entry = Entry(identity, metadata_bytes(metadata))
        except InvalidMetadata as error:
            batch.append(error)
            continue
        size += len(entry.metadata_json) + len(identity)
        if batch and (size > BATCH_BYTES or len(batch) >= BATCH_ITEMS):
            yield batch
            batch, size = [], len(entry.metadata_json) + len(identity)
        batch.append(entry)
    if batch:
        yield batch


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
    for item in items:
        if not isinstance(item, tuple) or len(item) != 2:
            raise InvalidArgument.at("items", f"expected (identity, metadata) pairs, got {describe(item)} among them")
        yield item
