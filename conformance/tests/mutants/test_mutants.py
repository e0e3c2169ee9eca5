"""The suite finds faults: each mutant of the memory backend is killed, by the check meant for it."""

from __future__ import annotations

from functools import cache

import pytest
from prism.model.errors import PrismError

from . import (
    durability_mutants,
    expiry_mutants,
    filter_mutants,
    messaging_mutants,
    registry_mutants,
    scan_mutants,
    slot_mutants,
)
from .running import MUTANTS, Mutant, failure, impatient, names_of

FAMILIES = (
    registry_mutants,
    expiry_mutants,
    scan_mutants,
    filter_mutants,
    messaging_mutants,
    durability_mutants,
    slot_mutants,
)
SLOW = frozenset({"REG-240"})
"""Checks that the exactness run leaves to their own mutants."""

every_mutant = pytest.mark.parametrize("mutant", MUTANTS.values(), ids=MUTANTS.keys())


GENERATIONS = 6
"""How often a check that generates its cases is run until it kills."""


@cache
def _clean_failure(mutant: Mutant) -> str | None:
    error = failure(mutant.contract, names_of(mutant.contract)[mutant.killer])
    return None if error is None else repr(error)


def _is_of_a_check(error: BaseException) -> bool:
    """Whether a check failed with it, and not the code of the mutant."""
    if isinstance(error, ExceptionGroup):
        return all(map(_is_of_a_check, error.exceptions))
    if isinstance(error, (AssertionError, TimeoutError, PrismError)):
        return True
    trace = error.__traceback__
    while trace is not None and trace.tb_next is not None:
        trace = trace.tb_next
    return trace is not None and "prism_conformance" in trace.tb_frame.f_code.co_filename


@every_mutant
def test_mutant_is_killed_by_the_check_meant_for_it(mutant: Mutant, monkeypatch: pytest.MonkeyPatch) -> None:
    impatient(monkeypatch)
    assert _clean_failure(mutant) is None
    mutant.patch(monkeypatch)
    # A check that generates its cases may need more of them than one run has to meet the one that tells.
    killed = (failure(mutant.contract, names_of(mutant.contract)[mutant.killer]) for _ in range(GENERATIONS))
    error = next((each for each in killed if each is not None), None)
    assert error is not None
    assert _is_of_a_check(error), f"the mutant itself is broken: {error!r}"


def test_there_are_at_least_thirty_mutants_of_all_three_slots() -> None:
    assert len(FAMILIES) == 7
    assert len(MUTANTS) >= 30
    assert {mutant.contract.kind for mutant in MUTANTS.values()} == {"registry", "messaging", "durability"}


@pytest.mark.soak
@every_mutant
def test_no_other_check_notices_the_mutant_than_those_named(mutant: Mutant, monkeypatch: pytest.MonkeyPatch) -> None:
    impatient(monkeypatch)
    mutant.patch(monkeypatch)
    asked = {id_: name for id_, name in names_of(mutant.contract).items() if id_ not in SLOW or id_ == mutant.killer}
    noticed = {id_ for id_, name in asked.items() if failure(mutant.contract, name) is not None}
    assert noticed == {mutant.killer} | mutant.also
