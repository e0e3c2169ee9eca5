"""Who is away: wanted, and not attached since a stream was lost."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Iterable

from prism.client.events import InboxEvent, Reattached


class Absence:
    """Tells the application once all are back."""

    def __init__(self, tell: Callable[[InboxEvent], None]) -> None:
        self._tell = tell
        self._away: set[str] = set()
        self._since = 0.0

    def began(self, identities: Iterable[str]) -> None:
        """Identities are not attached any more; they have been missed since the first of them was."""
        if not self._away:
            self._since = asyncio.get_running_loop().time()
        self._away.update(identities)

    def ended(self, identity: str, present: Iterable[str]) -> None:
        """One is attached again, or given up; `present` are all that are wanted now."""
        if identity not in self._away:
            return
        self._away.remove(identity)
        if self._away:
            return
        identities = tuple(present)
        if identities:
            self._tell(Reattached(identities, asyncio.get_running_loop().time() - self._since, gap=True))
