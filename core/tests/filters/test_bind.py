"""What a schema decides of a filter."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from typing import Any

import pytest
from prism.filters.ast import And, Compare, MetadataField, Node, Not, Or, Order
from prism.filters.bind import bind, bind_sort
from prism.filters.parse import parse
from prism.filters.sorting import parse_sort
from prism.model.errors import InvalidArgument, InvalidFilter
from prism.model.limits import Limits


@dataclass(frozen=True)
class Kind:
    kind: str
    values: tuple[str, ...] = ()
    items: Kind | None = None


@dataclass(frozen=True)
class Schema:
    """A schema as the binder sees one."""

    fields: dict[str, str | Kind]
    closed: bool = False

    def field_type(self, keys: tuple[str, ...]) -> Kind | None:
        kind = self.fields.get(".".join(keys))
        return Kind(kind) if isinstance(kind, str) else kind

    def names(self) -> Iterable[str]:
        return self.fields


KINDS: dict[str, str | Kind] = {
    "name": "string",
    "count": "int",
    "battery_level": "float",
    "on": "bool",
    "status": Kind("enum", values=("online", "away")),
    "seen": "timestamp",
    "firmware": "version",
    "place": "geo_point",
    "tags": "array",
    "extra": "object",
    "extra.depth": "int",
    "words": Kind("array", items=Kind("string")),
    "states": Kind("array", items=Kind("enum", values=("online", "away"))),
    "times": Kind("array", items=Kind("timestamp")),
    "grid": Kind("array", items=Kind("array", items=Kind("int"))),
}
OPEN, CLOSED = Schema(KINDS), Schema(KINDS, closed=True)

REFUSED: list[tuple[dict[str, Any], str, str]] = [
    ({"battery_level.lt": "low"}, "$.battery_level.lt", 'expected a number, got the string "low"'),
    ({"battery_level": True}, "$.battery_level", "expected a number, got the boolean true"),
    ({"count.ne": "1"}, "$.count.ne", "expected a number"),
    ({"count.in": [1, "2"]}, "$.count.in[1]", 'expected a number, got the string "2"'),
    ({"name": 1}, "$.name", "expected a string, got the number 1"),
    ({"name.gt": 1}, "$.name.gt", "expected a string"),
    ({"name.contains": 1}, "$.name.contains", "expected a string"),
    ({"status": ["online"]}, "$.status", "expected a string, got a list"),
    ({"on": "true"}, "$.on", "expected a boolean"),
    ({"on.lt": 1}, "$.on.lt", "lt needs a number or a string, and the field is a bool"),
    ({"on.startswith": "t"}, "$.on.startswith", "needs a string"),
    ({"count.regex": "1"}, "$.count.regex", "needs a string"),
    ({"count.contains": 1}, "$.count.contains", "a string or an array"),
    ({"seen": "yesterday"}, "$.seen", "RFC 3339"),
    ({"seen.gt": 5}, "$.seen.gt", "expected a string"),
    ({"seen.in": ["2025-10-09T12:00:00Z", "2025-10-09"]}, "$.seen.in[1]", "RFC 3339"),
    ({"seen.lt": "0001-01-01T00:00:00+14:00"}, "$.seen.lt", "RFC 3339"),
    ({"firmware.lt": "latest"}, "$.firmware.lt", "expected a version"),
    ({"firmware.lt": 2}, "$.firmware.lt", "expected a string"),
    (
        {"firmware": "latest"},
        "$.firmware",
        'expected a version such as "1.10.2" or "2.0.0-rc.1", got the string "latest"',
    ),
    ({"firmware.ne": "1.10-"}, "$.firmware.ne", "expected a version"),
    ({"firmware.in": ["1.0", "x"]}, "$.firmware.in[1]", "expected a version"),
    ({"status": "onlin"}, "$.status", '"onlin" is not one of online, away; did you mean "online"?'),
    ({"status.ne": "onlin"}, "$.status.ne", '"onlin" is not one of online, away; did you mean "online"?'),
    ({"status.in": ["away", "zzz"]}, "$.status.in[1]", '"zzz" is not one of online, away'),
    ({"count": 1.5}, "$.count", "expected a whole number, got the number 1.5"),
    ({"count.in": [1, 1.5]}, "$.count.in[1]", "expected a whole number"),
    ({"words.contains": 5}, "$.words.contains", "expected a string, got the number 5"),
    ({"words": ["a", 5]}, "$.words[1]", "expected a string, got the number 5"),
    ({"words.ne": ["a", None]}, "$.words.ne[1]", "expected a string, got null"),
    ({"states.contains": "onlin"}, "$.states.contains", 'did you mean "online"?'),
    ({"times.contains": "noon"}, "$.times.contains", "RFC 3339"),
    ({"grid.contains": [1, "2"]}, "$.grid.contains[1]", "expected a number"),
    ({"place": "here"}, "$.place", "expected an object with lat and lon"),
    ({"place.lt": 5}, "$.place.lt", "needs a number or a string"),
    ({"tags": "x"}, "$.tags", "expected a list"),
    ({"tags.in": ["x"]}, "$.tags.in", "use contains"),
    ({"tags.gt": 1}, "$.tags.gt", "the field is an array"),
    ({"extra": 1}, "$.extra", "expected an object"),
    ({"extra.in": [1]}, "$.extra.in", "the field is an object"),
    ({"extra.depth": "x"}, "$.extra.depth", "expected a number"),
    ({"name.near": {"lat": 1, "lon": 2, "radius_m": 3}}, "$.name.near", "needs a geo_point, and the field is a string"),
    ({"extra.within": {"south": 1, "west": 2, "north": 3, "east": 4}}, "$.extra.within", "needs a geo_point"),
    ({"name.first": "x"}, "$.name.first", '"name" is a string; it has no fields inside'),
    ({"name.bt": "x"}, "$.name.bt", 'and "bt" is no operator; operators are contains, endswith, eq, '),
    ({"name.startwith": "x"}, "$.name.startwith", 'and "startwith" is no operator; did you mean "startswith"?'),
    ({"tags.x.exists": True}, "$.tags.x.exists", "it has no fields inside"),
    ({"$or": [{"a": 1}, {"$not": {"count": "x"}}]}, "$.$or[1].$not.count", "expected a number"),
]

TAKEN: list[dict[str, Any]] = [
    {"count": 1.0, "count.lt": 1.5},
    {"battery_level.lt": 1},
    {"name.regex": "x", "status.startswith": "on", "status.in": ["online"]},
    {"on": True, "on.ne": False, "on.in": [True]},
    {"seen.startswith": "2025-", "seen.contains": "T12"},
    {"firmware": "1.0", "firmware.in": ["v2"], "firmware.contains": "rc", "firmware.startswith": "lat"},
    {"tags": ["x"], "tags.contains": 5},
    {"words": ["x"], "words.contains": "y", "states.contains": "away", "grid": [[1], []], "words.ne": []},
    {"status.regex": "^off", "status.startswith": "of", "status.gt": "a", "$not": {"status.in": ["online", "away"]}},
    {"place.near": {"lat": 1, "lon": 2, "radius_m": 3}, "place": {"lat": 1, "lon": 2}},
    {"place.building": "HQ", "extra.anything.deep.lt": 5, "extra": {}},
    {"name.type": "number", "count.exists": False},
    {"$identity.startswith": "x", "$expires_at.exists": True},
]


def clauses(node: Node) -> list[Compare]:
    match node:
        case Compare():
            return [node]
        case Not():
            return clauses(node.child)
        case And() | Or():
            return [clause for child in node.children for clause in clauses(child)]


@pytest.mark.parametrize("schema", [OPEN, CLOSED], ids=["open", "closed"])
@pytest.mark.parametrize(("source", "place", "part"), REFUSED)
def test_clause_that_can_never_match_is_refused(source: dict[str, Any], place: str, part: str, schema: Schema) -> None:
    node = parse({key: value for key, value in source.items() if key != "$or"} or {"$or": source["$or"][1:]})
    place = place.replace("$or[1]", "$or[0]")
    with pytest.raises(InvalidFilter) as caught:
        bind(node, schema)
    violations = {violation.field: violation.description for violation in caught.value.violations}
    assert part in violations[place]


@pytest.mark.parametrize("schema", [OPEN, CLOSED], ids=["open", "closed"])
@pytest.mark.parametrize("source", TAKEN)
def test_clause_that_can_match_is_left_as_it_is(source: dict[str, Any], schema: Schema) -> None:
    assert bind(parse(source), schema) == parse(source)


def test_closed_schema_refuses_unknown_fields_with_a_near_match() -> None:
    with pytest.raises(InvalidFilter) as caught:
        bind(parse({"batery_level.lt": 1, "$or": [{"room.exists": False}]}), CLOSED)
    first, second = caught.value.violations
    assert (first.field, second.field) == ("$.batery_level.lt", "$.$or[0].room.exists")
    assert 'did you mean "battery_level"?' in first.description


def test_open_schema_takes_unknown_fields_as_they_come() -> None:
    source = {"room": 5, "room.near": {"lat": 1, "lon": 2, "radius_m": 3}, "a.b.c": "x"}
    assert bind(parse(source), OPEN) == parse(source)


def test_version_fields_compare_as_versions_and_equal_as_text() -> None:
    node = parse({"$and": [{"firmware.gte": "1.10"}, {"$not": {"firmware.lt": "2"}}, {"firmware": "1.10"}]})
    orders = [clause.order for clause in clauses(bind(node, OPEN))]
    assert orders == [Order.VERSION, Order.VERSION, Order.NATURAL]


def test_other_fields_compare_naturally() -> None:
    [clause] = clauses(bind(parse({"name.gte": "1.10"}), OPEN))
    assert clause.order is Order.NATURAL


@pytest.mark.parametrize("key", ["seen", "seen.ne", "seen.lt", "seen.gte"])
def test_timestamps_become_the_text_that_metadata_holds(key: str) -> None:
    [clause] = clauses(bind(parse({key: "2025-10-09T14:00:00+02:00"}), OPEN))
    assert clause.value == "2025-10-09T12:00:00.000000Z"


def test_timestamps_in_a_list_become_the_text_that_metadata_holds() -> None:
    [clause] = clauses(bind(parse({"seen.in": ["2025-10-09T12:00:00Z"]}), OPEN))
    assert clause.value == ("2025-10-09T12:00:00.000000Z",)


def test_timestamps_that_an_array_contains_become_the_text_that_metadata_holds() -> None:
    bound = clauses(
        bind(parse({"times.contains": "2025-10-09T14:00:00+02:00", "times": ["2025-10-09T12:00:00Z"]}), OPEN)
    )
    assert [clause.value for clause in bound] == ["2025-10-09T12:00:00.000000Z", ["2025-10-09T12:00:00.000000Z"]]


def test_bound_sort_orders_versions_by_their_numbers() -> None:
    keys = bind_sort(parse_sort(["firmware desc", "name", "$identity"], Limits()), OPEN)
    assert [key.order for key in keys] == [Order.VERSION, Order.NATURAL, Order.NATURAL]
    assert keys[0].descending


@pytest.mark.parametrize(
    ("schema", "item", "part"),
    [
        (CLOSED, "nme", 'did you mean "name"?'),
        (OPEN, "place", '"place" is a geo_point, which has no order'),
        (OPEN, "tags desc", "an array"),
        (OPEN, "extra", "an object"),
        (OPEN, "name.first", "no fields inside"),
    ],
)
def test_sort_key_without_an_order_is_refused(schema: Schema, item: str, part: str) -> None:
    with pytest.raises(InvalidArgument) as caught:
        bind_sort(parse_sort(["count", item], Limits()), schema)
    [violation] = caught.value.violations
    assert violation.field == "sort_by[1]"
    assert part in violation.description


def test_unknown_kinds_of_a_schema_are_left_alone() -> None:
    node = Compare(MetadataField(("x",)), parse({"x.lt": 1}).op, 1)  # type: ignore[union-attr]
    assert bind(node, Schema({"x": "anything"})) == node
