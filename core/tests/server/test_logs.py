"""What logs look like, by where they go."""

from __future__ import annotations

import io
import json
import logging
from collections.abc import Iterator

import pytest
from prism.server.logs import LOGGERS, configure_logs


class Terminal(io.StringIO):
    """A stream that a person watches."""

    def isatty(self) -> bool:
        return True


@pytest.fixture(autouse=True)
def restored_loggers() -> Iterator[None]:
    before = [(logging.getLogger(n), logging.getLogger(n).handlers, logging.getLogger(n).level) for n in LOGGERS]
    yield
    for logger, handlers, level in before:
        logger.handlers, logger.propagate = handlers, True
        logger.setLevel(level)


def test_away_from_a_terminal_a_line_is_a_json_object():
    out = io.StringIO()
    configure_logs("info", out)
    logging.getLogger("prism.somewhere").warning("%d things", 3)
    record = json.loads(out.getvalue())
    assert (record["event"], record["level"], record["logger"]) == ("3 things", "warning", "prism.somewhere")


def test_an_exception_is_one_json_object_too():
    out = io.StringIO()
    configure_logs("info", out)
    try:
        int("not a number")
    except ValueError:
        logging.getLogger("prism.x").exception("failed")
    assert "ValueError: invalid literal" in json.loads(out.getvalue())["exception"]


def test_on_a_terminal_lines_are_for_reading():
    out = Terminal()
    configure_logs("info", out)
    logging.getLogger("prism.x").info("hello")
    assert "hello" in out.getvalue()
    assert not out.getvalue().startswith("{")


def test_the_level_holds_for_prism_and_servers_only_warn():
    out = io.StringIO()
    configure_logs("debug", out)
    logging.getLogger("prism.x").debug("shown")
    logging.getLogger("grpc").info("hidden")
    assert [json.loads(line)["event"] for line in out.getvalue().splitlines()] == ["shown"]
