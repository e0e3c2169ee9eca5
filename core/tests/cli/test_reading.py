"""`prism ls`, `get` and `explain` against a real proxy."""

from __future__ import annotations

import re
from collections.abc import Callable
from typing import Any

import orjson
import pytest

Cli = Callable[..., Any]


@pytest.fixture
def lamps(prism: Cli) -> Cli:
    lines = [
        {"identity": "lamp-1", "room": "kitchen", "power": 0.4, "place": {"lat": 47.5, "lon": 8.5}},
        {"identity": "lamp-2", "room": "kitchen", "power": 0.9},
        {"identity": "lamp-3", "room": "hall", "power": 0.1, "note": "\x1b[31mred"},
    ]
    done = prism("import", "-", "--ttl", "1h", stdin=b"\n".join(map(orjson.dumps, lines)))
    assert done.code == 0
    return prism


def names(outcome: Any) -> list[str]:
    return [identity["identity"] for identity in outcome.json]


def test_table_has_a_row_for_everybody(lamps: Cli) -> None:
    listed = lamps("ls")
    assert listed.code == 0
    lines = listed.out.splitlines()
    assert lines[0].split() == ["identity", "attached", "expires_in", "metadata"]
    assert [line.split()[0] for line in lines[1:-1]] == ["lamp-1", "lamp-2", "lamp-3"]
    assert lines[-1] == "3 of 3"


def test_output_without_a_terminal_has_no_escape_codes_and_a_line_for_each_row(prism: Cli) -> None:
    words = " ".join(f"word{i}" for i in range(30))
    prism("register", "a" * 150, f"note={words}")
    prism("register", "b", "note=x\u2028y")
    listed = prism("ls", "--columns", "$identity,note")
    assert "\x1b" not in listed.out + listed.err
    assert [line.split() for line in listed.out.splitlines()] == [
        ["identity", "note"],
        ["a" * 150, *words.split()],
        ["b", "x\\u2028y"],
        ["2", "of", "2"],
    ]
    assert all(line == line.rstrip() for line in listed.out.splitlines())


@pytest.mark.parametrize(
    ("arguments", "expected"),
    [
        ((), ["lamp-1", "lamp-2", "lamp-3"]),
        (("--where", "room=kitchen"), ["lamp-1", "lamp-2"]),
        (("-w", "room=kitchen", "-w", "power<0.5"), ["lamp-1"]),
        (("--where", "place near 47.5,8.5,1km"), ["lamp-1"]),
        (("--where", "!place"), ["lamp-2", "lamp-3"]),
        (("--where", "$identity in lamp-1,lamp-3"), ["lamp-1", "lamp-3"]),
        (("--filter", '{"$or": [{"power.gt": 0.8}, {"room": "hall"}]}'), ["lamp-2", "lamp-3"]),
        (("--filter", '{"room": "kitchen"}', "--where", "power>0.5"), ["lamp-2"]),
        (("--sort", "power desc"), ["lamp-2", "lamp-1", "lamp-3"]),
        (("--sort", "room", "--sort", "power desc"), ["lamp-3", "lamp-2", "lamp-1"]),
        (("--sort", "power", "--limit", "2"), ["lamp-3", "lamp-1"]),
        (("--limit", "0"), ["lamp-1", "lamp-2", "lamp-3"]),
        (("--where", "room=cellar"), []),
    ],
)
def test_list_has_those_that_match_in_order(lamps: Cli, arguments: tuple[str, ...], expected: list[str]) -> None:
    assert names(lamps("ls", "--json", *arguments)) == expected


def test_listed_identity_has_all_of_its_record(lamps: Cli) -> None:
    [lamp] = lamps("ls", "--json", "--where", "$identity=lamp-2").json
    assert lamp["metadata"] == {"room": "kitchen", "power": 0.9}
    assert lamp["attached"] is False
    assert isinstance(lamp["revision"], int)
    assert lamp["registered_at"] <= lamp["updated_at"] < lamp["expires_at"]


