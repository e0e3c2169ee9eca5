"""Places in a nested mapping, and what is wrong there: `identity_schema.fields.status.values`."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TypeAlias

Place: TypeAlias = tuple[str | int, ...]
"""Keys and list indexes from the outside in."""


@dataclass(frozen=True, slots=True)
class Mistake:
    """One thing wrong at one place."""

    place: Place
    text: str


def show_place(place: Place) -> str:
    """The place as people read it: `namespaces[0].needs.audit`."""
    text = ""
    for step in place:
        if isinstance(step, int):
            text += f"[{step}]"
        else:
            text += f".{step}" if text else step
    return text
