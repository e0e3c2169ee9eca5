"""Measures the figures that Prism promises, each beside its bare counterpart in the same run.

`python -m benchmarks` runs all and draws the plots; `python -m benchmarks.filters` runs one.
"""
