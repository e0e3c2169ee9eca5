"""The few requests of Kafka's protocol that are needed to ask a broker whether it works. Not a client."""

from __future__ import annotations

import struct

from prism_conformance.servers.errors import NotReady
from prism_conformance.servers.raw_connection import RawConnection

_PRODUCE, _CREATE_TOPICS, _DELETE_TOPICS = (0, 3), (19, 2), (20, 1)
"""Keys and versions of requests: the oldest that brokers since 4.0 take, before the compact encodings."""
_TOPIC_EXISTS = 36
_CRC32C_POLYNOMIAL = 0x82F63B78


class Kafka(RawConnection):
    """A blocking connection to one broker, for topics of one partition."""

    def create_topic(self, topic: str) -> None:
        """Creates a topic with one replica; fine if it is there.

        Raises:
            OSError: the connection failed or the answer took too long.
            NotReady: the broker refused.
        """
        body = struct.pack("!i", 1) + _text(topic) + struct.pack("!ihii", 1, 1, 0, 0) + struct.pack("!i?", 1000, False)
        answer = self._request(_CREATE_TOPICS, body)
        self._check("create the topic", answer, at=8 + len(_text(topic)), allowed=_TOPIC_EXISTS)

    def produce(self, topic: str, value: bytes) -> None:
        """Stores one record, acknowledged by all replicas. Errors as `create_topic`."""
        records = _batch(value)
        body = struct.pack("!hhii", -1, -1, 1000, 1) + _text(topic) + struct.pack("!iii", 1, 0, len(records)) + records
        answer = self._request(_PRODUCE, body)
        self._check("store a record", answer, at=4 + len(_text(topic)) + 8)

    def delete_topic(self, topic: str) -> None:
        """Deletes a topic. Errors as `create_topic`."""
        answer = self._request(_DELETE_TOPICS, struct.pack("!i", 1) + _text(topic) + struct.pack("!i", 1000))
        self._check("delete the topic", answer, at=8 + len(_text(topic)))

    def _request(self, key_and_version: tuple[int, int], body: bytes) -> bytes:
        message = struct.pack("!hhi", *key_and_version, 1) + _text("probe") + body
        self._socket.sendall(struct.pack("!i", len(message)) + message)
        (size,) = struct.unpack("!i", self._exactly(4))
        return self._exactly(size)[4:]  # after the correlation id

    @staticmethod
    def _check(deed: str, answer: bytes, *, at: int, allowed: int = 0) -> None:
        (code,) = struct.unpack_from("!h", answer, at)
        if code not in (0, allowed):
            raise NotReady(f"could not {deed}: Kafka's error {code}")


def _text(text: str) -> bytes:
    data = text.encode()
    return struct.pack("!h", len(data)) + data


def _varint(number: int) -> bytes:
    """Zigzag, for numbers below 64."""
    return bytes([number << 1])


def _batch(value: bytes) -> bytes:
    """A record batch (magic 2) of one record without key or headers; the value must be shorter than 50 bytes."""
    record = b"\0\0\0\1" + _varint(len(value)) + value + _varint(0)
    records = _varint(len(record)) + record
    checked = struct.pack("!hiqqqhii", 0, 0, 0, 0, -1, -1, -1, 1) + records
    tail = struct.pack("!ibI", -1, 2, _crc32c(checked)) + checked
    return struct.pack("!qi", 0, len(tail)) + tail


def _crc32c(data: bytes) -> int:
    crc = 0xFFFFFFFF
    for byte in data:
        crc ^= byte
        for _ in range(8):
            crc = crc >> 1 ^ (_CRC32C_POLYNOMIAL if crc & 1 else 0)
    return crc ^ 0xFFFFFFFF
