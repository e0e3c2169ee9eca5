"""What can go wrong with a Redis server, and what each failure means to Prism.

    ReplyError         the server refused a command
    ConnectionLost     the connection ended before the answer came
    ReplyTimeout       no answer in time

Failures to connect come from redis-py.
"""

from __future__ import annotations

import ssl
from typing import Final

from prism.model.errors import DeadlineExceeded, InternalError, InvalidConfig, PrismError, Unavailable
from prism.slots.context import Code, Failure
from redis import exceptions as driver

_UNAVAILABLE: Final = frozenset(
    {
        "ASK", "BUSY", "BUSYKEY", "CLUSTERDOWN", "CROSSSLOT", "FAILOVER", "LOADING", "MASTERDOWN", "MISCONF", "MOVED",
        "NOREPLICAS", "OOM", "READONLY", "TRYAGAIN", "UNBLOCKED",
    }
)  # fmt: skip
_MISCONFIGURED: Final = frozenset({"WRONGPASS", "NOAUTH", "NOPERM", "DENIED"})

_ERRORS: Final[dict[Code, type[PrismError]]] = {
    Code.UNAVAILABLE: Unavailable,
    Code.DEADLINE_EXCEEDED: DeadlineExceeded,
    Code.INVALID_CONFIG: InvalidConfig,
}


class ReplyError(Exception):
    """The server's error reply; `code` is its first word, such as READONLY."""

    @property
    def code(self) -> str:
        """The word that says what kind of error it is."""
        return str(self).partition(" ")[0]


class ConnectionLost(Exception):
    """The connection ended before the answer came. `harmless` is whether the call may simply be repeated."""

    def __init__(self, text: str, *, harmless: bool) -> None:
        super().__init__(text)
        self.harmless = harmless


class ReplyTimeout(Exception):
    """No answer in time; the call may or may not have had an effect."""


def classify(error: Exception) -> Code | None:
    """Says what an exception means; None when it is neither ours nor the driver's."""
    match error:
        case ConnectionLost():
            return Code.UNAVAILABLE if error.harmless else Code.DEADLINE_EXCEEDED
        case ReplyTimeout():
            return Code.DEADLINE_EXCEEDED
        case ReplyError():
            return _of_reply(error.code)
        case driver.AuthenticationError() | driver.AuthorizationError() | driver.NoPermissionError():
            return Code.INVALID_CONFIG
        case driver.ConnectionError() | driver.TimeoutError():
            return _of_connecting(error)
        case driver.BusyLoadingError() | driver.ReadOnlyError():
            return Code.UNAVAILABLE
        case driver.ResponseError() | driver.DataError():  # only a handshake raises these: a wrong db, for example
            return Code.INVALID_CONFIG
        case driver.RedisError():
            return Code.INTERNAL
    return None


def failure(error: Exception, action: str) -> Failure:
    """The outcome of an item whose call failed; `action` completes "failed to ..."."""
    kind = _ERRORS.get(classify(error) or Code.INTERNAL, InternalError)
    wrapped = kind(f"Redis failed to {action}: {error}")
    wrapped.__cause__ = error
    return Failure(wrapped)


def raise_errors(reply: object) -> None:
    """Raises a reply that is an error."""
    if isinstance(reply, ReplyError):
        raise reply


def _of_reply(code: str) -> Code:
    if code in _UNAVAILABLE:
        return Code.UNAVAILABLE
    return Code.INVALID_CONFIG if code in _MISCONFIGURED else Code.INTERNAL


def _of_connecting(error: Exception) -> Code:
    """A certificate that doesn't hold is a mistake in the configuration; all else may pass."""
    cause: BaseException | None = error
    while cause is not None:
        if isinstance(cause, ssl.SSLCertVerificationError):
            return Code.INVALID_CONFIG
        cause = cause.__cause__ or cause.__context__
    return Code.UNAVAILABLE
