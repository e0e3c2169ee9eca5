"""The operations, over a proxy and embedded alike."""

from __future__ import annotations

import asyncio
from datetime import UTC, datetime, timedelta
from typing import Any

import prism
import pytest
from prism import Client, F, Filter, Identity, Registered, Status
from support.clients import OpenClient

ROOMS = {f"user-{i}": {"room": "a" if i % 2 else "b", "n": i} for i in range(10)}


async def test_an_identity_is_read_back_as_it_was_registered(client: Client) -> None:
    registered = await client.registry.register("alice", {"room": "x", "deep": [1, {"y": None}]}, ttl=60)
    found = await client.registry.get("alice")
    assert found.identity == "alice"
    assert found.metadata == {"room": "x", "deep": [1, {"y": None}]}
    assert found.revision == registered.revision
    assert found.registered_at == found.updated_at == registered.registered_at
    assert found.expires_at == registered.expires_at == registered.registered_at + timedelta(seconds=60)
    assert found.attached is False


async def test_an_identity_without_ttl_never_expires(client: Client) -> None:
    assert (await client.registry.register("alice", ttl=0)).expires_at is None
    assert (await client.registry.get("alice")).expires_at is None


async def test_a_ttl_may_be_a_timedelta(client: Client) -> None:
    registered = await client.registry.register("alice", ttl=timedelta(minutes=1))
    assert registered.expires_at == registered.registered_at + timedelta(seconds=60)


@pytest.mark.parametrize("ttl", [0.5, timedelta(milliseconds=1500), -1, "1", True, float("nan"), float("inf"), 10**12])
async def test_a_ttl_that_is_not_whole_seconds_is_refused(client: Client, ttl: Any) -> None:
    with pytest.raises(prism.InvalidArgument, match="ttl: "):
        await client.registry.register("alice", ttl=ttl)


async def test_a_ttl_over_the_maximum_is_told_by_the_argument_in_plain_digits(open_client: OpenClient) -> None:
    config = {"namespaces": [{"name": "default", "ttl": {"max": "1d"}}]}
    text = "ttl: 1,000,000 s is over this namespace's maximum of 86,400 s"
    async with open_client(config) as client:
        for call in (client.registry.register("a", ttl=1_000_000), client.registry.heartbeat("a", ttl=1_000_000)):
            with pytest.raises(prism.InvalidArgument) as caught:
                await call
            assert caught.value.message == text
            assert [violation.field for violation in caught.value.violations] == ["ttl"]
        with pytest.raises(prism.InvalidArgument, match="ttl: 1,000,000 s") as caught:
            async with client.registry.attach("a", {}, ttl=1_000_000):
                pass
        assert [violation.field for violation in caught.value.violations] == ["ttl"]


async def test_registering_twice_is_an_error_unless_replacing_is_asked_for(client: Client) -> None:
    await client.registry.register("alice", {"v": 1})
    with pytest.raises(prism.AlreadyExists, match="'alice' is registered already") as caught:
        await client.registry.register("alice", {"v": 2})
    assert caught.value.details["identity"] == "alice"
    await client.registry.register("alice", {"v": 3}, replace=True)
    assert (await client.registry.get("alice")).metadata == {"v": 3}


async def test_changing_a_mapping_afterwards_changes_nothing(client: Client) -> None:
    metadata = {"tags": ["a"]}
    registering = client.registry.register("alice", metadata)
    task = asyncio.create_task(registering)
    await asyncio.sleep(0)
    metadata["tags"].append("b")
    await task
    assert (await client.registry.get("alice")).metadata == {"tags": ["a"]}


async def test_metadata_of_an_identity_is_the_readers_own(client: Client) -> None:
    await client.registry.register("alice", {"tags": ["a"]})
    first = await client.registry.get("alice")
    first.metadata["tags"].append("b")
    assert first.metadata == {"tags": ["a", "b"]}
    assert (await client.registry.get("alice")).metadata == {"tags": ["a"]}


