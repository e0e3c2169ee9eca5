"""Stands in for `prism_conformance.registry`, where this lives."""

from prism_conformance.registry import RegistryContract

__all__ = ["RegistryContract"]
