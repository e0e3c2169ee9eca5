"""The contract of Prism's backends as tests anyone can run against a plugin, and real servers to run them on.

Nothing is imported here: pytest loads `prism_conformance.servers.pytest_plugin` in every run of an environment
that has this distribution, so that must stay cheap.
"""
