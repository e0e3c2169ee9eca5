"""Stands in for `prism_conformance.messaging`, where this lives."""

from prism_conformance.messaging import MessagingContract

__all__ = ["MessagingContract"]
