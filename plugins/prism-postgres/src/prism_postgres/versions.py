"""The text that orders versions in SQL; the same as the function `version_key` in the database."""

from __future__ import annotations

from prism.filters.versions import version_key


def version_text(text: str) -> str | None:
    """A text that orders as the version does, None for what isn't a version."""
    key = version_key(text)
    if key is None:
        return None
    numbers, release, identifiers = key
    out = "".join(f"1{number:018}" for number in numbers) + f"0{release}"
    if release:
        return out
    return out + "".join(f"2{word} " if rank else f"1{number:018}" for rank, number, word in identifiers) + "0"
