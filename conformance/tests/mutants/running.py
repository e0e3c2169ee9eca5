"""Runs single checks in this process, without pytest: a mutant is put in place, and one check or all are asked."""

from __future__ import annotations

import asyncio
import secrets
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from itertools import product
from typing import Any

import pytest
from prism_conformance import DurabilityContract, MessagingContract, RegistryContract, Subject, TurnableClock
from prism_conformance.checks import checks_of
from prism_conformance.contract import SlotContract
from prism_conformance.harness import Opener
from prism_conformance.messaging import delivery, words
from prism_conformance.registry import scans, writes

SEEDS = range(25)
"""Draws of a property test. All of its mutants are found by fewer."""

Patch = Callable[[pytest.MonkeyPatch], None]


@dataclass(frozen=True)
class Mutant:
    """A fault in the memory backend: the check meant for it, and others that can't help noticing."""

    name: str
    contract: type[SlotContract]
    killer: str
    also: frozenset[str]
    patch: Patch


MUTANTS: dict[str, Mutant] = {}


def mutant(contract: type[SlotContract], killer: str, *also: str) -> Callable[[Patch], Patch]:
    """Registers a function that puts a fault in place."""

    def register(patch: Patch) -> Patch:
        name = patch.__name__
        assert name not in MUTANTS, name
        MUTANTS[name] = Mutant(name, contract, killer, frozenset(also), patch)
        return patch

    return register


def registry(killer: str, *also: str) -> Callable[[Patch], Patch]:
    return mutant(RegistryContract, killer, *also)


def messaging(killer: str, *also: str) -> Callable[[Patch], Patch]:
    return mutant(MessagingContract, killer, *also)


def durability(killer: str, *also: str) -> Callable[[Patch], Patch]:
    return mutant(DurabilityContract, killer, *also)


def names_of(contract: type[SlotContract]) -> dict[str, str]:
    """The names of a contract's methods by the ids of their checks."""
    return {check.id: name for name, check in checks_of(contract).items()}


def impatient(patch: pytest.MonkeyPatch) -> None:
    """Waits shorter for what never comes, and makes do with fewer registrations."""
    for module in (delivery, words, writes):
        patch.setattr(module, "PATIENCE", 0.5)
    patch.setattr(scans, "MANY", scans.MANY // 10)
    patch.setattr(scans, "SCAN_BYTES", scans.SCAN_BYTES // 10)


def failure(contract: type[SlotContract], name: str) -> BaseException | None:
    """Runs a check on a memory backend of its own, case by case; what the first failing case raised."""
    function = getattr(contract, name)
    for case in cases(function):
        try:
            run(contract, function, case)
        except Exception as error:  # noqa: BLE001 - handed to the test, which looks at its kind
            return error
    return None


def cases(function: Any) -> Iterator[dict[str, Any]]:
    """The arguments that `parametrize` gives."""
    marks = [mark for mark in getattr(function, "pytestmark", []) if mark.name == "parametrize"]
    for values in product(*(mark.args[1] for mark in marks)):
        yield dict(zip((mark.args[0] for mark in marks), values, strict=True))


def run(contract: type[SlotContract], function: Any, case: dict[str, Any]) -> None:
    """Runs one case."""
    clock = TurnableClock()
    subject = Subject("memory", {"store": secrets.token_hex(8)}, clock, clock.advance)
    given = getattr(function, "hypothesis", None)
    inner = function if given is None else given.inner_test
    wanted = _parameters(inner)
    draws: list[dict[str, Any]] = [{"seed": seed} for seed in SEEDS] if given else [{}]

    async def main() -> None:
        opener = Opener(subject)
        offered = {"opener": opener, "subject": subject, "advance": subject.advance}
        fixtures = {key: value for key, value in offered.items() if key in wanted}
        try:
            for draw in draws:
                answer = inner(contract(), **fixtures, **case, **draw)
                if answer is not None:
                    await answer
        finally:
            await opener.close()

    asyncio.run(main())


def _parameters(function: Any) -> tuple[str, ...]:
    code = getattr(function, "__wrapped__", function).__code__
    names: tuple[str, ...] = code.co_varnames[: code.co_argcount]
    return names
