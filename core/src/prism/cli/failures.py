"""How an error looks: one red line, where it helps the place in the input, and what to try."""

from __future__ import annotations

import re

from rich.console import Console
from rich.text import Text

from prism.cli.screen import printable
from prism.cli.where import WhereError
from prism.model.errors import (
    AlreadyExists,
    DeadlineExceeded,
    InvalidFilter,
    InvalidMetadata,
    NotFound,
    PluginError,
    PrismError,
    QuotaExceeded,
    Unavailable,
)

_BARE = re.compile(r"\b(?:string|text)\b.*, got the (?:number|boolean) (\S+)$")
_HINTS: dict[type[PrismError], str] = {
    AlreadyExists: "--replace takes the identity over; prism get IDENTITY shows what is registered",
    DeadlineExceeded: "ask for less at once, or give it longer with --timeout where the command has it",
    InvalidFilter: "prism ls --help lists what --where takes, docs/filters.md all there is",
    NotFound: "prism ls lists what is registered; -n NAME chooses the namespace",
    PluginError: "prism plugins lists the backends that are installed",
    QuotaExceeded: "unregister what isn't needed, or raise the limit in the proxy's configuration",
    Unavailable: "-a HOST:PORT names another proxy",
}


def print_failure(console: Console, error: PrismError, hint: str | None = None) -> None:
    """Writes what went wrong and what to try (None: what a caller of a proxy would); never a traceback."""
    if isinstance(error, WhereError):
        _print_where(console, error)
    elif len(error.violations) > 1:
        _print_line(console, f"{len(error.violations)} problems")
        for line in _each(error):
            console.print(Text(printable(line)), soft_wrap=True)
    else:
        _print_line(console, error.message)
    if hint is None:
        hint = _hint(error)
    if hint:
        console.print(Text(f"try: {hint}"), soft_wrap=True)


def configured_hint(error: PrismError) -> str | None:
    """What to try where this process itself asks a configuration's backend, and no proxy is involved."""
    slot = error.details.get("slot")
    if slot is None or not isinstance(error, (Unavailable, DeadlineExceeded)):
        return None
    place = f"backend_slots.{slot} of namespace {error.details.get('namespace', '')!r}"
    return f"see that its server runs and can be reached from here; in the configuration, check {place}"


def print_problem(console: Console, problem: str, hint: str = "") -> None:
    """The same look for what isn't Prism's error: an unreadable file, a wrong combination of options."""
    _print_line(console, problem)
    if hint:
        console.print(Text(f"try: {hint}"), soft_wrap=True)


def _print_where(console: Console, error: WhereError) -> None:
    _print_line(console, error.message)
    shown = printable(error.text[: error.position])
    console.print(Text(f"    {shown}{printable(error.text[error.position :])}"), soft_wrap=True)
    console.print(Text(f"    {' ' * len(shown)}^", style="red"), soft_wrap=True)


def _print_line(console: Console, text: str) -> None:
    console.print(Text(f"error: {printable(text)}", style="bold red"), soft_wrap=True)


def _each(error: PrismError) -> list[str]:
    """A line for each mistake. Those of a file have its name and the line in the message, as editors read them."""
    lines = error.message.splitlines()
    if len(lines) == len(error.violations):
        return lines
    return [f"  {violation}" for violation in error.violations]


def _backend_hint(error: PrismError) -> str:
    """The proxy answered, and one of its backends did not: another proxy would fare no better."""
    slot, namespace = error.details["slot"], error.details.get("namespace", "")
    server = f"the server behind its {slot} slot ({error.details.get('type', '')}) of namespace {namespace!r}"
    return f"again in a moment; the proxy answered, {server} did not: its /ready and its log say more"


def _quoting_hint(error: PrismError) -> str:
    """What to write where a text is wanted and the shell's bare word was read as a number or as true."""
    for violation in error.violations:
        match = _BARE.search(violation.description)
        if match:
            name = violation.field.removeprefix("metadata.").removeprefix("$.")
            if isinstance(error, InvalidFilter) and ("." in name or "[" in name):  # with an operator, most likely
                name = "FIELD"
            return f"quotes make a text of it, and quotes around them reach it: '{name}=\"{match[1]}\"'"
    return ""


def _hint(error: PrismError) -> str:
    if isinstance(error, WhereError):
        if error.source != "--where":
            return 'room=engineering battery=0.4 location.building=HQ \'tags=["a","b"]\''
        return "--where room=engineering, 'battery<0.2', '!room', 'country in US,CA', 'location near 48.1,11.5,200km'"
    if isinstance(error, (Unavailable, DeadlineExceeded)) and "slot" in error.details:
        return _backend_hint(error)
    if isinstance(error, NotFound) and "namespaces" in error.details:
        return ""  # of a configuration file: what it has is said already, and `prism ls` asks a proxy
    if isinstance(error, (InvalidFilter, InvalidMetadata)) and (quoted := _quoting_hint(error)):
        return quoted
    for kind in type(error).__mro__:
        if kind in _HINTS:
            return _HINTS[kind]
    return ""
