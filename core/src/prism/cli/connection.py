"""Running a command's work against a proxy, and ending with the right exit code when it fails."""

from __future__ import annotations

import asyncio
import logging
import signal
import threading
from collections.abc import Awaitable, Callable, Coroutine, Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING, NoReturn, TypeAlias, TypeVar

import typer

from prism.cli.exits import ExitCode, exit_code
from prism.cli.failures import print_failure, print_problem
from prism.cli.screen import stderr
from prism.model.errors import PrismError

if TYPE_CHECKING:
    from prism import Client

T = TypeVar("T")

Hint: TypeAlias = "Callable[[PrismError], str | None]"
"""What to try after an error; None for what a caller of a proxy would."""


def with_client(namespace: str, address: str | None, work: Callable[[Client], Awaitable[T]]) -> T:
    """Opens a client, does the work, closes it. A PrismError is printed and ends the program."""

    async def session() -> T:
        from prism import Client  # noqa: PLC0415 - only commands that talk to a proxy pay for it

        async with Client(namespace, address) as client:
            return await work(client)

    return run(session())


def quiet_drivers() -> None:
    """For commands that open slots themselves: of what is logged, what Prism and its plugins say.

    What a driver can't do is told by their errors; it would repeat itself as long as a server is away.
    """
    handler = logging.StreamHandler()
    handler.addFilter(lambda record: record.name.startswith("prism"))
    logging.basicConfig(handlers=[handler], format="%(message)s")


def run(work: Coroutine[object, object, T], hint: Hint | None = None) -> T:
    """Runs the work to its end. A PrismError is printed and ends the program with its exit code.

    `hint` says what to try; where it says None, or there is none, it's what a caller of a proxy would.
    """
    with reported(hint):
        return asyncio.run(_until_ended(work))


async def _until_ended(work: Coroutine[object, object, T]) -> T:
    """SIGTERM and SIGHUP cancel the work as Ctrl-C does, so that it leaves what it has attached.

    `serve` has handlers of its own. A SIGHUP that is ignored, as under nohup, stays ignored. Only a program's main
    thread gets signals.
    """
    loop, task, came = asyncio.get_running_loop(), asyncio.current_task(), asyncio.Event()
    assert task is not None

    def end() -> None:
        came.set()
        task.cancel()

    in_main = threading.current_thread() is threading.main_thread()
    for number in (signal.SIGTERM, signal.SIGHUP) if in_main else ():
        if signal.getsignal(number) is not signal.SIG_IGN:
            loop.add_signal_handler(number, end)
    try:
        return await work
    except asyncio.CancelledError:
        if came.is_set():
            raise typer.Exit(ExitCode.INTERRUPTED) from None
        raise


@contextmanager
def reported(hint: Hint | None = None) -> Iterator[None]:
    """Prints a PrismError of the block in one line with a hint, and ends the program with its exit code."""
    try:
        yield
    except PrismError as error:
        _end(error, hint)
    except BaseExceptionGroup as group:
        failures, rest = group.split(PrismError)
        if failures is None or rest is not None:
            raise
        _end(_first(failures), hint)


@contextmanager
def needing(extra: str) -> Iterator[None]:
    """Ends the program with what to install where an import of the block fails."""
    try:
        yield
    except ImportError as error:
        missing = error.name or str(error)
        fix = f"from a checkout of Prism: pip install './core[{extra}]'"
        print_problem(stderr(), f"this command needs {missing}", fix)
        raise typer.Exit(ExitCode.FAILED) from error


def _end(error: PrismError, hint: Hint | None) -> NoReturn:
    print_failure(stderr(), error, None if hint is None else hint(error))
    raise typer.Exit(exit_code(error)) from error


def _first(failures: BaseExceptionGroup[PrismError]) -> PrismError:
    """The first error of a group; several tasks seldom fail for different reasons at once."""
    error: PrismError | BaseExceptionGroup[PrismError] = failures
    while isinstance(error, BaseExceptionGroup):
        error = error.exceptions[0]
    return error
