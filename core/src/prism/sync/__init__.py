"""The client for code without `async`: the same names, blocking (RFC: use cases).

    from prism.sync import Client

    with Client("presence") as client:
        client.registry.register("alice", {"room": "engineering"}, ttl=300)
        with client.registry.attach("bob") as inbox:
            for message in inbox:
                message.ack()

A client runs an event loop in a thread of its own. It may be used from several threads at a time. At the end of the
process it closes by itself; what is attached is left then.
"""

from prism.sync.client import Client
from prism.sync.inbox import Inbox, Message
from prism.sync.registry import Registry

__all__ = ["Client", "Inbox", "Message", "Registry"]
