"""Inverted index of one metadata field: from a value to the records that have it."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import dataclass
from typing import Any, Final

from prism.memory.ordered import OrderedKeys
from prism.memory.record import Record
from prism.model.json import Document

NO_VALUE: Final = object()
"""The key of records where the field is missing or null."""
COMPOUND: Final = object()
"""The key of records where it is an array or an object."""
_TRUE: Final = object()
_FALSE: Final = object()


def value_key(value: object) -> object:
    """The key under which a value is filed. Equal keys are equal values, for scalars.

    Text and numbers stand for themselves, so that 1 and 1.0 meet; booleans, which Python takes for numbers,
    get keys of their own.
    """
    kind = value.__class__
    if kind is str or kind is int or kind is float:
        return value
    if value is None:
        return NO_VALUE
    if kind is bool:
        return _TRUE if value else _FALSE
    return value if isinstance(value, (str, int, float)) else COMPOUND


class Posting(dict[str, Record]):
    """The records of one key by identity, put in identity order when somebody reads them."""

    __slots__ = ("in_order",)

    def __init__(self, records: dict[str, Record]) -> None:
        super().__init__(records)
        self.in_order = False

    def rows(self) -> list[Record]:
        """The records, ordered by identity."""
        if not self.in_order:
            ordered = [(identity, self[identity]) for identity in sorted(self)]
            self.clear()
            self.update(ordered)  # the next sort finds a long sorted run
            self.in_order = True
        return list(self.values())


Postings = dict[object, Record | Posting]
"""A key with one record, as most have in a field of unique values, costs no Posting."""


def file(postings: Postings, key: object, record: Record) -> bool:
    """Puts a record under a key; true when it is the first there."""
    held = postings.get(key)
    if held is None:
        postings[key] = record
        return True
    if held.__class__ is Posting:
        held[record.identity] = record
    else:
        first: Record = held  # type: ignore[assignment]
        held = postings[key] = Posting({first.identity: first, record.identity: record})
    held.in_order = False
    return False


def unfile(postings: Postings, key: object, record: Record) -> bool:
    """Takes a record from under a key; true when it was the last there."""
    held = postings[key]
    if held.__class__ is Posting:
        del held[record.identity]
        if held:
            return False
    del postings[key]
    return True


def size(held: Record | Posting | None) -> int:
    """How many records a key has."""
    if held is None:
        return 0
    return len(held) if isinstance(held, Posting) else 1


def rows(held: Record | Posting | None) -> list[Record]:
    """The records of a key, ordered by identity."""
    if held is None:
        return []
    return held.rows() if isinstance(held, Posting) else [held]


@dataclass(frozen=True, slots=True)
class Candidates:
    """A superset of what a filter node matches: about how many, and a way to get them.

    `rows` are ordered by identity and distinct. `in_order` is true when getting them needs no sorting, `exact` when
    the node holds for all of them at the moment when they are got.
    """

    size: int
    in_order: bool
    rows: Callable[[], list[Record]]
    exact: bool = False


def union(size: int, parts: Callable[[], Iterable[Iterable[Record]]]) -> Candidates:
    """The records of several parts, each once. `parts` is called when they are wanted."""

    def merged() -> list[Record]:
        distinct = {record.identity: record for part in parts() for record in part}
        return [distinct[identity] for identity in sorted(distinct)]

    return Candidates(size, False, merged)


class FieldIndex:
    """The index of one field: by value, by array element, and on demand by order of value."""

    __slots__ = ("_elements", "_first", "_numbers", "_postings", "_rest", "_text_keys", "_texts", "_total")

    def __init__(self, keys: tuple[str, ...]) -> None:
        self._first, self._rest = keys[0], keys[1:]
        self._postings: Postings = {}
        self._elements: Postings = {}
        self._texts: OrderedKeys | None = None
        self._numbers: OrderedKeys | None = None
        self._text_keys = 0
        self._total = 0

    def add(self, record: Record) -> None:
        """Files a record by its document."""
        value = self._value(record.document)
        key = value_key(value)
        held = self._postings.get(key)
        if held.__class__ is Posting and value.__class__ is not list:  # most are: spared the general way
            held[record.identity] = record
            held.in_order = False
        else:
            self._file(key, value, record)
        self._total += 1

    def remove(self, record: Record) -> None:
        """Takes a record out; its document is still the one it was filed by."""
        value = self._value(record.document)
        self._unfile(value_key(value), value, record)
        self._total -= 1

    def move(self, record: Record, document: Document) -> None:
        """Files a record anew for the document that it is about to get."""
        old, new = self._value(record.document), self._value(document)
        old_key, new_key = value_key(old), value_key(new)
        if old_key == new_key and old_key is not COMPOUND:
            return
        self._unfile(old_key, old, record)
        self._file(new_key, new, record)

    def equal(self, value: object) -> Candidates:
        """Records whose value may equal the given one."""
        key = value_key(value)
        held = self._postings.get(key)
        return Candidates(size(held), True, lambda: rows(held), exact=key is not COMPOUND)

    def one_of(self, values: Iterable[object]) -> Candidates:
        """Records whose value may equal one of the given."""
        held = [self._postings.get(key) for key in {value_key(value) for value in values}]
        return union(sum(map(size, held)), lambda: map(rows, held))

    def present(self) -> Candidates:
        """Records that have a value."""
        count = self._total - size(self._postings.get(NO_VALUE))
        return union(count, lambda: [rows(held) for key, held in self._postings.items() if key is not NO_VALUE])

    def absent(self) -> Candidates:
        """Records that have none."""
        held = self._postings.get(NO_VALUE)
        return Candidates(size(held), True, lambda: rows(held))

    def having(self, element: object) -> Candidates | None:
        """Records with an array that may have the element; None where a text could have it as a part."""
        if isinstance(element, str) and self._text_keys:
            return None
        held = self._elements.get(value_key(element))
        return Candidates(size(held), True, lambda: rows(held))

    def starting(self, prefix: str) -> Candidates:
        """Records whose value is a text that begins with the prefix."""
        return self._range(self._ordered_texts(), prefix, after_prefix(prefix), with_high=False)

    def ordered(self, low: Any, high: Any, *, with_low: bool = True, with_high: bool = True) -> Candidates:
        """Records whose value lies between two bounds of one type, text or numbers; None is no bound."""
        bound = high if low is None else low
        keys = self._ordered_texts() if isinstance(bound, str) else self._ordered_numbers()
        return self._range(keys, low, high, with_low=with_low, with_high=with_high)

    def _range(
        self, keys: OrderedKeys, low: Any, high: Any, *, with_low: bool = True, with_high: bool = True
    ) -> Candidates:
        count = keys.count(low, high, with_low=with_low, with_high=with_high)
        each = self._total / max(1, len(self._postings))
        return union(
            round(count * each),
            lambda: [
                rows(self._postings.get(key)) for key in keys.between(low, high, with_low=with_low, with_high=with_high)
            ],
        )

    def _ordered_texts(self) -> OrderedKeys:
        if self._texts is None:
            self._texts = OrderedKeys(key for key in self._postings if key.__class__ is str)
        return self._texts

    def _ordered_numbers(self) -> OrderedKeys:
        if self._numbers is None:
            self._numbers = OrderedKeys(key for key in self._postings if _is_number(key))
        return self._numbers

    def _value(self, document: Document) -> Any:
        value = document.get(self._first)
        for key in self._rest:
            if value.__class__ is not dict:
                return None
            value = value.get(key)
        return value

    def _file(self, key: object, value: Any, record: Record) -> None:
        if file(self._postings, key, record):
            self._first_of(key)
        if value.__class__ is list:
            for element in set(map(value_key, value)):
                file(self._elements, element, record)

    def _unfile(self, key: object, value: Any, record: Record) -> None:
        if unfile(self._postings, key, record):
            self._last_of(key)
        if value.__class__ is list:
            for element in set(map(value_key, value)):
                unfile(self._elements, element, record)

    def _first_of(self, key: object) -> None:
        if key.__class__ is str:
            self._text_keys += 1
            if self._texts is not None:
                self._texts.add(key)
        elif self._numbers is not None and _is_number(key):
            self._numbers.add(key)

    def _last_of(self, key: object) -> None:
        if key.__class__ is str:
            self._text_keys -= 1
            if self._texts is not None:
                self._texts.discard(key)
        elif self._numbers is not None and _is_number(key):
            self._numbers.discard(key)


def _is_number(key: object) -> bool:
    return key.__class__ is int or key.__class__ is float


def after_prefix(prefix: str) -> str | None:
    """The least text, by code points, above all that begin with the prefix; None where there is no bound."""
    trimmed = prefix.rstrip("\U0010ffff")
    return trimmed[:-1] + chr(ord(trimmed[-1]) + 1) if trimmed else None
