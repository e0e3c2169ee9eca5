"""The end of the texts that begin with a prefix, in code-point order."""

from __future__ import annotations

from typing import Final

_LAST: Final = 0x10FFFF
_SURROGATES: Final = range(0xD800, 0xE000)


def successor(prefix: str) -> str | None:
    """The least text after all that begin with a prefix, None where there is none."""
    kept = prefix.rstrip(chr(_LAST))
    if not kept:
        return None
    point = ord(kept[-1]) + 1
    return kept[:-1] + chr(_SURROGATES.stop if point in _SURROGATES else point)
