"""Lengths of time as they are typed (`30`, `30s`, `5m`, `1h`, `7d`, `250ms`), and how times are shown."""

from __future__ import annotations

import re
from datetime import datetime

import typer

from prism.model.time import from_datetime, to_rfc3339

_TEXT = re.compile(r"(\d+(?:\.\d+)?)(ms|s|m|h|d|)", re.ASCII)
_SECONDS = {"ms": 0.001, "s": 1.0, "": 1.0, "m": 60.0, "h": 3_600.0, "d": 86_400.0}


def seconds(text: str) -> float:
    """Reads a length of time into seconds. Raises typer.BadParameter."""
    match = _TEXT.fullmatch(text.strip())
    if match is None:
        raise typer.BadParameter(f'"{text}" is no length of time; write seconds, or 250ms, 30s, 5m, 1h, 7d')
    return float(match[1]) * _SECONDS[match[2]]


def whole_seconds(text: str) -> int:
    """Reads a length of time of whole seconds, as TTLs are. Raises typer.BadParameter."""
    value = seconds(text)
    if value != int(value):
        raise typer.BadParameter(f'"{text}" is {value:g} seconds; a time to live is whole seconds')
    return int(value)


def rfc3339(moment: datetime | None) -> str | None:
    """A point in time as every command shows it, to the microsecond, so that a filter on it finds it again."""
    return None if moment is None else to_rfc3339(from_datetime(moment))


def ago(microseconds: int) -> str:
    """A length of time for people: `4.2s`, `12m`, `3h 20m`, `2d 4h`."""
    total = microseconds / 1_000_000
    if total < 60:
        return f"{total:.1f}s" if total < 10 else f"{total:.0f}s"
    minutes, hours = int(total // 60), int(total // 3_600)
    if minutes < 60:
        return f"{minutes}m"
    if hours < 48:
        return f"{hours}h {minutes % 60}m" if minutes % 60 else f"{hours}h"
    return f"{hours // 24}d {hours % 24}h" if hours % 24 else f"{hours // 24}d"
