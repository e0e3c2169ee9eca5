"""A set of keys in order that is cheap to change and brought up to date when it is read."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from typing import Any

from sortedcontainers import SortedList

_PENDING = 2_048
"""Changes kept for later; settling that many takes a few milliseconds at most."""


class OrderedKeys:
    """Keys that compare with each other, each at most once.

    The caller adds only keys that aren't there, and discards only keys that are. Changes wait in two sets
    until somebody reads, since writers are many and most of their keys are never asked for in order.
    """

    __slots__ = ("_added", "_gone", "_keys")

    def __init__(self, keys: Iterable[Any] = ()) -> None:
        self._keys = SortedList(keys)
        self._added: set[Any] = set()
        self._gone: set[Any] = set()

    def __len__(self) -> int:
        return len(self._keys) + len(self._added) - len(self._gone)

    def add(self, key: Any) -> None:
        """Puts in a key that isn't there."""
        if key in self._gone:
            self._gone.remove(key)
            return
        self._added.add(key)
        if len(self._added) > _PENDING:
            self._settle()

    def discard(self, key: Any) -> None:
        """Takes out a key that is there."""
        if key in self._added:
            self._added.remove(key)
            return
        self._gone.add(key)
        if len(self._gone) > _PENDING:
            self._settle()

    def count(self, low: Any = None, high: Any = None, *, with_low: bool = True, with_high: bool = True) -> int:
        """How many keys lie between the two bounds; None is no bound."""
        first, last = self._bounds(low, high, with_low, with_high)
        return max(0, last - first)

    def between(
        self, low: Any = None, high: Any = None, *, with_low: bool = True, with_high: bool = True
    ) -> Iterator[Any]:
        """The keys between the two bounds, in order; None is no bound. Not to be kept over a change."""
        first, last = self._bounds(low, high, with_low, with_high)
        return self._keys.islice(first, last)  # type: ignore[no-any-return]

    def following(self, key: Any, limit: int) -> list[Any]:
        """Up to `limit` keys after the given one, in order; None starts at the first."""
        self._settle()
        first = 0 if key is None else self._keys.bisect_right(key)
        return list(self._keys.islice(first, first + limit))

    def _bounds(self, low: Any, high: Any, with_low: bool, with_high: bool) -> tuple[int, int]:
        self._settle()
        keys = self._keys
        first, last = 0, len(keys)
        if low is not None:
            first = keys.bisect_left(low) if with_low else keys.bisect_right(low)
        if high is not None:
            last = keys.bisect_right(high) if with_high else keys.bisect_left(high)
        return first, last

    def _settle(self) -> None:
        if self._gone:
            if len(self._gone) > len(self._keys) >> 5:  # beyond that, building anew is the cheaper way
                self._keys = SortedList(key for key in self._keys if key not in self._gone)
            else:
                for key in self._gone:
                    self._keys.remove(key)
            self._gone = set()
        if self._added:
            self._keys.update(self._added)
            self._added = set()
