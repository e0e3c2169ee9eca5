"""The rooms on the screen: panels that change in a terminal, lines of what happens anywhere else."""

from __future__ import annotations

from collections import defaultdict, deque
from types import TracebackType
from typing import Self

from rich.columns import Columns
from rich.console import Console, Group, RenderableType
from rich.live import Live
from rich.panel import Panel
from rich.text import Text

LINES = 5
"""Of what was said last, in each room."""
COLOURS = {"online": "green", "away": "yellow", "busy": "red", "offline": "bright_black"}


class Screen:
    """Who is where, what was said, and which claims have held. As a context manager it leaves its last state behind."""

    def __init__(self, console: Console) -> None:
        self._console = console
        self._rooms: dict[str, dict[str, str]] = {}
        self._said: defaultdict[str, deque[Text]] = defaultdict(lambda: deque(maxlen=LINES))
        self._claims: list[Text] = []
        self._live = Live(console=console, auto_refresh=False) if console.is_terminal else None

    def __enter__(self) -> Self:
        if self._live is not None:
            self._live.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if self._live is not None:
            self._live.stop()

    def title(self, text: str) -> None:
        """What comes next."""
        self._show(Text(text, style="bold"))

    def rooms(self, rooms: dict[str, dict[str, str]]) -> None:
        """Who is in each room, with what status."""
        self._rooms = rooms
        self._refresh()

    def said(self, room: str, name: str, text: str, reached: int) -> None:
        """Somebody said something, and so many heard it."""
        line = Text.assemble((name, "bold cyan"), f": {text} ", (f"({reached})", "dim"))
        self._said[room].append(line)
        if self._live is None:
            self._console.print(Text(f"[{room}] ") + line)
        self._refresh()

    def happened(self, text: str) -> None:
        """Something that isn't said."""
        self._show(Text(f"  {text}", style="italic"))

    def claim(self, text: str) -> None:
        """Something that was checked, and holds."""
        self._show(Text.assemble(("✓ ", "bold green"), text))

    def _show(self, line: Text) -> None:
        self._claims.append(line)
        if self._live is None:
            self._console.print(line)
        self._refresh()

    def _refresh(self) -> None:
        if self._live is not None:
            self._live.update(self._picture(), refresh=True)

    def _picture(self) -> RenderableType:
        panels = [self._panel(room, people) for room, people in sorted(self._rooms.items())]
        return Group(Columns(panels, equal=True, expand=True), *self._claims)

    def _panel(self, room: str, people: dict[str, str]) -> Panel:
        present = Text(", ").join(Text(name, style=COLOURS[status]) for name, status in sorted(people.items()))
        return Panel(Group(present, Text(""), *self._said[room]), title=f"{room} ({len(people)})", title_align="left")
