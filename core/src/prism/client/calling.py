"""One call to a proxy: its deadline, and whether it may be sent again when it fails."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING, Any

import grpc

from prism.client.address import VARIABLE
from prism.client.pause import pause_length
from prism.model.errors import DeadlineExceeded, PrismError, Unavailable
from prism.wire.errors import in_arguments
from prism.wire.rpc import actor_headers, from_rpc_error

if TYPE_CHECKING:
    from prism.client.channels import Connections

FIRST_RETRY = 0.05
"""Bound of the first pause before a call is sent again, seconds."""

_NEVER_SENT = ("failed to connect to all addresses", "DNS resolution failed", "Name resolution failure")
"""What gRPC says when no connection could be made: the request has not left this process. Should its words change,
calls that may have taken effect are not sent again, which is the safe side."""


class Caller:
    """Makes unary calls within a time limit.

    A call that never left this process is sent again, to the next proxy, once the client has ever been answered;
    before that, an unreachable proxy is an error at once, which says what to do. A call that may have taken effect
    is sent again only where that is harmless (`again`).
    """

    def __init__(self, connections: Connections, timeout: float) -> None:
        self.connections = connections
        self.timeout = timeout

    async def call(self, method: str, request: Any, *, again: bool, extra: float = 0.0) -> Any:
        """The answer.

        Args:
            method: the RPC's name.
            request: its message.
            again: whether a second execution does no harm.
            extra: seconds that the proxy may take in addition to the client's timeout.

        Raises:
            PrismError: what the proxy answered; Unavailable, DeadlineExceeded.
        """
        loop = asyncio.get_running_loop()
        connections = self.connections
        deadline = loop.time() + self.timeout + extra
        attempt = 0
        cause: PrismError | None = None
        while True:
            connection = connections.for_call()
            try:
                left = max(0.0, deadline - loop.time())
                answer = await getattr(connection.calls, method)(request, timeout=left, metadata=actor_headers())
            except grpc.aio.AioRpcError as error:
                failure, sent = failure_of(error, connections, connection.address)
                if not isinstance(failure, Unavailable) or not (again or not sent):
                    raise _with_cause(failure, cause) from error
                cause = failure
                attempt += 1
                tried_all = attempt >= len(connections.addresses)
                wait = pause_length(attempt, FIRST_RETRY)
                if (tried_all and not connections.reached) or loop.time() + wait >= deadline:
                    raise failure from error
                await asyncio.sleep(wait)
            else:
                connections.reached = True
                return answer


def _with_cause(failure: PrismError, cause: PrismError | None) -> PrismError:
    """A call that was cut off by its deadline while it was tried again: what the try before it ended with is why."""
    if cause is None or not isinstance(failure, DeadlineExceeded) or failure.details:
        return failure
    text = f"{failure.message}; the try before it: {cause.message}"
    return DeadlineExceeded(text, violations=cause.violations, details=cause.details)


def failure_of(error: grpc.RpcError, connections: Connections, address: str) -> tuple[PrismError, bool]:
    """The error of a call or stream, and whether the request may have reached a proxy. Notes who can't be reached."""
    details = getattr(error, "details", lambda: "")() or ""
    if error.code() is grpc.StatusCode.UNAVAILABLE and details.startswith(_NEVER_SENT):
        connections.fail_over(address)
        return Unavailable(unreachable(connections.addresses, details)), False
    failure = in_arguments(from_rpc_error(error, address))
    if isinstance(failure, Unavailable):
        connections.fail_over(address)
    else:
        connections.reached = True
    return failure, True


def unreachable(addresses: tuple[str, ...], details: str) -> str:
    """What to say when no proxy can be reached, and what to do about it."""
    where = " or ".join(addresses)
    why = details.rpartition("; last error: ")[2].removeprefix("UNKNOWN: ") or details
    return (
        f"no proxy can be reached at {where} ({why}); start one with `prism serve`, "
        f"or name the right address: {VARIABLE}=host:port or Client(address=...)"
    )
