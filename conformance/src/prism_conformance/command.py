"""`prism conformance`: runs the suite against an installed plugin, in a pytest of its own."""

from __future__ import annotations

import json
import os
import shlex
import subprocess
import sys
import tempfile
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, Final

from prism.config.options import validate_options
from prism.config.source import Source
from prism.filters.suggest import did_you_mean
from prism.model.errors import InvalidArgument, InvalidConfig, PluginError
from prism.plugins.loader import load
from prism.plugins.spec import SlotKind, SlotSpec

import prism_conformance
from prism_conformance.checks import checks_of

_CONTRACTS: Final = {
    SlotKind.REGISTRY: "RegistryContract",
    SlotKind.MESSAGING: "MessagingContract",
    SlotKind.DURABILITY: "DurabilityContract",
}
_SETTINGS: Final = "[pytest]\nasyncio_default_fixture_loop_scope = function\n"
_MODULE: Final = """\
import json
import prism_conformance

class Test{contract}(prism_conformance.{contract}):
    type = {type!r}
    config = json.loads({config!r})
"""


def run(
    type: str,  # noqa: A002 - the configuration's word
    config: Mapping[str, Any] | Source,
    slots: Sequence[SlotKind] = (),
    ids: Sequence[str] = (),
    seed: int | None = None,
) -> dict[str, Any]:
    """Runs the checks of a plugin's slots and returns their outcomes, as `--conformance-json` writes them.

    Relative paths in the options are of the current folder, as they are for `prism serve`.

    Args:
        type: the name of the plugin's entry point.
        config: options of its slots; those opened with them must share what they hold. Mistakes in those of a Source
            are told by its file and line.
        slots: which slots to check; all that the plugin fills by default.
        ids: the checks to run, `REG-010`; all by default.
        seed: of the generated cases; a new one by default.

    Raises:
        PluginError: the plugin isn't there or is broken, doesn't fill the slot, or no check was run.
        InvalidConfig: a slot refuses the options.
        InvalidArgument: there is no such check, or none of these slots has it.
    """
    filled = load(type).slots
    missing = [slot for slot in slots if slot not in filled]
    if missing:
        raise PluginError(f'type "{type}" fills {" and ".join(filled)}, not {" and ".join(missing)}')
    wanted = list(slots) or list(filled)
    if ids:
        _check_ids(type, wanted, ids)
    source = config if isinstance(config, Source) else Source(config)
    options = _options(source, [filled[slot] for slot in wanted])
    with tempfile.TemporaryDirectory(prefix="prism-conformance-") as folder:
        found = _pytest(Path(folder), type, options, wanted, ids, seed)
    for contract in found["contracts"]:
        for id_, check in contract["checks"].items():
            for failure in check["failures"]:
                failure["replay"] = _replay(contract, id_, source.name, failure["replay"], found["seed"])
    return found


def _check_ids(type: str, slots: Sequence[SlotKind], ids: Sequence[str]) -> None:  # noqa: A002
    """Raises InvalidArgument with every id that is no check, or none of these slots'."""
    owners: dict[str, list[SlotKind]] = {}
    for kind, name in _CONTRACTS.items():
        for check in checks_of(getattr(prism_conformance, name)).values():
            owners.setdefault(check.id, []).append(kind)
    wrong = []
    for id_ in ids:
        if id_ not in owners:
            wrong.append(f'there is no check "{id_}"{did_you_mean(id_, owners)}')
        elif not set(owners[id_]) & set(slots):
            of = " and ".join(owners[id_])
            wrong.append(f'{id_} is a check of {of}, and what is checked of "{type}" is {" and ".join(slots)}')
    if wrong:
        raise InvalidArgument("; ".join(wrong) + "; docs/conformance.md lists the checks")


def _options(source: Source, specs: Sequence[SlotSpec]) -> Mapping[str, Any]:
    """The options, once every slot has taken them.

    Raises:
        InvalidConfig: one doesn't, or they are no mapping.
    """
    options = source.data
    if not isinstance(options, Mapping):
        raise InvalidConfig(f"{source.name}: must hold a mapping of the slot's options, not {options!r:.60}")
    for spec in specs:
        validate_options(spec, options, (), source.mistakes)
    source.mistakes[:] = dict.fromkeys(source.mistakes)  # slots that share a model find the same
    source.check()
    return options


def _replay(contract: Mapping[str, Any], id_: str, file: str, replay: str, seed: int) -> str:
    """The command that runs one check again; what pytest says names a module that is gone."""
    words = ["prism", "conformance", contract["type"]]
    words += [*(("--config", file) if file else ()), "--slot", contract["slot"], "--check", id_]
    return shlex.join([*words, *(("--seed", str(seed)) if "--hypothesis-seed" in replay else ())])


def _pytest(
    folder: Path,
    type: str,  # noqa: A002
    config: Mapping[str, Any],
    slots: Sequence[SlotKind],
    ids: Sequence[str],
    seed: int | None,
) -> dict[str, Any]:
    modules = []
    for slot in slots:
        modules.append(folder / f"test_{slot}.py")
        text = _MODULE.format(contract=_CONTRACTS[slot], type=type, config=json.dumps(dict(config)))
        modules[-1].write_text(text, encoding="utf-8")
    (folder / "pytest.ini").write_text(_SETTINGS, encoding="utf-8")
    results = folder / "results.json"
    # -P: what lies in the current folder is no module.
    command = [sys.executable, "-P", "-m", "pytest", "-q", "-p", "no:cacheprovider", "-c", str(folder / "pytest.ini")]
    command += ["--conformance-json", str(results), *(["-k", " or ".join(ids)] if ids else [])]
    command += [*([f"--hypothesis-seed={seed}"] if seed is not None else []), *map(str, modules)]
    env = {name: value for name, value in os.environ.items() if not name.startswith("PYTEST_")}
    env["HYPOTHESIS_STORAGE_DIRECTORY"] = str(folder / "hypothesis")
    done = subprocess.run(command, env=env, capture_output=True, text=True, check=False)  # noqa: S603 - ours
    found: dict[str, Any] = json.loads(results.read_text(encoding="utf-8")) if results.exists() else {}
    if not found.get("contracts"):
        raise PluginError(f"no check was run; pytest ended with {done.returncode}:\n{done.stdout[-2000:]}{done.stderr}")
    return found
