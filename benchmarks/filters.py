"""A compiled filter of three clauses over 100,000 documents, beside hand-written Python and mongoquery."""

from __future__ import annotations

import statistics
from typing import Any

import mongoquery
from prism.filters import compile_filter, parse

from benchmarks.documents import devices
from benchmarks.harness import Report, in_turns, quick, ratio

FILTER = {"status": "online", "battery_level.lt": 0.5, "firmware_version.startswith": "1.1"}
MONGO = {"status": "online", "battery_level": {"$lt": 0.5}, "firmware_version": {"$regex": "^1[.]1"}}
EVERYONE = {"floor.gte": 0, "battery_level.lte": 1.0, "firmware_version.startswith": "1."}


def by_hand(documents: list[dict[str, Any]]) -> list[int]:
    """What a programmer would write who knows that the fields are there and of the right type."""
    return [
        i
        for i, d in enumerate(documents)
        if d["status"] == "online" and d["battery_level"] < 0.5 and d["firmware_version"].startswith("1.1")
    ]


def careful(documents: list[dict[str, Any]]) -> list[int]:
    """The same by somebody who doesn't know it: missing and mistyped values are no matches."""
    return [
        i
        for i, d in enumerate(documents)
        if d.get("status") == "online"
        and type(level := d.get("battery_level")) in (int, float)
        and level < 0.5  # type: ignore[operator]
        and type(version := d.get("firmware_version")) is str
        and version.startswith("1.1")
    ]


def main() -> None:
    """Measures and reports."""
    small = quick()
    count, rounds = (10_000, 3) if small else (100_000, 9)
    report = Report("filters")
    documents = [document for _, document in devices(count)]
    compiled = compile_filter(parse(FILTER))
    unselective = compile_filter(parse(EVERYONE))
    sample = documents[: count // 20]
    mongo = mongoquery.Query(MONGO)
    expected = by_hand(documents)
    assert compiled.documents(documents) == careful(documents) == expected
    assert [i for i, d in enumerate(sample) if mongo.match(d)] == [i for i in expected if i < len(sample)]
    assert len(unselective.documents(documents)) == count

    seconds = in_turns(
        rounds,
        {
            "compiled": lambda: compiled.documents(documents),
            "compiled, all match": lambda: unselective.documents(documents),
            "by hand": lambda: by_hand(documents),
            "by hand, careful": lambda: careful(documents),
            "mongoquery": lambda: [i for i, d in enumerate(sample) if mongo.match(d)],
        },
    )
    seconds["mongoquery"] = [value * len(documents) / len(sample) for value in seconds["mongoquery"]]
    report.rounds = seconds
    each = {name: statistics.median(values) / count * 1e9 for name, values in seconds.items()}
    report.add(f"compiled filter, 3 clauses, {count:,} documents", each["compiled"], "ns/document", at_most=100)
    report.add("the same where every clause holds for every document", each["compiled, all match"], "ns/document")
    report.add("written by hand, trusting the documents", each["by hand"], "ns/document")
    report.add("written by hand, trusting nothing", each["by hand, careful"], "ns/document")
    report.add("mongoquery", each["mongoquery"], "ns/document")
    report.add("mongoquery / compiled", ratio(seconds["mongoquery"], seconds["compiled"]), "x", at_least=25)
    report.write()


if __name__ == "__main__":
    main()
