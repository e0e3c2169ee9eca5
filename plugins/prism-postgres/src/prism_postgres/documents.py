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
import re
from decimal import Decimal
from typing import Any, Final

_WHOLE: Final = 2.0**53
_SUSPICIOUS: Final = re.compile(rb"\\u000[01]|[0-9]{16}|[0-9][eE]\+?[0-9]")
"""Not in metadata that JSONB can read as it is. Texts may have it too: then it's looked at for nothing."""
_AMBIGUOUS: Final = ("\0", "\1", "\2")


def jsonb_of(metadata: bytes, document: Any) -> str | None:
    """The text of a document as JSONB is to hold it, None where that is the metadata itself.

    `document` is what the metadata says, decoded.
    """
    if _SUSPICIOUS.search(metadata) is None:
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
