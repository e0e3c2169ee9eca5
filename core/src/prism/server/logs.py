"""Structured logs: one JSON object a line, or readable text where a person is watching.

Modules log with the standard library; only the way out is structlog's, so nothing is rendered that isn't logged.
"""

from __future__ import annotations

import logging
import sys
from typing import TextIO

import structlog

LOGGERS = ("prism", "grpc", "aiohttp")


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
    handler = logging.StreamHandler(out)
    handler.setFormatter(formatter)
    for name in LOGGERS:
        logger = logging.getLogger(name)
        logger.handlers = [handler]
        logger.propagate = False
        logger.setLevel(level.upper() if name == "prism" else "WARNING")
