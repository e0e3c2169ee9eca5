"""What can go wrong with a PostgreSQL server, and what each failure means to Prism.

    ConnectionLost     the connection ended before the answer came
    NoConnection       none could be had: nothing was sent
    StatementTimeout   no answer in time

All else is asyncpg's, by its SQLSTATE.
"""

from __future__ import annotations

import ssl
from typing import Final

import asyncpg
from prism.model.errors import DeadlineExceeded, InternalError, InvalidConfig, LimitExceeded, PrismError, Unavailable
from prism.slots.context import Code, Failure

_UNAVAILABLE_CLASSES: Final = frozenset({"53"})  # insufficient resources: disk full, out of memory, connections
_UNAVAILABLE: Final = frozenset(
    {
        "25006",  # read-only transaction: a standby, or an administrator's setting
        "40001",  # serialization failure
        "40P01",  # deadlock
        "42501",  # no privilege: `open` refuses to start without, so somebody took it away and can give it back
        "55006", "55P03",  # object in use, lock not available
        "57P03", "57P05",  # starting or stopping; idle session
        "58030",  # input/output error
    }
)  # fmt: skip
_UNKNOWN: Final = frozenset({"57014", "57P01", "57P02", "08006", "08007", "08000", "08003"})
"""Ended in the middle: whether it had an effect may be unknown."""
_MISCONFIGURED_CLASSES: Final = frozenset({"28", "3D", "3F"})
_MISCONFIGURED: Final = frozenset({"42P01", "42883", "42703", "0A000", "22023", "42704"})
"""Tables that aren't ours: migrated by another version, or not at all."""
_LIMITS: Final = frozenset({"54000", "54001", "54011", "54023", "22001"})

_ERRORS: Final[dict[Code, type[PrismError]]] = {
    Code.UNAVAILABLE: Unavailable,
    Code.DEADLINE_EXCEEDED: DeadlineExceeded,
    Code.INVALID_CONFIG: InvalidConfig,
    Code.LIMIT_EXCEEDED: LimitExceeded,
}
RETRIED: Final = (asyncpg.DeadlockDetectedError, asyncpg.SerializationError)
"""The server rolled the transaction back for another's sake: it may be tried again at once."""
LOST: Final = (
    asyncpg.PostgresConnectionError,
    asyncpg.AdminShutdownError,
    asyncpg.CrashShutdownError,
    asyncpg.InterfaceError,
    asyncpg.InternalClientError,
    OSError,
)
"""What a connection that ends in the middle of a call raises."""


class ConnectionLost(Exception):
    """The connection ended before the answer came. `harmless` is whether the call may simply be repeated."""

    def __init__(self, text: str, *, harmless: bool) -> None:
        super().__init__(text)
        self.harmless = harmless


class NoConnection(Exception):
    """No connection could be had, so nothing was sent. The cause says why."""


class StatementTimeout(Exception):
    """No answer in time; the call may or may not have had an effect."""


def classify(error: Exception) -> Code | None:
    """Says what an exception means; None when it is neither ours nor the driver's."""
    match error:
        case ConnectionLost():
            return Code.UNAVAILABLE if error.harmless else Code.DEADLINE_EXCEEDED
        case StatementTimeout():
            return Code.DEADLINE_EXCEEDED
        case NoConnection():
            return _of_connecting(error)
        case asyncpg.PostgresError():
            return _of_state(error.sqlstate or "")
        case asyncpg.InterfaceError() | asyncpg.InternalClientError():
            return Code.INTERNAL
    return None


def failure(error: Exception, action: str) -> Failure:
    """The outcome of an item whose call failed; `action` completes "failed to ..."."""
    kind = _ERRORS.get(classify(error) or Code.INTERNAL, InternalError)
    wrapped = kind(f"PostgreSQL failed to {action}: {error}")
    wrapped.__cause__ = error
    return Failure(wrapped)


def _of_state(state: str) -> Code:
    if state in _UNAVAILABLE or state[:2] in _UNAVAILABLE_CLASSES:
        return Code.UNAVAILABLE
    if state in _UNKNOWN:
        return Code.DEADLINE_EXCEEDED
    if state in _MISCONFIGURED or state[:2] in _MISCONFIGURED_CLASSES:
        return Code.INVALID_CONFIG
    return Code.LIMIT_EXCEEDED if state in _LIMITS else Code.INTERNAL


def _of_connecting(error: Exception) -> Code:
    """Credentials, a database or certificate that don't hold are mistakes in the configuration; all else may pass."""
    cause: BaseException | None = error
    while cause is not None:
        if isinstance(cause, (ssl.SSLCertVerificationError, asyncpg.ClientConfigurationError)):
            return Code.INVALID_CONFIG
        if isinstance(cause, asyncpg.PostgresError) and (cause.sqlstate or "")[:2] in _MISCONFIGURED_CLASSES:
            return Code.INVALID_CONFIG
        cause = cause.__cause__ or cause.__context__
    return Code.UNAVAILABLE
