"""Near matches for names that aren't known, so that an error can offer the one that was meant."""

from __future__ import annotations

from collections.abc import Iterable


def did_you_mean(word: str, known: Iterable[str], *, cutoff: float = 0.6) -> str:
    """The end of an error message: `; did you mean "lte"?`, or nothing when no known name is near.

    `cutoff` is how near it must be: 1 is the same, 0.6 what a reader would still take for a slip.
    """
    import difflib  # noqa: PLC0415 - only an error pays for it

    choices = list(known)
    near = difflib.get_close_matches(word[:128], choices, n=1, cutoff=cutoff)
    if not near:  # a difference of case alone is always near
        near = [choice for choice in choices if choice.casefold() == word.casefold()]
    return f'; did you mean "{near[0]}"?' if near else ""
