"""Filters as every backend must mean them: `corpus` has the decided meanings as data, the others draw from a seed.

The checks that use them are in `prism_conformance.registry.pushdown`.
"""
