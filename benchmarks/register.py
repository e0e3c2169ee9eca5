"""Registering through gRPC: in batches by the client, and one by one beside a unary call that does nothing."""

from __future__ import annotations

import asyncio
import itertools
import statistics
import time
from collections.abc import Awaitable, Callable
from typing import Any

import grpc
from prism import Client, PrismError
from prism.v1 import registry_pb2

from benchmarks.documents import devices
from benchmarks.frames import SERVICE
from benchmarks.harness import Report, in_turns_async, quick, ratio
from benchmarks.proxy import NAMESPACE
from benchmarks.workers import Worker

IN_FLIGHT = 64


async def in_flight(calls: int, call: Callable[[], Awaitable[object]]) -> float:
    """Seconds for that many calls with IN_FLIGHT of them under way."""
    remaining = iter(range(calls))

    async def work() -> None:
        for _ in remaining:
            await call()

    start = time.perf_counter()
    await asyncio.gather(*(work() for _ in range(IN_FLIGHT)))
    return time.perf_counter() - start


async def batches(report: Report, address: str, count: int, rounds: int) -> None:
    """Imports devices by `register_many`, replacing them in every round but the first."""
    items = list(devices(count))
    async with Client(NAMESPACE, address, timeout=120) as client:

        async def register() -> float:
            start = time.perf_counter()
            outcomes = await client.registry.register_many(items, replace=True)
            seconds = time.perf_counter() - start
            assert not any(isinstance(outcome, PrismError) for outcome in outcomes)
            return seconds

        seconds = (await in_turns_async(rounds, {"batches": register}))["batches"]
    report.rounds["batches"] = seconds
    rate = count / statistics.median(seconds)
    report.add(f"batch import of {count:,} through gRPC", rate, "identities/s", at_least=20_000)


async def one_by_one(report: Report, address: str, bare_address: str, calls: int, rounds: int) -> None:
    """Registers by unary calls with raw messages and with the client, beside a unary call that does nothing."""
    ours: Any = grpc.aio.insecure_channel(address)
    bare: Any = grpc.aio.insecure_channel(bare_address)
    do_nothing = bare.unary_unary("/bare/Nothing")
    register = ours.unary_unary(f"{SERVICE}/Register", response_deserializer=registry_pb2.RegisterResponse.FromString)
    message = registry_pb2.RegisterRequest(identity="", metadata_json=b'{"room":"hall","floor":2}', namespace=NAMESPACE)
    numbers = itertools.count()

    def request() -> bytes:
        message.identity = f"caller-{next(numbers)}"
        return message.SerializeToString()

    client = Client(NAMESPACE, address, timeout=60)
    seconds = await in_turns_async(
        rounds,
        {
            "bare": lambda: in_flight(calls, lambda: do_nothing(request())),
            "register": lambda: in_flight(calls, lambda: register(request())),
            "client": lambda: in_flight(
                calls, lambda: client.registry.register(f"caller-{next(numbers)}", {"room": "hall", "floor": 2})
            ),
        },
    )
    await client.aclose()
    await ours.close()
    await bare.close()
    report.rounds |= seconds
    rate = {name: calls / statistics.median(values) for name, values in seconds.items()}
    report.add("bare unary call that does nothing", rate["bare"], "calls/s")
    report.add("unary Register", rate["register"], "calls/s")
    report.add("unary Register, share of bare", ratio(seconds["bare"], seconds["register"]), "x", at_least=0.6)
    report.add("client.registry.register, one by one", rate["client"], "calls/s")


async def main() -> None:
    """Measures and reports."""
    small = quick()
    report = Report("register")
    with Worker("proxy") as proxy, Worker("bare_server") as bare:
        address, bare_address = (worker.ask("address")["address"] for worker in (proxy, bare))
        await batches(report, address, 2_000 if small else 50_000, 2 if small else 5)
        await one_by_one(report, address, bare_address, 500 if small else 3_000, 2 if small else 5)
    report.write()


if __name__ == "__main__":
    asyncio.run(main())
