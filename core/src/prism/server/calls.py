"""The one place where calls are counted and errors become gRPC statuses.

Handlers take and return bytes: messages are parsed here, so that a malformed one is refused like any other bad
request, and no chain of interceptors is walked for each call.
"""

from __future__ import annotations

import asyncio
import logging
import secrets
from collections.abc import Awaitable, Callable
from time import perf_counter
from typing import Any, NoReturn, TypeAlias, TypeVar, cast
from urllib.parse import unquote

import grpc
from google.protobuf.message import DecodeError, Message

from prism.model.actor import MAX_ACTOR, set_actor
from prism.model.deadline import answering_within
from prism.model.errors import InternalError, InvalidArgument, PrismError
from prism.server.metrics import CallMetrics, MethodCalls
from prism.wire.errors import code_of, to_status
from prism.wire.rpc import ACTOR_HEADER, TIMEOUT_HEADER, trailers

logger = logging.getLogger(__name__)

Request = TypeVar("Request", bound=Message)
Context: TypeAlias = "grpc.aio.ServicerContext[Any, Any]"
Behaviour: TypeAlias = "Callable[[Any], Awaitable[Message]]"
StreamBehaviour: TypeAlias = "Callable[[Any, Context], Awaitable[None]]"


END: Any = cast("Any", grpc.aio).EOF
"""What reading a stream gives when the client sends no more."""


def parse(kind: type[Request], data: bytes) -> Request:
    """The message in the bytes. Raises InvalidArgument when they aren't one."""
    try:
        return kind.FromString(data)
    except DecodeError as error:
        name = kind.DESCRIPTOR.full_name
        text = "it is cut off, has text that isn't UTF-8, or nests deeper than 100 messages"
        raise InvalidArgument(f"the request is no {name}: {text}") from error


class Calls:
    """Makes gRPC handlers out of functions on messages."""

    def __init__(self, metrics: CallMetrics) -> None:
        self._metrics = metrics

    def unary(self, name: str, request: type[Message], behaviour: Behaviour) -> grpc.RpcMethodHandler[Any, Any]:
        """A handler for one request and one answer."""
        calls = self._metrics.method(name)

        async def handle(data: bytes, context: Context) -> bytes:
            started = perf_counter()
            set_actor(lambda: _actor(context))
            try:
                with answering_within(context.time_remaining()):
                    answer = await behaviour(parse(request, data))
                encoded = answer.SerializeToString()
            except BaseException as error:  # noqa: BLE001 - always raised again
                await _ended(error, context, calls, started)
            calls.ended("OK", perf_counter() - started)
            return encoded

        return grpc.unary_unary_rpc_method_handler(handle)

    def pages(self, name: str, request: type[Message], behaviour: StreamBehaviour) -> grpc.RpcMethodHandler[Any, Any]:
        """A handler for one request and a stream of answers, which `behaviour` writes to the context as bytes."""
        calls = self._metrics.method(name)

        async def handle(data: bytes, context: Context) -> None:
            started = perf_counter()
            set_actor(lambda: _actor(context))
            try:
                with answering_within(context.time_remaining(), patience(context)):
                    await behaviour(parse(request, data), context)
            except BaseException as error:  # noqa: BLE001 - always raised again
                await _ended(error, context, calls, started)
            calls.ended("OK", perf_counter() - started)

        return grpc.unary_stream_rpc_method_handler(handle)

    def stream(self, name: str, behaviour: Callable[[Context], Awaitable[None]]) -> grpc.RpcMethodHandler[Any, Any]:
        """A handler for a stream each way; `behaviour` reads and writes bytes. Its duration isn't a latency."""
        calls = self._metrics.method(name)

        async def handle(_: object, context: Context) -> None:
            set_actor(lambda: _actor(context))
            try:
                await behaviour(context)
            except BaseException as error:  # noqa: BLE001 - always raised again
                await _ended(error, context, calls, None)
            calls.ended("OK", None)

        return grpc.stream_stream_rpc_method_handler(handle)


def patience(context: Context) -> float | None:
    """Seconds that a client says it waits for each answer on a stream; None where it doesn't say, or no number."""
    metadata = context.invocation_metadata() or ()
    given = next((str(value) for key, value in metadata if key == TIMEOUT_HEADER), "")
    return int(given) / 1_000 if given.isascii() and given.isdecimal() and len(given) < 10 else None


def _actor(context: Context) -> str:
    """Who a call is for: the name that the client gave, which is a claim, and where it comes from."""
    peer = unquote(context.peer() or "")
    metadata = context.invocation_metadata() or ()
    given = next((str(value) for key, value in metadata if key == ACTOR_HEADER), "")
    return f"{unquote(given)[: MAX_ACTOR // 2]} ({peer})" if given else peer


async def _ended(error: BaseException, context: Context, calls: MethodCalls, started: float | None) -> NoReturn:
    """Ends a call that failed: with the error's status, or for a bug with an id that is in the log too."""
    seconds = None if started is None else perf_counter() - started
    if not isinstance(error, Exception):
        calls.ended("CANCELLED" if isinstance(error, asyncio.CancelledError) else "ABORTED", seconds)
        raise error
    reported = error if isinstance(error, PrismError) else _bug(error, calls.name)
    code, text, details = trailers(to_status(reported))
    calls.ended(code_of(reported).name, seconds)
    if logger.isEnabledFor(logging.DEBUG):
        logger.debug("%s refused: %s", calls.name, reported.reason)
    await context.abort(code, text, details)
    raise AssertionError("abort always raises")  # for the type checker


def _bug(error: Exception, method: str) -> InternalError:
    """What a client is told of an unexpected exception; the traceback stays in the log."""
    incident = secrets.token_hex(6)
    logger.error("incident %s: %s failed unexpectedly", incident, method, exc_info=error)
    text = f"the proxy failed unexpectedly; its log has the details as incident {incident}"
    return InternalError(text, details={"incident": incident})
