"""The demo's claims, each compared with what was computed independently."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

from prism.model.errors import PrismError


class CheckFailed(PrismError):
    """A claim of the demo that doesn't hold."""

    reason = "CHECK_FAILED"


class Checks:
    """Counts the claims that hold; the first that doesn't ends the demo."""

    def __init__(self) -> None:
        self.passed = 0

    def equal(self, claim: str, actual: object, expected: object) -> None:
        """The two have to be equal. Raises CheckFailed that names the claim and both."""
        if actual != expected:
            raise CheckFailed(
                f"check failed: {claim}: expected {_shown(expected, actual)}, got {_shown(actual, expected)}"
            )
        self.passed += 1

    @asynccontextmanager
    async def within(self, seconds: float, claim: str) -> AsyncIterator[None]:
        """The block has to end in time. Raises CheckFailed that names the claim."""
        try:
            async with asyncio.timeout(seconds):
                yield
        except TimeoutError as error:
            raise CheckFailed(f"check failed: {claim}: not within {seconds:g} seconds") from error


def _shown(value: object, other: object) -> str:
    """A value for a message; of sets only what the other doesn't have."""
    if isinstance(value, (set, frozenset)) and isinstance(other, (set, frozenset)):
        extra = sorted(value - other)
        some = f", among them {', '.join(map(str, extra[:5]))}" if extra else ""
        return f"{len(value):,} ({len(extra):,} that the other hasn't{some})"
    return repr(value)
