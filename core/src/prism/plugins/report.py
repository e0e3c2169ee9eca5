"""What is known of plugins: those installed, those loaded, those that failed."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field

from prism.model.errors import PluginError
from prism.plugins.spec import SlotKind, SlotSpec


@dataclass(frozen=True, slots=True)
class PluginEntry:
    """One entry point in the plugin group. `type` is its name, `module` what it would import."""

    type: str
    distribution: str
    version: str
    module: str

    def __str__(self) -> str:
        return f"{self.distribution} {self.version}"


@dataclass(frozen=True, slots=True)
class LoadedPlugin:
    """A plugin that was imported and whose slots were checked."""

    entry: PluginEntry
    slots: Mapping[SlotKind, SlotSpec]


@dataclass(frozen=True, slots=True)
class PluginReport:
    """How one entry point fares: the slots it fills, or why it can't be used. Exactly one of the two."""

    entry: PluginEntry
    slots: Mapping[SlotKind, SlotSpec] = field(default_factory=dict)
    error: PluginError | None = None
