"""Compares long answers: explaining that two long lists differ takes minutes, naming the first places does not."""

from __future__ import annotations

from collections.abc import Sequence
from itertools import islice, zip_longest

_SHOWN = 5
_MISSING = "nothing"


def differences(seen: Sequence[object], promised: Sequence[object]) -> list[str]:
    """The first places where what was seen isn't what was promised; empty where all is as promised."""
    pairs = enumerate(zip_longest(seen, promised, fillvalue=_MISSING))
    unequal = ((place, one, other) for place, (one, other) in pairs if one != other)
    return [f"at {place}: promised {other!r}, seen {one!r}" for place, one, other in islice(unequal, _SHOWN)]
