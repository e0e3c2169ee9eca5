"""Stands in for `prism_conformance.awkward`, where this lives."""

from prism_conformance.awkward import DOCUMENTS, NAMES

__all__ = ["DOCUMENTS", "NAMES"]
