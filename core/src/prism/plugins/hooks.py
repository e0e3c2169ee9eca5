"""The hook that a plugin implements, on pluggy."""

from __future__ import annotations

from collections.abc import Iterable

import pluggy

from prism.plugins.spec import SlotSpec

PROJECT = "prism"

hookspec = pluggy.HookspecMarker(PROJECT)
hookimpl = pluggy.HookimplMarker(PROJECT)
"""Marks a plugin's `prism_slots`."""


class Hooks:
    """The hook specification."""

    @hookspec
    def prism_slots(self) -> Iterable[SlotSpec]:  # type: ignore[empty-body]
        """Returns the slots this plugin can fill, one SlotSpec each.

        Called once, when a configuration names the plugin (or `prism plugins` lists it). It must be quick,
        do no I/O, and import no driver library.
        """
