"""Metadata typed as key=value."""

from __future__ import annotations

import re

import pytest
from prism.cli.pairs import read_pairs
from prism.cli.where import WhereError

READ = {
    "text": (["room=engineering"], {"room": "engineering"}),
    "number": (["battery=0.4", "level=-3"], {"battery": 0.4, "level": -3}),
    "boolean and null": (["on=true", "off=false", "none=null"], {"on": True, "off": False, "none": None}),
    "quoted text": (['code="17"', "b='true'"], {"code": "17", "b": "true"}),
    "nested": (["location.lat=47.5", "location.lon=8.5"], {"location": {"lat": 47.5, "lon": 8.5}}),
    "escaped dot": ([r"a\.b=1"], {"a.b": 1}),
    "json": (['tags=["a","b"]', 'place={"a":1}'], {"tags": ["a", "b"], "place": {"a": 1}}),
    "an equals sign in the value": (["expression=a=b"], {"expression": "a=b"}),
    "spaces": (["name=Main Street"], {"name": "Main Street"}),
    "prefix": (["metadata.room=x"], {"room": "x"}),
    "nothing": ([], {}),
}


@pytest.mark.parametrize("case", READ)
def test_pairs_make_an_object(case: str) -> None:
    texts, document = READ[case]
    assert read_pairs(texts) == document


WRONG = {
    "no sign": (["room"], 4, 'there is no "="'),
    "no key": (["=x"], 0, "empty path"),
    "no value": (["room="], 5, "expected a value"),
    "twice": (["a=1", "a=2"], 0, "given twice"),
    "value and object": (["a=1", "a.b=2"], 0, "can't be an object too"),
    "object and value": (["a.b=2", "a=1"], 0, "given twice"),
    "the record's own": (["$identity=x"], 0, "kept by the registry"),
    "open quote": (['a="x'], 2, "never closed"),
    "bad json": (["a=[1,"], 5, "not JSON"),
}


@pytest.mark.parametrize("case", WRONG)
def test_mistake_in_a_pair_points_at_the_character(case: str) -> None:
    texts, position, words = WRONG[case]
    with pytest.raises(WhereError, match=re.escape(words)) as caught:
        read_pairs(texts)
    assert caught.value.position == position
    assert caught.value.message.startswith("key=value, character")
