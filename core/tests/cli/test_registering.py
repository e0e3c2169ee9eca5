"""`prism register` and `prism unregister` against a real proxy."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

Cli = Callable[..., Any]


def test_set_is_the_same_as_a_pair(prism: Cli) -> None:
    assert prism("register", "alice", "room=a", "--set", "seat=4", "--set", "location.building=HQ").code == 0
    expected = {"room": "a", "seat": 4, "location": {"building": "HQ"}}
    assert prism("get", "alice", "--json").json["metadata"] == expected


def test_registered_identity_has_the_metadata_that_was_typed(prism: Cli) -> None:
    done = prism("register", "lamp-1", "room=kitchen", "power=0.4", "location.lat=47.5", 'tags=["a"]')
    assert (done.code, done.err) == (0, "")
    assert done.out.startswith("registered lamp-1 (revision ")
    expected = {"room": "kitchen", "power": 0.4, "location": {"lat": 47.5}, "tags": ["a"]}
    assert prism("get", "lamp-1", "--json").json["metadata"] == expected


@pytest.mark.parametrize("form", ["inline", "file", "stdin"])
def test_metadata_comes_as_json(prism: Cli, tmp_path: Path, form: str) -> None:
    text = '{"room": "kitchen"}'
    file = tmp_path / "metadata.json"
    file.write_text(text)
    argument = {"inline": text, "file": f"@{file}", "stdin": "-"}[form]
    assert prism("register", "lamp-1", "--metadata", argument, stdin=text).code == 0
    assert prism("get", "lamp-1", "--json").json["metadata"] == {"room": "kitchen"}


def test_register_as_json_has_the_registration_id(prism: Cli) -> None:
    done = prism("register", "lamp-1", "--json", "--ttl", "5m").json
    assert done["identity"] == "lamp-1"
    assert done["registration_id"]
    assert done["expires_at"] > done["registered_at"]


def test_registering_twice_fails_and_says_how_to_replace(prism: Cli) -> None:
    prism("register", "lamp-1", "room=kitchen")
    again = prism("register", "lamp-1", "room=hall")
    assert again.code == 1
    assert again.err.startswith("error: ")
    assert "try: --replace" in again.err
    assert prism("register", "lamp-1", "room=hall", "--replace").code == 0
    assert prism("get", "lamp-1", "--json").json["metadata"] == {"room": "hall"}


@pytest.mark.parametrize(
    "arguments",
    [
        ("register", "lamp-1", "room"),
        ("register", "lamp-1", "a=1", "a=2"),
        ("register", "lamp-1", "a=1", "--metadata", "{}"),
        ("register", "lamp-1", "--metadata", "[]"),
        ("register", "lamp-1", "--metadata", "{"),
        ("register", "lamp-1", "--metadata", "@no-such-file"),
        ("register", "lamp-1", "--ttl", "soon"),
        ("register", "lamp-1", "--ttl", "250ms"),
        ("register", ""),
        ("register", "a\nb"),
        ("register", "x" * 513),
        ("register",),
    ],
)
def test_wrong_registration_is_a_usage_error_and_stores_nothing(prism: Cli, arguments: tuple[str, ...]) -> None:
    done = prism(*arguments)
    assert done.code == 2
    assert done.out == ""
    assert prism("ls", "--count").out == "0\n"


def test_unregistered_identity_is_gone(prism: Cli) -> None:
    prism("register", "lamp-1")
    done = prism("unregister", "lamp-1")
    assert (done.code, done.out) == (0, "unregistered 1\n")
    assert prism("get", "lamp-1").code == 3


def test_unregistering_an_unknown_name_ends_with_3_and_removes_the_others(prism: Cli) -> None:
    prism("register", "lamp-1")
    done = prism("unregister", "lamp-1", "nobody")
    assert (done.code, done.out) == (3, "unregistered 1\n")
    assert "not registered: nobody" in done.err


def test_unregistering_by_filter_needs_yes_without_a_terminal(prism: Cli) -> None:
    prism("register", "lamp-1", "room=kitchen")
    prism("register", "lamp-2", "room=hall")
    refused = prism("unregister", "--where", "room=kitchen")
    assert refused.code == 2
    assert "--yes" in refused.err
    assert prism("ls", "--count").out == "2\n"
    done = prism("unregister", "--where", "room=kitchen", "--yes", "--json")
    assert (done.code, done.json) == (0, {"removed": ["lamp-1"], "not_registered": [], "errors": []})
    assert prism("ls", "--count").out == "1\n"


def test_unregister_needs_names_or_a_filter_but_not_both(prism: Cli) -> None:
    prism("register", "lamp-1", "room=kitchen")
    assert prism("unregister").code == 2
    assert prism("unregister", "lamp-1", "--where", "room=kitchen", "--yes").code == 2
    assert prism("unregister", "--where", "", "--yes").code == 2
    assert prism("ls", "--count").out == "1\n"
