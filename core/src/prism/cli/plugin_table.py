"""`prism plugins`: which backends are installed, and what is wrong with those that can't be used."""

from __future__ import annotations

from typing import Any

from rich.text import Text

from prism.cli.connection import reported
from prism.cli.options import Json
from prism.cli.screen import print_json, print_table, printable, stdout, table
from prism.plugins.report import PluginReport


def plugins(as_json: Json = False) -> None:
    """List the installed backends.

    What they fill, what they can do, and the broken ones with their error.
    """
    from prism.plugins.loader import report  # noqa: PLC0415 - imports every plugin there is

    with reported():
        found = report()
    if as_json:
        print_json([_as_json(plugin) for plugin in found])
        return
    listing = table("type", "slot", "capabilities", "distribution")
    for plugin in found:
        entry = plugin.entry
        origin = Text(f"{entry.distribution} {entry.version}")
        if plugin.error is not None:
            broken = Text(printable(plugin.error.message), style="red")
            listing.add_row(Text(entry.type, style="red"), Text("broken", style="red"), broken, origin)
            continue
        name = Text(entry.type)
        for kind, spec in plugin.slots.items():
            listing.add_row(name, kind.value, ", ".join(sorted(spec.capabilities)) or "-", origin)
            name = origin = Text("")
    print_table(stdout(), listing)


def _as_json(plugin: PluginReport) -> dict[str, Any]:
    entry = plugin.entry
    return {
        "type": entry.type,
        "distribution": entry.distribution,
        "version": entry.version,
        "slots": {
            kind.value: {"capabilities": sorted(spec.capabilities), "summary": spec.summary}
            for kind, spec in plugin.slots.items()
        },
        "error": None if plugin.error is None else plugin.error.message,
    }
