"""Protobuf messages of `prism.v1` to and from the model. Used by client and server; imports model, filters and v1.

Only `prism.wire.rpc` needs gRPC; nothing here does any I/O.
"""
