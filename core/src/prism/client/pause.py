"""The pause before something is tried again."""

from __future__ import annotations

import asyncio
import random

FIRST_PAUSE = 0.2
LONGEST_PAUSE = 5.0


def pause_length(attempt: int, first: float = FIRST_PAUSE) -> float:
    """Seconds to wait after `attempt` failed tries: full jitter under a bound that doubles up to 5 seconds."""
    return random.uniform(0, min(LONGEST_PAUSE, first * 2 ** min(attempt, 10)))  # noqa: S311 - jitter, not a secret


async def pause(attempt: int) -> None:
    """Waits `pause_length`."""
    await asyncio.sleep(pause_length(attempt))
