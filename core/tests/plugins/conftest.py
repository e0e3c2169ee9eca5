"""Throw-away distributions with entry points, on a search path of their own."""

from __future__ import annotations

import itertools
import textwrap
from dataclasses import dataclass
from pathlib import Path

import pytest
from prism.plugins.loader import PluginLoader

_numbers = itertools.count()

SOUND = """
from prism.plugins.hooks import hookimpl
from prism.plugins.spec import Capability, SlotKind, SlotSpec
from pydantic import BaseModel, ConfigDict


class Options(BaseModel):
    model_config = ConfigDict(extra="forbid")


def make(config, context):
    return (config, context)


@hookimpl
def prism_slots():
    return [SlotSpec(slot=SlotKind.REGISTRY, type="TYPE", config=Options, factory=__name__ + ":make")]
"""


@dataclass
class Site:
    """A folder that stands on sys.path, into which distributions are written."""

    folder: Path

    def install(self, name: str, source: str = SOUND, distribution: str = "", version: str = "1.0") -> str:
        """Writes a distribution with one plugin module and its entry point; returns the module's name."""
        distribution = distribution or f"dist-{name}"
        module = f"plugin_under_test_{next(_numbers)}"
        (self.folder / f"{module}.py").write_text(textwrap.dedent(source).replace("TYPE", name))
        self.write_metadata(distribution, version, f"[prism.backends.v1]\n{name} = {module}\n")
        return module

    def write_metadata(self, name: str, version: str, entry_points: str) -> None:
        info = self.folder / f"{name.replace('-', '_')}-{version}.dist-info"
        info.mkdir()
        (info / "METADATA").write_text(f"Metadata-Version: 2.1\nName: {name}\nVersion: {version}\n")
        (info / "entry_points.txt").write_text(entry_points)

    def loader(self) -> PluginLoader:
        return PluginLoader([str(self.folder)])


@pytest.fixture
def site(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Site:
    monkeypatch.syspath_prepend(str(tmp_path))
    return Site(tmp_path)
