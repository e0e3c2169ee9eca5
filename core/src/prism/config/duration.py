"""Lengths of time as people write them: `30`, `0.5`, `100ms`, `30s`, `7d`."""

from __future__ import annotations

import math
import re

from prism.model.json import describe
from prism.model.time import SECOND, Micros

_TEXT = re.compile(r"\s*(\d+(?:\.\d+)?)\s*([a-z]*)\s*", re.ASCII)
_UNITS = {
    "": SECOND,
    "us": 1,
    "ms": SECOND // 1_000,
    "s": SECOND,
    "m": 60 * SECOND,
    "min": 60 * SECOND,
    "h": 3600 * SECOND,
    "d": 86_400 * SECOND,
    "w": 7 * 86_400 * SECOND,
}
_LONGEST = 100 * 365 * 86_400 * SECOND


def parse_duration(value: object) -> Micros:
    """Microseconds of a number (of seconds) or a text with a unit (us, ms, s, m, h, d, w).

    Raises:
        ValueError: it is neither, negative, or longer than a hundred years; the message says what to write.
    """
    amount, unit = _amount(value)
    if math.isfinite(amount) and 0 <= amount * unit <= _LONGEST:
        return round(amount * unit)
    raise ValueError(f"expected a duration between 0 and 100 years, got {describe(value)}")


def _amount(value: object) -> tuple[float, int]:
    if isinstance(value, (int, float)) and not isinstance(value, bool):
        return value, SECOND
    match = _TEXT.fullmatch(value) if isinstance(value, str) and len(value) <= 40 else None
    if match is None or match[2] not in _UNITS:
        units = ", ".join(filter(None, _UNITS))
        raise ValueError(f'expected seconds as a number or a text like "30s" (units {units}), got {describe(value)}')
    return float(match[1]), _UNITS[match[2]]
