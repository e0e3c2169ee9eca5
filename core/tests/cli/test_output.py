"""What the command line writes: durations, cells, errors, progress."""

from __future__ import annotations

import io
from collections.abc import Callable
from typing import Any

import pytest
import typer
from prism.cli.durations import ago, seconds, whole_seconds
from prism.cli.exits import ExitCode, exit_code
from prism.cli.failures import print_failure
from prism.cli.meter import Meter
from prism.cli.screen import cell, counted, printable
from prism.cli.where import WhereError
from prism.model.errors import (
    AlreadyExists,
    DeadlineExceeded,
    InvalidArgument,
    InvalidConfig,
    InvalidFilter,
    InvalidMetadata,
    NotFound,
    PrismError,
    Unavailable,
    Violation,
)
from rich.console import Console


@pytest.mark.parametrize(
    ("text", "value"),
    [("30", 30), ("30s", 30), ("5m", 300), ("1h", 3600), ("7d", 604800), ("250ms", 0.25), ("1.5s", 1.5), ("0", 0)],
)
def test_duration_is_read(text: str, value: float) -> None:
    assert seconds(text) == value


@pytest.mark.parametrize("text", ["", "x", "-1", "5 parsecs", "1e3", "5w", "ms"])
def test_wrong_duration_is_refused(text: str) -> None:
    with pytest.raises(typer.BadParameter, match="no length of time"):
        seconds(text)


def test_time_to_live_is_whole_seconds() -> None:
    assert whole_seconds("1.5m") == 90
    with pytest.raises(typer.BadParameter, match="whole seconds"):
        whole_seconds("250ms")


@pytest.mark.parametrize(
    ("micros", "text"),
    [
        (4_200_000, "4.2s"),
        (42_000_000, "42s"),
        (720_000_000, "12m"),
        (12_000_000_000, "3h 20m"),
        (7_200_000_000, "2h"),
        (187_200_000_000, "2d 4h"),
        (259_200_000_000, "3d"),
    ],
)
def test_time_left_is_readable(micros: int, text: str) -> None:
    assert ago(micros) == text


def test_control_characters_never_reach_the_terminal() -> None:
    assert printable("a\x1b[31mb\nc\u202e") == "a\\x1b[31mb\\nc\\u202e"


def test_markup_in_metadata_is_shown_as_it_is() -> None:
    assert cell("[red]x[/red]").plain == "[red]x[/red]"


@pytest.mark.parametrize(
    ("value", "text"),
    [(None, ""), ("x", "x"), (1, "1"), (True, "true"), ({"a": [1], "b": "\u00fc"}, '{"a": [1], "b": "\u00fc"}')],
)
def test_cell_shows_json_values(value: object, text: str) -> None:
    assert cell(value).plain == text


@pytest.mark.parametrize(
    ("error", "code"),
    [
        (NotFound("x"), ExitCode.NOT_FOUND),
        (Unavailable("x"), ExitCode.UNREACHABLE),
        (DeadlineExceeded("x"), ExitCode.UNREACHABLE),
        (InvalidFilter("x"), ExitCode.USAGE),
        (InvalidConfig("x"), ExitCode.USAGE),
        (InvalidConfig("a backend's", details={"slot": "registry"}), ExitCode.FAILED),
        (AlreadyExists("x"), ExitCode.FAILED),
    ],
)
def test_exit_code_follows_the_error(error: PrismError, code: ExitCode) -> None:
    assert exit_code(error) is code


def printed(error: PrismError) -> list[str]:
    stream = io.StringIO()
    print_failure(Console(file=stream, width=100, markup=False), error)
    return stream.getvalue().splitlines()


def test_error_is_one_line_and_a_hint() -> None:
    first, second = printed(AlreadyExists("lamp-1 is registered already"))
    assert first == "error: lamp-1 is registered already"
    assert second.startswith("try: --replace")


