"""What of a regular expression is plain text: RE2 isn't in the server, and its own dialect means other things."""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import Final

_PLAIN: Final = re.compile(r"(\^?)([A-Za-z0-9_ /:@=,;<>~-]*)", re.ASCII)
_REPEATS: Final = ("*", "+", "?", "{")


@dataclass(frozen=True, slots=True)
class Literal:
    """A text that every match has: at the start of the value where it's anchored. `whole` is when that is all."""

    text: str
    anchored: bool
    whole: bool


def literal(pattern: str) -> Literal | None:
    """The text that a pattern begins with, None when it needn't be in what matches."""
    if "|" in pattern:
        return None
    found = _PLAIN.match(pattern)
    assert found is not None
    text, rest = found[2], pattern[found.end() :]
    if rest.startswith(_REPEATS):
        text = text[:-1]
    if not text:
        return None
    return Literal(text, bool(found[1]), not rest)
