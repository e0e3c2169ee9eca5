"""The server's clock, as far as it can be known from here."""

from __future__ import annotations

from prism.model.time import SECOND, Clock, Micros, steady_clock

from prism_nats.streams import Streams

_TRUSTED: Micros = 300 * SECOND


class ServerClock:
    """Our own steady clock, set by the server's now and then: NATS tells its time with a stream's state."""

    def __init__(self, streams: Streams) -> None:
        self._streams = streams
        self._own: Clock = steady_clock()
        self._offset: Micros = 0
        self._set_at: Micros | None = None

    def now(self) -> Micros:
        """The present moment."""
        return self._own() + self._offset

    async def set(self) -> None:
        """Asks the server, where the last time was long ago."""
        if self._set_at is not None and self._own() < self._set_at + _TRUSTED:
            return
        before = self._own()
        theirs = await self._streams.server_time()
        after = self._own()
        self._offset, self._set_at = theirs - (before + after) // 2, after