@pytest.mark.parametrize("kind", [Unavailable, DeadlineExceeded])
def test_backend_that_does_not_answer_is_no_proxy_that_does_not(kind: type[PrismError]) -> None:
    details = {"slot": "registry", "type": "redis", "namespace": "presence"}
    hint = printed(kind("the registry slot failed to get", details=details))[-1]
    assert hint.startswith("try: again in a moment; the proxy answered")
    assert "registry slot (redis) of namespace 'presence'" in hint
    assert "-a HOST:PORT" not in hint


@pytest.mark.parametrize(
    ("error", "quoted"),
    [
        (InvalidMetadata.at("metadata.fw", "expected a string, got the number 1.2"), "'fw=\"1.2\"'"),
        (InvalidMetadata.at("metadata.v", "expected a version as a string, got the number 2"), "'v=\"2\"'"),
        (InvalidFilter.at("$.fw", "expected a string, got the boolean true"), "'fw=\"true\"'"),
        (InvalidFilter.at("$.fw.in[0]", "expected a string, got the number 1"), "'FIELD=\"1\"'"),
    ],
)
def test_number_that_should_be_a_text_is_shown_in_quotes(error: PrismError, quoted: str) -> None:
    assert printed(error)[-1] == f"try: quotes make a text of it, and quotes around them reach it: {quoted}"


def test_other_wrong_value_gets_no_advice_to_quote() -> None:
    assert printed(InvalidMetadata.at("metadata.n", 'expected a number, got the string "x"'))[1:] == []


def test_error_in_a_clause_is_marked_below_the_character() -> None:
    lines = printed(WhereError("battery<", 8, "expected a value"))
    assert lines[0] == "error: --where, character 9: expected a value"
    assert lines[1:3] == ["    battery<", "            ^"]


def test_mark_stands_right_after_escaped_characters() -> None:
    lines = printed(WhereError("a\tb==1", 3, "expected a value"))
    assert lines[1:3] == ["    a\\tb==1", "        ^"]


def test_every_violation_has_a_line() -> None:
    error = InvalidArgument.of([Violation("metadata.a", "wrong"), Violation("metadata.b", "worse")])
    assert printed(error)[:3] == ["error: 2 problems", "  metadata.a: wrong", "  metadata.b: worse"]


def test_every_mistake_of_a_file_has_its_place() -> None:
    violations = [Violation("namespaces", "wrong"), Violation("server", "worse")]
    lines = ["prism.yaml:1: namespaces: wrong", "prism.yaml:9: server: worse"]
    assert printed(InvalidConfig("\n".join(lines), violations=violations)) == ["error: 2 problems", *lines]


def test_unreachable_proxy_gets_its_advice_once(cli: Callable[..., Any]) -> None:
    told = cli("ls", "--address", "127.0.0.1:1").err
    assert told.count("prism serve") == 1
    assert "try: -a HOST:PORT" in told


@pytest.mark.parametrize(("count", "text"), [(0, "0 lines"), (1, "1 line"), (2_000, "2,000 lines")])
def test_number_goes_with_its_noun(count: int, text: str) -> None:
    assert counted(count, "line", "lines") == text


def test_long_error_is_not_wrapped() -> None:
    assert printed(PrismError("x" * 300))[0] == f"error: {'x' * 300}"


def test_meter_writes_no_control_characters_without_a_terminal() -> None:
    stream = io.StringIO()
    with Meter(Console(file=stream), "importing", 10) as meter:
        meter.advance(10)
    assert meter.summary().startswith("10 in ")
    assert "\x1b" not in stream.getvalue()


def test_meter_draws_a_bar_on_a_terminal() -> None:
    stream = io.StringIO()
    with Meter(Console(file=stream, force_terminal=True), "importing", 10) as meter:
        meter.advance(10)
    assert "importing" in stream.getvalue()


def test_meter_writes_plain_lines_now_and_then(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("prism.cli.meter.INTERVAL", 0.0)
    stream = io.StringIO()
    with Meter(Console(file=stream), "importing", 10) as meter:
        meter.advance(4)
    assert stream.getvalue().startswith("importing: 4 of 10 (")


def test_wrong_filter_is_not_sent_to_a_command_that_would_refuse_it_too() -> None:
    assert "explain" not in printed(InvalidFilter("$.battery.lt: expected a number"))[-1]
