"""Trying again for a while."""

from __future__ import annotations

import asyncio
from typing import Self


class Attempts:
    """Goes on until so many seconds have passed: at once, then after longer and longer pauses."""

    def __init__(self, seconds: float) -> None:
        self._clock = asyncio.get_running_loop().time
        self._end = self._clock() + seconds
        self._pause = 0.0

    def __aiter__(self) -> Self:
        return self

    async def __anext__(self) -> None:
        if self._pause:
            if self._clock() >= self._end:
                raise StopAsyncIteration
            await asyncio.sleep(self._pause)
        self._pause = min(max(0.005, self._pause * 2), 0.25)
