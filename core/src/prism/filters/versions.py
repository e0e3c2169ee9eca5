"""The order of version texts: 1.10 comes after 1.9 (schema type `version`).

Numbers separated by dots after an optional `v`, then an optional `-prerelease` and `+build`, ordered as
semver.org 2.0.0 section 11 says, for any count of numbers; missing numbers count as zero.
"""

from __future__ import annotations

import re
from functools import lru_cache
from typing import TypeAlias

VersionKey: TypeAlias = tuple[tuple[int, ...], int, tuple[tuple[int, int, str], ...]]
"""Compares like the version: numbers without trailing zeros, 0 for a prerelease or 1, prerelease identifiers."""

_NUMBER = r"[0-9]{1,18}"
_WORDS = r"[0-9A-Za-z-]+(?:\.[0-9A-Za-z-]+)*"
_VERSION = re.compile(rf"[vV]?({_NUMBER}(?:\.{_NUMBER})*)(?:-({_WORDS}))?(?:\+{_WORDS})?")
_DIGITS = re.compile(_NUMBER)
_CACHED_LENGTH = 64


def version_key(text: str) -> VersionKey | None:
    """The key by which versions compare, None for a text that isn't a version.

    A number of more than 18 digits isn't one either. Build metadata doesn't count.
    """
    if len(text) > _CACHED_LENGTH:  # the cache holds no long texts, so that its size is bounded
        return _version_key(text)
    return _cached_version_key(text)


def _version_key(text: str) -> VersionKey | None:
    parts = _VERSION.fullmatch(text)
    if parts is None:
        return None
    numbers = [int(number) for number in parts[1].split(".")]
    while numbers and numbers[-1] == 0:
        numbers.pop()
    if parts[2] is None:
        return tuple(numbers), 1, ()
    return tuple(numbers), 0, tuple(_identifier(word) for word in parts[2].split("."))


def _identifier(word: str) -> tuple[int, int, str]:
    """Numeric identifiers come before others and compare as numbers."""
    return (0, int(word), "") if _DIGITS.fullmatch(word) else (1, 0, word)


_cached_version_key = lru_cache(maxsize=8192)(_version_key)
