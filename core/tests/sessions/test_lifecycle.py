"""Attach, resume, supersede, expire, detach, drain; and that nothing is left behind."""

from __future__ import annotations

import asyncio
import gc
import time

import pytest
from prism.model.errors import AlreadyExists, InvalidMetadata, NotFound, QuotaExceeded, Superseded, Unavailable
from prism.model.operations import AttachItem
from prism.model.time import SECOND
from prism.sessions.events import Detached, Draining, Lost, Refused
from support.proxies import NS, Proxy, TurnableClock, eventually, opened_proxies

Pair = tuple[Proxy, Proxy]


async def test_attaching_registers(pair: Pair) -> None:
    sender, receiver = pair
    async with receiver.stream() as stream:
        attachment = await stream.attach(AttachItem("a", {"room": "x"}, ttl=30 * SECOND))
        found = await sender.get("a")
        assert found is not None
        assert found.metadata == {"room": "x"}
        assert found.registration_id == attachment.registration_id
        assert found.address == receiver.coordinator.address


async def test_two_sessions_for_one_identity_the_older_is_told(pair: Pair) -> None:
    first, second = pair
    async with first.stream("a") as old, second.stream("a") as new:
        (lost,) = await old.until(Lost)
        assert (lost.identity, lost.reason) == ("a", "SUPERSEDED")
        assert new.of(Lost) == []
        assert await second.get("a") is not None


async def test_a_superseded_session_that_ends_leaves_the_newer_one_alone(pair: Pair) -> None:
    first, second = pair
    async with first.stream("a") as old, second.stream("a") as new:
        await old.until(Lost)
        await old.session.detach(["a"], keep=False)
        old.session.close()
        assert (await first.send()).delivered_count == 1
        assert new.of(Lost) == []


async def test_only_if_absent_refuses_what_is_registered(pair: Pair) -> None:
    first, second = pair
    async with first.stream("a") as old, second.stream() as new:
        with pytest.raises(AlreadyExists):
            await new.attach(AttachItem("a", {}, only_if_absent=True))
        (refused,) = await new.until(Refused)
        assert isinstance(refused.error, AlreadyExists)
        assert (await second.send()).delivered_count == 1
        assert old.of(Lost) == []


async def test_a_refused_attachment_leaves_the_session_and_the_other_identities_alone(pair: Pair) -> None:
    sender, receiver = pair
    async with receiver.stream() as stream:
        outcomes = await stream.session.attach(
            [AttachItem("good", {}), AttachItem("bad", {"x": float("nan")}), AttachItem("fine", {})]
        )
        assert isinstance(outcomes[1], InvalidMetadata)
        assert (await sender.send()).delivered_count == 2


async def test_without_metadata_an_existing_registration_is_taken_over(pair: Pair) -> None:
    sender, receiver = pair
    registered = await sender.register("a", {"room": "x"}, ttl=30)
    async with receiver.stream() as stream:
        attachment = await stream.attach(AttachItem("a"))
        assert attachment.registration_id != registered.registration_id
        assert (await sender.send({"room": "x"})).delivered_count == 1
    async with receiver.stream() as other:
        with pytest.raises(NotFound):
            await other.attach(AttachItem("nobody"))


async def test_a_lost_stream_resumes_with_its_metadata_as_updated_meanwhile(pair: Pair) -> None:
    sender, receiver = pair
    async with receiver.stream() as stream:
        first = await stream.attach(AttachItem("a", {"n": 1}))
    await sender.coordinator.update(NS, "a", {"n": 2}, revision=None)
    async with sender.stream() as stream:
        second = await stream.attach(AttachItem("a", {"n": 1}, resume=first.registration_id))
        assert second.resumed
        found = await receiver.get("a")
        assert found is not None
        assert found.metadata == {"n": 2}
        assert (await receiver.send()).delivered_count == 1


async def test_resuming_what_is_gone_registers_anew_and_says_so(pair: Pair) -> None:
    sender, receiver = pair
    async with receiver.stream() as stream:
        first = await stream.attach(AttachItem("a", {"n": 1}))
    await sender.unregister("a")
    async with receiver.stream() as stream:
        second = await stream.attach(AttachItem("a", {"n": 1}, resume=first.registration_id))
        assert not second.resumed
        assert await sender.get("a") is not None


async def test_resuming_what_a_newer_session_has_is_refused(pair: Pair) -> None:
    sender, receiver = pair
    async with receiver.stream() as stream:
        first = await stream.attach("a")
    async with sender.stream("a") as newer:
        async with receiver.stream() as stream:
            with pytest.raises(Superseded):
                await stream.attach(AttachItem("a", {}, resume=first.registration_id))
        assert newer.of(Lost) == []
        assert (await receiver.send()).delivered_count == 1


async def test_detaching_unregisters_and_keeping_leaves_it_for_its_ttl(pair: Pair) -> None:
    sender, receiver = pair
    async with receiver.stream("gone", "kept") as stream:
        await stream.session.detach(["gone"], keep=False)
        await stream.session.detach(["kept", "unknown"], keep=True)
        detached = await stream.until(Detached, 3)
        assert [(d.identity, d.handle) for d in detached] == [("gone", 0), ("kept", 1), ("unknown", -1)]
        assert await sender.get("gone") is None
        kept = await sender.get("kept")
        assert kept is not None
        assert kept.address == ""


