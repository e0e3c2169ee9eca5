"""What a server doesn't let us do is an error, never silence."""

from __future__ import annotations

import asyncio
from collections.abc import Callable

import pytest
from prism.slots.context import Code
from prism.slots.messaging import Publication, Published, Topic, TopicKind
from prism_conformance.servers import Server

from .conftest import Slots

USERS = """[
  {user: full, password: full}
  {user: few, password: few, permissions: {
    publish: ["_INBOX.>", "*.room.to.allowed"], subscribe: ["_INBOX.>", "*.room.to.allowed"]
  }}
]"""


@pytest.fixture
async def guarded(start_server: Callable[..., Server]) -> Server:
    config = {"authorization.users": USERS, "no_auth_user": "full"}
    return await asyncio.to_thread(start_server, "nats", config=config)


async def test_wrong_password_is_a_wrong_configuration(guarded: Server, slots: Slots) -> None:
    with pytest.raises(Exception) as caught:  # noqa: PT011 - whatever it is, `classify` must know it
        await slots.messaging(guarded, user="full", password="wrong")
    assert slots.opened[-1].classify(caught.value) is Code.INVALID_CONFIG


async def test_what_is_not_permitted_is_refused(guarded: Server, slots: Slots) -> None:
    slot = await slots.messaging(guarded, user="few", password="few")
    allowed, forbidden = Topic(TopicKind.IDENTITY, "allowed"), Topic(TopicKind.IDENTITY, "forbidden")
    async with await slot.subscribe() as subscription:
        await subscription.add([allowed])
        assert await slot.publish(Publication(b"x"), [allowed]) == [Published()]
        for refused in (subscription.add([forbidden]), slot.publish(Publication(b"x"), [forbidden])):
            with pytest.raises(Exception, match="permissions violation") as caught:
                await refused
            assert slot.classify(caught.value) is Code.INVALID_CONFIG
        assert await slot.publish(Publication(b"x"), [allowed]) == [Published()]
