"""`prism conformance`: runs the suite against an installed plugin, in a pytest of its own."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import tempfile
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, Final

from prism.model.errors import InvalidConfig, PluginError
from prism.plugins.loader import load
from prism.plugins.spec import SlotKind

_CONTRACTS: Final = {
    SlotKind.REGISTRY: "RegistryContract",
    SlotKind.MESSAGING: "MessagingContract",
    SlotKind.DURABILITY: "DurabilityContract",
}
_MODULE: Final = """\
import json
import prism_conformance

class Test{contract}(prism_conformance.{contract}):
    type = {type!r}
    config = json.loads({config!r})
"""


def run(
    type: str,  # noqa: A002 - the configuration's word
    config: Mapping[str, Any],
    slots: Sequence[SlotKind] = (),
    chosen: str = "",
) -> dict[str, Any]:
    """Runs the checks of a plugin's slots and returns their outcomes, as `--conformance-json` writes them.

    Args:
        type: the name of the plugin's entry point.
        config: options of its slots; those opened with them must share what they hold.
        slots: which slots to check; all that the plugin fills by default.
        chosen: a pytest expression of check ids, `REG-010 or REG-011`; all by default.

    Raises:
        PluginError: the plugin isn't there or is broken, doesn't fill the slot, or no check was run.
        InvalidConfig: a slot refuses the options.
    """
    filled = load(type).slots
    missing = [slot for slot in slots if slot not in filled]
    if missing:
        raise PluginError(f'type "{type}" fills {" and ".join(filled)}, not {" and ".join(missing)}')
    wanted = list(slots) or list(filled)
    for slot in wanted:
        try:
            filled[slot].config(**config)
        except ValueError as error:
            raise InvalidConfig(f'the {slot} slot of type "{type}" refuses the options: {error}') from error
    with tempfile.TemporaryDirectory(prefix="prism-conformance-") as folder:
        return _pytest(Path(folder), type, config, wanted, chosen)


def _pytest(
    folder: Path,
    type: str,  # noqa: A002
    config: Mapping[str, Any],
    slots: Sequence[SlotKind],
    chosen: str,
) -> dict[str, Any]:
    modules = []
    for slot in slots:
        modules.append(folder / f"test_{slot}.py")
        text = _MODULE.format(contract=_CONTRACTS[slot], type=type, config=json.dumps(dict(config)))
        modules[-1].write_text(text, encoding="utf-8")
    (folder / "pytest.ini").write_text("[pytest]\n", encoding="utf-8")
    results = folder / "results.json"
    command = [sys.executable, "-m", "pytest", "-q", "-p", "no:cacheprovider", "-c", str(folder / "pytest.ini")]
    command += ["--conformance-json", str(results), *(["-k", chosen] if chosen else []), *map(str, modules)]
    env = {name: value for name, value in os.environ.items() if not name.startswith("PYTEST_")}
    done = subprocess.run(command, cwd=folder, env=env, capture_output=True, text=True, check=False)  # noqa: S603 - ours
    found: dict[str, Any] = json.loads(results.read_text(encoding="utf-8")) if results.exists() else {}
    if not found.get("contracts"):
        raise PluginError(f"no check was run; pytest ended with {done.returncode}:\n{done.stdout[-2000:]}{done.stderr}")
    return found
