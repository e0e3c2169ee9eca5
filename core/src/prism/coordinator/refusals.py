"""What an application is told where a registry refused something, and an operator where a slot does."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

from prism.model.errors import (
    AlreadyExists,
    InternalError,
    InvalidConfig,
    NotFound,
    PrismError,
    QuotaExceeded,
    RevisionConflict,
    StaleRegistration,
    Violation,
)
from prism.plugins.spec import SlotKind
from prism.slots.context import Failure
from prism.slots.registry import Refusal, Refused


def not_found(identity: str) -> NotFound:
    """The error where nothing is registered."""
    return NotFound(f"identity {identity!r} is not registered (or has expired)", details={"identity": identity})


def conflict(identity: str, asked: int, current: int | None) -> RevisionConflict:
    """The error where the revision that was asked for isn't there any more."""
    now = "" if current is None else f", now {current}"
    return RevisionConflict(
        f"identity {identity!r} is not at revision {asked} any more{now}; read it again",
        details={"identity": identity},
    )


def refusal(identity: str, outcome: object) -> PrismError:
    """The error for an item that a registry refused or failed."""
    if isinstance(outcome, Failure):
        return outcome.error
    if not isinstance(outcome, Refused):
        return InternalError(f"the registry answered {outcome!r} for {identity!r}")
    details = {"identity": identity}
    match outcome.reason:
        case Refusal.ALREADY_EXISTS:
            return AlreadyExists(f"identity {identity!r} is registered already; use replace", details=details)
        case Refusal.NOT_FOUND:
            return not_found(identity)
        case Refusal.CONFLICT:
            return RevisionConflict(f"identity {identity!r} was changed meanwhile; read it again", details=details)
        case Refusal.STALE:
            return StaleRegistration(
                f"the registration id is not that of {identity!r} any more: a newer registration took its place",
                details=details,
            )
        case Refusal.QUOTA_EXCEEDED:
            return QuotaExceeded(
                f"the namespace's registration limit is reached; {identity!r} was not registered", details=details
            )


@contextmanager
def whose_config(slot: SlotKind, type_name: str, namespace: str) -> Iterator[None]:
    """Says in an InvalidConfig that a slot raises whose it is: a plugin knows what is wrong, not where it stands."""
    try:
        yield
    except InvalidConfig as error:
        if "slot" in error.details:
            raise
        place = f"the {slot} slot ({type_name}) of namespace {namespace!r}"
        details = {**error.details, "slot": slot, "type": type_name, "namespace": namespace}
        violations = [Violation(f"{place}: {each.field}", each.description) for each in error.violations]
        raise InvalidConfig(f"{place}: {error.message}", violations=violations, details=details) from error
