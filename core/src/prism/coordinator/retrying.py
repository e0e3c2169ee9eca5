"""How a read-modify-write gives way to others that write the same identity."""

from __future__ import annotations

import asyncio
import random
from typing import Final

ATTEMPTS: Final = 16
"""How often it is tried."""


async def give_way(attempt: int) -> None:
    """Waits a moment, longer with each attempt, up to an eighth of a second."""
    await asyncio.sleep(random.uniform(0, 0.002 * 2 ** min(attempt, 6)))  # noqa: S311 - jitter, not a secret
