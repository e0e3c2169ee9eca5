"""20,000 streams on one proxy: the memory of each beside a bare grpc.aio server's; 5,000 re-attaching at once."""

from __future__ import annotations

import time

import psutil

from benchmarks.frames import ATTACH, attach_frame
from benchmarks.harness import Report, quick
from benchmarks.proxy import NAMESPACE
from benchmarks.workers import Worker

PATIENCE = 120.0


def memory(worker: Worker) -> int:
    """The bytes that the worker's process keeps in memory for itself."""
    used: int = psutil.Process(worker.pid).memory_full_info().uss
    return used


def held_open(report: Report, count: int) -> None:
    """Opens many streams on the proxy and on the bare server, and weighs both before and after."""
    frames = [attach_frame(NAMESPACE, [f"seat-{number}-0"], "hall") for number in range(count)]
    for name, server, method, first in (
        ("proxy, one identity each", "proxy", ATTACH, frames),
        ("bare grpc.aio", "bare_server", "/bare/Attach", ["00"] * count),
    ):
        with Worker(server) as holder, Worker("receivers") as receivers:
            address = holder.ask("address")["address"]
            receivers.ask("open", address=address, method=method, first_frames=first[:100])
            before = memory(holder)
            opened = receivers.ask("open", address=address, method=method, first_frames=first[100:])
            assert opened["streams"] == count
            holder.ask("address")
            each = (memory(holder) - before) / (count - 100)
            report.add(f"memory per stream, {count:,} streams, {name}", each / 1024, "KiB")
            report.add(f"streams opened on the {name}", (count - 100) / opened["seconds"], "streams/s")


def coming_back(report: Report, count: int) -> None:
    """Kills a proxy with many inboxes attached, starts another at its address, and waits for all to be back."""
    with Worker("inboxes") as inboxes:
        with Worker("proxy") as first:
            address = first.ask("address")["address"]
            inboxes.ask("open", address=address, namespace=NAMESPACE, inboxes=count, each=1)
            first.kill()
        with Worker("proxy", address) as second:
            second.ask("address")
            start = time.monotonic()
            again = inboxes.ask("reattached", seconds=PATIENCE)
            assert not again["lost"], again
            streams = second.ask("address")["streams"]
            report.add(f"{count:,} re-attaching at once: succeeded", again["attached"], "identities", at_least=count)
            report.add("streams on the new proxy afterwards", streams, "streams", at_least=count)
            report.add("until the last was back", again["end"] - start, "s")


def main() -> None:
    """Measures and reports."""
    small = quick()
    report = Report("streams")
    held_open(report, 500 if small else 20_000)
    coming_back(report, 100 if small else 5_000)
    report.write()


if __name__ == "__main__":
    main()
