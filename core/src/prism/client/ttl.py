"""Times to live and waiting times, from what an application gives to what the operations take."""

from __future__ import annotations

from datetime import timedelta
from typing import TypeAlias

from prism.model.errors import InvalidArgument
from prism.model.json import describe
from prism.model.operations import Default, Ttl
from prism.model.time import SECOND, Micros

Seconds: TypeAlias = "int | float | timedelta"
"""A length of time: seconds, or a timedelta."""

LONGEST = 100 * 366 * 24 * 3600
"""A century, in seconds. What should last longer should not expire."""

_MICROSECOND = timedelta(microseconds=1)


def to_ttl(ttl: Seconds | None, field: str = "ttl") -> Ttl:
    """A TTL in microseconds; None leaves it to the namespace, 0 asks for no expiry.

    Raises:
        InvalidArgument: it is negative, not a number, or not a whole number of seconds.
    """
    return Default.TTL if ttl is None else _whole_seconds(ttl, field)


def to_message_ttl(ttl: Seconds | None) -> Micros | None:
    """How long an undelivered message is kept; None leaves it to the namespace. Raises InvalidArgument as `to_ttl`."""
    if ttl is None:
        return None
    micros = _whole_seconds(ttl, "message_ttl")
    if not micros:
        text = "0 would keep it no time at all; leave it out for the namespace's default"
        raise InvalidArgument.at("message_ttl", text)
    return micros


def to_wait(timeout: Seconds | None, field: str = "timeout") -> Micros | None:
    """A waiting time, rounded up to milliseconds; None leaves it to the namespace.

    Raises:
        InvalidArgument: it is negative or not a number.
    """
    if timeout is None:
        return None
    return -(-_micros(timeout, field) // 1_000) * 1_000


def _whole_seconds(value: Seconds, field: str) -> Micros:
    micros = _micros(value, field)
    if micros % SECOND:
        whole = max(1, round(micros / SECOND))
        raise InvalidArgument.at(field, f"{value} is not a whole number of seconds; use {whole}")
    return micros


def _micros(value: Seconds, field: str) -> Micros:
    if isinstance(value, timedelta):
        micros: float = value // _MICROSECOND
    elif isinstance(value, (int, float)) and not isinstance(value, bool):
        micros = value * SECOND
    else:
        raise InvalidArgument.at(field, f"expected seconds or a timedelta, got {describe(value)}")
    if not 0 <= micros <= LONGEST * SECOND:  # also refuses NaN
        raise InvalidArgument.at(field, f"{value} is out of range; give seconds from 0 to {LONGEST:,}")
    return round(micros)
