"""Paths: keys, escapes, the metadata prefix, the record's own fields, operators at the end."""

import pytest
from hypothesis import given
from hypothesis import strategies as st
from prism.filters.ast import Field, MetadataField, Op, RecordField
from prism.filters.paths import format_key, format_path, parse_path, split_operator
from prism.model.errors import InvalidFilter
from prism_conformance.filters.strategies import keys

any_key = keys | st.text(st.characters(exclude_categories=["Cs"]), min_size=1)
metadata_fields = st.lists(any_key, min_size=1, max_size=5).map(lambda path: MetadataField(tuple(path)))
fields: st.SearchStrategy[Field] = metadata_fields | st.sampled_from(RecordField)


def field(*names: str) -> MetadataField:
    return MetadataField(names)


@given(fields)
def test_a_formatted_path_parses_to_its_field(named: Field) -> None:
    assert parse_path(format_path(named)) == named


@given(fields, st.sampled_from(Op))
def test_a_formatted_key_splits_into_field_and_operator(named: Field, op: Op) -> None:
    assert split_operator(format_key(named, op)) == (named, op)


@pytest.mark.parametrize(
    ("text", "named", "op"),
    [
        ("a", field("a"), None),
        ("a.b", field("a", "b"), None),
        ("a.lt", field("a"), Op.LT),
        ("a.b.in", field("a", "b"), Op.IN),
        ("lt", field("lt"), None),
        ("metadata.lt", field("lt"), None),
        ("metadata.a.lt", field("a"), Op.LT),
        ("metadata.metadata", field("metadata"), None),
        ("metadata.metadata.lt", field("metadata"), Op.LT),
        ("a.metadata", field("a", "metadata"), None),
        ("lt.lt", field("lt"), Op.LT),
        ("lt.lt.eq", field("lt", "lt"), Op.EQ),
        (r"a\.lt", field("a.lt"), None),
        (r"a\\.lt", field("a\\"), Op.LT),
        ("a.LT", field("a", "LT"), None),
        ("$identity", RecordField.IDENTITY, None),
        ("$expires_at.gte", RecordField.EXPIRES_AT, Op.GTE),
        ("metadata.$identity", field("$identity"), None),
        ("a.$identity", field("a", "$identity"), None),
    ],
)
def test_key_is_split_into_field_and_operator(text: str, named: Field, op: Op | None) -> None:
    assert split_operator(text) == (named, op)


@pytest.mark.parametrize(
    "text", ["", ".", "a.", ".a", "a..b", "a\\", r"a\b", "metadata", "$", "$x", "$identity.a", "\ud800"]
)
def test_malformed_path_is_refused(text: str) -> None:
    with pytest.raises(InvalidFilter):
        parse_path(text)


def test_error_of_a_path_has_the_place_it_was_read_at() -> None:
    with pytest.raises(InvalidFilter) as caught:
        parse_path("$registerd_at", "$.x")
    assert caught.value.violations[0].field == "$.x"
    assert 'did you mean "$registered_at"?' in str(caught.value)
