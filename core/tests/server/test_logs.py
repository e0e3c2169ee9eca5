"""What logs look like, by where they go."""

from __future__ import annotations

import io
import json
import logging
from collections.abc import Iterator

import pytest
from prism.server.logs import REPEAT, Seldom, configure_logs


class Terminal(io.StringIO):
    """A stream that a person watches."""

    def isatty(self) -> bool:
        return True


@pytest.fixture(autouse=True)
def restored_loggers() -> Iterator[None]:
    root, own = logging.getLogger(), logging.getLogger("prism")
    handlers, levels = root.handlers, (root.level, own.level)
    yield
    root.handlers = handlers
    root.setLevel(levels[0])
    own.setLevel(levels[1])


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


def test_drivers_write_json_too_and_say_the_same_once():
    out = io.StringIO()
    configure_logs("info", out)
    driver = logging.getLogger("aiokafka.conn")
    for attempt in range(100):
        driver.error("no connection, attempt %d", attempt)
    logging.getLogger("nats.aio.client").warning("another place")
    told = [json.loads(line) for line in out.getvalue().splitlines()]
    assert [(line["logger"], line["event"]) for line in told] == [
        ("aiokafka.conn", "no connection, attempt 0"),
        ("nats.aio.client", "another place"),
    ]


def test_configured_anew_there_is_one_handler():
    first, second = io.StringIO(), io.StringIO()
    configure_logs("info", first)
    configure_logs("info", second)
    logging.getLogger("prism.x").info("once")
    assert first.getvalue() == ""
    assert len(second.getvalue().splitlines()) == 1


def test_after_a_while_a_driver_is_heard_again_with_what_was_withheld():
    now = 100.0
    seldom = Seldom(lambda: now)

    def heard(name: str) -> str | None:
        record = logging.LogRecord(name, logging.ERROR, "x.py", 7, "no %s", ("server",), None)
        return record.getMessage() if seldom.filter(record) else None

    assert [heard("driver") for _ in range(4)] == ["no server", None, None, None]
    assert [heard("prism.kafka") for _ in range(2)] == ["no server"] * 2
    now += REPEAT
    assert heard("driver") == "no server (and 3 more like it since the last one)"
