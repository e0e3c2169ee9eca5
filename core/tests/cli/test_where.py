"""The grammar of --where: what each clause means, and where an error points."""

from __future__ import annotations

import json
import pickle
import re

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from prism.cli.where import WhereError, parse_where, parse_wheres
from prism.filters.ast import EVERYONE, Compare, MetadataField, Op
from prism.filters.mapping import to_mapping
from prism.filters.parse import parse

MEANINGS = {
    "room=engineering": {"room": "engineering"},
    "room = engineering ": {"room": "engineering"},
    "name=Zurich Airport": {"name": "Zurich Airport"},
    "room!=x": {"room.ne": "x"},
    "battery<0.2": {"battery.lt": 0.2},
    "battery <= 1": {"battery.lte": 1},
    "battery>-1": {"battery.gt": -1},
    "battery >=1e3": {"battery.gte": 1000.0},
    "name^=Al": {"name.startswith": "Al"},
    "name^=747": {"name.startswith": "747"},
    "name$=son": {"name.endswith": "son"},
    "caps~=credit-card": {"caps.contains": "credit-card"},
    "caps~=5": {"caps.contains": 5},
    "room": {"room.exists": True},
    " room ": {"room.exists": True},
    "room=*": {"room.exists": True},
    'room="*"': {"room.eq": "*"},
    "!room": {"room.exists": False},
    "! room": {"room.exists": False},
    "country in US,CA": {"country.in": ["US", "CA"]},
    "country in US , CA ": {"country.in": ["US", "CA"]},
    'level in 1,"1",true': {"level.in": [1, "1", True]},
    'country in ["US", "CA"]': {"country.in": ["US", "CA"]},
    "city in 'a,b',c": {"city.in": ["a,b", "c"]},
    "location near 48.1,11.5,200km": {"location.near": {"lat": 48.1, "lon": 11.5, "radius_m": 200_000.0}},
    "location near 48.1, -11.5, 3 mi": {"location.near": {"lat": 48.1, "lon": -11.5, "radius_m": 4828.032}},
    'location near {"lat":1,"lon":2,"radius_km":3}': {"location.near": {"lat": 1, "lon": 2, "radius_km": 3}},
    "location within 45.8,5.9,47.9,10.6": {
        "location.within": {"south": 45.8, "west": 5.9, "north": 47.9, "east": 10.6}
    },
    "battery.lt=0.2": {"battery.lt": 0.2},
    "country.in=US,CA": {"country.in": ["US", "CA"]},
    "room.exists=false": {"room.exists": False},
    "name.regex=^A.*=b$": {"name.regex": "^A.*=b$"},
    "size.type=number": {"size.type": "number"},
    "location.near=48.1,11.5,200km": {"location.near": {"lat": 48.1, "lon": 11.5, "radius_m": 200_000.0}},
    "a.contains.eq=1": {"a.contains.eq": 1},
    'a."contains"=1': {"a.contains.eq": 1},
    "device.type!=x": {"device.type.ne": "x"},
    "location.building=HQ": {"location.building": "HQ"},
    "metadata.room=x": {"room": "x"},
    r"a\.b=1": {r"a\.b": 1},
    '"a.b"=1': {r"a\.b": 1},
    '"odd key=".x>1': {"odd key=.x.gt": 1},
    '"odd~key"': {"odd~key.exists": True},
    "urn:x=1": {"urn:x": 1},
    'name="Rock and Roll"': {"name": "Rock and Roll"},
    "name='this or that'": {"name": "this or that"},
    'name in "a or b",c': {"name.in": ["a or b", "c"]},
    "name=Andorra": {"name": "Andorra"},
    "name.regex=^(this or that)$": {"name.regex": "^(this or that)$"},
    'name="~x"': {"name": "~x"},
    "in=5": {"in": 5},
    "on=true": {"on": True},
    "on=True": {"on": "True"},
    'on="true"': {"on": "true"},
    "on='it''s'": {"on": "it's"},
    "code=007": {"code": "007"},
    "code=+5": {"code": "+5"},
    "code=1.0": {"code": 1.0},
    "code=nan": {"code": "nan"},
    'text=""': {"text": ""},
    'text="a\\nb"': {"text": "a\nb"},
    'tags=["a","b"]': {"tags": ["a", "b"]},
    'place={"a": 1}': {"place.eq": {"a": 1}},
    "$identity^=user-": {"$identity.startswith": "user-"},
    "$identity=17": {"$identity": "17"},
    "$identity in 17,18": {"$identity.in": ["17", "18"]},
    "$expires_at<2026-01-01T00:00:00Z": {"$expires_at.lt": "2026-01-01T00:00:00Z"},
    "stadt=Zürich": {"stadt": "Zürich"},
}


@pytest.mark.parametrize("text", MEANINGS)
def test_clause_means_the_same_as_its_rfc_form(text: str) -> None:
    assert parse_where(text) == parse(MEANINGS[text])


