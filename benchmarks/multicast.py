"""Multicast to attached identities: in one process, through gRPC to many streams, and to a few gateway streams.

Beside it, in the same rounds, a bare grpc.aio server that writes frames of the same size to as many streams. The
streams' other ends are in another process: raw readers that count bytes, the same for both, and in lines of their
own Prism's client.
"""

from __future__ import annotations

import asyncio
import statistics
import time

from prism.config import load_config
from prism.coordinator.coordinator import Coordinator
from prism.model.errors import PrismError
from prism.model.operations import AttachItem, MulticastCommand
from prism.model.time import SECOND
from prism.server.garbage import relax_collector
from prism.sessions.events import Delivery
from prism.sessions.hub import Hub
from prism.sessions.session import Session

from benchmarks.frames import ATTACH, PAYLOAD, RawSender, attach_frame, delivery_bytes
from benchmarks.harness import Report, in_turns_async, quick, ratio
from benchmarks.proxy import CONFIG, NAMESPACE
from benchmarks.workers import Worker

PATIENCE = 60.0
"""Seconds until what should come is given up."""
ROOM = {"room": "hall"}


class Reader:
    """A transport in this process: takes a session's events as they come, and counts deliveries."""

    received = 0
    wanted = 0
    complete = asyncio.Event()

    @classmethod
    def expect(cls, deliveries: int) -> None:
        """Says how many are to come from now on, over all readers."""
        cls.received, cls.wanted = 0, deliveries
        cls.complete = asyncio.Event()

    @classmethod
    async def run(cls, session: Session) -> None:
        """Reads one session until it ends."""
        while events := await session.take():
            session.handed_over(events)
            cls.received += sum(len(event.handles) for event in events if isinstance(event, Delivery))
            if cls.received >= cls.wanted:
                cls.complete.set()


async def in_process(report: Report, sessions: int, each: int, rounds: int, target: float | None) -> None:
    """Multicasts within one process, to `sessions` sessions of `each` identities."""
    total = sessions * each
    async with Coordinator(load_config(CONFIG)) as coordinator, Hub(coordinator) as hub, asyncio.TaskGroup() as tasks:
        opened = []
        for number in range(sessions):
            session = await hub.open(NAMESPACE)
            items = [AttachItem(f"seat-{number}-{seat}", ROOM, ttl=600 * SECOND) for seat in range(each)]
            outcomes = await session.attach(items)
            assert not any(isinstance(outcome, PrismError) for outcome in outcomes), outcomes
            opened.append((session, tasks.create_task(Reader.run(session))))
        relax_collector()  # as `prism serve` does

        async def send() -> float:
            Reader.expect(total)
            start = time.perf_counter()
            result = await coordinator.multicast(NAMESPACE, MulticastCommand(ROOM, PAYLOAD, timeout=60 * SECOND))
            async with asyncio.timeout(PATIENCE):
                await Reader.complete.wait()
            seconds = time.perf_counter() - start
            assert result.delivered_count == result.target_count == total, result
            return seconds

        seconds = await in_turns_async(rounds, {"prism": send})
        for session, reader in opened:
            session.close()
            reader.cancel()
    name = f"in process, {sessions:,} sessions of {each:,}"
    report.rounds[name] = seconds["prism"]
    report.add(name, total / statistics.median(seconds["prism"]), "deliveries/s", at_least=target)


