"""JSON merge patch (RFC 7396)."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from prism.model.json import Document


def merge_patch(document: Mapping[str, Any], patch: Mapping[str, Any]) -> Document:
    """The document with the patch applied: null removes a key, an object merges, anything else replaces.

    Neither argument is changed, but the result shares nested values with both.
    """
    merged = dict(document)
    for key, value in patch.items():
        if value is None:
            merged.pop(key, None)
        elif isinstance(value, Mapping):
            current = merged.get(key)
            merged[key] = merge_patch(current if isinstance(current, Mapping) else {}, value)
        else:
            merged[key] = value
    return merged
