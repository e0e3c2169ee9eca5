"""Runs what the pages are made of: each plugin's contract on each of its servers, and every mix."""

from __future__ import annotations

import asyncio
import secrets
from collections.abc import Callable, Collection, Iterator
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

from prism.config import load_config
from prism.model.errors import InvalidConfig
from prism.plugins.loader import default_loader

from prism_conformance.command import run
from prism_conformance.servers import shared
from prism_conformance.together.backends import BACKENDS, Options, shared_options
from prism_conformance.together.mixes import EMBEDDED, Mix, configuration, every_mix
from prism_conformance.together.scenario import SWEPT_OFTEN, opened, play

Show = Callable[[str], None]
TEMPLATE = "sqlite"
"""The plugin to copy; it is run where it is installed."""

HOLDS, REFUSED, FAILS = "holds", "refused", "fails"
Outcomes = dict[str, dict[str, Any]]
"""By the name of a mix: its verdict, and what was said."""


def contracts(types: Collection[str], show: Show) -> Iterator[dict[str, Any]]:
    """Runs the contracts of these types (all where none is named) on each of their servers.

    Yields:
        What `pytest --conformance-json` writes, with the server added to each contract.

    Raises:
        ServerError: a server can't be had.
        PluginError: a plugin is broken, or no check was run.
    """
    with TemporaryDirectory(prefix="prism-document-") as folder:
        for name, server, options in _subjects(Path(folder)):
            if types and name not in types:
                continue
            show(f"contract of {name}" + (f" on {server}" if server else ""))
            found = run(name, options())
            for contract in found["contracts"]:
                contract["server"] = server
            yield found


def _subjects(folder: Path) -> Iterator[tuple[str, str, Callable[[], Options]]]:
    """Type, server, and what gives the options once it is its turn."""
    yield EMBEDDED, "", lambda: {"store": secrets.token_hex(8)}
    if any(spec.type == TEMPLATE for spec in default_loader().installed()):
        yield TEMPLATE, "", lambda: {"path": str(folder / "registry.db")}
    for backend in BACKENDS.values():
        for kind in backend.servers:
            yield backend.type, kind, lambda backend=backend, kind=kind: backend.at(shared(kind))  # type: ignore[misc]


def mixes(show: Show) -> Outcomes:
    """Tries every mix."""
    outcomes: Outcomes = {}
    for mix in every_mix():
        outcome = outcomes[str(mix)] = asyncio.run(_tried(mix))
        show(f"mix {mix}: {outcome['verdict']}")
    return outcomes


async def _tried(mix: Mix) -> dict[str, Any]:
    options = await shared_options(mix.types)
    options[EMBEDDED] = {"store": secrets.token_hex(8)}
    config = configuration(mix, options, **SWEPT_OFTEN)
    try:
        load_config(config)
    except InvalidConfig as error:
        prefix = "namespaces[0].backend_slots."
        said = [f"{violation.field.removeprefix(prefix)}: {violation.description}" for violation in error.violations]
        return {"verdict": REFUSED, "said": said}
    try:
        async with opened(config) as house:
            await play(house)
    except Exception as error:  # noqa: BLE001 - whatever it is, it goes onto the page
        return {"verdict": FAILS, "said": [repr(error)]}
    return {"verdict": HOLDS, "said": []}
