"""`python -m prism_conformance.servers`: start a server by hand, list the kinds, install ahead of time."""

from __future__ import annotations

import argparse
import signal
import sys
import threading
from collections.abc import Sequence
from types import FrameType

from prism_conformance.servers.cache import cache_folder
from prism_conformance.servers.catalog import KINDS, find
from prism_conformance.servers.errors import ServerError
from prism_conformance.servers.install import is_installed
from prism_conformance.servers.launch import start
from prism_conformance.servers.recipe import Recipe

_HEADINGS = ("kind", "version", "from", "installed", "what")


def main(arguments: Sequence[str] | None = None) -> int:
    """Carries out one command; returns the exit code: 0, or 1 when a server can't be had."""
    parser = argparse.ArgumentParser(prog="python -m prism_conformance.servers", description=__doc__)
    commands = parser.add_subparsers(dest="command", required=True)
    starting = commands.add_parser("start", help="start a server, print its URL, run until interrupted")
    starting.add_argument("kind", help=", ".join(KINDS))
    starting.add_argument("--durable", action="store_true", help="what it acknowledged survives its being killed")
    starting.add_argument("--set", action="append", default=[], metavar="KEY=VALUE", help="its own configuration")
    installing = commands.add_parser("install", help="install servers into the cache")
    installing.add_argument("kinds", nargs="*", help="all, when none is named")
    commands.add_parser("list", help="list the kinds of server")
    given = parser.parse_args(arguments)
    try:
        if given.command == "start":
            return _start(given.kind, given.durable, given.set)
        if given.command == "install":
            return _install(given.kinds)
        return _list()
    except ServerError as error:
        sys.stderr.write(f"{error}\n")
        return 1


def _start(kind: str, durable: bool, entries: Sequence[str]) -> int:
    for entry in entries:
        if "=" not in entry:
            raise ServerError(f"--set {entry}: write KEY=VALUE")
    interrupted = threading.Event()

    def interrupt(_number: int, _frame: FrameType | None) -> None:
        interrupted.set()

    signal.signal(signal.SIGINT, interrupt)
    signal.signal(signal.SIGTERM, interrupt)
    with start(kind, durable=durable, config=dict(entry.split("=", 1) for entry in entries)) as server:
        sys.stdout.write(f"{server.url}\n")
        sys.stdout.flush()
        interrupted.wait()
    return 0


def _install(kinds: Sequence[str]) -> int:
    recipes = [find(kind) for kind in kinds] or list(KINDS.values())
    for recipe in recipes:
        sys.stdout.write(f"{recipe.kind} {recipe.pin.version}: {recipe.install().binary}\n")
    return 0


def _row(recipe: Recipe) -> tuple[str, ...]:
    state = "yes" if is_installed(recipe.pin) else "no"
    return recipe.kind, recipe.pin.version, recipe.pin.route.value, state, recipe.summary


def _list() -> int:
    rows = [_row(recipe) for recipe in KINDS.values()]
    try:
        from rich.console import Console  # noqa: PLC0415 - an extra
        from rich.table import Table  # noqa: PLC0415
    except ImportError:
        for row in (_HEADINGS, *rows):
            sys.stdout.write("  ".join(f"{cell:<14}" for cell in row).rstrip() + "\n")
        return 0
    table = Table(*_HEADINGS, caption=f"installed in {cache_folder()}", caption_justify="left")
    for row in rows:
        table.add_row(*row)
    Console().print(table)
    return 0


if __name__ == "__main__":
    sys.exit(main())
