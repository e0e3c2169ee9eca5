"""What messages call a wrong value."""

from __future__ import annotations

import pytest
from prism.model.json import describe


@pytest.mark.parametrize(
    ("value", "text"),
    [
        (object(), "an instance of object"),
        (OSError(), "an OSError"),
        ({1}, "a set"),
        ({}, "an object"),
        (b"", "a bytes"),
    ],
)
def test_a_wrong_value_is_described_in_words(value: object, text: str) -> None:
    assert describe(value) == text
