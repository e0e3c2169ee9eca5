"""The proxy: Prism's operations over gRPC, and health, readiness and metrics over HTTP.

Imports everything below it; only `cli` imports it. Needs the extra `server`.
"""
