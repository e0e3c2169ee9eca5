"""The garbage collector's settings for a process that only serves."""

from __future__ import annotations

import gc
from collections.abc import Iterator

import pytest
from prism.server.garbage import PROMOTIONS, YOUNG_OBJECTS, relax_collector


@pytest.fixture(autouse=True)
def restored_collector() -> Iterator[None]:
    before = gc.get_threshold()
    yield
    gc.unfreeze()
    gc.set_threshold(*before)


def test_the_collector_looks_less_often_and_leaves_what_is_loaded_alone():
    relax_collector()
    assert gc.isenabled()
    assert gc.get_threshold() == (YOUNG_OBJECTS, PROMOTIONS, PROMOTIONS)
    assert gc.get_freeze_count() > 10_000
