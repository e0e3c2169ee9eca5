"""Finds plugins by their entry points and loads the ones that a configuration names (design section 4).

A broken plugin that nobody names is only reported. A named one fails with its cause, two of one name fail
naming both distributions, and one built for a newer plugin API is refused naming both versions.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Sequence
from functools import cache
from importlib import import_module
from typing import TYPE_CHECKING, Any

import importlib_metadata
import pluggy

from prism.filters.suggest import did_you_mean
from prism.model.errors import PluginError
from prism.plugins.contract import check_specs
from prism.plugins.hooks import PROJECT, Hooks
from prism.plugins.report import LoadedPlugin, PluginEntry, PluginReport
from prism.plugins.spec import ENTRY_POINT_GROUP, SlotKind, SlotSpec

if TYPE_CHECKING:
    from pydantic import BaseModel

KNOWN_DISTRIBUTIONS = {
    "memory": "prism-multicast",
    "redis": "prism-redis",
    "postgres": "prism-postgres",
    "nats": "prism-nats",
    "kafka": "prism-kafka",
    "aws": "prism-aws",
    "dynamodb": "prism-aws",
    "sns": "prism-aws",
    "sqs": "prism-aws",
}
"""Types we know of, installed or not, and the distribution of each."""

_UNREADABLE = ""
"""The module of an entry that stands for a file of entry points too garbled to read."""

Factory = Callable[["BaseModel", Any], Any]
"""Makes an unopened backend from its configuration and a prism.slots.SlotContext."""


class PluginLoader:
    """The plugins of one search path. What was found and loaded is kept, so every question is cheap the second time.

    Args:
        path: directories to look for distributions in; None is `sys.path`.
    """

    def __init__(self, path: Sequence[str] | None = None) -> None:
        self._path = path
        self._entries: tuple[PluginEntry, ...] | None = None
        self._loaded: dict[str, LoadedPlugin | PluginError] = {}

    @classmethod
    def of(cls, specs: Iterable[SlotSpec]) -> PluginLoader:
        """A loader that knows exactly these slots, installed or not: for an application's own backend, and for tests.

        Raises:
            PluginError: a slot breaks the plugin contract.
        """
        given: dict[str, list[SlotSpec]] = {}
        for spec in specs:
            given.setdefault(spec.type, []).append(spec)
        loader = cls(path=())
        entries = tuple(PluginEntry(type, "given by the application", "-", "-") for type in sorted(given))  # noqa: A001
        loader._entries = entries
        for entry in entries:
            loader._loaded[entry.type] = _checked(entry, given[entry.type])
        return loader

    def available(self) -> list[PluginEntry]:
        """Every installed entry point, by type and distribution. Imports none of them."""
        if self._entries is None:
            found = _entries(self._path)
            self._entries = tuple(sorted(found, key=lambda entry: (entry.type, entry.distribution)))
        return list(self._entries)

    def load(self, type: str) -> LoadedPlugin:  # noqa: A002 - the configuration's word
        """Imports the plugin of this type and checks what it declares.

        Raises:
            PluginError: there is none, there are two, it fails to import, or it breaks the plugin contract.
        """
        if type not in self._loaded:
            try:
                self._loaded[type] = _load(self._single(type))
            except PluginError as error:
                self._loaded[type] = error
        loaded = self._loaded[type]
        if isinstance(loaded, PluginError):
            raise loaded.with_traceback(None)
        return loaded

    def resolve(self, kind: SlotKind, type: str) -> SlotSpec:  # noqa: A002
        """The slot that this type fills.

        Raises:
            PluginError: as `load`, and where the type can't fill this slot; names the types that can.
        """
        slots = self.load(type).slots
        if kind in slots:
            return slots[kind]
        fills = " and ".join(slots)
        others = ", ".join(spec.type for spec in self.installed() if spec.slot is kind)
        text = f'type "{type}" fills {fills}, not {kind}; installed types that fill {kind}: {others or "none"}'
        raise PluginError(text)

    def report(self) -> list[PluginReport]:
        """Loads every installed plugin and says how each fares. Raises for none of them."""
        reports = []
        for entry in self.available():
            try:
                loaded = self.load(entry.type)
            except PluginError as error:
                reports.append(PluginReport(entry, error=error))
            else:
                reports.append(PluginReport(entry, loaded.slots))
        return reports

    def installed(self) -> list[SlotSpec]:
        """The slots of all plugins that work, by type. Loads every plugin."""
        return [spec for report in self.report() for spec in report.slots.values()]

    def _single(self, wanted: str) -> PluginEntry:
        entries = [entry for entry in self.available() if entry.type == wanted]
        if len(entries) == 1:
            return entries[0]
        if not entries:
            raise PluginError(self._unknown(wanted))
        both = " and ".join(f"{entry} ({entry.module})" for entry in entries)
        raise PluginError(f'type "{wanted}" is claimed by {both}; uninstall all but one')

    def _unknown(self, wanted: str) -> str:
        types = sorted({entry.type for entry in self.available()})
        text = f'no installed plugin has the type "{wanted}"; installed are {", ".join(types) or "none"}'
        if wanted in KNOWN_DISTRIBUTIONS:
            return f"{text}; it comes with {_source(wanted)}"
        hint = did_you_mean(wanted, types)
        if hint:
            return text + hint
        for known in KNOWN_DISTRIBUTIONS:
            if did_you_mean(wanted, [known]):
                return f'{text}; did you mean "{known}"? It comes with {_source(known)}'
        return text


@cache
def default_loader() -> PluginLoader:
    """The loader of this process, over `sys.path` as it is when first asked."""
    return PluginLoader()


def available() -> list[PluginEntry]:
    """`PluginLoader.available` of this process."""
    return default_loader().available()


def load(type: str) -> LoadedPlugin:  # noqa: A002
    """`PluginLoader.load` of this process."""
    return default_loader().load(type)


def resolve(kind: SlotKind, type: str) -> SlotSpec:  # noqa: A002
    """`PluginLoader.resolve` of this process."""
    return default_loader().resolve(kind, type)


def report() -> list[PluginReport]:
    """`PluginLoader.report` of this process."""
    return default_loader().report()


def make_factory(spec: SlotSpec) -> Factory:
    """Imports the function that makes the backends of a slot, and with it the driver library.

    Raises:
        PluginError: it can't be imported; the cause says why.
    """
    module_name, _, attribute = spec.factory.partition(":")
    place = f'the {spec.slot} slot of type "{spec.type}"'
    try:
        module = import_module(module_name)
    except Exception as error:
        text = f"{place}: importing {module_name} failed: {type(error).__name__}: {error}"
        raise PluginError(text) from error
    factory: Factory | None = getattr(module, attribute, None)
    if not callable(factory):
        raise PluginError(f"{place}: {module_name} has no function {attribute}, which its SlotSpec names")
    return factory


def _entries(path: Sequence[str] | None) -> Iterator[PluginEntry]:
    """The group's entry points; of a distribution found twice, the first on the path counts, as for imports."""
    seen: set[str] = set()
    found = importlib_metadata.distributions() if path is None else importlib_metadata.distributions(path=list(path))
    for distribution in found:
        text = distribution.read_text("entry_points.txt")
        if text is None or ENTRY_POINT_GROUP not in text:
            continue
        try:
            name, version = distribution.name, distribution.version
        except Exception:  # noqa: BLE001 - metadata too broken to have a name still shows up, as this
            name, version = "a distribution without readable metadata", "unknown"
        normal = name.lower().replace("_", "-").replace(".", "-")
        if normal in seen:
            continue
        seen.add(normal)
        try:
            points = distribution.entry_points.select(group=ENTRY_POINT_GROUP)
        except Exception:  # noqa: BLE001 - a garbled file is reported like a broken plugin
            yield PluginEntry(f"({name})", name, version, _UNREADABLE)
            continue
        for point in points:
            yield PluginEntry(point.name, name, version, point.value)


