"""Python's cyclic garbage collector, set for a process that holds many streams."""

from __future__ import annotations

import gc

YOUNG_OBJECTS = 50_000
"""Allocations between collections of the youngest; the interpreter's own default is 700."""
PROMOTIONS = 20
"""Collections of one generation between those of the next."""


def relax_collector() -> None:
    """Lets the collector look less often, for a process that does nothing but serve.

    A multicast to 10,000 streams makes some 100,000 objects that live until they are written. With the default
    thresholds they are walked over and over while they wait, which was measured to take longer than delivering
    them. What is loaded so far is frozen: it is never garbage.
    """
    gc.collect()
    gc.freeze()
    gc.set_threshold(YOUNG_OBJECTS, PROMOTIONS, PROMOTIONS)
