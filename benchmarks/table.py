"""Writes docs/benchmarks.md and its pictures from the results that are there: `python -m benchmarks.table`."""

from __future__ import annotations

import json
import sys
from typing import Any

from benchmarks.harness import Figure, shown
from benchmarks.plots import draw, figures, results
from benchmarks.workers import ROOT

DOCS = ROOT / "docs"
PAGE = DOCS / "benchmarks.md"
FIGURES = DOCS / "benchmarks.json"
"""The latest figures of each benchmark; a run of some of them leaves those of the others as they are."""

INTRODUCTION = """\
# Benchmarks

`make bench` measures all of this in under a quarter of an hour and writes JSON and pictures to `benchmarks/results/`;
`.venv/bin/python -m benchmarks.filters` measures one part. `.venv/bin/python -m benchmarks.table` writes this page from
the latest figures of each, which it keeps in [benchmarks.json](benchmarks.json).

Numbers from one machine say little about another, and a shared machine drifts by tens of percent within minutes. So
what is compared is measured alternately in one run, ratios are medians of the rounds' ratios, and the rest are medians.
"Bare" is the same work with the library alone and nothing of Prism: a grpc.aio server that moves the same bytes.

- **filters**: three clauses over 100,000 documents, beside Python written by hand and beside mongoquery.
- **enumerate**: all of 100,000 identities through gRPC into client objects, beside bare pages of the same bytes; an
  indexed filter with 100 hits among 100,000, embedded.
- **multicast**: to attached identities. Each round is from the call to the last receiver having it, all receipts waited
  for. Through gRPC the receivers are in another process and share two cores with the proxy: raw readers that count
  bytes, the same for Prism and for bare, and Prism's client where it says so.
- **streams**: 20,000 open streams; a proxy killed with 5,000 attached, and another started at its address.
- **register**: batches by `register_many`; single calls, 64 in flight, beside a unary call that does nothing.
- **memory**: what a registration, and an attached identity, keeps in the process, embedded.
- **nats**: a multicast to 10,000 identities that have topics of their own, from the filter until the server has taken
  the last message, beside nats-py publishing to as many subjects; a message stored in JetStream queues, beside
  `js.publish` with 256 in flight. The server is in another process, and so is who listens.
- **kafka**: a message stored for 10,000 identities in Kafka, with an answer for each, and a multicast to as many that
  are registered in Valkey, beside aiokafka's `send_batch` and `send` of as many keyed records; the way to another proxy
  that takes and acks them all. Both proxies are in one process.
- **expiry**: 50,000 registrations with queues that run out at once, swept by four proxies; each is announced once.
- **postgres**: the registry on PostgreSQL with 100,000 identities: filters that an index answers, everyone, 10,000
  heartbeats, 10,000 registrations; beside asyncpg with the same statement, a cursor, one UPDATE and one INSERT.
- **postgres_queues**: a message stored in 10,000 queues on PostgreSQL, beside one INSERT of as many; topics, beside
  one statement that notifies; multicasts on PostgreSQL alone and with NATS, until the call has returned without
  receipts, beside the query for the same rows and a publication as large, and until all receipts are in.
- **redis_registry**: targets and registrations by an indexed field of 100,000 on Redis; a filter without an index,
  beside reading a hash of the same documents with HSCAN, decoding and filtering by hand; batches of writes and of
  renewals, beside pipelines of redis-py. The registry slot, or the embedded client on it, without gRPC.
- **redis_messages**: multicasts on Redis alone to 10,000 topics of native subscribers and to 10,000 queues, beside
  redis-py's pipelines of PUBLISH and XADD.
- **attached**: a multicast by an indexed field to 10,000 identities on two proxies, on Redis and NATS, beside reading
  as many names from a set and publishing two frames, and beside 10,000 publishes of nats-py. See the module for what
  is at the other end.
- **presence**: keeping 10,000 attached identities alive on Redis, and registering through a proxy, beside redis-py.
- **redis_growth**, **postgres_growth**: what the same work costs as the registry grows, and as the hits do.
- **import_time**: fresh interpreters.
"""


def target(figure: Figure) -> str:
    """The target as a cell."""
    return "" if figure.target is None else f"{'≤' if figure.at_most else '≥'} {shown(figure.target)}"


def reached(figure: Figure) -> str:
    """Whether it was reached, as a cell."""
    return {None: "", True: "yes", False: "**no**"}[figure.reached]


def section(name: str, report: dict[str, Any]) -> str:
    """One report as a table."""
    rows = [
        f"| {each.name} | {shown(each.value)} {each.unit} | {target(each)} | {reached(each)} |"
        for each in figures(report)
    ]
    head = ["| figure | median | target | reached |", "|---|---|---|---|"]
    return "\n".join([f"## {name}", "", *head, *rows, "", f"Measured on {report['environment']}.", ""])


def measured() -> dict[str, dict[str, Any]]:
    """The latest report of each benchmark: those that the page was made from, and what was measured since."""
    fresh = results()
    if hasty := [name for name, report in fresh.items() if report["quick"]]:
        sys.exit(f"only quick results of {', '.join(hasty)}; measure them without --quick first")
    known: dict[str, dict[str, Any]] = json.loads(FIGURES.read_text()) if FIGURES.exists() else {}
    for name, report in fresh.items():
        curves = {"points": report["points"], "rounds": report["rounds"]} if report["points"] else {}
        known[name] = {"environment": report["environment"], "figures": report["figures"], **curves}
    return dict(sorted(known.items()))


def write_page() -> None:
    """Writes the page, its pictures, and the figures that both are made from."""
    reports = measured()
    FIGURES.write_text(json.dumps(reports, indent=1) + "\n")
    pictures = draw(reports, DOCS / "figures")
    parts = [INTRODUCTION]
    parts += [f"![{picture.stem}](figures/{picture.name})\n" for picture in pictures]
    parts += [section(name, report) for name, report in reports.items()]
    parts.append((ROOT / "benchmarks" / "limits.md").read_text())
    PAGE.write_text("\n".join(parts))


if __name__ == "__main__":
    write_page()