def _source(known: str) -> str:
    """A distribution and its folder in Prism's repository: a bare name could be anybody's on a package index."""
    distribution = KNOWN_DISTRIBUTIONS[known]
    folder = "core" if distribution == "prism-multicast" else f"plugins/{distribution}"
    return f"{distribution}; from a checkout of Prism: pip install ./{folder}"


def _load(entry: PluginEntry) -> LoadedPlugin:
    """Imports a plugin, asks its hook, and checks the answer."""
    if entry.module == _UNREADABLE:
        raise _broken(entry, "its entry_points.txt can't be read")
    try:
        plugin = importlib_metadata.EntryPoint(entry.type, entry.module, ENTRY_POINT_GROUP).load()
    except Exception as error:
        raise _broken(entry, f"importing {entry.module} failed: {type(error).__name__}: {error}") from error
    hooks = pluggy.PluginManager(PROJECT)
    hooks.add_hookspecs(Hooks)
    try:
        hooks.register(plugin, name=entry.type)
        hooks.check_pending()
    except Exception as error:
        raise _broken(entry, f"pluggy refuses {entry.module}: {error}") from error
    if not hooks.get_hookcallers(plugin):
        text = f"{entry.module} implements no prism_slots; mark the function with prism.plugins.hooks.hookimpl"
        raise _broken(entry, text)
    try:
        specs = [spec for answer in hooks.hook.prism_slots() for spec in answer]
    except Exception as error:
        raise _broken(entry, f"prism_slots failed: {type(error).__name__}: {error}") from error
    return _checked(entry, specs)


def _checked(entry: PluginEntry, specs: Sequence[SlotSpec]) -> LoadedPlugin:
    problems = check_specs(entry.type, specs)
    if problems:
        raise _broken(entry, "; ".join(problems))
    return LoadedPlugin(entry, {spec.slot: spec for spec in specs})


def _broken(entry: PluginEntry, text: str) -> PluginError:
    return PluginError(f'plugin "{entry.type}" of {entry}: {text}')
