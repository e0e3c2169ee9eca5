"""Regular expressions in RE2 syntax (linear time). RE2 is loaded when the first one is compiled."""

from __future__ import annotations

from collections.abc import Callable
from functools import lru_cache


class PatternError(ValueError):
    """A pattern that isn't RE2; the text is the compiler's complaint."""


@lru_cache(maxsize=512)
def compile_pattern(pattern: str) -> Callable[[str], bool]:
    """A function that says whether the pattern is found anywhere in a text.

    Raises PatternError when the pattern isn't valid RE2 syntax or needs too much memory (8 MiB).
    """
    import re2  # noqa: PLC0415 - only filters with a regex pay for it

    options = re2.Options()
    options.log_errors = False
    options.never_capture = True
    try:
        search = re2.compile(pattern.encode(), options).search
    except re2.error as error:
        raise PatternError(_complaint(error)) from error

    def found(text: str) -> bool:
        return search(text.encode()) is not None

    return found


def _complaint(error: Exception) -> str:
    detail = error.args[0] if error.args else ""
    return detail.decode(errors="replace") if isinstance(detail, bytes) else str(detail)
