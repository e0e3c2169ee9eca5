"""The client: one API over a proxy (gRPC) or a coordinator in the same process.

Importing it loads no gRPC, no coordinator and no plugin; opening a client does. Nothing below may import it.
"""
