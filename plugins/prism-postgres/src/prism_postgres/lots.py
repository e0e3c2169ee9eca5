"""Batches in lots: each one statement, with every identity at most once."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Iterator, Sequence
from typing import Any, Final, Protocol, TypeVar

from prism_postgres.errors import classify, failure

ROWS: Final = 5_000
"""Items in one statement, so that no lock is held for long."""
BYTES: Final = 4 * 1024 * 1024
"""Bytes of metadata in one statement."""


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
    items: Sequence[Item],
    outcomes: list[Any],
    act: Callable[[list[int]], Awaitable[Sequence[Any]]],
    outcome: Callable[[Item, Any], Any],
    action: str,
) -> None:
    """Acts on lots in turn and puts an outcome of each answer in its place.

    A lot that fails fails alone; where none succeeds, the first error is raised. `action` completes "failed to ...".
    """
    errors: list[Exception] = []
    for lot in lots:
        try:
            answers = await act(lot)
        except Exception as error:
            if classify(error) is None:
                raise
            errors.append(error)
            problem = failure(error, action)
            for i in lot:
                outcomes[i] = problem
            continue
        for i, answer in zip(lot, answers, strict=True):
            outcomes[i] = outcome(items[i], answer)
    if errors and len(errors) == len(lots):
        raise errors[0]
