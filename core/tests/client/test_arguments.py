"""What an application gives wrongly: the same InvalidArgument over a proxy, embedded and blocking."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from typing import Any, TypeAlias

import prism
import pytest
from prism import Client, InvalidArgument
from prism.client.registry import Registry
from prism.sync import Client as BlockingClient
from support.clients import embedded, remote

LONE = "\ud800"
"""A lone surrogate: a Python string that no wire takes."""
HUGE = "x" * 5_000_000

Wrong: TypeAlias = tuple[str, Callable[[Any], Any], str]


async def _entered(registry: Any, *arguments: Any, **options: Any) -> None:
    async with registry.attach(*arguments, **options):
        raise AssertionError("it was let in")


WRONG: list[Wrong] = [
    ("register an int", lambda r: r.register(5, {}), "identity: expected a string, got the number 5"),
    ("register a surrogate", lambda r: r.register(LONE, {}), "identity: text holds a lone surrogate"),
    ("replace", lambda r: r.register("a", {}, replace="yes"), 'replace: expected True or False, got the string "yes"'),
    ("replace many", lambda r: r.register_many([], replace=1), "replace: expected True or False, got the number 1"),
    ("many without pairs", lambda r: r.register_many(5), "items: expected several, got the number 5"),
    ("get an int", lambda r: r.get(5), "identity: expected a string, got the number 5"),
    ("get None", lambda r: r.get(None), "identity: expected a string, got null"),
    ("get bytes", lambda r: r.get(b"a"), "identity: expected a string, got a bytes"),
    ("get many ints", lambda r: r.get_many(["a", 5]), "identities[1]: expected a string, got the number 5"),
    (
        "get many of text",
        lambda r: r.get_many("nope"),
        'identities: expected several, got the string "nope"; write [\'',
    ),
    ("get many of nothing", lambda r: r.get_many(None), "identities: expected several, got null"),
    ("cursor", lambda r: r.enumerate(cursor=5), "cursor: expected a string, got the number 5"),
    ("sort by", lambda r: r.enumerate(sort_by=[5]), "sort_by[0]: expected a string, got the number 5"),
    ("sort by nothing", lambda r: r.enumerate(sort_by=None), "sort_by: expected several, got null"),
    ("limit", lambda r: r.enumerate(limit=2**31), "limit: expected a whole number up to 2,147,483,647"),
    ("offset", lambda r: r.enumerate(offset=2**63), "offset: expected a whole number up to"),
    ("metadata flag", lambda r: r.enumerate(include_metadata=0), "include_metadata: expected True or False"),
    ("explain", lambda r: r.explain(sort_by=[LONE]), "sort_by[0]: text holds a lone surrogate"),
    ("update an int", lambda r: r.update(5, {}), "identity: expected a string, got the number 5"),
    (
        "revision",
        lambda r: r.update("a", {}, revision="x"),
        'revision: expected a whole number from 0, got the string "x"',
    ),
    ("unregister an int", lambda r: r.unregister(5), "identity: expected a string, got the number 5"),
    ("unregister a surrogate", lambda r: r.unregister(LONE), "identity: text holds a lone surrogate"),
    ("unregister a token", lambda r: r.unregister("a", 5), "registration_id: expected a string, got the number 5"),
    ("unregister no token", lambda r: r.unregister("a", ""), "registration_id: is empty; give the one that register"),
    ("heartbeat an int", lambda r: r.heartbeat(5), "identity: expected several, got the number 5"),
    ("heartbeat a token", lambda r: r.heartbeat("a", registration_id=5), "registration_id: expected a string"),
    ("message", lambda r: r.multicast({}, LONE), "message: text holds a lone surrogate, which is not valid Unicode"),
    (
        "content type",
        lambda r: r.multicast({}, b"x", content_type=5),
        "content_type: expected a string, got the number 5",
    ),
    ("content type text", lambda r: r.multicast({}, b"x", content_type=LONE), "content_type: text holds a lone"),
    ("message id", lambda r: r.multicast({}, "x", message_id=5), "message_id: expected a string, got the number 5"),
    ("get multicast", lambda r: r.get_multicast(5), "message_id: expected a string, got the number 5"),
    ("get multicast of nothing", lambda r: r.get_multicast(""), "message_id: is empty; give the one from the result"),
    ("delivery", lambda r: r.multicast({}, "x", delivery=[]), "delivery: a list is none of at-most-once"),
]
ATTACHED: list[Wrong] = [
    ("an int", lambda r: _entered(r, 5, {}), "identity: expected an identity or a mapping of many, got the number 5"),
    ("a mapped int", lambda r: _entered(r, {5: {}}), "identity: expected a string, got the number 5"),
    ("a surrogate", lambda r: _entered(r, LONE, {}), "identity: text holds a lone surrogate"),
    ("a long identity", lambda r: _entered(r, HUGE, {}), "identity: 5,000,000 bytes is over the limit of 65,536"),
    ("keep", lambda r: _entered(r, "a", {}, keep="yes"), "keep: expected True or False"),
    ("partial", lambda r: _entered(r, "a", {}, partial=None), "partial: expected True or False, got null"),
    ("on event", lambda r: _entered(r, "a", {}, on_event="x"), "on_event: expected a function"),
]  # fmt: skip


def _named(cases: list[Wrong]) -> list[Any]:
    return [pytest.param(call, text, id=name) for name, call, text in cases]


@pytest.mark.parametrize(("call", "text"), _named(WRONG + ATTACHED))
async def test_a_wrong_argument_is_an_invalid_argument_on_either_transport(
    client: Client, call: Callable[[Registry], Awaitable[object]], text: str
) -> None:
    with pytest.raises(InvalidArgument) as caught:
        await call(client.registry)
    assert text in str(caught.value)
    assert caught.value.violations[0].field == text.partition(":")[0]
    assert not str(caught.value).isspace()
    str(caught.value).encode()


@pytest.mark.parametrize(("call", "text"), _named(WRONG))
def test_a_wrong_argument_is_an_invalid_argument_in_the_blocking_client(call: Callable[[Any], Any], text: str) -> None:
    with BlockingClient.embedded() as client, pytest.raises(InvalidArgument) as caught:
        call(client.registry)
    assert text in str(caught.value)


async def test_of_many_each_wrong_one_fails_alone(client: Client) -> None:
    registry = client.registry
    stored = await registry.register_many([("a", {}), (5, {}), (LONE, {}), ("", {}), ("b", {"x": HUGE}), ("c", {})])  # type: ignore[list-item]
    assert [type(outcome).__name__ for outcome in stored] == [
        "Registered",
        "InvalidArgument",
        "InvalidArgument",
        "InvalidArgument",
        "LimitExceeded",
        "Registered",
    ]
    renewed = await registry.heartbeat(["a", 5, "", "c"], ttl=60)  # type: ignore[list-item]
    assert [type(outcome).__name__ for outcome in renewed] == [
        "datetime",
        "InvalidArgument",
        "InvalidArgument",
        "datetime",
    ]
    removed = await registry.unregister_many({"a": "", "x\n": "r", 5: "r", "c": None})  # type: ignore[dict-item]
    assert [type(outcome).__name__ for outcome in removed[:3]] == ["InvalidArgument"] * 3
    assert removed[3] is True
    assert [identity.identity for identity in await registry.enumerate()] == ["a"]


async def test_waiting_for_something_that_is_no_time_is_refused(client: Client) -> None:
    async with client.registry.attach("a", {}) as inbox:
        for wrong in ("1", True, float("nan")):
            with pytest.raises(InvalidArgument, match="timeout: expected seconds"):
                await inbox.receive(timeout=wrong)  # type: ignore[arg-type]
        for past in (0, -1):
            with pytest.raises(TimeoutError):
                await inbox.receive(timeout=past)


@pytest.mark.parametrize("open_client", [remote, embedded], ids=["remote", "embedded"])
async def test_a_wrong_identity_that_is_added_harms_no_other_on_its_stream(open_client: Any) -> None:
    events: list[prism.InboxEvent] = []
    async with open_client() as client, client.registry.attach("good", {"k": 1}, on_event=events.append) as inbox:
        for wrong, metadata in ((LONE, {}), (5, {}), ("\n", {}), ("x" * 600, {}), (HUGE, {}), ("big", {"x": HUGE})):
            with pytest.raises(InvalidArgument):
                await inbox.add(wrong, metadata)  # type: ignore[arg-type]
        for unknown in (LONE, 5, []):
            with pytest.raises(InvalidArgument, match="identity: "):
                await inbox.remove(unknown)  # type: ignore[arg-type]
        assert inbox.identities == ("good",)
        assert (await client.registry.multicast({"k": 1}, "still there")).delivered_count == 1
        assert (await inbox.receive(timeout=10)).content == "still there"
    assert events == []
