"""Structured logs: one JSON object a line, or readable text where a person is watching.

Modules log with the standard library; only the way out is structlog's, so nothing is rendered that isn't logged.
"""

from __future__ import annotations

import logging
import sys
import time
from collections.abc import Callable
from typing import TextIO

import structlog

OWN = "prism"
"""The logger whose level is configured. All others, the drivers of backends among them, tell warnings, and seldom."""
REPEAT = 60.0
"""Seconds in which one place in somebody else's code is heard once: drivers repeat themselves during an outage."""


def configure_logs(level: str = "info", stream: TextIO | None = None) -> None:
    """Sends what Prism and its servers log to `stream` (standard error): text on a terminal, else JSON."""
    out = sys.stderr if stream is None else stream
    shared: list[structlog.typing.Processor] = [
        structlog.stdlib.add_log_level,
        structlog.stdlib.add_logger_name,
        structlog.processors.TimeStamper(fmt="iso", utc=True),
    ]
    render: list[structlog.typing.Processor]
    if out.isatty():
        render = [structlog.dev.ConsoleRenderer()]
    else:
        render = [structlog.processors.format_exc_info, structlog.processors.JSONRenderer()]
    formatter = structlog.stdlib.ProcessorFormatter(
        foreign_pre_chain=shared,
        processors=[structlog.stdlib.ProcessorFormatter.remove_processors_meta, *render],
    )
    handler = _Handler(out)
    handler.setFormatter(formatter)
    handler.addFilter(Seldom())
    root = logging.getLogger()
    root.handlers = [*(each for each in root.handlers if not isinstance(each, _Handler)), handler]
    root.setLevel(logging.WARNING)
    logging.getLogger(OWN).setLevel(level.upper())


class Seldom(logging.Filter):
    """Lets Prism's own records through, and of every place in other code one in REPEAT seconds.

    The next one that comes through says how many were withheld. What a driver can't do is told by Prism's own errors.
    """

    def __init__(self, clock: Callable[[], float] = time.monotonic) -> None:
        super().__init__()
        self._clock = clock
        self._heard: dict[tuple[str, int, int], tuple[float, int]] = {}

    def filter(self, record: logging.LogRecord) -> bool:
        """Whether the record is written."""
        if record.name == OWN or record.name.startswith(f"{OWN}."):
            return True
        place, now = (record.name, record.levelno, record.lineno), self._clock()
        since, withheld = self._heard.get(place, (-REPEAT, 0))
        if now - since < REPEAT:
            self._heard[place] = (since, withheld + 1)
            return False
        self._heard[place] = (now, 0)
        if withheld:
            record.msg = f"{record.getMessage()} (and {withheld:,} more like it since the last one)"
            record.args = None
        return True


class _Handler(logging.StreamHandler[TextIO]):
    """The one handler that `configure_logs` made; made anew it takes the place of the earlier."""
