"""Types in their short form: `string`, `enum[online, away]`, `array[string]` (RFC: use cases)."""

from __future__ import annotations

import re
from typing import Any

from prism.filters.suggest import did_you_mean
from prism.model import json
from prism.schema.place import Mistake, Place
from prism.schema.types import OTHER_NAMES, FieldType, Kind

_FORM = re.compile(r"\s*([^\[\]\s]+)\s*(?:\[(.*)\])?\s*", re.DOTALL)


def read_type_text(
    text: str, place: Place, mistakes: list[Mistake], *, values_follow: bool = False, depth: int = 0
) -> FieldType | None:
    """Reads `string`, `enum[a, b]` or `array[type]`; None when it can't be read."""
    match = _FORM.fullmatch(text)
    name, inner = match.groups() if match else (text.strip(), None)
    if name not in Kind.__members__.values():
        other = OTHER_NAMES.get(name.casefold())
        hint = f'; did you mean "{other}"?' if other else did_you_mean(name, Kind)
        mistakes.append(Mistake(place, f'unknown type "{name[:60]}"; allowed are {", ".join(Kind)}{hint}'))
        return None
    kind = Kind(name)
    if kind is Kind.ENUM and (inner is not None or not values_follow):
        values = [value.strip().strip("\"'") for value in inner.split(",")] if inner else []
        if not sound_values(values, place, mistakes):
            return None
        return FieldType(kind, values=tuple(values))
    if inner is None:
        return FieldType(kind)
    if kind is not Kind.ARRAY:
        mistakes.append(Mistake(place, f"{kind} takes nothing in brackets; only enum[...] and array[...] do"))
        return None
    if depth >= json.MAX_NESTING:
        mistakes.append(Mistake(place, f"nested deeper than {json.MAX_NESTING} levels"))
        return None
    items = read_type_text(inner, place, mistakes, depth=depth + 1)
    return FieldType(kind, items=items) if items is not None else None


def sound_values(values: list[Any] | tuple[Any, ...], place: Place, mistakes: list[Mistake]) -> bool:
    """Whether these can be an enum's values: strings, not empty, each once, and at least one of them."""
    found = len(mistakes)
    if not values:
        mistakes.append(Mistake(place, "an enum needs at least one value, e.g. enum[online, offline]"))
    seen = set()
    for value in values:
        if not isinstance(value, str):
            hint = "; quote it, YAML reads on, off, yes and no as booleans" if isinstance(value, bool) else "; quote it"
            mistakes.append(Mistake(place, f"enum values are strings, got {json.describe(value)}{hint}"))
        elif not value:
            mistakes.append(Mistake(place, "an enum value is empty"))
        elif value in seen:
            mistakes.append(Mistake(place, f'"{value}" stands there twice'))
        else:
            seen.add(value)
    return len(mistakes) == found
