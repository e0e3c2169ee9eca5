"""The error for a filter that is refused: every problem in one message, bounded, and always valid Unicode."""

from __future__ import annotations

from collections.abc import Sequence

from prism.model.errors import InvalidFilter, Violation

MAX_PROBLEMS = 20
"""Problems reported of one filter; the rest is counted."""


def invalid_filter(problems: Sequence[Violation]) -> InvalidFilter:
    """Builds the error that reports these problems."""
    shown = [Violation(printable(problem.field), printable(problem.description)) for problem in problems[:MAX_PROBLEMS]]
    if len(problems) > MAX_PROBLEMS:
        shown.append(Violation("$", f"and {len(problems) - MAX_PROBLEMS} more problems"))
    return InvalidFilter("; ".join(map(str, shown)), violations=shown)


def printable(text: str) -> str:
    r"""The text with lone surrogates written as `\udc00`, so that the message can be sent."""
    return text.encode(errors="backslashreplace").decode()
