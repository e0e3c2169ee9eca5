"""What has come in on a subscription and nobody has read yet, on a connection that may be lost for a while."""

from __future__ import annotations

from typing import Final

from prism.slots.buffer import Buffer
from prism.slots.messaging import Received

_LOST: Final = "the connection to NATS was lost and is back"


class LossyBuffer(Buffer):
    """A buffer that marks where the connection was lost."""

    def __init__(self) -> None:
        super().__init__()
        self._lost = False

    def put(self, event: Received) -> bool:
        """Adds a publication, or drops it where there is no room; says which."""
        if self._lost:
            self.connection_back()
        return super().put(event)

    def connection_lost(self) -> None:
        """From now on publications are missed: an Interrupted stands before the next one that comes in."""
        self._lost = True

    def connection_back(self) -> None:
        """Nothing is missed any more; an Interrupted says so, also where one stands before what came in meanwhile."""
        self._lost = False
        self.interrupt(_LOST)
