"""Sessions: the identities attached to this proxy. Inboxes, acks, resume, backpressure.

Knows no transport: the gRPC edge and the embedded client both drive a `Session`, and a WebSocket edge can.
"""