async def through_grpc(report: Report, streams: int, each: int, rounds: int, times: int) -> None:
    """Multicasts through a proxy to streams in another process, `times` per round, beside the bare server."""
    total = streams * each * times
    size = delivery_bytes(each)
    frames = [attach_frame(NAMESPACE, [f"seat-{n}-{seat}" for seat in range(each)], "hall") for n in range(streams)]
    with (
        Worker("proxy") as proxy,
        Worker("bare_server") as bare,
        Worker("receivers") as ours,
        Worker("receivers") as its,
    ):
        proxy_address = proxy.ask("address")["address"]
        bare_address = bare.ask("address")["address"]
        ours.ask("open", address=proxy_address, method=ATTACH, first_frames=frames)
        its.ask("open", address=bare_address, method="/bare/Attach", first_frames=["00"] * streams)
        sender = RawSender(proxy_address, NAMESPACE)

        async def prism() -> float:
            ours.ask("expect", total=streams * size * times)
            start = time.monotonic()
            for _ in range(times):
                response = await sender.send("hall")
                assert response.delivered_count == streams * each, response
            end: float = (await ours.ask_async("wait", seconds=PATIENCE))["end"]
            return end - start

        async def grpc_alone() -> float:
            its.ask("expect", total=streams * size * times)
            start: float = (await bare.ask_async("send", size=size, times=times))["start"]
            end: float = (await its.ask_async("wait", seconds=PATIENCE))["end"]
            return end - start

        seconds = await in_turns_async(rounds, {"prism": prism, "bare": grpc_alone})
        await sender.close()
    where = f"{streams:,} streams" if each == 1 else f"{streams:,} streams of {each:,}"
    report.rounds |= {f"{where}, {name}": values for name, values in seconds.items()}
    rate = {name: total / statistics.median(values) for name, values in seconds.items()}
    if each == 1:
        report.add(f"through gRPC to {where}", rate["prism"], "deliveries/s")
        report.add(f"bare grpc.aio writes to {where}", rate["bare"], "deliveries/s")
        share = ratio(seconds["bare"], seconds["prism"])
        report.add(f"through gRPC to {where}, share of bare", share, "x", at_least=0.85)
    else:
        report.add(f"through gRPC to {where}, raw readers", rate["prism"], "deliveries/s", at_least=500_000)
        report.add(f"bare grpc.aio writes of the same frames to {where}", rate["bare"], "deliveries/s")


async def to_clients(report: Report, streams: int, each: int, rounds: int, target: float | None) -> None:
    """Multicasts through a proxy to Prism's client in another process, which hands every message to the application."""
    total = streams * each
    with Worker("proxy") as proxy, Worker("inboxes") as inboxes:
        address = proxy.ask("address")["address"]
        inboxes.ask("open", address=address, namespace=NAMESPACE, inboxes=streams, each=each)
        sender = RawSender(address, NAMESPACE)

        async def prism() -> float:
            inboxes.ask("expect", total=total)
            start = time.monotonic()
            response = await sender.send("hall")
            assert response.delivered_count == total, response
            end: float = (await inboxes.ask_async("wait", seconds=PATIENCE))["end"]
            return end - start

        seconds = await in_turns_async(rounds, {"prism": prism})
        await sender.close()
    where = f"{streams:,} inboxes" if each == 1 else f"{streams:,} inboxes of {each:,}"
    report.rounds[f"{where} of Prism's client"] = seconds["prism"]
    rate = total / statistics.median(seconds["prism"])
    report.add(f"through gRPC to {where} of Prism's client", rate, "deliveries/s", at_least=target)


async def main() -> None:
    """Measures and reports."""
    small = quick()
    report = Report("multicast")
    if small:
        await in_process(report, 1_000, 1, 2, None)
        await through_grpc(report, 200, 1, 2, 2)
        await through_grpc(report, 10, 100, 2, 2)
        await to_clients(report, 10, 100, 2, None)
    else:
        await in_process(report, 10_000, 1, 7, 200_000)
        await in_process(report, 100, 100, 7, None)
        await through_grpc(report, 1_000, 1, 7, 10)
        await through_grpc(report, 10_000, 1, 5, 2)
        await through_grpc(report, 100, 100, 7, 10)
        await to_clients(report, 1_000, 1, 5, None)
        await to_clients(report, 100, 100, 7, 500_000)
    report.write()


if __name__ == "__main__":
    asyncio.run(main())
