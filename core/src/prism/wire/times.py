"""Moments and lengths of time: whole seconds, milliseconds and Timestamps on the wire, microseconds inside."""

from __future__ import annotations

from google.protobuf.timestamp_pb2 import Timestamp

from prism.model.errors import InvalidArgument
from prism.model.operations import Default, Ttl
from prism.model.time import SECOND, Micros, show_seconds

MAX_SECONDS = 100 * 366 * 24 * 3600
"""The longest duration that is taken: a century. What should last longer should not expire."""

MAX_TIMEOUT_MS = 300_000
"""The longest a multicast waits for receipts (`MulticastRequest.timeout_ms`)."""


def ttl_from_wire(seconds: int | None, field: str = "ttl_seconds") -> Ttl:
    """The TTL of a request; None is unset. Raises InvalidArgument when it is negative or over a century."""
    if seconds is None:
        return Default.TTL
    if not 0 <= seconds <= MAX_SECONDS:
        raise InvalidArgument.at(field, _outside(seconds, "s", MAX_SECONDS, "0 asks for no expiry"))
    return seconds * SECOND


def ttl_to_wire(ttl: Ttl, field: str = "ttl") -> int | None:
    """Whole seconds for a request, None for the namespace's default.

    Raises InvalidArgument when it isn't whole seconds, is negative, or is over a century.
    """
    if isinstance(ttl, Default):
        return None
    seconds, rest = divmod(ttl, SECOND)
    if rest:
        raise InvalidArgument.at(field, f"{show_seconds(ttl)} is not a whole number of seconds; round it")
    if not 0 <= seconds <= MAX_SECONDS:
        raise InvalidArgument.at(field, _outside(seconds, "s", MAX_SECONDS, "0 asks for no expiry"))
    return seconds


def seconds_from_wire(seconds: int, field: str) -> Micros:
    """A length of time that must be positive, in seconds on the wire. Raises InvalidArgument."""
    if not 0 < seconds <= MAX_SECONDS:
        raise InvalidArgument.at(
            field, f"{seconds} s is not between 1 and {MAX_SECONDS:,}; leave it unset for the default"
        )
    return seconds * SECOND


def timeout_from_wire(milliseconds: int, field: str = "timeout_ms") -> Micros:
    """How long to wait for receipts. Raises InvalidArgument when it is negative or over MAX_TIMEOUT_MS."""
    if not 0 <= milliseconds <= MAX_TIMEOUT_MS:
        raise InvalidArgument.at(field, _outside(milliseconds, "ms", MAX_TIMEOUT_MS, "0 waits for no receipts"))
    return milliseconds * 1_000


def fill_timestamp(message: Timestamp, moment: Micros) -> None:
    """Writes a moment into an empty message."""
    seconds, micros = divmod(moment, SECOND)
    message.seconds = seconds
    message.nanos = micros * 1_000
    if not moment:
        message.SetInParent()


def moment_from_timestamp(message: Timestamp) -> Micros:
    """The moment of a message."""
    return message.seconds * SECOND + message.nanos // 1_000


def _outside(value: int, unit: str, most: int, zero: str) -> str:
    return f"{value} {unit} is not between 0 and {most:,}; {zero}"
