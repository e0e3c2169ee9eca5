"""The decided meanings of filters as data: each case is a filter and documents that it holds for, and not for."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from prism.filters.record import Record

BIG = 2**53
ZURICH = {"lat": 47.3769, "lon": 8.5417}
BERN = {"lat": 46.9480, "lon": 7.4474}

RECORD = Record("sensor-7", {}, registered_at=1_760_000_000_000_000, updated_at=1_760_000_100_000_000, expires_at=None)
"""The record whose document a case fills in: registered 2025-10-09T08:53:20Z, never expiring."""


@dataclass(frozen=True)
class Case:
    """`holds` and `fails` are metadata documents."""

    name: str
    filter: dict[str, Any]
    holds: tuple[dict[str, Any], ...] = ()
    fails: tuple[dict[str, Any], ...] = ()


CASES = (
    # Everyone
    Case("empty filter means everyone", {}, ({}, {"a": 1})),
    Case("several keys are an and", {"a": 1, "b": 2}, ({"a": 1, "b": 2},), ({"a": 1}, {"b": 2}, {})),
    # No value
    Case("eq fails on missing and null", {"a": 1}, (), ({}, {"a": None})),
    Case("ne holds on missing and null", {"a.ne": 1}, ({}, {"a": None}, {"a": 2}, {"a": "1"}), ({"a": 1}, {"a": 1.0})),
    Case("exists", {"a.exists": True}, ({"a": 0}, {"a": ""}, {"a": False}, {"a": []}, {"a": {}}), ({}, {"a": None})),
    Case("exists false", {"a.exists": False}, ({}, {"a": None}), ({"a": 0}, {"a": False})),
    Case("star is exists", {"a": "*"}, ({"a": 1}, {"a": "*"}), ({}, {"a": None})),
    Case("eq star is the star", {"a.eq": "*"}, ({"a": "*"},), ({"a": 1}, {"a": "x"}, {})),
    Case("metadata.exists takes a path", {"metadata.exists": "a.b"}, ({"a": {"b": 1}},), ({"a": {}}, {"a.b": 1})),
    Case("lt fails on no value", {"a.lt": 5}, (), ({}, {"a": None})),
    Case("not lt holds on no value", {"$not": {"a.lt": 5}}, ({}, {"a": None}, {"a": 5}, {"a": "x"}), ({"a": 4},)),
    Case("in fails on no value", {"a.in": [1]}, (), ({}, {"a": None})),
    Case("contains fails on no value", {"a.contains": "x"}, (), ({}, {"a": None})),
    Case("regex fails on no value", {"a.regex": ".*"}, ({"a": ""},), ({}, {"a": None})),
    Case("type fails on no value", {"a.type": "object"}, ({"a": {}},), ({}, {"a": None})),
    # No coercion
    Case("int equals float by value", {"a": 1}, ({"a": 1.0}, {"a": 1}), ({"a": True}, {"a": "1"}, {"a": [1]})),
    Case("true is not one", {"a": True}, ({"a": True},), ({"a": 1}, {"a": 1.0}, {"a": "true"}, {"a": False}, {})),
    Case("false is not zero", {"a": False}, ({"a": False},), ({"a": 0}, {"a": None}, {"a": ""}, {})),
    Case("zero is not false", {"a": 0}, ({"a": 0}, {"a": -0.0}), ({"a": False}, {"a": None})),
    Case("ints beyond floats stay exact", {"a": BIG + 1}, ({"a": BIG + 1},), ({"a": BIG}, {"a": float(BIG)})),
    Case("float against a huge int", {"a.lt": BIG + 1}, ({"a": float(BIG)}, {"a": BIG}), ({"a": BIG + 1},)),
    Case("gt of a huge int", {"a.gt": float(BIG)}, ({"a": BIG + 1},), ({"a": BIG}, {"a": float(BIG)})),
    Case("int64 edges", {"a.gte": 2**63 - 1}, ({"a": 2**63 - 1}, {"a": 2.0**63}), ({"a": 2**63 - 2}, {"a": -(2**63)})),
    Case("booleans are not ordered", {"a.lt": 2}, ({"a": 1},), ({"a": True}, {"a": False})),
    Case("order across types fails", {"a.gt": 1}, ({"a": 2},), ({"a": "2"}, {"a": [2]}, {"a": {}})),
    Case("strings against numbers fail", {"a.lte": "2"}, ({"a": "2"}, {"a": "10"}), ({"a": 1}, {"a": ["1"]})),
    Case("strings by code point", {"a.lt": "\uffff"}, ({"a": "z"}, {"a": "é"}), ({"a": "\U0001f600"}, {"a": "\uffff"})),
    Case("upper case before lower", {"a.lt": "a"}, ({"a": "Z"}, {"a": ""}), ({"a": "b"}, {"a": "a"})),
    Case("lte and gte include the bound", {"a.lte": 2, "a.gte": 2}, ({"a": 2}, {"a": 2.0}), ({"a": 2.5}, {"a": 1})),
    # Strings and arrays
    Case(
        "startswith",
        {"a.startswith": "1.0"},
        ({"a": "1.0.3"}, {"a": "1.0"}),
        ({"a": "11.0"}, {"a": 1.0}, {"a": ["1.0"]}),
    ),
    Case("endswith", {"a.endswith": "é"}, ({"a": "café"},), ({"a": "cafe\u0301"}, {"a": "é!"})),
    Case("empty prefix holds on every string", {"a.startswith": ""}, ({"a": ""}, {"a": "x"}), ({"a": 1}, {})),
    Case("contains a substring", {"a.contains": "prod"}, ({"a": "x-prod-1"},), ({"a": "pro"}, {"a": {"prod": 1}})),
    Case("contains an item", {"a.contains": "x"}, ({"a": ["y", "x"]},), ({"a": ["xy"]}, {"a": []}, {"a": [["x"]]})),
    Case("contains a number", {"a.contains": 1}, ({"a": [1.0]},), ({"a": [True]}, {"a": "1"}, {"a": 1}, {"a": ["1"]})),
    Case("contains a boolean", {"a.contains": False}, ({"a": [False]},), ({"a": [0]}, {"a": [None]}, {"a": []})),
    Case(
        "contains an object", {"a.contains": {"x": 1}}, ({"a": [{"x": 1.0}]},), ({"a": [{"x": True}]}, {"a": {"x": 1}})
    ),
    Case("contains a list", {"a.contains": [1]}, ({"a": [[1]]},), ({"a": [1]}, {"a": [[True]]})),
    Case("regex is found anywhere", {"a.regex": "b+c"}, ({"a": "xbbcx"},), ({"a": "bb"}, {"a": 5}, {"a": ["bc"]})),
    Case("regex anchors", {"a.regex": r"^\p{L}+$"}, ({"a": "Größe"},), ({"a": "a1"}, {"a": "a\nb"})),
    Case("regex dot is no line break", {"a.regex": "^a.b$"}, ({"a": "a\U0001f600b"},), ({"a": "a\nb"},)),
    Case("in", {"a.in": ["x", 1, True]}, ({"a": "x"}, {"a": 1.0}, {"a": True}), ({"a": 0}, {"a": "1"}, {"a": False})),
    Case("in keeps one from true", {"a.in": [1]}, ({"a": 1},), ({"a": True},)),
    Case("in keeps true from one", {"a.in": [True]}, ({"a": True},), ({"a": 1}, {"a": 1.0})),
    Case("in fails on arrays and objects", {"a.in": ["x"]}, ({"a": "x"},), ({"a": ["x"]}, {"a": {"x": "x"}})),
    Case("in nothing", {"a.in": []}, (), ({}, {"a": 1}, {"a": []})),
    # Deep equality
    Case("arrays by item", {"a": [1, "x", None]}, ({"a": [1.0, "x", None]},), ({"a": [1, "x"]}, {"a": ["x", 1, None]})),
    Case("booleans inside arrays", {"a": [True]}, ({"a": [True]},), ({"a": [1]}, {"a": [1.0]}, {"a": True})),
    Case("numbers inside arrays", {"a": [0]}, ({"a": [0]}, {"a": [0.0]}), ({"a": [False]}, {"a": [None]})),
    Case(
        "objects whatever their order",
        {"a": {"x": 1, "y": {"z": True}}},
        ({"a": {"y": {"z": True}, "x": 1}},),
        ({"a": {"x": 1, "y": {"z": 1}}}, {"a": {"x": 1}}),
    ),
    Case("null is null inside", {"a": {"x": None}}, ({"a": {"x": None}},), ({"a": {}}, {"a": {"x": 0}})),
    Case("empty object", {"a": {}}, ({"a": {}},), ({}, {"a": None}, {"a": []}, {"a": {"x": None}})),
    Case("empty array", {"a": []}, ({"a": []},), ({}, {"a": {}}, {"a": ""})),
    Case("ne of an array", {"a.ne": [1]}, ({"a": [True]}, {}, {"a": 1}), ({"a": [1.0]},)),
    Case("eq takes an operator object literally", {"a.eq": {"$gt": 1}}, ({"a": {"$gt": 1}},), ({"a": 2},)),
    # Types
    Case("type string", {"a.type": "string"}, ({"a": ""},), ({"a": 1}, {"a": []})),
    Case("type number", {"a.type": "number"}, ({"a": 0}, {"a": 0.5}), ({"a": True}, {"a": "0"})),
    Case("type boolean", {"a.type": "boolean"}, ({"a": False},), ({"a": 0},)),
    Case("type array", {"a.type": "array"}, ({"a": []},), ({"a": {}}, {"a": ""})),
    Case("type object", {"a.type": "object"}, ({"a": {"x": 1}},), ({"a": []},)),
    # Paths
    Case(
        "nested path",
        {"a.b.c": 1},
        ({"a": {"b": {"c": 1}}},),
        ({"a": {"b": 1}}, {"a.b.c": 1}, {"a": [{"b": {"c": 1}}]}, {"a": "b"}),
    ),
    Case("metadata prefix is optional", {"metadata.a": 1}, ({"a": 1},), ({"metadata": {"a": 1}},)),
    Case("key called metadata", {"metadata.metadata.a": 1}, ({"metadata": {"a": 1}},), ({"a": 1},)),
    Case("escaped dot", {r"a\.b": 1}, ({"a.b": 1},), ({"a": {"b": 1}},)),
    Case("escaped backslash", {r"a\\b": 1}, ({"a\\b": 1},), ({"ab": 1},)),
    Case("escaped operator", {r"a\.eq": 1}, ({"a.eq": 1},), ({"a": 1},)),
    Case("key like an operator", {"contains": "x"}, ({"contains": "x"},), ({"contains": "xy"},)),
    Case("key called type", {"type": "sensor"}, ({"type": "sensor"},), ({"type": "gateway"},)),
    Case("eq disambiguates", {"a.contains.eq": 1}, ({"a": {"contains": 1}},), ({"a": [1]},)),
    Case("key with a dollar", {"metadata.$identity": 1}, ({"$identity": 1},), ({},)),
    Case(
        "empty value of a nested path",
        {"a.b.exists": False},
        ({}, {"a": 1}, {"a": None}, {"a": {"b": None}}),
        ({"a": {"b": 0}},),
    ),
    Case("ne through a non-object", {"a.b.ne": 1}, ({"a": 1}, {"a": [1]}, {"a": "b"}), ({"a": {"b": 1}},)),
    # Logic
    Case("or", {"$or": [{"a": 1}, {"b": 1}]}, ({"a": 1}, {"b": 1}), ({}, {"a": 2})),
    Case("and", {"$and": [{"a.gte": 1}, {"a.lt": 3}]}, ({"a": 1}, {"a": 2}), ({"a": 3}, {"a": 0})),
    Case("not is the complement", {"$not": {"a": 1, "b": 1}}, ({}, {"a": 1}), ({"a": 1, "b": 1},)),
    Case("not not", {"$not": {"$not": {"a": 1}}}, ({"a": 1},), ({}, {"a": 2})),
    Case("not everyone is nobody", {"$not": {}}, (), ({}, {"a": 1})),
    Case("logic beside clauses", {"a": 1, "$or": [{"b": 1}, {"c": 1}]}, ({"a": 1, "c": 1},), ({"a": 1}, {"c": 1})),
    # The record's own fields
    Case("identity", {"$identity": "sensor-7"}, ({}, {"$identity": "x"})),
    Case("identity prefix", {"$identity.startswith": "gateway-"}, (), ({},)),
    Case("identity regex", {"$identity.regex": "[0-9]$"}, ({},)),
    Case("identity order", {"$identity.lt": "t"}, ({},)),
    Case("identity in", {"$identity.in": ["a", "sensor-7"]}, ({},)),
    Case("registered at that moment", {"$registered_at": "2025-10-09T08:53:20Z"}, ({},)),
    Case("registered in another zone", {"$registered_at.lte": "2025-10-09T10:53:20+02:00"}, ({},)),
    Case("registered before", {"$registered_at.lt": "2025-10-09T08:53:20Z"}, (), ({},)),
    Case("updated after", {"$updated_at.gt": "2025-10-09T08:53:20Z"}, ({},)),
    Case("never expiring has no expiry", {"$expires_at.exists": False}, ({},)),
    Case("no expiry is not before anything", {"$expires_at.lt": "9999-12-31T00:00:00Z"}, (), ({},)),
    # Geography
    Case(
        "near",
        {"a.near": {**ZURICH, "radius_km": 100}},
        ({"a": BERN}, {"a": {**BERN, "building": "HQ"}}),
        (
            {"a": {"lat": 48.85, "lon": 2.35}},
            {"a": {"lat": "47.3", "lon": 8.5}},
            {"a": [47.3, 8.5]},
            {},
            {"a": {"lat": 47.3}},
            {"a": {"lat": True, "lon": 8.5}},
        ),
    ),
    Case(
        "near includes the centre",
        {"a.near": {"lat": 1, "lon": 2, "radius_m": 0}},
        ({"a": {"lat": 1.0, "lon": 2}},),
        ({"a": {"lat": 1, "lon": 2.0001}},),
    ),
    Case(
        "near across the antimeridian",
        {"a.near": {"lat": 0, "lon": 179.9, "radius_km": 50}},
        ({"a": {"lat": 0, "lon": -179.9}},),
        ({"a": {"lat": 0, "lon": -179}},),
    ),
    Case(
        "near over the pole",
        {"a.near": {"lat": 89.9, "lon": 0, "radius_km": 50}},
        ({"a": {"lat": 89.9, "lon": 180}},),
        ({"a": {"lat": 89, "lon": 180}},),
    ),
    Case(
        "points out of range are none",
        {"a.near": {"lat": 90, "lon": 0, "radius_km": 30000}},
        ({"a": {"lat": -90, "lon": 0}},),
        ({"a": {"lat": 91, "lon": 0}}, {"a": {"lat": 0, "lon": 2**70}}),
    ),
    Case(
        "within",
        {"a.within": {"south": 46, "west": 7, "north": 48, "east": 9}},
        ({"a": BERN}, {"a": {"lat": 46, "lon": 9}}),
        ({"a": {"lat": 45.9, "lon": 8}}, {"a": {"lat": 47, "lon": 9.1}}, {"a": 1}),
    ),
    Case(
        "within across the antimeridian",
        {"a.within": {"south": -10, "west": 170, "north": 10, "east": -170}},
        ({"a": {"lat": 0, "lon": 175}}, {"a": {"lat": 0, "lon": -175}}),
        ({"a": {"lat": 0, "lon": 0}},),
    ),
    # Unicode
    Case("no normalisation", {"a": "é"}, ({"a": "é"},), ({"a": "e\u0301"},)),
    Case("astral key", {"\U0001f600": 1}, ({"\U0001f600": 1},), ({},)),
)

VERSIONS = (
    ("1.9", "1.10"),
    ("v1.9", "1.10"),
    ("1.0-alpha", "1.0"),
    ("1.0.0-alpha", "1.0.0-alpha.1"),
    ("1.0.0-alpha.1", "1.0.0-alpha.beta"),
    ("1.0.0-alpha.beta", "1.0.0-beta"),
    ("1.0.0-beta.2", "1.0.0-beta.11"),
    ("1.0.0-rc.1", "1.0.0"),
    ("0.9", "1"),
    ("1", "1.0.1"),
    ("1.0.1-rc", "1.0.1"),
    ("2025.9.30", "2025.10.1"),
)
"""Pairs of versions, the earlier first."""

SAME_VERSIONS = (("1.0", "1.0.0"), ("v1", "1"), ("1.2+build.5", "1.2"), ("0", "0.0"), ("1.02", "1.2"), ("V1.0", "1"))
NO_VERSIONS = ("", "latest", "1.", ".1", "1..2", "1.0-", "1.0+", "vv1", "1.x", "1 ", "١.٢", "1" * 19, "-1", "1.0-a..b")

# What a filter is refused for: the place and a part of the message.
REFUSED: tuple[tuple[dict[Any, Any], str, str], ...] = (
    ({"a": None}, "$.a", "exists"),
    ({"a.in": [1, None]}, "$.a.in[1]", "null"),
    ({"a.in": [[1]]}, "$.a.in[0]", "a list"),
    ({"a.in": "x"}, "$.a.in", "expected a list"),
    ({"a": float("nan")}, "$.a", "nan"),
    ({"a.lt": float("inf")}, "$.a.lt", "inf"),
    ({"a": [1, float("-inf")]}, "$.a[1]", "-inf"),
    ({"a": 2**63}, "$.a", "64-bit"),
    ({"a": {"x": -(2**63) - 1}}, "$.a.x", "64-bit"),
    ({"a": "\ud800"}, "$.a", "surrogate"),
    ({"a\udc00": 1}, "$.a\\udc00", "surrogate"),
    ({"a.startswith": 1}, "$.a.startswith", "expected a string, got the number 1"),
    ({"a.endswith": ["x"]}, "$.a.endswith", "expected a string, got a list"),
    ({"a.regex": True}, "$.a.regex", "the boolean true"),
    ({"a.regex": "(x"}, "$.a.regex", "missing )"),
    ({"a.regex": r"(x)\1"}, "$.a.regex", "RE2"),
    ({"a.type": "null"}, "$.a.type", "exists"),
    ({"a.type": "strng"}, "$.a.type", 'did you mean "string"?'),
    ({"a.type": "int"}, "$.a.type", 'did you mean "number"?'),
    ({"a.type": 1}, "$.a.type", "expected one of string, number, boolean, array, object"),
    ({"a.exists": 1}, "$.a.exists", "expected true or false"),
    ({"a.exists": "true"}, "$.a.exists", "expected true or false"),
    ({"metadata.exists": True}, "$.metadata.exists", "path of a field"),
    ({"a.lt": True}, "$.a.lt", "expected a number or a string, got the boolean true"),
    ({"a.gte": [1]}, "$.a.gte", "a list"),
    ({"a": {"$gt": 1}}, "$.a", 'write "a.gt"'),
    ({"a": {"$gtt": 1}}, "$.a", 'did you mean "gt"?'),
    ({"a.$lt": 1}, "$.a.$lt", 'write "a.lt"'),
    ({"$an": []}, "$.$an", 'did you mean "$and"?'),
    ({"$identty": "x"}, "$.$identty", 'did you mean "$identity"?'),
    ({"$expires_at.near": 1}, "$.$expires_at.near", "does not work on $expires_at"),
    ({"$registered_at.startswith": "2025"}, "$.$registered_at.startswith", "does not work"),
    ({"$identity.type": "string"}, "$.$identity.type", "does not work"),
    ({"$identity.x": 1}, "$.$identity.x", "no fields inside"),
    ({"$identity": 1}, "$.$identity", "expected a string"),
    ({"$identity.in": ["a", 1]}, "$.$identity.in[1]", "expected a string"),
    ({"$registered_at": "yesterday"}, "$.$registered_at", "RFC 3339"),
    ({"$registered_at.gt": 1_760_000_000}, "$.$registered_at.gt", "RFC 3339"),
    ({"$registered_at.gt": "2025-10-09T08:53:20"}, "$.$registered_at.gt", "RFC 3339"),
    ({"$expires_at.in": ["x"]}, "$.$expires_at.in[0]", "RFC 3339"),
    ({"$and": []}, "$.$and", "at least one"),
    ({"$or": {}}, "$.$or", "expected a list of filters"),
    ({"$and": [1]}, "$.$and[0]", "expected a filter object, got the number 1"),
    ({"$or": [None]}, "$.$or[0]", "got null"),
    ({"$not": [{"a": 1}]}, "$.$not", "one filter object"),
    ({"$not": None}, "$.$not", "got null"),
    ({"": 1}, "$.", "empty path"),
    ({"a..b": 1}, "$.a..b", "empty key"),
    ({"a.": 1}, "$.a.", "empty key"),
    ({"a\\b": 1}, "$.a\\b", "backslash"),
    ({"metadata": {}}, "$.metadata", "metadata.metadata"),
    ({".".join("a" * 33): 1}, "$." + ".".join("a" * 33), "32 levels"),
    ({1: 2}, "$", "keys are strings"),
    ({"a.near": 5}, "$.a.near", "lat"),
    ({"a.near": {"lat": 1, "lon": 2}}, "$.a.near", "radius_m"),
    ({"a.near": {"lat": 1, "lon": 2, "radius_m": 1, "radius_km": 1}}, "$.a.near.radius_km", "unknown key"),
    ({"a.near": {"lat": 91, "lon": 2, "radius_m": 1}}, "$.a.near.lat", "-90 to 90"),
    ({"a.near": {"lat": 1, "lon": 181, "radius_m": 1}}, "$.a.near.lon", "-180 to 180"),
    ({"a.near": {"lat": 1, "lon": 2, "radius_m": -1}}, "$.a.near.radius_m", "zero or more"),
    ({"a.near": {"lat": True, "lon": 2, "radius_m": 1}}, "$.a.near.lat", "expected a number"),
    ({"a.near": {"lat": 1, "lng": 2, "radius_m": 1}}, "$.a.near.lng", 'did you mean "lon"?'),
    ({"a.within": {"south": 1, "west": 0, "north": 0, "east": 1}}, "$.a.within.south", "north of north"),
    ({"a.within": {"south": 1, "west": 0, "north": 2}}, "$.a.within", '"east"'),
    ({"$and": [{"a": 1}, {"b.lt": None}]}, "$.$and[1].b.lt", "got null"),
    ({"$or": [{"$not": {"b.c.regex": 1}}]}, "$.$or[0].$not.b.c.regex", "expected a string"),
)
