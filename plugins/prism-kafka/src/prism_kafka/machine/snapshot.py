"""A state written down in pieces, and read again. What was read goes on exactly as what was written."""

from __future__ import annotations

from array import array
from collections.abc import Iterable, Iterator
from dataclasses import astuple
from typing import Any

import orjson

from prism_kafka.machine.commands import VERSION, Malformed
from prism_kafka.machine.contents import Content, Copy, Dead, Delivery, Loss
from prism_kafka.machine.policy import Policy
from prism_kafka.machine.queue import Queue
from prism_kafka.machine.state import Claim, Counter, State
from prism_kafka.machine.traces import Trace


def pieces(state: State, size: int) -> Iterator[bytes]:
    """Writes a state down as lines of JSON, cut into pieces of `size` bytes wherever that falls.

    The first line is the head; then come traces, copies (by the number of their trace) and queues (by the numbers
    of their copies).
    """
    written = bytearray()
    for row in _rows(state):
        written += orjson.dumps(row, option=orjson.OPT_APPEND_NEWLINE)
        while len(written) >= size:
            yield bytes(written[:size])
            del written[:size]
    yield bytes(written)


def restore(parts: Iterable[bytes]) -> State:
    """Reads a state from all its pieces, in order. Raises Malformed where they aren't a state's."""
    try:
        return _restore(map(orjson.loads, _lines(parts)))
    except (orjson.JSONDecodeError, StopIteration, LookupError, TypeError, ValueError) as error:
        raise Malformed(f"the snapshot can't be read: {error!r}") from error


def oldest_payload(state: State) -> int:
    """The offset of the oldest record that somebody may still need for its payload."""
    oldest = state.next_offset
    for queue in state.queues.values():
        for content in queue.contents():
            if isinstance(content, Copy):
                oldest = min(oldest, content.at)
        for dead in queue.dead:
            oldest = min(oldest, dead.at)
    return oldest


def _lines(parts: Iterable[bytes]) -> Iterator[bytes]:
    rest = b""
    for part in parts:
        *whole, rest = (rest + part).split(b"\n")
        yield from whole
    if rest:
        raise ValueError("it ends in the middle of a line")


def _rows(state: State) -> Iterator[list[Any]]:
    claim = None if state.claim is None else astuple(state.claim)
    counters = state.numbers.next, state.keys.next
    head = [state.next_offset, state.now, *counters, state.policy.row(), claim, state.snapshot_at, state.work]
    yield [VERSION, len(state.queues), *head]
    traces: dict[Trace, int] = {}
    for trace in state.traces:
        traces[trace] = len(traces)
        yield ["t", trace.message_id, trace.receivers.tolist(), trace.complete, trace.kept_until]
    copies: dict[Copy, int] = {}
    for queue in state.queues.values():
        for content in queue.contents():
            if isinstance(content, Copy) and content not in copies:
                copies[content] = len(copies)
                yield ["c", traces[content.trace], content.at, content.dies_at, content.position]
        yield _queue_row(queue, copies)


def _queue_row(queue: Queue, copies: dict[Copy, int]) -> list[Any]:
    def content(found: Content) -> int | list[int]:
        return copies[found] if isinstance(found, Copy) else [found.dropped, found.position]

    out = [
        [held.key, content(held.content), held.attempts, held.leased, held.leases, held.visible_at]
        for held in queue.out.values()
    ]
    fresh = [content(found) for found in queue.fresh]
    dead = [astuple(letter) for letter in queue.dead]
    return ["q", queue.name, queue.number, queue.latest, queue.check_at, queue.next_expiry, fresh, out, dead]


def _restore(rows: Iterator[list[Any]]) -> State:
    state = State()
    version, queues, *head = next(rows)
    if version != VERSION:
        raise ValueError(f"format {version}, not {VERSION}")
    state.next_offset, state.now, number, key, policy, claim, state.snapshot_at, state.work = head
    state.numbers, state.keys = Counter(number), Counter(key)
    state.policy = Policy(*policy)
    state.claim = None if claim is None else Claim(*claim)
    traces: list[Trace] = []
    copies: list[Copy] = []
    for kind, *row in rows:
        if kind == "t":
            traces.append(_trace(*row))
        elif kind == "c":
            copies.append(Copy(traces[row[0]], *row[1:]))
        else:
            queue = _queue(copies, *row)
            state.queues[queue.name] = queue
    if len(state.queues) != queues:
        raise ValueError(f"{len(state.queues)} queues, not {queues}")
    for queue in state.queues.values():
        for content in queue.contents():
            if isinstance(content, Copy):
                queue.size += 1
                content.trace.copies += 1
    state.traces.restore(traces)
    return state


def _trace(message_id: str, receivers: list[int], complete: bool, kept_until: int) -> Trace:
    trace = Trace(message_id)
    trace.receivers, trace.complete, trace.kept_until = array("Q", receivers), complete, kept_until
    return trace


def _queue(
    copies: list[Copy],
    name: str,
    number: int,
    latest: int,
    check_at: int,
    next_expiry: int,
    fresh: list[Any],
    out: list[list[Any]],
    dead: list[list[Any]],
) -> Queue:
    def content(found: Any) -> Content:
        return copies[found] if isinstance(found, int) else Loss(*found)

    queue = Queue(name, number)
    queue.latest, queue.check_at, queue.next_expiry = latest, check_at, next_expiry
    queue.fresh = [content(found) for found in fresh]
    for key, held, attempts, leased, leases, visible_at in out:
        delivery = queue.out[key] = Delivery(key, content(held))
        delivery.attempts, delivery.leased = attempts, leased
        delivery.leases, delivery.visible_at = leases, visible_at
    queue.dead = [Dead(*letter) for letter in dead]
    return queue
