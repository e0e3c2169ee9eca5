"""Batches in lots: each one statement, with every identity at most once."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Iterator, Sequence
from typing import Any, Final, Protocol, TypeVar

from prism_postgres.errors import classify, failure

ROWS: Final = 5_000
"""Items in one statement, so that no lock is held for long."""
BYTES: Final = 4 * 1024 * 1024
"""Bytes of metadata in one statement."""


ABREAST: Final = 2
"""Lots of one batch that are under way at a time."""


class Named(Protocol):
    """An item of a batch."""

    @property
    def identity(self) -> str:
        """Whom it is about."""


Item = TypeVar("Item", bound=Named)


def rounds(
    items: Sequence[Item], positions: Sequence[int], sizes: Sequence[int] | None = None, rows: int = ROWS
) -> Iterator[list[int]]:
    """Positions in lots, in their order, so that items of one identity act in it.

    A lot is bounded in number, and in bytes where there are sizes.
    """
    fits = len(positions) <= rows and (sizes is None or sum(sizes) <= BYTES)
    if fits and len({items[i].identity for i in positions}) == len(positions):  # nearly always
        yield from [list(positions)] if positions else []
        return
    lot: list[int] = []
    names: set[str] = set()
    size = 0
    for i in positions:
        more = sizes[i] if sizes is not None else 0
        if lot and (items[i].identity in names or len(lot) >= rows or size + more > BYTES):
            yield lot
            lot, names, size = [], set(), 0
        lot.append(i)
        names.add(items[i].identity)
        size += more
    if lot:
        yield lot


async def in_lots(
    lots: Sequence[list[int]],
    outcomes: list[Any],
    act: Callable[[list[int]], Awaitable[Sequence[Any]]],
    action: str,
    *,
    abreast: bool,
) -> None:
    """Acts on lots, and puts the outcomes that it answers in their places.

    A lot that fails fails alone; where none succeeds, the first error is raised. `action` completes "failed to ...".
    With `abreast` two lots are under way at a time, where their order doesn't matter: one is prepared here while the
    server has the other.
    """
    errors: list[Exception] = []
    gate = asyncio.Semaphore(ABREAST if abreast else 1)

    async def do(lot: list[int]) -> None:
        async with gate:
            try:
                answers = await act(lot)
            except Exception as error:  # noqa: BLE001 - it's raised below, or the outcome
                errors.append(error)
                answers = [failure(error, action)] * len(lot)
        for i, answer in zip(lot, answers, strict=True):
            outcomes[i] = answer

    async with asyncio.TaskGroup() as group:
        for lot in lots:
            group.create_task(do(lot))
    unknown = [error for error in errors if classify(error) is None]
    if unknown or (errors and len(errors) == len(lots)):
        raise (unknown or errors)[0]


def all_differ(items: Sequence[Named]) -> bool:
    """Whether no identity is there twice."""
    return len({item.identity for item in items}) == len(items)
