"""Runs what the pages are made of: each plugin's contract on each of its servers, and every mix."""

from __future__ import annotations

import asyncio
import json
import os
import secrets
import shutil
import subprocess
import sys
from collections.abc import Callable, Collection, Iterator
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

from prism.config import load_config
from prism.model.errors import InvalidConfig

from prism_conformance.command import run
from prism_conformance.servers import shared
from prism_conformance.together.backends import BACKENDS, shared_options
from prism_conformance.together.mixes import EMBEDDED, Mix, configuration, every_mix
from prism_conformance.together.scenario import SWEPT_OFTEN, opened, play

Show = Callable[[str], None]
TEMPLATE = "sqlite"
"""The type of the plugin to copy."""
TEMPLATE_FOLDER = Path(__file__).resolve().parents[3] / "template"
"""Where it is in a checkout."""

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
    if not types or EMBEDDED in types:
        show(f"contract of {EMBEDDED}")
        yield run(EMBEDDED, {"store": secrets.token_hex(8)})
    if (not types or TEMPLATE in types) and TEMPLATE_FOLDER.is_dir():
        show(f"contract of {TEMPLATE}, the template")
        yield _template()
    for backend in BACKENDS.values():
        for kind in backend.servers if not types or backend.type in types else ():
            show(f"contract of {backend.type} on {kind}")
            found = run(backend.type, backend.at(shared(kind)))
            for contract in found["contracts"]:
                contract["server"] = kind
            yield found


def _template() -> dict[str, Any]:
    """The results of the template, installed from the checkout into a folder of its own."""
    with TemporaryDirectory(prefix="prism-document-") as name:
        folder = Path(name)
        options = folder / "options.json"
        options.write_text(json.dumps({"path": str(folder / "registry.db")}), encoding="utf-8")
        source = folder / "source"
        shutil.copytree(TEMPLATE_FOLDER, source, ignore=shutil.ignore_patterns("__pycache__"))
        install = ("pip", "install", "--quiet", "--no-deps", "--no-build-isolation", "--no-index")
        _python(*install, "--target", str(folder / "site"), str(source)).check_returncode()
        done = _python(
            "prism", "conformance", TEMPLATE, "--config", str(options), "--json", PYTHONPATH=str(folder / "site")
        )
        found: dict[str, Any] = json.loads(done.stdout)
        return found


def _python(module: str, *arguments: str, **env: str) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, "-m", module, *arguments]
    return subprocess.run(command, env={**os.environ, **env}, stdout=subprocess.PIPE, text=True, check=False)  # noqa: S603 - ours


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
