"""Every error Prism raises, as one tree.

    PrismError
    ├── InvalidArgument            the request itself is wrong; sending it again can't help
    │   ├── InvalidFilter          a filter doesn't parse, or names what the schema doesn't have
    │   ├── InvalidMetadata        metadata that isn't JSON or doesn't match the namespace's schema
    │   ├── InvalidSchema          the identity schema itself is wrong
    │   ├── InvalidConfig          a configuration file or mapping is wrong
    │   └── LimitExceeded          something is longer, deeper or larger than a limit allows
    ├── NotFound                   the identity (or the multicast) isn't there
    ├── AlreadyExists              the identity is registered and `replace` was not asked for
    ├── RevisionConflict           the registration changed since the revision that the caller named
    ├── StaleRegistration          a registration id that a newer registration has overtaken
    ├── SessionLost                an attached identity is no longer this session's
    │   ├── Superseded             a newer session or registration took the identity over
    │   ├── Expired                its TTL ran out
    │   └── Unregistered           somebody unregistered it
    ├── QuotaExceeded              the namespace's registration limit, or a stream limit, is reached
    ├── Unsupported                the slots of this namespace can't do that; the message says which
    ├── Unavailable                a proxy or backend can't be reached now; trying again may help
    ├── DeadlineExceeded           no answer in time; whether it took effect is unknown
    ├── PluginError                a backend plugin is missing, broken, or refuses its configuration
    └── InternalError              a bug of ours; the message carries what is known

An error knows its `reason` (the RFC's upper-case word, which also travels in `google.rpc.ErrorInfo`)
and its `violations`, one per field at fault.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, ClassVar

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Mapping


@dataclass(frozen=True, slots=True)
class Violation:
    """One thing wrong with one field.

    `field` is the place (`$.$and[1].battery_level.lt`, `metadata.status`, `namespaces[0].needs.audit`);
    `description` names the value, what was expected, and the fix.
    """

    field: str
    description: str

    def __str__(self) -> str:
        return f"{self.field}: {self.description}" if self.field else self.description


class PrismError(Exception):
    """The root of everything Prism raises. `details` are the strings that travel in ErrorInfo.metadata."""

    reason: ClassVar[str] = "INTERNAL"
    retryable: ClassVar[bool] = False

    def __init__(
        self,
        message: str,
        *,
        violations: Iterable[Violation] = (),
        details: Mapping[str, str] | None = None,
    ) -> None:
        super().__init__(message)
        self.message = message
        self.violations = tuple(violations)
        self.details = dict(details or {})

    def __str__(self) -> str:
        return self.message

    def __reduce__(self) -> tuple[object, ...]:
        return _rebuild, (type(self), self.message, self.violations, self.details)


def _rebuild(
    kind: type[PrismError], message: str, violations: tuple[Violation, ...], details: dict[str, str]
) -> PrismError:
    return kind(message, violations=violations, details=details)


class InvalidArgument(PrismError):
    """The request is wrong in itself; `violations` say where."""

    reason = "INVALID_ARGUMENT"

    @classmethod
    def at(cls, field: str, description: str) -> InvalidArgument:
        """Builds the error for a single field."""
        return cls(f"{field}: {description}", violations=(Violation(field, description),))

    @classmethod
    def of(cls, violations: Iterable[Violation]) -> InvalidArgument:
        """Builds one error that reports every violation at once."""
        found = tuple(violations)
        return cls("; ".join(str(violation) for violation in found), violations=found)


class InvalidFilter(InvalidArgument):
    """A filter that doesn't parse, is too deep or wide, or asks what the schema can't answer."""

    reason = "INVALID_FILTER"


class InvalidMetadata(InvalidArgument):
    """Metadata that isn't a JSON object, or doesn't match the namespace's identity schema."""

    reason = "INVALID_METADATA"


class InvalidSchema(InvalidArgument):
    """An identity schema that is itself wrong."""

    reason = "INVALID_SCHEMA"


class InvalidConfig(InvalidArgument):
    """A configuration that can't be used; violations name key, value, and what is allowed."""

    reason = "INVALID_CONFIG"


class LimitExceeded(InvalidArgument):
    """Something is longer, deeper or larger than a limit; the message names value and limit."""

    reason = "LIMIT_EXCEEDED"


class NotFound(PrismError):
    """The identity isn't registered (or has expired), or the message id is unknown."""

    reason = "NOT_FOUND"


class AlreadyExists(PrismError):
    """The identity is registered already and `replace` was not asked for."""

    reason = "ALREADY_EXISTS"


class RevisionConflict(PrismError):
    """The registration is no longer at the revision the caller named; read it again."""

    reason = "REVISION_CONFLICT"


class StaleRegistration(PrismError):
    """The registration id was overtaken by a newer registration of the same identity."""

    reason = "STALE_REGISTRATION"


class SessionLost(PrismError):
    """An attached identity is no longer this session's."""

    reason = "SESSION_LOST"


class Superseded(SessionLost):
    """A newer session or registration took the identity over."""

    reason = "SUPERSEDED"


class Expired(SessionLost):
    """The registration's TTL ran out while it was attached."""

    reason = "EXPIRED"


class Unregistered(SessionLost):
    """Somebody unregistered the identity while it was attached."""

    reason = "UNREGISTERED"


class QuotaExceeded(PrismError):
    """A namespace's registration limit, or a proxy's stream limit, is reached."""

    reason = "QUOTA_EXCEEDED"


class Unsupported(PrismError):
    """The namespace's slots can't keep what was asked; the message names the slot and what would."""

    reason = "UNSUPPORTED"


class Unavailable(PrismError):
    """A proxy or a backend can't be reached right now."""

    reason = "UNAVAILABLE"
    retryable = True


class DeadlineExceeded(PrismError):
    """No answer within the deadline. Whether the call took effect is unknown."""

    reason = "DEADLINE_EXCEEDED"


class PluginError(PrismError):
    """A backend plugin is missing, broken, duplicated, too new, or refuses its configuration."""

    reason = "PLUGIN_ERROR"


class InternalError(PrismError):
    """A bug in Prism or in a plugin."""

    reason = "INTERNAL"


def _tree(kind: type[PrismError]) -> Iterator[type[PrismError]]:
    yield kind
    for child in kind.__subclasses__():
        yield from _tree(child)


BY_REASON: dict[str, type[PrismError]] = {kind.reason: kind for kind in _tree(PrismError) if kind is not PrismError}
"""The exception class for each reason, so that an error crosses the wire and comes out as itself."""