def test_time_that_is_shown_finds_its_identity(prism: Cli) -> None:
    done = prism("register", "a", "--ttl", "1h", "--json").json
    found = prism("get", "a", "--json").json
    for name in ("registered_at", "expires_at"):
        assert re.fullmatch(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{6}Z", done[name])
        assert found[name] == done[name]
        assert done[name] in prism("ls", "--columns", f"${name}").out
        assert prism("ls", "--count", "--where", f"${name}={done[name]}").out == "1\n"


def test_count_counts_what_matches(lamps: Cli) -> None:
    assert lamps("ls", "--count", "--where", "room=kitchen").out == "2\n"
    assert lamps("ls", "--count", "--json").json == {"count": 3}


def test_columns_are_chosen_by_path(lamps: Cli) -> None:
    listed = lamps("ls", "--columns", "$identity,room,place.lat,$attached", "--where", "$identity=lamp-1")
    assert [line.split() for line in listed.out.splitlines()[:2]] == [
        ["identity", "room", "place.lat", "attached"],
        ["lamp-1", "kitchen", "47.5", "no"],
    ]


def test_unknown_record_column_names_those_there_are(lamps: Cli) -> None:
    refused = lamps("ls", "--columns", "$identiy")
    assert refused.code == 2
    assert "$expires_in" in refused.err


def test_short_table_says_how_to_see_all(lamps: Cli) -> None:
    assert lamps("ls", "--limit", "2").out.splitlines()[-1] == "2 of 3; --limit 3 shows all"


def test_control_characters_in_metadata_are_shown_escaped(lamps: Cli) -> None:
    listed = lamps("ls", "--columns", "note", "--where", "note")
    assert "\x1b" not in listed.out
    assert "\\x1b[31mred" in listed.out


def test_get_shows_one_identity(lamps: Cli) -> None:
    shown = lamps("get", "lamp-1")
    assert shown.code == 0
    cells = dict(line.split(maxsplit=1) for line in shown.out.splitlines() if line.strip())
    assert cells["identity"].strip() == "lamp-1"
    assert cells["room"].strip() == "kitchen"


def test_get_as_json_is_an_object_for_one_and_an_array_for_several(lamps: Cli) -> None:
    assert lamps("get", "lamp-1", "--json").json["identity"] == "lamp-1"
    assert names(lamps("get", "lamp-3", "lamp-1", "--json")) == ["lamp-3", "lamp-1"]


def test_get_of_an_unknown_identity_ends_with_3_and_shows_the_others(lamps: Cli) -> None:
    done = lamps("get", "lamp-1", "lamp-9", "--json")
    assert done.code == 3
    assert names(done) == ["lamp-1"]
    assert done.err.startswith("error: not registered: lamp-9\n")


def test_explain_shows_each_part(lamps: Cli) -> None:
    plan = lamps("explain", "--where", "room=kitchen", "--where", "power<0.5", "--json")
    assert plan.code == 0
    assert plan.json["registry"] == "memory"
    assert [part["filter"] for part in plan.json["parts"]] == [{"room": "kitchen"}, {"power.lt": 0.5}]
    assert plan.json["exact"] is True
    assert plan.json["residual"] is None


def test_explain_is_readable(lamps: Cli) -> None:
    shown = lamps("explain", "--where", "room=kitchen").out
    assert '{"room": "kitchen"}' in shown
    assert "the proxy checks: nothing" in shown
    assert "everyone" in lamps("explain").out


def test_mistake_in_a_clause_is_marked_and_asks_no_proxy(cli: Cli) -> None:
    refused = cli("ls", "--where", "battery<", "--address", "127.0.0.1:1")
    assert refused.code == 2
    assert refused.err.splitlines()[:3] == [
        'error: --where, character 9: expected a value; write "" for the empty text',
        "    battery<",
        "            ^",
    ]


@pytest.mark.parametrize("text", ["{", "[]", '{"a": 1, "a": 2}', '{"battery.lt": null}', "@no-such-file"])
def test_wrong_filter_is_a_usage_error(lamps: Cli, text: str) -> None:
    refused = lamps("ls", "--filter", text)
    assert refused.code == 2
    assert refused.out == ""


def test_filter_over_the_limits_is_refused_by_the_proxy(lamps: Cli) -> None:
    clauses = [argument for i in range(21) for argument in ("--where", f"a{i}=1")]
    refused = lamps("ls", *clauses)
    assert refused.code == 2
    assert "limit of 20 clauses" in refused.err


def test_unreachable_proxy_ends_with_5_and_says_what_to_type(cli: Cli) -> None:
    done = cli("ls", "--address", "127.0.0.1:1")
    assert done.code == 5
    assert done.err.startswith("error: ")
    assert "prism serve" in done.err
    assert "Traceback" not in done.err


def test_wrong_address_is_a_usage_error(cli: Cli) -> None:
    assert cli("ls", "--address", "http://127.0.0.1:7070").code == 2
