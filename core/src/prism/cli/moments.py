"""Points in time as they are typed: a length of time ago, or RFC 3339."""

from __future__ import annotations

import typer

from prism.cli.durations import seconds
from prism.model.time import SECOND, Micros, parse_rfc3339, wall_clock


def moment(text: str) -> Micros:
    """Reads `2h` (ago) or `2025-10-09T12:00:00Z` into microseconds since the epoch. Raises typer.BadParameter."""
    try:
        return parse_rfc3339(text.strip())
    except ValueError:
        pass
    try:
        return wall_clock() - round(seconds(text) * SECOND)
    except typer.BadParameter:
        raise typer.BadParameter(
            f'"{text}" is no point in time; write how long ago (30m, 2h, 7d) or 2025-10-09T12:00:00Z'
        ) from None
