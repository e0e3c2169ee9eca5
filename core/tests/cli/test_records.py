"""Identities in files."""

from __future__ import annotations

import io
from collections.abc import Iterator
from typing import Any

import pytest
from prism.cli.records import NEVER, BadLine, Format, HeaderError, Record, flatten, format_of, read_csv, read_jsonl


def jsonl(text: str, id_field: str | None = None) -> list[Record | BadLine]:
    return list(read_jsonl(io.BytesIO(text.encode()), id_field))


def from_csv(text: str, id_field: str | None = None) -> list[Record | BadLine]:
    return list(read_csv(io.StringIO(text, newline=""), id_field))


def test_exported_line_is_read_back() -> None:
    line = '{"identity": "a", "metadata": {"room": "x"}, "revision": 7, "attached": false}\n'
    assert jsonl(line) == [Record(1, "a", {"room": "x"})]


def test_flat_object_is_identity_and_metadata() -> None:
    assert jsonl('{"identity": "a", "room": "x"}') == [Record(1, "a", {"room": "x"})]


def test_named_field_is_the_identity_and_stays_in_the_metadata() -> None:
    assert jsonl('{"icao": "LSZH", "city": "Zurich"}', "icao") == [
        Record(1, "LSZH", {"icao": "LSZH", "city": "Zurich"})
    ]


def test_number_as_identity_becomes_text() -> None:
    assert jsonl('{"id": 17}', "id") == [Record(1, "17", {"id": 17})]


def test_empty_lines_are_skipped_and_counted() -> None:
    assert jsonl('\n  \n{"identity": "a"}\n') == [Record(3, "a", {})]


@pytest.mark.parametrize(
    ("line", "words"),
    [("{", "not JSON"), ("[1]", "expected a JSON object"), ("{}", '"identity"'), ('{"identity": true}', '"identity"')],
)
def test_bad_json_line_is_reported_and_the_next_one_read(line: str, words: str) -> None:
    bad, good = jsonl(f'{line}\n{{"identity": "a"}}')
    assert isinstance(bad, BadLine)
    assert bad.line == 1
    assert words in bad.problem
    assert good == Record(2, "a", {})


def test_csv_cells_get_their_types() -> None:
    text = 'identity,room,battery,on,tags,code,empty\na,x,0.4,true,"[""u"",1]",007,\n'
    expected = {"room": "x", "battery": 0.4, "on": True, "tags": ["u", 1], "code": "007"}
    assert from_csv(text) == [Record(2, "a", expected)]


def test_dotted_csv_columns_nest() -> None:
    text = "icao,location.lat,location.lon\nLSZH,47.5,8.5\n"
    expected = {"icao": "LSZH", "location": {"lat": 47.5, "lon": 8.5}}
    assert from_csv(text, "icao") == [Record(2, "LSZH", expected)]


def test_csv_identity_that_looks_like_a_number_stays_text() -> None:
    assert from_csv("id,x\n017,1\n", "id") == [Record(2, "017", {"id": "017", "x": 1})]


def test_line_numbers_count_lines_inside_quotes() -> None:
    text = 'identity,note\na,"two\nlines"\nb,x,y\n'
    good, bad = from_csv(text)
    assert good == Record(3, "a", {"note": "two\nlines"})
    assert bad == BadLine(4, "has 3 cells, the header 2")


def test_csv_row_without_identity_is_bad() -> None:
    assert from_csv("identity,x\n,1\n") == [BadLine(2, 'no text in the column "identity"')]


@pytest.mark.parametrize("header", ["a..b,identity", "identity,identity", "identity,$revision"])
def test_bad_csv_header_ends_the_file(header: str) -> None:
    with pytest.raises(HeaderError, match="the header"):
        from_csv(f"{header}\n1,2\n")


def test_missing_identity_column_names_those_that_are_there() -> None:
    with pytest.raises(HeaderError, match='the header has no column "identity"; it has icao, city; --id-field'):
        from_csv("icao,city\nLSZH,Zurich\n")
    with pytest.raises(HeaderError, match=r'the header has no column "iata"; it has icao, city$'):
        from_csv("icao,city\nLSZH,Zurich\n", "iata")


def test_expiry_is_read_from_an_exported_line() -> None:
    line = '{{"identity": "a", "metadata": {{}}, "expires_at": {}}}'
    assert jsonl(line.format('"2030-01-01T00:00:00.000001Z"')) == [Record(1, "a", {}, 1_893_456_000_000_001)]
    assert jsonl(line.format("null")) == [Record(1, "a", {}, NEVER)]
    [bad] = jsonl(line.format("7"))
    assert isinstance(bad, BadLine)
    assert bad.problem.startswith("expires_at: expected a time such as ")


def test_expiry_of_a_flat_object_is_metadata() -> None:
    assert jsonl('{"identity": "a", "expires_at": "soon"}') == [Record(1, "a", {"expires_at": "soon"})]


def test_expiry_has_a_csv_column_of_its_own() -> None:
    text = "identity,$expires_at,expires_at\na,2030-01-01T00:00:00Z,soon\nb,,\nc,soon,\n"
    first, second, bad = from_csv(text)
    assert first == Record(2, "a", {"expires_at": "soon"}, 1_893_456_000_000_000)
    assert second == Record(3, "b", {}, NEVER)
    assert isinstance(bad, BadLine)
    assert bad.problem.startswith("$expires_at: not an RFC 3339 timestamp")


def test_broken_json_is_placed_by_its_character_alone() -> None:
    _, bad = jsonl('{"identity": "a"}\n{"identity": "b" "c"}\n')
    assert str(bad).startswith("line 2: not JSON: ")
    assert "line 1" not in str(bad)
    assert str(bad).endswith(", at character 18")


def test_column_that_is_value_and_object_is_bad() -> None:
    [bad] = from_csv("identity,a,a.b\nx,1,2\n")
    assert isinstance(bad, BadLine)
    assert "can't be an object too" in bad.problem


def test_unclosed_quote_is_reported() -> None:
    [bad] = from_csv('identity,a\nx,"open\n')
    assert isinstance(bad, BadLine)
    assert bad.problem.startswith("not CSV")


def test_flattened_document_has_dotted_columns() -> None:
    document: dict[str, Any] = {"a": {"b": 1, "c.d": "x"}, "tags": [1], "none": None, "empty": {}}
    assert dict(flatten(document)) == {"a.b": "1", r"a.c\.d": "x", "tags": "[1]", "none": "", "empty": "{}"}


@pytest.mark.parametrize(
    ("path", "chosen", "expected"),
    [
        ("x.csv", None, Format.CSV),
        ("X.CSV", None, Format.CSV),
        ("x.jsonl", None, Format.JSONL),
        ("-", None, Format.JSONL),
        ("x.csv", Format.JSONL, Format.JSONL),
    ],
)
def test_format_is_chosen_or_follows_from_the_name(path: str, chosen: Format | None, expected: Format) -> None:
    assert format_of(path, chosen) is expected


def test_lines_are_read_as_they_are_asked_for() -> None:
    def endless() -> Iterator[bytes]:
        while True:
            yield b'{"identity": "a"}\n'

    assert next(read_jsonl(endless(), None)) == Record(1, "a", {})
