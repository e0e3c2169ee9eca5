"""Storing the lines of a file: in batches, each for as long as its line says."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, TypeAlias

from prism.cli.exits import exit_code
from prism.cli.records import NEVER, BadLine, Record
from prism.cli.screen import printable
from prism.model.errors import AlreadyExists, PrismError
from prism.model.time import SECOND, Micros, to_rfc3339, wall_clock

if TYPE_CHECKING:
    from prism import Client

BATCH = 2_000
"""Lines read at a time."""

Lines: TypeAlias = "Iterator[Record | BadLine]"


@dataclass(slots=True)
class Stored:
    """What became of one batch."""

    registered: int = 0
    bad: list[BadLine] = field(default_factory=list)
    expired: list[BadLine] = field(default_factory=list)


@dataclass(frozen=True, slots=True)
class Terms:
    """How the lines are stored. `ttl` is whole seconds for all; None leaves it to each line."""

    ttl: int | None
    replace: bool

    def ttl_of(self, record: Record, now: Micros) -> int | None:
        """Whole seconds that a record is left, rounded up; 0 is no expiry, None the namespace's default."""
        if self.ttl is not None or record.expires_at is None:
            return self.ttl
        return 0 if record.expires_at == NEVER else -((now - record.expires_at) // SECOND)


def batches(lines: Iterable[Record | BadLine]) -> Iterator[list[Record | BadLine]]:
    """Lists of at most BATCH lines, none of which has an identity twice: within a list, order doesn't matter."""
    batch: list[Record | BadLine] = []
    names: set[str] = set()
    for line in lines:
        name = line.identity if isinstance(line, Record) else None
        if len(batch) == BATCH or name in names:
            yield batch
            batch, names = [], set()
        batch.append(line)
        if name is not None:
            names.add(name)
    if batch:
        yield batch


async def store(client: Client, records: Iterable[Record], terms: Terms) -> Stored:
    """Registers a batch. What has expired by this machine's clock is left out, what is refused is reported."""
    now = wall_clock()
    done = Stored()
    left: list[Record] = []
    for record in records:
        if terms.ttl is None and record.expires_at and record.expires_at <= now:
            done.expired.append(_line(record, f"expired at {to_rfc3339(record.expires_at)}"))
        else:
            left.append(record)
    items = [(record.identity, record.metadata) for record in left]
    ttls = {record.identity: terms.ttl_of(record, now) for record in left}
    outcomes = await client.registry.register_many(items, ttl=ttls, replace=terms.replace)
    for record, outcome in zip(left, outcomes, strict=True):
        if isinstance(outcome, PrismError):
            done.bad.append(_line(record, outcome.message, outcome))
        else:
            done.registered += 1
    return done


def _line(record: Record, problem: str, error: PrismError | None = None) -> BadLine:
    name = f"{printable(record.identity)}: " if record.identity else ""
    text = f"{name}{printable(problem)}"
    if error is None:
        return BadLine(record.line, text)
    return BadLine(record.line, text, exit_code(error), isinstance(error, AlreadyExists))