async def test_unregistering_an_attached_identity_tells_its_session(pair: Pair) -> None:
    sender, receiver = pair
    async with receiver.stream("a") as stream:
        await sender.unregister("a")
        (lost,) = await stream.until(Lost)
        assert (lost.identity, lost.reason) == ("a", "UNREGISTERED")


async def test_a_registration_that_expires_while_attached_tells_its_session(clock: TurnableClock) -> None:
    async with opened_proxies(2, clock) as (other, receiver):
        async with receiver.stream(AttachItem("a", {}, ttl=30 * SECOND)) as stream:
            clock.advance(31)
            (lost,) = await stream.until(Lost)
            assert (lost.identity, lost.reason) == ("a", "EXPIRED")
            assert await other.get("a") is None


async def test_a_stall_of_the_proxy_is_not_taken_for_the_silence_of_its_clients(proxy: Proxy) -> None:
    async with proxy.stream(AttachItem("a", {}, ttl=SECOND)) as stream:
        renewed = proxy.coordinator.metrics.renewed[NS]
        time.sleep(1.5)  # noqa: ASYNC251 - the stall itself
        await eventually(lambda: proxy.coordinator.metrics.renewed[NS] > renewed)
        assert not stream.session.closed


async def test_a_living_session_is_renewed_and_a_silent_one_is_not() -> None:
    async with opened_proxies(1) as (proxy,), proxy.stream(AttachItem("living", {}, ttl=SECOND)) as living:
        async with proxy.stream(AttachItem("silent", {}, ttl=SECOND)) as silent:

            async def silent_is_gone() -> bool:
                living.session.touch()
                return await proxy.get("silent") is None

            await eventually(silent_is_gone)
            assert silent.session.closed
            assert await proxy.get("living") is not None
            assert proxy.coordinator.metrics.renewed[NS] > 0


async def test_renewals_that_fail_are_counted(monkeypatch: pytest.MonkeyPatch) -> None:
    async def unreachable(*_: object) -> list[object]:
        raise Unavailable("the registry slot failed to renew")

    async with opened_proxies(1) as (proxy,), proxy.stream(AttachItem("a", {}, ttl=SECOND)):
        failures = proxy.coordinator.metrics.background_failures
        monkeypatch.setattr(proxy.coordinator.registrations, "renew", unreachable)
        await eventually(lambda: failures[f"renewals of {NS}"] > 0)


async def test_a_drained_proxy_tells_its_sessions_and_their_registrations_live_on() -> None:
    async with opened_proxies(2, ttl={"attach": 2}) as (leaving, staying), leaving.stream() as stream:
        attachment = await stream.attach("a")
        draining = asyncio.create_task(leaving.hub.drain(20 * SECOND))
        await stream.until(Draining)
        with pytest.raises(Unavailable, match="draining"):
            await leaving.hub.open(NS)
        async with staying.stream() as elsewhere:
            moved = await elsewhere.attach(AttachItem("a", {}, resume=attachment.registration_id))
            assert moved.resumed
            stream.session.close()
            await draining
            assert (await leaving.send()).delivered_count == 1


async def test_streams_and_identities_per_stream_are_bounded() -> None:
    async with opened_proxies(1, limits={"identities_per_stream": 2}) as (proxy,), proxy.stream("a", "b") as stream:
        with pytest.raises(QuotaExceeded, match="at most 2 identities"):
            await stream.attach("c")


async def test_ten_thousand_attach_detach_cycles_leave_nothing_behind() -> None:
    async with opened_proxies(2) as proxies:
        for proxy in proxies:
            async with proxy.stream("warm-up") as stream:
                await stream.session.detach(["warm-up"], keep=False)
        tasks_before = len(asyncio.all_tasks())

        async def cycles(worker: int) -> None:
            proxy = proxies[worker % 2]
            for i in range(100):
                async with await proxy.hub.open(NS) as session:
                    await session.attach([AttachItem(f"{worker}-{i}", {"i": i})])
                    session.handed_over(await session.take())
                    if i % 2:
                        await session.detach([f"{worker}-{i}"], keep=False)
                if not i % 2:
                    await proxy.unregister(f"{worker}-{i}")

        await asyncio.gather(*(cycles(worker) for worker in range(100)))
        assert await proxies[0].coordinator.count(NS, None) == 0
        assert [proxy.hub.sessions for proxy in proxies] == [0, 0]
        assert [proxy.hub.attached for proxy in proxies] == [{NS: 0}, {NS: 0}]
        assert len(asyncio.all_tasks()) == tasks_before
        gc.collect()
        from prism.sessions.session import Session

        assert sum(isinstance(found, Session) and not found.closed for found in gc.get_objects()) == 0
        for proxy in proxies:
            ns = await proxy.coordinator.namespace(NS)
            assert ns.durability is not None
            assert await ns.durability.depth([f"{w}-{i}" for w in range(100) for i in range(100)]) == [0] * 10_000


async def test_a_cancelled_attach_leaves_nothing_half_done(pair: Pair) -> None:
    sender, receiver = pair
    for i in range(30):
        async with await receiver.hub.open(NS) as session:
            task = asyncio.create_task(session.attach([AttachItem(f"id-{i}", {})]))
            for _ in range(i % 8):
                await asyncio.sleep(0)
            task.cancel()
            await asyncio.gather(task, return_exceptions=True)
        await eventually(lambda: receiver.hub.attached == {NS: 0})
        result = await sender.send({"$identity": f"id-{i}"}, timeout=0.5)
        assert result.delivered_count == 0
        assert result.timeout_count == 0
