"""The one place where a driver's exceptions become Prism's."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Sequence
from types import TracebackType
from typing import Any, TypeVar

from prism.model.deadline import Deadline, current_deadline
from prism.model.errors import (
    DeadlineExceeded,
    InternalError,
    InvalidConfig,
    LimitExceeded,
    PrismError,
    Unavailable,
    Unsupported,
)
from prism.plugins.spec import SlotKind
from prism.slots.context import Backend, Code

Item = TypeVar("Item")

_ERRORS: dict[Code, type[PrismError]] = {
    Code.UNAVAILABLE: Unavailable,
    Code.DEADLINE_EXCEEDED: DeadlineExceeded,
    Code.INVALID_CONFIG: InvalidConfig,
    Code.LIMIT_EXCEEDED: LimitExceeded,
    Code.UNSUPPORTED: Unsupported,
    Code.INTERNAL: InternalError,
}


class Guard:
    """Wraps calls to one slot: `with guard("scan"): ...`. Cancellation and Prism's own errors pass through.

    What is done within ends with DeadlineExceeded a little before the caller gives up (see `prism.model.deadline`).
    """

    __slots__ = ("_backend", "_namespace", "_slot", "_type")

    def __init__(self, backend: Backend, slot: SlotKind, type_name: str, namespace: str) -> None:
        self._backend = backend
        self._slot = slot
        self._type = type_name
        self._namespace = namespace

    def __call__(self, action: str, *, timed: bool = True) -> _Guarded:
        """A context in which the driver's exceptions are translated; `action` completes "failed to ...".

        Not `timed`: it takes as long as it takes, as cleaning up does.
        """
        return _Guarded(self, action, current_deadline() if timed else None)

    def translate(self, error: Exception, action: str) -> PrismError:
        """The PrismError for a driver's exception, with the slot, type and namespace in its details."""
        code = self._backend.classify(error)
        if code is None:
            code = _common(error)
        return self._failure(_ERRORS[code], action, str(error) or type(error).__name__)

    def too_late(self, action: str) -> PrismError:
        """The error where the slot has not answered, and the caller won't wait any longer."""
        return self._failure(
            DeadlineExceeded, action, "it gave no answer in the caller's time; whether it took effect is unknown"
        )

    def _failure(self, kind: type[PrismError], action: str, what: str) -> PrismError:
        text = f"the {self._slot} slot ({self._type}) of namespace {self._namespace!r} failed to {action}: {what}"
        return kind(text, details={"slot": self._slot, "type": self._type, "namespace": self._namespace})

    def matched(self, outcomes: list[Item], asked: Sequence[object], action: str) -> list[Item]:
        """Checks that a batch was answered item by item."""
        if len(outcomes) != len(asked):
            raise InternalError(
                f"the {self._slot} plugin {self._type!r} answered {len(outcomes)} outcomes to {action} of {len(asked)}"
            )
        return outcomes


async def answer_within(seconds: float, call: Awaitable[Item]) -> Item:
    """What the call answers. Raises TimeoutError, which says how long it was waited for."""
    try:
        async with asyncio.timeout(seconds):
            return await call
    except TimeoutError as error:
        raise TimeoutError(str(error) or f"no answer within {seconds:g} s") from error


def _common(error: Exception) -> Code:
    if isinstance(error, TimeoutError):
        return Code.DEADLINE_EXCEEDED
    if isinstance(error, OSError):
        return Code.UNAVAILABLE
    return Code.INTERNAL


class _Guarded:
    __slots__ = ("_action", "_deadline", "_guard", "_limit")

    def __init__(self, guard: Guard, action: str, deadline: Deadline | None) -> None:
        self._guard = guard
        self._action = action
        self._deadline = deadline
        self._limit: _Limit | None = None

    def __enter__(self) -> None:
        if self._deadline is not None:
            self._limit = _Limit.of(self._deadline)

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if self._limit is not None and self._limit.ended(error):
            raise self._guard.too_late(self._action) from error
        if isinstance(error, Exception) and not isinstance(error, PrismError):
            raise self._guard.translate(error, self._action) from error


class _Limit:
    """Cancels the running task at a deadline, as `asyncio.timeout` does, for a block that isn't asynchronous itself."""

    __slots__ = ("_cancelling", "_deadline", "_expired", "_handle", "_task")

    def __init__(self, deadline: Deadline, at: float, task: asyncio.Task[Any]) -> None:
        self._deadline = deadline
        self._task = task
        self._cancelling = task.cancelling()
        self._expired = False
        self._handle = task.get_loop().call_at(at, self._expire)

    @classmethod
    def of(cls, deadline: Deadline) -> _Limit | None:
        """The limit for what begins now; None where there is none."""
        task = asyncio.current_task()
        if task is None:
            return None
        at = deadline.limit(task.get_loop().time())
        return None if at is None else cls(deadline, at, task)

    def ended(self, error: BaseException | None) -> bool:
        """Ends it; whether it was the deadline, and nobody else, that cancelled what ended with `error`."""
        self._handle.cancel()
        return self._expired and self._task.uncancel() <= self._cancelling and isinstance(error, asyncio.CancelledError)

    def _expire(self) -> None:
        if not self._deadline.over:  # or the caller has its answer, and this is what goes on after it
            self._expired = True
            self._task.cancel()
