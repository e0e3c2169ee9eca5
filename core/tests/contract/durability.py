"""Stands in for `prism_conformance.durability`, where this lives."""

from prism_conformance.durability import DurabilityContract

__all__ = ["DurabilityContract"]