@pytest.mark.parametrize(
    "metadata",
    [{"x": float("nan")}, {"x": {1: 2}}, {"x": object()}, {"x": 2**63}, {"x": "\ud800"}, ["x"], b"[1]", b"{"],
)
async def test_metadata_that_is_not_json_is_refused(client: Client, metadata: Any) -> None:
    with pytest.raises(prism.InvalidMetadata):
        await client.registry.register("alice", metadata)


async def test_sixty_four_bit_integers_survive(client: Client) -> None:
    await client.registry.register("alice", {"least": -(2**63), "most": 2**63 - 1})
    assert (await client.registry.get("alice")).metadata == {"least": -(2**63), "most": 2**63 - 1}


@pytest.mark.parametrize("identity", ["", "a\nb", "x" * 513])
async def test_an_identity_that_can_be_none_is_refused(client: Client, identity: str) -> None:
    with pytest.raises(prism.InvalidArgument, match="identity"):
        await client.registry.register(identity)


async def test_an_unknown_identity_is_not_found(client: Client) -> None:
    with pytest.raises(prism.NotFound, match="'nobody' is not registered"):
        await client.registry.get("nobody")


async def test_many_are_registered_and_each_fails_alone(client: Client) -> None:
    await client.registry.register("b")
    outcomes = await client.registry.register_many([("a", {}), ("b", {}), ("c", {"x": float("inf")}), ("d", {})])
    kinds = [type(outcome) for outcome in outcomes]
    assert kinds == [Registered, prism.AlreadyExists, prism.InvalidMetadata, Registered]
    assert await client.registry.count() == 3


async def test_many_are_registered_each_for_its_own_time(client: Client) -> None:
    ttls = {"minute": 60, "hour": timedelta(hours=1), "ever": 0, "usual": None, "negative": -1, "half": 0.5}
    outcomes = await client.registry.register_many(((name, {}) for name in [*ttls, "unnamed"]), ttl=ttls)
    lives = [
        (o.expires_at - o.registered_at).total_seconds() if isinstance(o, Registered) and o.expires_at else type(o)
        for o in outcomes
    ]
    bad = prism.InvalidArgument
    assert lives == [60, 3600, Registered, lives[3], bad, bad, lives[3]]


async def test_many_with_an_error_can_raise(client: Client) -> None:
    await client.registry.register("b")
    with pytest.raises(prism.AlreadyExists):
        await client.registry.register_many({"a": {}, "b": {}}, raise_on_error=True)


async def test_more_than_a_batch_are_registered_in_order(client: Client) -> None:
    outcomes = await client.registry.register_many((f"{i:05}", {"n": i}) for i in range(4_500))
    assert [outcome.identity for outcome in outcomes if isinstance(outcome, Registered)] == [
        f"{i:05}" for i in range(4_500)
    ]
    assert await client.registry.count() == 4_500


async def test_items_that_are_no_pairs_are_refused(client: Client) -> None:
    with pytest.raises(prism.InvalidArgument, match="pairs"):
        await client.registry.register_many(["alice"])  # type: ignore[list-item]


async def test_many_are_read_in_the_order_asked(client: Client) -> None:
    await client.registry.register_many(ROOMS)
    found = await client.registry.get_many(["user-3", "nobody", "user-1"])
    assert [identity.identity for identity in found] == ["user-3", "user-1"]


@pytest.mark.parametrize(
    "source",
    [
        {"room": "a", "n.lt": 5},
        Filter(room="a", n__lt=5),
        Filter().eq("room", "a").lt("n", 5),
        (F.room == "a") & (F.n < 5),
    ],
)
async def test_a_filter_may_be_written_in_any_form(client: Client, source: Any) -> None:
    await client.registry.register_many(ROOMS)
    assert {found.identity for found in await client.registry.enumerate(source)} == {"user-1", "user-3"}
    assert await client.registry.count(source) == 2


async def test_an_enumeration_is_sorted_limited_and_offset(client: Client) -> None:
    await client.registry.register_many(ROOMS)
    found = await client.registry.enumerate({"room": "a"}, sort_by="n desc", limit=2, offset=1)
    assert [identity.metadata["n"] for identity in found] == [7, 5]


