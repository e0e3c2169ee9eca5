"""Reads one mapping of a configuration key by key, noting every mistake instead of stopping at the first."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from typing import Any, TypeVar

from prism.config.duration import parse_duration
from prism.filters.suggest import did_you_mean
from prism.model.json import describe
from prism.model.time import Micros
from prism.schema.place import Mistake, Place

T = TypeVar("T")


class Section:
    """A mapping at a place. Every read names a key and so makes it known; `finish` refuses the others.

    A read answers its default where the key is absent, and where the value is wrong (with a mistake noted).

    Args:
        source: the mapping; anything else is a mistake.
        place: where it stands.
        mistakes: what is wrong is added here.
    """

    def __init__(self, source: object, place: Place, mistakes: list[Mistake]) -> None:
        self.place = place
        self.mistakes = mistakes
        self._known: list[str] = []
        self._data: Mapping[Any, Any] = source if isinstance(source, Mapping) else {}
        if not isinstance(source, Mapping):
            mistakes.append(Mistake(place, f"expected a mapping, got {describe(source)}"))

    def has(self, key: str) -> bool:
        """Whether the key is there, null or not."""
        self._note(key)
        return key in self._data

    def value(self, key: str) -> Any:
        """The value as it is, None where it is absent."""
        self._note(key)
        return self._data.get(key)

    def wrong(self, key: str, text: str) -> None:
        """Notes a mistake at a key."""
        self.mistakes.append(Mistake((*self.place, key), text))

    def section(self, key: str) -> Section | None:
        """The mapping under a key, None where it is absent or null."""
        value = self.value(key)
        return None if value is None else Section(value, (*self.place, key), self.mistakes)

    def text(self, key: str, default: str) -> str:
        """A text that isn't empty."""
        return self._read(key, default, _text)

    def boolean(self, key: str, default: bool) -> bool:
        """True or false."""
        return self._read(key, default, _boolean)

    def whole(self, key: str, default: int, minimum: int = 1) -> int:
        """A whole number from `minimum`."""

        def read(value: object) -> int:
            if isinstance(value, bool) or not isinstance(value, int) or value < minimum:
                raise ValueError(f"expected a whole number from {minimum}, got {describe(value)}")
            return value

        return self._read(key, default, read)

    def duration(self, key: str, default: Micros, minimum: Micros = 1) -> Micros:
        """A length of time of at least `minimum` microseconds."""

        def read(value: object) -> Micros:
            micros = parse_duration(value)
            if micros < minimum:
                raise ValueError(f"expected a longer time than {describe(value)}")
            return micros

        return self._read(key, default, read)

    def choice(self, key: str, default: str | None, allowed: Iterable[str]) -> str | None:
        """One of the allowed words."""
        words = tuple(allowed)

        def read(value: object) -> str | None:
            if not isinstance(value, str):
                raise ValueError(f"expected one of {', '.join(words)}, got {describe(value)}")  # noqa: TRY004
            if value not in words:
                raise ValueError(f'"{value[:60]}" is not one of {", ".join(words)}{did_you_mean(value, words)}')
            return value

        return self._read(key, default, read)

    def rest(self) -> dict[str, Any]:
        """What no read has named, for whoever knows those keys."""
        return {str(key): value for key, value in self._data.items() if key not in self._known}

    def finish(self) -> None:
        """Refuses the keys that no read has named."""
        for key in self.rest():
            hint = did_you_mean(key, self._known)
            self.wrong(key, f"unknown key{hint}{'' if hint else ';'} allowed are {', '.join(self._known)}")

    def _note(self, key: str) -> None:
        if key not in self._known:
            self._known.append(key)

    def _read(self, key: str, default: T, read: Callable[[object], T]) -> T:
        if not self.has(key):
            return default
        try:
            return read(self._data[key])
        except ValueError as error:
            self.wrong(key, str(error))
            return default


def _text(value: object) -> str:
    if not isinstance(value, str) or not value:
        raise ValueError(f"expected a text, got {describe(value) if value != '' else 'an empty one'}")
    return value


def _boolean(value: object) -> bool:
    if not isinstance(value, bool):
        raise ValueError(f"expected true or false, got {describe(value)}")  # noqa: TRY004 - told like the others
    return value
