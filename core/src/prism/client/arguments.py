"""What an application gives, checked before any transport sees it: wrong types and text that isn't Unicode.

So the same mistake gets the same InvalidArgument from a proxy, in process and blocking, and nothing that can't be sent
is ever queued for a stream. What is the namespace's to say, such as how long an identity may be, is checked there.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable, Iterator, Mapping
from datetime import timedelta
from typing import Any, TypeAlias

from prism.client.content import metadata_bytes
from prism.model.errors import InvalidArgument, PrismError
from prism.model.json import describe
from prism.model.limits import check_size
from prism.model.message import DeliverySemantics
from prism.model.operations import Beat

AttachWhat: TypeAlias = "str | Mapping[str, Mapping[str, Any] | bytes | None]"
"""One identity, or many with their metadata."""

Beats: TypeAlias = "Iterable[str] | Mapping[str, str]"
"""Identities, or identities with the registration ids that are meant."""

IDENTITY_BYTES = 64 * 1024
"""What no namespace should allow, and no frame could carry many of."""
LARGEST = 2**63 - 1
"""The largest number that fits the wire's 64 bits."""
LARGEST_COUNT = 2**31 - 1
"""The largest limit of a page or an enumeration; None is without one."""


def text(value: object, field: str) -> str:
    """Text that can be sent."""
    if not isinstance(value, str):
        raise InvalidArgument.at(field, f"expected a string, got {describe(value)}")
    if not value.isascii():
        try:
            value.encode()
        except UnicodeEncodeError:
            raise InvalidArgument.at(field, "text holds a lone surrogate, which is not valid Unicode") from None
    return value


def optional_text(value: object, field: str) -> str | None:
    """Text, or None for whatever is the default."""
    return None if value is None else text(value, field)


def identity(value: object, field: str = "identity") -> str:
    """An identity, as far as a client can tell."""
    name = text(value, field)
    if len(name) > IDENTITY_BYTES // 4:
        check_size(field, len(name.encode()), IDENTITY_BYTES, "bytes", "use a shorter identity")
    return name


def registration_id(value: object, field: str = "registration_id") -> str | None:
    """A fencing token; None for whichever registration there is. Empty text is refused: it would fence nothing."""
    token = optional_text(value, field)
    if token == "":
        raise InvalidArgument.at(field, "is empty; give the one that register returned, or None for any")
    return token


def flag(value: object, field: str) -> bool:
    """A boolean; nothing else is taken for one."""
    if not isinstance(value, bool):
        raise InvalidArgument.at(field, f"expected True or False, got {describe(value)}")
    return value


def count(value: object, field: str, least: int = 0, most: int = LARGEST) -> int:
    """A whole number in its range."""
    if not isinstance(value, int) or isinstance(value, bool) or value < least:
        raise InvalidArgument.at(field, f"expected a whole number from {least}, got {describe(value)}")
    if value > most:
        raise InvalidArgument.at(field, f"expected a whole number up to {most:,}, got {describe(value)}")
    return value


def optional_count(value: object, field: str, least: int = 0, most: int = LARGEST) -> int | None:
    """A whole number, or None for no bound."""
    return None if value is None else count(value, field, least, most)


def wait(value: object, field: str = "timeout") -> float | None:
    """Seconds to wait here; None is for ever, and none are left when they are negative."""
    if value is None:
        return None
    if isinstance(value, timedelta):
        return value.total_seconds()
    if not isinstance(value, (int, float)) or isinstance(value, bool) or math.isnan(value):
        raise InvalidArgument.at(field, f"expected seconds or a timedelta, got {describe(value)}")
    return value


def callback(value: Any, field: str) -> Any:
    """Something to call, or None."""
    if value is not None and not callable(value):
        raise InvalidArgument.at(field, f"expected a function, got {describe(value)}")
    return value


def several(values: object, field: str) -> Iterable[Any]:
    """Something to iterate over; a single text is not taken for its characters."""
    if isinstance(values, (str, bytes)):
        raise InvalidArgument.at(field, f"expected several, got {describe(values)}; write [{values!r}]")
    if not isinstance(values, Iterable):
        raise InvalidArgument.at(field, f"expected several, got {describe(values)}")
    return values


def identities(values: object, field: str = "identities") -> Iterator[str]:
    """Identities, of which the first that can't be one raises."""
    return (identity(value, f"{field}[{i}]") for i, value in enumerate(several(values, field)))


def message_id(value: object, field: str = "message_id") -> str:
    """The id of a message that was sent."""
    name = text(value, field)
    if not name:
        raise InvalidArgument.at(field, "is empty; give the one from the result of multicast")
    return name


def message_ids(values: object, field: str = "message_ids") -> list[str]:
    """Ids of messages."""
    return [message_id(value, f"{field}[{i}]") for i, value in enumerate(several(values, field))]


def sort_keys(sort_by: object) -> tuple[str, ...]:
    """One sort key, or several."""
    keys = (sort_by,) if isinstance(sort_by, str) else several(sort_by, "sort_by")
    return tuple(text(key, f"sort_by[{i}]") for i, key in enumerate(keys))


def semantics(delivery: Any) -> DeliverySemantics | None:
    """How surely to deliver; None is the namespace's default."""
    if delivery is None:
        return None
    try:
        return DeliverySemantics(delivery)
    except ValueError:
        allowed = ", ".join(DeliverySemantics)
        raise InvalidArgument.at("delivery", f"{describe(delivery)} is none of {allowed}") from None


def beats(values: object, field: str = "identities") -> Iterator[Beat | PrismError]:
    """Identities to renew or remove; what can't be one becomes an error in its place."""
    if isinstance(values, Mapping):
        return (_or_error(_beat, name, token) for name, token in values.items())
    return (_or_error(_beat, name, None) for name in several(values, field))


def attached(what: object, metadata: object) -> dict[str, bytes | None]:
    """Identities to attach and their metadata as JSON bytes; None takes over the registration that exists."""
    if isinstance(what, str):
        return {identity(what): optional_metadata(metadata)}
    if not isinstance(what, Mapping):
        raise InvalidArgument.at("identity", f"expected an identity or a mapping of many, got {describe(what)}")
    if metadata is not None:
        raise InvalidArgument.at("metadata", "is for one identity; of many, the mapping has it")
    return {identity(name): optional_metadata(data) for name, data in what.items()}


def optional_metadata(metadata: Any) -> bytes | None:
    """The JSON bytes of metadata; None where there is none to be written."""
    return None if metadata is None else metadata_bytes(metadata)


def _beat(name: object, token: object) -> Beat:
    return Beat(identity(name), registration_id(token))


def _or_error(read: Callable[[object, object], Beat], name: object, token: object) -> Beat | PrismError:
    try:
        return read(name, token)
    except InvalidArgument as error:
        return error
