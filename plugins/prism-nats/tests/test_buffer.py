"""A subscription's buffer says where publications may be missing."""

from __future__ import annotations

from prism.slots.messaging import Event, Interrupted, Publication, Received, Topic, TopicKind
from prism_nats.buffer import LossyBuffer


def event(payload: bytes) -> Received:
    return Received(Topic(TopicKind.INBOX, "proxy"), Publication(payload))


def shown(events: list[Event]) -> list[bytes]:
    return [b"gap" if isinstance(each, Interrupted) else each.publication.payload for each in events]


async def test_gap_stands_before_what_comes_in_while_the_connection_is_coming_back() -> None:
    buffer = LossyBuffer()
    buffer.put(event(b"before"))
    buffer.connection_lost()
    buffer.put(event(b"first"))
    buffer.put(event(b"second"))
    buffer.connection_back()
    buffer.put(event(b"third"))
    assert shown(await buffer.take()) == [b"before", b"gap", b"first", b"second", b"gap", b"third"]


async def test_gap_is_told_once_where_nothing_came_in_meanwhile() -> None:
    buffer = LossyBuffer()
    buffer.connection_lost()
    buffer.connection_back()
    buffer.put(event(b"after"))
    assert shown(await buffer.take()) == [b"gap", b"after"]
