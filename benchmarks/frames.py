"""The bytes of the wire contract that raw benchmarks send, and the sizes of those that come back."""

from __future__ import annotations

from typing import Any

import grpc
from prism.v1 import attach_pb2, registry_pb2

SERVICE = "/prism.v1.MulticastRegistryService"
ATTACH = f"{SERVICE}/Attach"
PAYLOAD = bytes(range(256))
"""256 bytes, the size of the design's measurements."""


def attach_frame(namespace: str, identities: list[str], room: str) -> str:
    """The first frame of an Attach stream, in hexadecimal."""
    metadata = b'{"room":"%s"}' % room.encode()
    items = [
        attach_pb2.AttachIdentity(identity=identity, metadata_json=metadata, ttl_seconds=600) for identity in identities
    ]
    return attach_pb2.AttachRequest(attach=items, namespace=namespace).SerializeToString().hex()


def delivery_bytes(handles: int) -> int:
    """The size of a delivery of PAYLOAD to that many identities of one stream; a single one needs no handles."""
    message = attach_pb2.DeliveredMessage(
        message_id="0" * 32, payload=PAYLOAD, content_type="application/octet-stream", sent_at_us=1_760_000_000_000_000
    )
    numbers = range(handles) if handles > 1 else ()
    delivery = attach_pb2.Delivery(message=message, handles=numbers)
    return attach_pb2.AttachResponse(events=[attach_pb2.AttachEvent(delivery=delivery)]).ByteSize()


class RawSender:
    """Multicasts over gRPC with the generated messages and nothing around them."""

    def __init__(self, address: str, namespace: str) -> None:
        self.channel: Any = grpc.aio.insecure_channel(address, options=[("grpc.max_receive_message_length", 16 << 20)])
        self.namespace = namespace
        self.call = self.channel.unary_unary(
            f"{SERVICE}/Multicast",
            request_serializer=registry_pb2.MulticastRequest.SerializeToString,
            response_deserializer=registry_pb2.MulticastResponse.FromString,
        )

    async def send(self, room: str, timeout_ms: int = 60_000) -> registry_pb2.MulticastResponse:
        """Sends PAYLOAD to everyone in a room and waits for all receipts."""
        request = registry_pb2.MulticastRequest(
            payload=PAYLOAD, timeout_ms=timeout_ms, namespace=self.namespace, columnar=True
        )
        request.filter.json = f'{{"room": "{room}"}}'
        response: registry_pb2.MulticastResponse = await self.call(request)
        return response

    async def close(self) -> None:
        """Closes the channel."""
        await self.channel.close()
