"""How far a long piece of work is: a bar in a terminal, plain lines now and then elsewhere."""

from __future__ import annotations

import time
from types import TracebackType
from typing import Self

from rich.console import Console
from rich.progress import BarColumn, Progress, ProgressColumn, Task, TextColumn, TimeElapsedColumn
from rich.text import Text

INTERVAL = 2.0
"""Seconds between two plain lines."""


class Meter:
    """Counts items and shows how many there are and how quickly they go.

    Args:
        console: where to show it.
        title: what is being done, such as `importing`.
        total: how many there will be, None when nobody knows.
    """

    def __init__(self, console: Console, title: str, total: int | None = None) -> None:
        self.count = 0
        self._console = console
        self._title = title
        self._total = total
        self._started = self._shown = time.monotonic()
        self._bar: Progress | None = None
        if console.is_terminal:
            columns = (TextColumn("{task.description}"), BarColumn(), _Rate(), TimeElapsedColumn())
            self._bar = Progress(*columns, console=console, transient=True)
            self._task = self._bar.add_task(title, total=total)

    def __enter__(self) -> Self:
        self._started = self._shown = time.monotonic()
        if self._bar is not None:
            self._bar.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._elapsed = time.monotonic() - self._started
        if self._bar is not None:
            self._bar.stop()

    def advance(self, items: int) -> None:
        """Some more are done."""
        self.count += items
        if self._bar is not None:
            self._bar.update(self._task, completed=self.count)
            return
        now = time.monotonic()
        if now - self._shown >= INTERVAL:
            self._shown = now
            of = "" if self._total is None else f" of {self._total:,}"
            self._console.print(f"{self._title}: {self.count:,}{of} ({rate(self.count, now - self._started)})")

    def summary(self) -> str:
        """How many there were, how long it took, and the rate. For after the block."""
        return f"{self.count:,} in {self._elapsed:.1f}s ({rate(self.count, self._elapsed)})"


def rate(count: int, elapsed: float) -> str:
    """So many a second."""
    return f"{count / elapsed:,.0f}/s" if elapsed > 0 else "-/s"


class _Rate(ProgressColumn):
    """The count so far and its rate."""

    def render(self, task: Task) -> Text:
        of = "" if task.total is None else f"/{task.total:,.0f}"
        return Text(f"{task.completed:,.0f}{of} {rate(int(task.completed), task.elapsed or 0)}")
