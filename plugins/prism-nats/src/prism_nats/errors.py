"""What can go wrong with a NATS server, and what each failure means to Prism.

    ConnectionLost     the connection ended, or there is none now
    ReplyTimeout       no answer in time
    Rejected           JetStream refused a request; `code` is its number
    Denied             the server doesn't permit it
    CertificateWanted  it ended the connection, and asks for a client certificate
    Misconfigured      a server doesn't let us in, or an option can't be
    WrongStream        a stream of ours exists and isn't as it must be

Failures to connect come from nats-py.
"""

from __future__ import annotations

import ssl
from typing import Final

from nats import errors as driver
from prism.model.errors import (
    DeadlineExceeded,
    InternalError,
    InvalidConfig,
    LimitExceeded,
    PrismError,
    Unavailable,
    Unsupported,
)
from prism.slots.context import Code, Failure

WRONG_LAST_SEQUENCE: Final = frozenset({10071, 10164})
"""The record has changed since it was read."""
QUEUE_FULL: Final = 10077
"""As well: the stream's `max_bytes` is reached; the text tells which."""
NO_STREAM: Final = 10059
NO_MESSAGE: Final = 10057
NO_RESPONDERS: Final = 503
"""Nobody answers for the stream now: an election, or JetStream is off."""
BUSY: Final = frozenset({NO_RESPONDERS, 10008, 10023, 10167, 10158, 10201})
"""Worth a second try: elections, overload, the same message still on its way."""
_LIMITS: Final = frozenset({10026, 10047, 10028, 10054, 10052, 10053, 10122})
_UNSUPPORTED: Final = frozenset({10076, 10039, 10035})

_ERRORS: Final[dict[Code, type[PrismError]]] = {
    Code.UNAVAILABLE: Unavailable,
    Code.DEADLINE_EXCEEDED: DeadlineExceeded,
    Code.INVALID_CONFIG: InvalidConfig,
    Code.LIMIT_EXCEEDED: LimitExceeded,
    Code.UNSUPPORTED: Unsupported,
}


class ConnectionLost(Exception):
    """There is no connection to NATS now. What was asked for may be repeated: each call of the plugin may."""


class ReplyTimeout(Exception):
    """No answer in time; the call may or may not have had an effect."""


class Rejected(Exception):
    """JetStream refused a request."""

    def __init__(self, code: int, text: str) -> None:
        super().__init__(f"{text} (code {code})")
        self.code = code
        self.text = text


class Denied(Exception):
    """We lack the permission to publish or subscribe to one of our subjects."""


class Misconfigured(Exception):
    """The configuration can't work, or the servers don't accept it; the text says what to change."""


class CertificateWanted(Exception):
    """A server that asks for a client certificate ended the connection while we logged in."""


class WrongStream(Exception):
    """A stream exists under our name and can't serve: it was made by somebody else or for another configuration."""


def classify(error: Exception) -> Code | None:
    """Says what an exception means; None when it is neither ours nor the driver's."""
    match error:
        case ConnectionLost():
            return Code.UNAVAILABLE
        case ReplyTimeout():
            return Code.DEADLINE_EXCEEDED
        case WrongStream() | Denied() | Misconfigured():
            return Code.INVALID_CONFIG
        case Rejected():
            return _of_rejection(error)
        case driver.AuthorizationError() | driver.BadSubjectError():
            return Code.INVALID_CONFIG
        case driver.MaxPayloadError():
            return Code.LIMIT_EXCEEDED
        case driver.TimeoutError():
            return Code.DEADLINE_EXCEEDED
        case driver.Error():
            return Code.INVALID_CONFIG if "authorization" in str(error).lower() else Code.UNAVAILABLE
        case ssl.SSLCertVerificationError():
            return Code.INVALID_CONFIG
    return None


def failure(error: Exception, action: str) -> Failure:
    """The outcome of an item whose call failed; `action` completes "failed to ..."."""
    kind = _ERRORS.get(classify(error) or Code.INTERNAL, InternalError)
    wrapped = kind(f"NATS failed to {action}: {error}")
    wrapped.__cause__ = error
    return Failure(wrapped)


def _of_rejection(error: Rejected) -> Code:
    if error.code in BUSY or error.code in WRONG_LAST_SEQUENCE:
        return Code.UNAVAILABLE
    if error.code in _LIMITS or error.code == QUEUE_FULL:
        return Code.LIMIT_EXCEEDED
    if error.code in _UNSUPPORTED:
        return Code.UNSUPPORTED
    return Code.UNAVAILABLE if error.code == NO_STREAM else Code.INTERNAL