MISTAKES = {
    "": (0, "expected a field"),
    "  ": (2, "expected a field"),
    "=x": (0, "expected a field"),
    "!": (1, "expected a field"),
    "room=": (5, "expected a value"),
    "battery<": (8, "expected a value"),
    "battery < ": (10, "expected a value"),
    "room==x": (4, "equality is one ="),
    "room=~^K": (4, 'unknown operator "=~"; FIELD~=TEXT is contains'),
    "room!~K": (4, "FIELD.regex=PATTERN"),
    "room~^K": (4, "FIELD.regex=PATTERN"),
    "room~K": (4, 'there is no operator with "~"'),
    "room ~ K": (5, "FIELD.regex=PATTERN"),
    "room:kitchen": (4, "equality is FIELD=VALUE"),
    "!room:kitchen": (5, "equality is FIELD=VALUE"),
    "room^K": (4, "FIELD^=TEXT"),
    "room=kitchen and battery<1": (13, '"and" in a value; several --where'),
    "room=kitchen OR room=hall": (13, '"OR" in a value'),
    "room=a || room=b": (7, '"||" in a value'),
    "country in US or country in CA": (14, '"or" in a value'),
    "room and battery": (5, "several --where"),
    "a&b": (1, "several --where"),
    "name contains x": (5, "FIELD.contains=VALUE"),
    "room=>3": (4, 'unknown operator "=>"'),
    "a..b=1": (0, "empty key"),
    ".b=1": (0, "empty key"),
    "room is x": (5, 'got "is"'),
    "!room=x": (5, "stands alone"),
    "room!=*": (6, "!FIELD"),
    "room=null": (5, "null is no value"),
    'room="x': (5, "never closed"),
    "room='x": (5, "never closed"),
    'room="x" y': (9, "unexpected text"),
    "room=[1,": (8, "not JSON"),
    "country in": (10, "expected a value"),
    "country in US,,CA": (14, "expected a value between"),
    'country in "US" "CA"': (16, "expected a comma"),
    "country in US,null": (14, "null is no value"),
    "country.in=[null]": (11, "null"),
    "location near 48.1,11.5": (14, "LAT,LON,RADIUS"),
    "location near 48.1,11.5,200": (27, "no unit"),
    "location near 48.1,11.5,200ft": (27, 'unknown unit "ft"'),
    "location near 48.1,11.5,far": (24, "expected a distance"),
    "location near x,11.5,1km": (14, 'expected degrees, got "x"'),
    "location near 95,11.5,1km": (14, "95"),
    "location within 1,2,3": (16, "SOUTH,WEST,NORTH,EAST"),
    "room.exists=maybe": (12, "true or false"),
    "size.type=numbr": (10, "number"),
    "name.regex=(": (11, "("),
    "$identiy=x": (0, "$identity"),
    "$identity~=": (11, "expected a value"),
    "battery<true": (8, "number or a string"),
    "battery=1e999": (8, "inf"),
    "big=99999999999999999999": (4, "64-bit"),
    "big=" + "9" * 5000: (4, "not a number"),
    r"a\x=1": (0, "backslash"),
}


@pytest.mark.parametrize("text", MISTAKES)
def test_error_points_at_the_character(text: str) -> None:
    position, words = MISTAKES[text]
    with pytest.raises(WhereError, match=re.escape(words)) as caught:
        parse_where(text)
    assert (caught.value.text, caught.value.position) == (text, position)


def test_several_clauses_have_to_hold_together() -> None:
    assert parse_wheres(["a=1", "b=2"]) == parse({"a": 1, "b": 2})


def test_no_clause_means_everyone() -> None:
    assert parse_wheres([]) == EVERYONE


def test_error_survives_pickling() -> None:
    error = WhereError("a==1", 1, "unknown", "key=value")
    copy = pickle.loads(pickle.dumps(error))
    assert (copy.text, copy.position, copy.problem, copy.source) == ("a==1", 1, "unknown", "key=value")


calm = settings(deadline=None, suppress_health_check=[HealthCheck.too_slow])
"""A busy machine is no failure."""

KEYS = st.text(min_size=1, max_size=8)
SCALARS = st.one_of(
    st.booleans(),
    st.integers(-(2**63), 2**63 - 1),
    st.floats(allow_nan=False, allow_infinity=False),
    st.text(max_size=12),
)
SIGNS = {Op.EQ: "=", Op.NE: "!=", Op.LT: "<", Op.LTE: "<=", Op.GT: ">", Op.GTE: ">=", Op.CONTAINS: "~="}


def _typed(keys: list[str]) -> str:
    return ".".join(json.dumps(key) for key in keys)


@calm
@given(st.lists(KEYS, min_size=1, max_size=3), st.sampled_from([*SIGNS]), SCALARS)
def test_any_key_and_scalar_can_be_typed(keys: list[str], op: Op, value: bool | float | str) -> None:
    if op not in (Op.EQ, Op.NE, Op.CONTAINS) and isinstance(value, bool):
        value = int(value)
    prefix = ["metadata", *keys] if keys[0] == "metadata" or keys[0].startswith("$") else keys
    clause = parse_where(f"{_typed(prefix)} {SIGNS[op]} {json.dumps(value)}")
    assert clause == Compare(MetadataField(tuple(keys)), op, value)
    assert type(clause.value) is type(value)


@calm
@given(st.lists(KEYS, min_size=1, max_size=3), st.lists(SCALARS, min_size=1, max_size=5))
def test_any_list_can_be_typed(keys: list[str], values: list[bool | float | str]) -> None:
    prefix = ["metadata", *keys] if keys[0] == "metadata" or keys[0].startswith("$") else keys
    clause = parse_where(f"{_typed(prefix)} in {', '.join(json.dumps(value) for value in values)}")
    assert clause == Compare(MetadataField(tuple(keys)), Op.IN, tuple(values))


def read(text: str) -> Compare | WhereError:
    try:
        return parse_where(text)
    except WhereError as error:
        return error


@calm
@given(st.text(max_size=40))
def test_any_text_is_read_or_refused_within_it(text: str) -> None:
    outcome = read(text)
    if isinstance(outcome, WhereError):
        assert 0 <= outcome.position <= len(text)
    else:
        assert parse(to_mapping(outcome)) == outcome
