"""Metadata values as bytes that sort like the values, for indexes that Redis keeps in lexicographic order.

An encoded value is a type's tag, the value, and a closing 00. What follows it in an index is the identity, which
has no byte above F4 and none below 20, so a value's entries never mix with those of a longer one.
"""

from __future__ import annotations

import struct
from hashlib import blake2b
from typing import Any, Final

FALSE: Final = b"\x02"
TRUE: Final = b"\x03"
NUMBER: Final = b"\x04"
TEXT: Final = b"\x05"
ARRAY: Final = b"\x06"
OBJECT: Final = b"\x07"
LOWEST: Final = FALSE
"""No encoded value is below."""
BEYOND: Final = b"\x08"
"""Above all encoded values."""
ABOVE: Final = b"\xf5"
"""After an encoded value: above all entries of that value, below those of greater ones."""

WHOLE_TEXT: Final = 1_024
"""Bytes of UTF-8 up to which a text is indexed whole; of a longer one these many and a digest."""

_SIGN: Final = 1 << 63
_MASK: Final = (1 << 64) - 1
_CUT: Final = b"\x00\xfe"


def encode(value: Any) -> bytes | None:
    """The value's encoding; None for no value. Equal values have equal encodings, and 1 is 1.0; arrays and
    objects have but their type's.
    """
    kind = value.__class__
    if kind is str:
        return TEXT + _text(value.encode())
    if value is None:
        return None
    if kind is bool:
        return (TRUE if value else FALSE) + b"\x00"
    if kind is int or kind is float:
        return NUMBER + _number(value) + b"\x00"
    return (ARRAY if isinstance(value, (list, tuple)) else OBJECT) + b"\x00"


def is_whole(text: str) -> bool:
    """Whether a text is short enough for its order among others to be known exactly."""
    return len(text) <= WHOLE_TEXT and len(text.encode()) <= WHOLE_TEXT


def prefix(text: str) -> bytes:
    """What the encodings of all texts begin with that begin with this one."""
    return TEXT + text.encode().replace(b"\x00", b"\x00\xff")


def _text(data: bytes) -> bytes:
    if len(data) <= WHOLE_TEXT:
        return data.replace(b"\x00", b"\x00\xff") + b"\x00"
    digest = blake2b(data, digest_size=16).hexdigest().encode()
    return data[:WHOLE_TEXT].replace(b"\x00", b"\x00\xff") + _CUT + digest + b"\x00"


def _number(value: float) -> bytes:
    """Ten bytes in the order of the numbers: the nearest double, and how much an integer is off it.

    Rounding is monotonic, so doubles decide, and only where they are the same the difference does.
    """
    nearest = float(value) + 0.0  # which makes -0.0 into 0.0
    off = value - int(nearest) if value.__class__ is int else 0
    (bits,) = struct.unpack(">Q", struct.pack(">d", nearest))
    ordered = bits ^ _MASK if bits & _SIGN else bits | _SIGN
    return struct.pack(">QH", ordered, int(off) + 0x8000)