async def test_an_enumeration_can_be_iterated(client: Client) -> None:
    await client.registry.register_many(ROOMS)
    assert {found.identity async for found in client.registry.enumerate()} == set(ROOMS)


async def test_an_iteration_can_be_left_early(client: Client) -> None:
    await client.registry.register_many(ROOMS)
    async for found in client.registry.enumerate(sort_by=["n"]):
        assert found.identity == "user-0"
        break
    assert await client.registry.count() == 10


async def test_pages_carry_cursors_that_go_on(client: Client) -> None:
    await client.registry.register_many(ROOMS)
    pages = [page async for page in client.registry.enumerate(sort_by=["n"]).pages(4)]
    assert [len(page) for page in pages] == [4, 4, 2]
    assert [page.next_cursor is None for page in pages] == [False, False, True]
    rest = await client.registry.enumerate(sort_by=["n"], cursor=pages[0].next_cursor)
    assert [identity.metadata["n"] for identity in rest] == [4, 5, 6, 7, 8, 9]


async def test_pages_stop_at_the_limit(client: Client) -> None:
    await client.registry.register_many(ROOMS)
    pages = [page async for page in client.registry.enumerate(sort_by=["n"], limit=6, offset=1).pages(4)]
    assert [[identity.metadata["n"] for identity in page] for page in pages] == [[1, 2, 3, 4], [5, 6]]


async def test_an_enumeration_used_twice_asks_twice(client: Client) -> None:
    enumeration = client.registry.enumerate()
    assert await enumeration == []
    await client.registry.register("alice")
    assert [found.identity for found in await enumeration] == ["alice"]


async def test_names_can_be_read_without_metadata(client: Client) -> None:
    await client.registry.register("alice", {"x": 1})
    (found,) = await client.registry.enumerate(include_metadata=False)
    assert found.identity == "alice"
    with pytest.raises(LookupError, match="include_metadata"):
        found.metadata  # noqa: B018


async def test_an_enumeration_of_more_than_a_page_is_complete(client: Client) -> None:
    await client.registry.register_many({f"{i}": {"n": i} for i in range(5_500)}, raise_on_error=True)
    found = await client.registry.enumerate()
    assert {identity.identity for identity in found} == {f"{i}" for i in range(5_500)}
    assert all(identity.metadata == {"n": int(identity.identity)} for identity in found)


async def test_a_filter_that_does_not_parse_says_where(client: Client) -> None:
    with pytest.raises(prism.InvalidFilter) as caught:
        await client.registry.enumerate({"$and": [{"a": 1}, {"battery_level.lt": None}]})
    assert caught.value.violations[0].field == "$.$and[1].battery_level.lt"


async def test_a_filter_over_the_namespaces_limits_is_refused(client: Client) -> None:
    with pytest.raises(prism.LimitExceeded):
        await client.registry.count({"$or": [{"n": i} for i in range(21)]})


@pytest.mark.parametrize("arguments", [{"limit": 0}, {"limit": "5"}, {"offset": -1}, {"cursor": "rubbish"}])
async def test_paging_that_makes_no_sense_is_refused(client: Client, arguments: Any) -> None:
    with pytest.raises(prism.InvalidArgument):
        await client.registry.enumerate(**arguments)


async def test_an_explanation_says_what_the_backend_does(client: Client) -> None:
    explanation = await client.registry.explain({"room": "a", "n.lt": 5}, sort_by="n")
    assert explanation.registry == "memory"
    assert [dict(part.filter) for part in explanation.parts] == [{"room": "a"}, {"n.lt": 5}]


async def test_unregistering_says_whether_it_was_there(client: Client) -> None:
    await client.registry.register("alice")
    assert await client.registry.unregister("alice") is True
    assert await client.registry.unregister("alice") is False


