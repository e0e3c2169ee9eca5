"""Time as NATS servers write it."""

from __future__ import annotations

from datetime import UTC, datetime
from functools import lru_cache

from prism.model.time import Micros, from_datetime


@lru_cache(maxsize=4_096)
def parse_stamp(text: bytes) -> Micros:
    """The moment that an RFC 3339 text with up to nine decimals names.

    Raises ValueError when it isn't one.
    """
    return from_datetime(datetime.fromisoformat(text.decode()).astimezone(UTC))
