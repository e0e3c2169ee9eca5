"""Batches cut into statements, each of which succeeds or fails as a whole."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Sequence
from typing import TypeVar

from prism.slots.context import Failure

from prism_postgres.errors import classify, failure

Item = TypeVar("Item")
Outcome = TypeVar("Outcome")


async def in_chunks(
    items: Sequence[Item],
    size: int,
    act: Callable[[Sequence[Item]], Awaitable[Sequence[Outcome]]],
    action: str,
) -> list[Outcome | Failure]:
    """The outcomes of all items, chunk after chunk. Of a chunk that fails, each item's outcome is a Failure.

    Args:
        items: the batch.
        size: how many of them go into one statement at most.
        act: does it, and answers with one outcome for each.
        action: completes "failed to ...".

    Raises what a chunk failed with where every chunk did.
    """
    outcomes: list[Outcome | Failure] = []
    failed: list[Exception] = []
    starts = range(0, len(items), size)
    for i in starts:
        chunk = items[i : i + size]
        try:
            outcomes += await act(chunk)
        except Exception as error:
            if classify(error) is None:
                raise
            failed.append(error)
            outcomes += [failure(error, action)] * len(chunk)
    if failed and len(failed) == len(starts):
        raise failed[0]
    return outcomes
