"""Keeping the event loop responsive during long work."""

from __future__ import annotations

import asyncio
from time import perf_counter
from typing import Final

_BUSY: Final = 0.001


class Turns:
    """Lets others run when the caller has kept the event loop busy for a millisecond. Made when the work starts."""

    def __init__(self) -> None:
        self._since = perf_counter()

    async def rest(self) -> bool:
        """To be awaited between pieces of the work; says whether others could run."""
        if perf_counter() - self._since < _BUSY:
            return False
        await asyncio.sleep(0)
        self._since = perf_counter()
        return True
