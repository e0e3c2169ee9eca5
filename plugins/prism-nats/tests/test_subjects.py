"""Any name becomes one token of a subject, and no two the same."""

from __future__ import annotations

from urllib.parse import unquote

from hypothesis import given
from hypothesis import strategies as st
from prism_nats.subjects import Subjects, token

NAMES = st.text(st.characters(exclude_categories=["Cs", "Cc"]), min_size=1, max_size=128)


@given(NAMES)
def test_name_comes_back_from_its_token(name: str) -> None:
    assert unquote(token(name)) == name


@given(NAMES)
def test_token_has_nothing_that_means_something_to_nats(name: str) -> None:
    assert not set(token(name)) & set(" .*>\t\r\n$")
    assert token(name).isascii()


def test_longest_name_leaves_room_in_a_protocol_line() -> None:
    subjects = Subjects("a" * 32 + ".b" * 3, "\u00e9" * 64)
    assert len(subjects.all_of("\u00e9" * 256)) < 2_100


def test_namespaces_have_streams_of_their_own() -> None:
    names = ["a", "a.b", "a_b", "a b", "A", "\u00e9", "x" * 128, "x" * 127]
    prefixes = ["prism", "prism.a", "prism_a"]
    streams = {Subjects(prefix, name).queue_stream for prefix in prefixes for name in names}
    assert len(streams) == len(names) * len(prefixes)


def test_stream_names_are_short_and_plain() -> None:
    for name in ("a.b c*>", "\u00e9" * 64, "x" * 128):
        stream = Subjects("prism", name).ledger_stream
        assert len(stream) <= 72
        assert not set(stream) & set(" .*>/\\")