async def test_an_overtaken_registration_can_not_be_unregistered(client: Client) -> None:
    old = await client.registry.register("alice")
    await client.registry.register("alice", replace=True)
    with pytest.raises(prism.StaleRegistration):
        await client.registry.unregister("alice", old.registration_id)
    assert await client.registry.count() == 1


async def test_many_are_unregistered_and_each_fails_alone(client: Client) -> None:
    old = await client.registry.register("a")
    await client.registry.register("a", replace=True)
    new = await client.registry.register("b")
    outcomes = await client.registry.unregister_many({"a": old.registration_id, "b": new.registration_id})
    assert isinstance(outcomes[0], prism.StaleRegistration)
    assert outcomes[1] is True
    assert await client.registry.unregister_many(["a", "nobody"]) == [True, False]


async def test_a_single_string_is_not_many_identities(client: Client) -> None:
    with pytest.raises(prism.InvalidArgument, match=r"write \['alice'\]"):
        await client.registry.unregister_many("alice")


async def test_a_heartbeat_moves_the_expiry(client: Client) -> None:
    await client.registry.register("alice", ttl=5)
    expiry = await client.registry.heartbeat("alice", 600)
    assert expiry is not None
    assert expiry > datetime.now(UTC) + timedelta(seconds=500)
    assert (await client.registry.get("alice")).expires_at == expiry
    assert await client.registry.heartbeat("alice", 0) is None


async def test_heartbeats_of_many_fail_one_by_one(client: Client) -> None:
    await client.registry.register("a", ttl=5)
    outcomes = await client.registry.heartbeat(["a", "nobody"], 60)
    assert isinstance(outcomes[0], datetime)
    assert isinstance(outcomes[1], prism.NotFound)


async def test_a_heartbeat_of_an_unknown_identity_is_not_found(client: Client) -> None:
    with pytest.raises(prism.NotFound):
        await client.registry.heartbeat("nobody", 5)


async def test_an_update_merges_a_patch(client: Client) -> None:
    await client.registry.register("alice", {"a": 1, "b": {"c": 2, "d": 3}})
    updated = await client.registry.update("alice", {"a": None, "b": {"c": 5}, "e": 6})
    assert updated.metadata == {"b": {"c": 5, "d": 3}, "e": 6}
    assert await client.registry.get("alice") == updated


async def test_an_update_of_an_old_revision_is_a_conflict(client: Client) -> None:
    first = await client.registry.register("alice", {"a": 1})
    await client.registry.update("alice", {"a": 2}, revision=first.revision)
    with pytest.raises(prism.RevisionConflict):
        await client.registry.update("alice", {"a": 3}, revision=first.revision)


async def test_identities_of_one_revision_are_equal(client: Client) -> None:
    await client.registry.register("alice", {"a": 1})
    first, second = await client.registry.get("alice"), await client.registry.get("alice")
    assert first == second
    assert len({first, second}) == 1
    assert await client.registry.update("alice", {"a": 2}) != first


async def test_an_identity_shows_itself(client: Client) -> None:
    await client.registry.register("alice", {"a": 1})
    found = await client.registry.get("alice")
    assert repr(found) == f"Identity('alice', metadata={{'a': 1}}, revision={found.revision})"


async def test_a_message_for_an_identity_that_is_not_attached_fails_with_a_reason(client: Client) -> None:
    await client.registry.register("alice")
    result = await client.registry.multicast(None, "hello")
    assert (result.target_count, result.delivered_count, result.failed_count) == (1, 0, 1)
    (status,) = result.statuses
    assert (status.identity, status.status) == ("alice", Status.FAILED)
    assert status.error


async def test_a_multicast_to_nobody_has_no_targets(client: Client) -> None:
    result = await client.registry.multicast({"room": "empty"}, {"x": 1})
    assert (result.target_count, len(result.statuses)) == (0, 0)


async def test_what_became_of_a_multicast_can_be_asked_later(client: Client) -> None:
    await client.registry.register("alice")
    sent = await client.registry.multicast(None, "hello", delivery="at-least-once", timeout=0)
    assert sent.pending_count == 1
    again = await client.registry.get_multicast(sent.message_id)
    assert (again.message_id, again.target_count, again.pending_count) == (sent.message_id, 1, 1)


