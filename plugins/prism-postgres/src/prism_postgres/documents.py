"""Metadata as JSONB holds it, so that SQL means what the reference evaluator does.

JSONB has no U+0000, and its numbers are decimal where JSON's of 2**53 and more stand for the float nearest to them. So
what filters see is not always the metadata as it was written, which is kept byte for byte beside it:

- U+0000 becomes U+0001 U+0001, and U+0001 becomes U+0001 U+0002. That keeps the order of texts, and which begins with
  which; only `contains` and `endswith` of a text that begins with one of the three can be led astray.
- A float of 2**53 or more, which is a whole number, is written out. Below that its shortest decimal form compares with
  integers, and with the decimal forms of other floats, as the float does.
"""

from __future__ import annotations

import json
from decimal import Decimal
from typing import Any, Final

_WHOLE: Final = 2.0**53
_SHAPES: Final = {**dict.fromkeys(b"0123456789", b"0"), **dict.fromkeys(b"eE", b"e"), ord("+"): b"+"}
_SHAPE: Final = b"".join(_SHAPES.get(byte, b" ") for byte in range(256))
"""Turns JSON into the shapes of its numbers: `0` for a digit, `e` and `+`, and blanks for the rest."""
_LONG: Final = b"0" * 16
_AMBIGUOUS: Final = ("\0", "\1", "\2")


def jsonb_of(metadata: bytes, document: Any) -> str | None:
    """The text of a document as JSONB is to hold it, None where that is the metadata itself.

    `document` is what the metadata says, decoded. It's only looked at where the metadata has what may have to be
    changed: an escaped control character, 16 digits in a row, an exponent. All three may be in a text, for nothing.
    """
    if b"\\u000" not in metadata:
        shape = metadata.translate(_SHAPE)
        if _LONG not in shape and b"0e0" not in shape and b"0e+" not in shape:
            return None
    changed = _changed(document)
    # What JSON reads as a float is written as one: a text with more digits than it has would be another number.
    return json.dumps(changed, ensure_ascii=False, separators=(",", ":"))


def jsonb(value: Any) -> str:
    """The text of a filter's operand."""
    return json.dumps(_changed(value), ensure_ascii=False, separators=(",", ":"))


def text(value: str) -> str:
    """A text as JSONB holds it."""
    if "\1" in value:
        value = value.replace("\1", "\1\2")
    return value.replace("\0", "\1\1") if "\0" in value else value


def number(value: float) -> Decimal:
    """A number as JSONB holds it."""
    if isinstance(value, int):
        return Decimal(value)
    return Decimal(int(value)) if abs(value) >= _WHOLE else Decimal(repr(value))


def is_ambiguous_inside(value: str) -> bool:
    """Whether a text may be found in another where it isn't."""
    return value.startswith(_AMBIGUOUS)


def _changed(value: Any) -> Any:
    kind = value.__class__
    if kind is str:
        return text(value)
    if kind is float:
        return int(value) if abs(value) >= _WHOLE else value
    if kind is dict:
        return {text(key): _changed(item) for key, item in value.items()}
    if kind is list or kind is tuple:
        return [_changed(item) for item in value]
    return value
