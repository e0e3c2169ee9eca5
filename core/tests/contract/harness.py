"""Stands in for `prism_conformance.harness`, where this lives."""

from prism_conformance.harness import PATIENCE, Opener, Subject, TurnableClock

__all__ = ["PATIENCE", "Opener", "Subject", "TurnableClock"]