async def test_an_unknown_multicast_is_not_found(client: Client) -> None:
    with pytest.raises(prism.NotFound):
        await client.registry.get_multicast("nothing")


@pytest.mark.parametrize(
    "arguments",
    [
        {},
        {"message": "x", "delivery": "twice"},
        {"message": "x", "timeout": -1},
        {"message": "x", "message_ttl": 1.5},
        {"message": "x", "message_ttl": 0},
        {"message": {"x": float("nan")}},
        {"message": object()},
        {"message": b"x" * (1024 * 1024 + 1)},
    ],
)
async def test_a_multicast_that_makes_no_sense_is_refused(client: Client, arguments: Any) -> None:
    await client.registry.register("alice")
    with pytest.raises(prism.InvalidArgument):
        await client.registry.multicast({"$identity": "alice"}, **arguments)


async def test_statuses_of_a_large_multicast_are_all_there(client: Client) -> None:
    long = "x" * 480
    await client.registry.register_many({f"{i:05}{long}": {} for i in range(9_000)}, raise_on_error=True)
    result = await client.registry.multicast(None, "hello", timeout=5)
    assert result.failed_count == result.target_count == len(result.statuses) == 9_000
    assert len({status.identity for status in result.statuses}) == 9_000


async def test_namespaces_do_not_mix(open_client: OpenClient) -> None:
    config = {"namespaces": [{"name": "one"}, {"name": "two"}]}
    async with open_client(config, "one") as client:
        assert client.namespace == "one"
        await client.registry.register("alice")
        assert await client.registry.count() == 1


async def test_a_namespace_that_is_not_configured_is_not_found(open_client: OpenClient) -> None:
    with pytest.raises(prism.NotFound, match="presense"):
        async with open_client({"namespaces": [{"name": "presence"}]}, "presense") as client:
            await client.registry.count()


async def test_metadata_that_breaks_the_schema_says_every_violation(open_client: OpenClient) -> None:
    schema = {"status": "enum[online, away]", "age": "int"}
    async with open_client({"namespaces": [{"name": "default", "identity_schema": schema}]}) as client:
        with pytest.raises(prism.InvalidMetadata) as caught:
            await client.registry.register("alice", {"status": "gone", "age": "old"})
    assert {violation.field for violation in caught.value.violations} == {"metadata.status", "metadata.age"}


async def test_identities_are_light_views(client: Client) -> None:
    await client.registry.register("alice", {"a": 1})
    (found,) = await client.registry.enumerate()
    assert isinstance(found, Identity)
    assert found.metadata is found.metadata
    assert found.metadata_json == b'{"a":1}'


async def test_an_enumeration_is_a_coroutine_as_every_operation(client: Client) -> None:
    await client.registry.register_many(ROOMS)
    enumeration = client.registry.enumerate({"room": "a"})
    assert asyncio.iscoroutine(enumeration)
    task = asyncio.create_task(enumeration)
    assert len(await task) == 5
    assert len(await asyncio.create_task(enumeration)) == 5  # each use asks anew
    assert len(await asyncio.wait_for(enumeration, 10)) == 5
    first, second = await asyncio.gather(enumeration, client.registry.enumerate())
    assert (len(first), len(second)) == (5, 10)


async def test_an_enumeration_in_a_task_can_be_cancelled_and_fails_as_it_does_awaited(client: Client) -> None:
    task = asyncio.create_task(client.registry.enumerate())
    await asyncio.sleep(0)
    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await task
    with pytest.raises(prism.InvalidFilter):
        await asyncio.create_task(client.registry.enumerate({"a.lt": None}))


def test_an_enumeration_may_be_all_that_a_program_runs() -> None:
    async def nobody() -> list[Identity]:
        async with Client.embedded() as client:
            return await client.registry.enumerate()

    client = Client.embedded()
    assert asyncio.run(client.registry.enumerate()) == asyncio.run(nobody()) == []
