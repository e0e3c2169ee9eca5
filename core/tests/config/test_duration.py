"""Durations as people write them."""

from __future__ import annotations

from typing import Any

import pytest
from prism.config.duration import parse_duration


@pytest.mark.parametrize(
    ("value", "micros"),
    [
        (30, 30_000_000),
        (0.25, 250_000),
        (0, 0),
        ("30", 30_000_000),
        ("100ms", 100_000),
        ("5us", 5),
        ("30s", 30_000_000),
        ("1.5 s", 1_500_000),
        ("2m", 120_000_000),
        ("2min", 120_000_000),
        ("1h", 3_600_000_000),
        ("7d", 604_800_000_000),
        ("1w", 604_800_000_000),
        (" 1s ", 1_000_000),
    ],
)
def test_a_duration_is_read_as_microseconds(value: Any, micros: int) -> None:
    assert parse_duration(value) == micros


@pytest.mark.parametrize(
    "value",
    [
        None,
        True,
        "",
        "s",
        "5 parsecs",
        "-1s",
        "1h30m",
        "1e3",
        "1,5s",
        [],
        -1,
        float("nan"),
        float("inf"),
        "9" * 39,
        "٣s",
    ],
)
def test_anything_else_is_refused_with_a_message(value: Any) -> None:
    with pytest.raises(ValueError, match="expected"):
        parse_duration(value)
