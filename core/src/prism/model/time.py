"""Points in time as integers: microseconds since 1970-01-01T00:00:00Z. Durations are microseconds too.

Text is RFC 3339 in UTC with exactly six decimals, so that comparing text compares time.
"""

from __future__ import annotations

import re
import time as _time
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from typing import TypeAlias

Micros: TypeAlias = int
"""Microseconds: since the epoch for a point in time, else a length of time."""

Clock: TypeAlias = Callable[[], Micros]
"""Answers the present moment. Injected wherever expiry is decided, so tests can turn it."""

SECOND: Micros = 1_000_000
_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
_MICROSECOND = timedelta(microseconds=1)


def wall_clock() -> Micros:
    """The machine's own clock."""
    return _time.time_ns() // 1_000


def steady_clock() -> Clock:
    """A clock that starts at the wall clock's time and never jumps or runs backwards afterwards."""
    offset = _time.time_ns() - _time.monotonic_ns()

    def now() -> Micros:
        return (_time.monotonic_ns() + offset) // 1_000

    return now


def from_datetime(moment: datetime) -> Micros:
    """The microseconds of an aware datetime."""
    return (moment - _EPOCH) // _MICROSECOND


def to_datetime(moment: Micros) -> datetime:
    """An aware datetime in UTC."""
    return _EPOCH + timedelta(microseconds=moment)


def to_rfc3339(moment: Micros) -> str:
    """Fixed-width text in UTC: `2025-10-09T12:00:00.000000Z`."""
    return to_datetime(moment).strftime("%Y-%m-%dT%H:%M:%S.%fZ").rjust(27, "0")


def show_seconds(duration: Micros) -> str:
    """A length of time for messages, never in scientific notation: `86,400 s`, `0.25 s`."""
    return f"{duration / SECOND:,.6f}".rstrip("0").rstrip(".") + " s"


_RFC3339 = re.compile(r"\d{4}-\d\d-\d\d[Tt ]\d\d:\d\d:\d\d(\.\d+)?([Zz]|[+-]\d\d:\d\d)", re.ASCII)


def parse_rfc3339(text: str) -> Micros:
    """The moment an RFC 3339 text names; digits beyond microseconds are cut off.

    Raises ValueError when it isn't one or has no offset.
    """
    if _RFC3339.fullmatch(text) is None:
        raise ValueError(f"not an RFC 3339 timestamp with an offset, such as 2025-10-09T12:00:00Z: {text[:64]!r}")
    return from_datetime(datetime.fromisoformat(text.upper()))
