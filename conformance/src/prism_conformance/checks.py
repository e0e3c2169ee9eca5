"""What a check is: a test with a stable id, one documented property and a source, that can't be lost in silence.

A check's property is the first paragraph of its docstring. A subclass of a contract keeps every check, unless it says
with `replaces` why one of its own stands in for it.
"""

from __future__ import annotations

import asyncio
import functools
import inspect
import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any, Final, TypeVar

import pytest

TIME_LIMIT: Final = 100.0
"""Seconds after which a check has failed, whatever it is waiting for."""

_ID: Final = re.compile(r"(SLOT|REG|FIL|MSG|DUR)-\d{3}")
_ATTRIBUTE: Final = "__prism_check__"

T = TypeVar("T", bound=Callable[..., Any])


@dataclass(frozen=True, slots=True)
class Check:
    """One obligation of a backend. `replaced_because` is the reason given where a subclass has a check of its own."""

    id: str
    promise: str
    source: str
    replaced_because: str = ""


class ContractBroken(TypeError):
    """A subclass of a contract loses, replaces or excuses a check in a way that isn't allowed."""


def check(id: str, *, source: str) -> Callable[[T], T]:  # noqa: A002 - what everybody calls it
    """Makes a test of a contract class a check.

    Args:
        id: `REG-010` and the like; never given to another property, so that reports stay comparable.
        source: the section of the RFC or the line of the design that promises the property.
    """
    if not _ID.fullmatch(id):
        raise ContractBroken(f"{id!r} is not the id of a check; use SLOT, REG, FIL, MSG or DUR, a hyphen, three digits")

    def mark(function: T) -> T:
        promise = inspect.cleandoc(function.__doc__ or "").partition("\n\n")[0].replace("\n", " ")
        if not promise:
            raise ContractBroken(f"{id}: {function.__qualname__} has no docstring; it is the property that is checked")
        made = _runnable(id, function)
        setattr(made, _ATTRIBUTE, Check(id, promise, source))
        return made

    return mark


def replaces(id: str, *, reason: str) -> Callable[[T], T]:  # noqa: A002
    """Lets a method of a subclass stand in for the inherited check of the same name.

    Args:
        id: the id of the check it stands in for.
        reason: why the inherited one can't be kept; it is printed with the results.
    """
    if not reason.strip():
        raise ContractBroken(f"{id}: replacing a check needs a reason that is not empty")

    def mark(function: T) -> T:
        made = _runnable(id, function)
        setattr(made, _ATTRIBUTE, Check(id, "", "", reason))
        return made

    return mark


def check_of(function: object) -> Check | None:
    """The check that a test is, None where it is an ordinary test."""
    found = getattr(function, _ATTRIBUTE, None)
    return found if isinstance(found, Check) else None


def checks_of(contract: type) -> dict[str, Check]:
    """The checks of a contract class, by the names of their methods."""
    found = {name: _promised(contract, name) for name in dir(contract)}
    return {name: item for name, item in found.items() if item is not None}


def verify(contract: type) -> None:
    """Sees to it that a subclass has every inherited check.

    Raises:
        ContractBroken: a check was deleted, or replaced without a reason, or excused though there is none of that id.
    """
    for name, inherited in _inherited(contract).items():
        static = inspect.getattr_static(contract, name, None)
        found = check_of(static)
        if static is None or not callable(static):
            raise ContractBroken(
                f"{contract.__qualname__} deletes {inherited.id} ({name}); keep it, "
                "and name it in known_failures if the backend can't pass it"
            )
        if found is None:
            raise ContractBroken(
                f"{contract.__qualname__} overrides {inherited.id} ({name}) without a reason; decorate it with "
                f'@replaces("{inherited.id}", reason="...")'
            )
        if found.id != inherited.id:
            raise ContractBroken(f"{contract.__qualname__}.{name} stands for {inherited.id}, but says {found.id}")
    excused: Mapping[str, str] = getattr(contract, "known_failures", {})
    ids = {item.id for item in checks_of(contract).values()}
    for key, reason in excused.items():
        if key.partition("[")[0] not in ids:
            raise ContractBroken(f"{contract.__qualname__}.known_failures names {key}, which is none of its checks")
        if not reason.strip():
            raise ContractBroken(f"{contract.__qualname__}.known_failures gives no reason for {key}")


def _promised(contract: type, name: str) -> Check | None:
    """The check that a name is, with the property and source of the inherited one where it was replaced."""
    found = check_of(inspect.getattr_static(contract, name, None))
    if found is None or not found.replaced_because:
        return found
    inherited = _inherited(contract).get(name)
    if inherited is None:
        raise ContractBroken(f"{contract.__qualname__}.{name} replaces {found.id}, but inherits no check of this name")
    return Check(found.id, inherited.promise, inherited.source, found.replaced_because)


def _inherited(contract: type) -> dict[str, Check]:
    """The checks of all bases as they were first defined."""
    found: dict[str, Check] = {}
    for base in contract.__mro__[1:]:
        for name, function in vars(base).items():
            promised = check_of(function)
            if promised is not None and not promised.replaced_because:
                found[name] = promised
    return found


def _runnable(id: str, function: T) -> T:  # noqa: A002
    """The function as pytest-asyncio runs it in any mode, ended when it takes too long."""
    inner = getattr(getattr(function, "hypothesis", None), "inner_test", function)
    if not inspect.iscoroutinefunction(inner):
        return function
    if inner is not function:
        marked: T = pytest.mark.asyncio(function)
        return marked

    @functools.wraps(function)
    async def limited(*args: Any, **kwargs: Any) -> None:
        __tracebackhide__ = True
        try:
            async with asyncio.timeout(TIME_LIMIT) as limit:
                await function(*args, **kwargs)
        except TimeoutError as error:
            if limit.expired():
                raise AssertionError(f"{id} was not done within {TIME_LIMIT:.0f} s") from error
            raise

    wrapped: T = pytest.mark.asyncio(limited)
    return wrapped
