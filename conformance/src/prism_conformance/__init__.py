"""The contract of Prism's backends as tests anyone can run against a plugin, and real servers to run them on.

Derive from the contract of each slot that a plugin fills, name the plugin, and run pytest. Nothing is imported here
before it is used: pytest loads a module of this package in every run of an environment that has it.
"""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from prism_conformance.checks import replaces
    from prism_conformance.durability import DurabilityContract
    from prism_conformance.harness import Subject, TurnableClock
    from prism_conformance.messaging import MessagingContract
    from prism_conformance.registry import RegistryContract

__all__ = ["DurabilityContract", "MessagingContract", "RegistryContract", "Subject", "TurnableClock", "replaces"]

_MODULES = {
    "DurabilityContract": "durability",
    "MessagingContract": "messaging",
    "RegistryContract": "registry",
    "Subject": "harness",
    "TurnableClock": "harness",
    "replaces": "checks",
}


def __getattr__(name: str) -> Any:
    """Imports a public name when it is first used."""
    if name not in _MODULES:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    return getattr(import_module(f"{__name__}.{_MODULES[name]}"), name)
