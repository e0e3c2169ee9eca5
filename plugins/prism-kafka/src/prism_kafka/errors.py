"""What can go wrong with Kafka, and what each failure means to Prism.

    NotConnected       no broker answers; nothing was sent
    NoAnswer           no answer in time; what was asked for may still happen
    Behind             the log can't be followed now

All else comes from aiokafka.
"""

from __future__ import annotations

import ssl
from typing import Final

from aiokafka import errors as driver
from prism.model.errors import DeadlineExceeded, InternalError, InvalidConfig, LimitExceeded, PrismError, Unavailable
from prism.slots.context import Code, Failure


class NotConnected(Exception):
    """No broker answers."""


class NoAnswer(Exception):
    """No answer in time; the call may or may not have had an effect, or may still have one."""


class Behind(Exception):
    """The log can't be followed now, so nothing that is asked of it can be answered."""


PASSING: Final = (driver.KafkaError, NotConnected, NoAnswer, Behind)
"""What a call may fail with."""

_MISCONFIGURED: Final = (
    driver.AuthenticationFailedError,
    driver.AuthenticationMethodNotSupported,
    driver.ClusterAuthorizationFailedError,
    driver.IllegalSaslStateError,
    driver.InvalidConfigurationError,
    driver.InvalidReplicationFactorError,
    driver.InvalidTopicError,
    driver.KafkaConfigurationError,
    driver.PolicyViolationError,
    driver.SaslAuthenticationFailed,
    driver.TopicAuthorizationFailedError,
    driver.UnsupportedCodecError,
    driver.UnsupportedSaslMechanismError,
)
_TOO_LARGE: Final = (driver.MessageSizeTooLargeError, driver.RecordListTooLargeError)
_UNKNOWN_EFFECT: Final = (
    driver.KafkaTimeoutError,
    driver.NotEnoughReplicasAfterAppendError,
    driver.RequestTimedOutError,
)
_UNAVAILABLE: Final = (driver.ProducerClosed, driver.ProducerFenced, driver.OutOfOrderSequenceNumber)

_ERRORS: Final[dict[Code, type[PrismError]]] = {
    Code.UNAVAILABLE: Unavailable,
    Code.DEADLINE_EXCEEDED: DeadlineExceeded,
    Code.INVALID_CONFIG: InvalidConfig,
    Code.LIMIT_EXCEEDED: LimitExceeded,
}


def classify(error: Exception) -> Code | None:
    """Says what an exception means; None when it is neither ours nor the driver's."""
    match error:
        case NotConnected() | Behind():
            return Code.UNAVAILABLE
        case NoAnswer():
            return Code.DEADLINE_EXCEEDED
        case driver.KafkaError():
            return _of_driver(error)
        case ssl.SSLError():  # why no connection can be made: a certificate, or no TLS at the other end
            return Code.INVALID_CONFIG
    return None


def failure(error: Exception, action: str) -> Failure:
    """The outcome of an item whose call failed; `action` completes "failed to ..."."""
    kind = _ERRORS.get(classify(error) or Code.INTERNAL, InternalError)
    wrapped = kind(f"Kafka failed to {action}: {str(error) or type(error).__name__}")
    wrapped.__cause__ = error
    return Failure(wrapped)


def _of_driver(error: driver.KafkaError) -> Code:
    if isinstance(error, _MISCONFIGURED):
        return Code.INVALID_CONFIG
    if isinstance(error, _TOO_LARGE):
        return Code.LIMIT_EXCEEDED
    if isinstance(error, _UNKNOWN_EFFECT):
        return Code.DEADLINE_EXCEEDED
    if isinstance(error, _UNAVAILABLE) or error.retriable:
        return Code.UNAVAILABLE
    return Code.INTERNAL
