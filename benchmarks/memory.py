"""What a registered identity, and an attached one, keeps in memory, embedded."""

from __future__ import annotations

import orjson

from benchmarks.documents import document
from benchmarks.harness import Report, quick
from benchmarks.workers import Worker


def weigh(command: str, **arguments: int) -> float:
    """Bytes for each identity, weighed in a fresh process: a used one gives its freed memory out again."""
    with Worker("weights") as weights:
        each: float = weights.ask(command, **arguments)["bytes"]
    return each


def main() -> None:
    """Measures and reports."""
    small = quick()
    report = Report("memory")
    size = len(orjson.dumps(document(0)))
    each = weigh("registered", count=5_000 if small else 100_000)
    report.add(f"memory per registered identity, {size} B of metadata, 1 index", each, "bytes")
    for sessions, seats in ((500, 1), (5, 100)) if small else ((10_000, 1), (100, 100)):
        each = weigh("attached", sessions=sessions, each=seats)
        name = f"{sessions:,} sessions of {seats:,}"
        report.add(f"memory per attached identity with registration and queue, {name}", each, "bytes")
    report.write()


if __name__ == "__main__":
    main()
