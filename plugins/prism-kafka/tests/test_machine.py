"""The state machine alone: like the reference whatever is done, and the same again after a snapshot."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st
from prism.memory.durability import Queues
from prism.model.message import DeliverySemantics, Message
from prism.model.time import SECOND
from prism.slots.context import QueuePolicy, SlotContext
from prism.slots.durability import Gap, Lease, NoQueue
from prism_kafka.machine.commands import LONGEST, Command, Kind, Malformed, NewerFormat, decode, described, encode
from prism_kafka.machine.policy import Policy
from prism_kafka.machine.snapshot import oldest_payload, pieces, restore
from prism_kafka.machine.state import CLAIM_TIME, State

RETENTION = 7 * 24 * 3600 * SECOND
QUEUES = ("alice", "bob", "carol")
POLICY = QueuePolicy(max_messages=4, max_attempts=2, max_dead_letters=2)


def message(name: str) -> Message:
    return Message(name, name.encode(), "text/plain", 1, DeliverySemantics.AT_LEAST_ONCE)


class Log:
    """A log of one partition, applied as it is written."""

    def __init__(self) -> None:
        self.records: list[tuple[int, bytes]] = []
        self.now = 1_760_000_000 * SECOND
        self.state = State()
        self.write(Kind.POLICY, Policy.of(POLICY, RETENTION, 1).row())

    def write(self, kind: Kind, arguments: list[Any], payload: bytes = b"", issuer: str = "me") -> Any:
        self.records.append((self.now, encode(kind, issuer, 1, arguments, payload)))
        return self.apply(self.state, len(self.records) - 1)

    def apply(self, state: State, offset: int) -> Any:
        timestamp, value = self.records[offset]
        state.advance(offset, timestamp)
        return state.apply(decode(value), offset)

    def enqueue(self, name: str, queues: list[str], ttl: int | None = None) -> Any:
        return self.write(Kind.ENQUEUE, [*described(message(name)), queues, ttl], name.encode())

    def lease(self, queue: str, limit: int = 10, visibility: int = SECOND) -> list[Any]:
        found: list[Any] = self.write(Kind.DEQUEUE, [[queue], limit, visibility])
        return found

    def name_of(self, at: int) -> str:
        return decode(self.records[at][1]).message().id


steps = st.lists(
    st.one_of(
        st.tuples(st.just("create"), st.sampled_from(QUEUES)),
        st.tuples(st.just("delete"), st.sampled_from(QUEUES), st.integers(0, 6)),
        st.tuples(
            st.just("enqueue"),
            st.lists(st.sampled_from(QUEUES), min_size=1, max_size=4),
            st.integers(0, 8),
            st.sampled_from([None, SECOND, 5 * SECOND]),
        ),
        st.tuples(
            st.just("dequeue"), st.sampled_from(QUEUES), st.integers(0, 3), st.sampled_from([SECOND, 9 * SECOND])
        ),
        st.tuples(st.sampled_from(["ack", "nack", "release", "extend"]), st.integers(0, 10)),
        st.tuples(st.just("depth"), st.sampled_from(QUEUES)),
        st.tuples(st.just("dead"), st.sampled_from(QUEUES)),
        st.tuples(st.just("replay"), st.sampled_from(QUEUES), st.integers(0, 8)),
        st.tuples(st.just("wait"), st.sampled_from([SECOND // 2, 2 * SECOND, 200 * SECOND])),
        st.tuples(st.just("snapshot")),
    ),
    max_size=60,
)


class Both:
    """The log's state machine and the reference, side by side."""

    def __init__(self) -> None:
        self.log = Log()
        self.reference = Queues(SlotContext("test", queues=POLICY, clock=lambda: self.log.now))
        for queue in QUEUES:
            self.create(queue)
        self.held: list[tuple[list[str], Lease]] = []
        self.marks = [(0, 0)]

    def create(self, queue: str) -> None:
        self.log.write(Kind.CREATE, [[queue]])
        self.reference.create([queue])

    def delete(self, queue: str, mark: int) -> None:
        offset, position = self.marks[mark % len(self.marks)]
        if mark == 0:
            self.log.write(Kind.DELETE, [[queue], None])
            self.reference.delete([queue])
        else:
            self.log.write(Kind.DELETE, [[queue], offset])
            self.reference.delete_before([queue], position)
        self.marks.append((len(self.log.records), self.reference.mark()))

    def enqueue(self, queues: list[str], number: int, ttl: int | None) -> None:
        ours = self.log.enqueue(f"m{number}", queues, ttl)
        theirs = self.reference.enqueue(message(f"m{number}"), queues, RETENTION if ttl is None else ttl)
        assert ours == [not isinstance(outcome, NoQueue) for outcome in theirs]

    def dequeue(self, queue: str, limit: int, visibility: int) -> None:
        ours = self.log.lease(queue, limit, visibility)
        found = self.reference.find(queue)
        until = self.log.now + visibility
        theirs = [] if found is None else found.lease(limit, until, self.log.now, self.reference.keys)
        shown = [item.content.dropped if isinstance(item.content, Gap) else item.content.id for item in theirs]
        assert [item.dropped if item.at is None else self.log.name_of(item.at) for item in ours] == shown
        assert [item.attempt for item in ours] == [item.attempt for item in theirs]
        self.held += [([item.queue, item.token], other) for item, other in zip(ours, theirs, strict=True)]

    def settle(self, kind: str, number: int) -> None:
        if not self.held:
            return
        pair, lease = self.held[number % len(self.held)]
        now, more = self.log.now, [3 * SECOND] if kind in {"nack", "extend"} else []
        [ours] = self.log.write(Kind(kind), [[pair], *more])
        queue = self.reference.find(lease.queue)
        theirs = (
            queue is not None
            and {
                "ack": lambda: queue.settle(lease, now),
                "nack": lambda: queue.give_back(lease, now + 3 * SECOND, now, counts=True),
                "release": lambda: queue.give_back(lease, now, now, counts=False),
                "extend": lambda: queue.extend(lease, now + 3 * SECOND, now),
            }[kind]()
        )
        assert ours == theirs

    def depth(self, queue: str) -> None:
        found = self.reference.find(queue)
        assert self.log.write(Kind.DEPTH, [[queue]]) == [0 if found is None else found.depth(self.log.now)]

    def dead(self, queue: str) -> None:
        found = self.reference.find(queue)
        theirs = [] if found is None else found.dead_letters(self.log.now)
        ours = self.log.write(Kind.DEAD_LETTERS, [queue, 10])
        assert [(dead.message_id, dead.attempts) for dead in ours] == [
            (dead.message.id, dead.attempts) for dead in theirs
        ]

    def replay(self, queue: str, number: int) -> None:
        ours = self.log.write(Kind.REPLAY, [queue, [f"m{number}"], POLICY.message_ttl])
        assert ours == self.reference.replay(queue, {f"m{number}"})

    def wait(self, time: int) -> None:
        self.log.now += time

    def snapshot(self) -> None:
        self.log.state = restore(list(pieces(self.log.state, 100)))


@settings(deadline=None, max_examples=150)
@given(steps)
@example(
    [
        ("enqueue", ["alice"], 0, None),
        ("enqueue", ["alice"], 0, SECOND),
        ("wait", 2 * SECOND),
        ("dequeue", "alice", 1, SECOND),
    ]
)
def test_whatever_is_done_the_answers_are_those_of_the_reference(steps: list[Any]) -> None:
    both = Both()
    for name, *arguments in steps:
        if name in {"ack", "nack", "release", "extend"}:
            both.settle(name, *arguments)
        else:
            getattr(both, name)(*arguments)


@settings(deadline=None, max_examples=60)
@given(steps)
def test_state_read_from_a_snapshot_is_written_down_the_same_after_the_same_records(steps: list[Any]) -> None:
    both = Both()
    states: list[State] = []
    for name, *arguments in steps:
        written = len(both.log.records)
        if name == "snapshot":
            states.append(restore(list(pieces(both.log.state, 1000))))
        elif name in {"ack", "nack", "release", "extend"}:
            both.settle(name, *arguments)
        else:
            getattr(both, name)(*arguments)
        for state in states:
            for offset in range(written, len(both.log.records)):
                both.log.apply(state, offset)
    for state in states:
        assert list(pieces(state, 1000)) == list(pieces(both.log.state, 1000))


names = st.lists(st.sampled_from([*QUEUES, "", "\u0000\n"]), max_size=4)
numbers = st.one_of(st.integers(0, 5), st.sampled_from([SECOND, RETENTION, LONGEST]))
tokens = st.one_of(st.sampled_from(["1.1", "2.1", "3.2", "", ".", "\u0663.1", "9" * 5_000]), st.text(max_size=5))
pairs = st.lists(st.tuples(st.sampled_from(QUEUES), tokens).map(list), max_size=4)
semantics = st.sampled_from([str(item) for item in DeliverySemantics])
texts = st.sampled_from(["m1", "m2", ""])
ARGUMENTS = {
    Kind.CREATE: st.tuples(names),
    Kind.DELETE: st.tuples(names, st.none() | numbers),
    Kind.ENQUEUE: st.tuples(texts, texts, numbers, semantics, texts, names, st.none() | numbers),
    Kind.DEQUEUE: st.tuples(names, numbers, numbers),
    Kind.ACK: st.tuples(pairs),
    Kind.NACK: st.tuples(pairs, numbers),
    Kind.RELEASE: st.tuples(pairs),
    Kind.EXTEND: st.tuples(pairs, numbers),
    Kind.DEPTH: st.tuples(names),
    Kind.DEAD_LETTERS: st.tuples(st.sampled_from(QUEUES), numbers),
    Kind.REPLAY: st.tuples(st.sampled_from(QUEUES), st.lists(texts, max_size=3), st.none() | numbers),
    Kind.POLICY: st.tuples(*[numbers.map(lambda number: max(1, number))] * 5),
    Kind.CLAIM: st.tuples(),
    Kind.DONE: st.tuples(numbers),
}
records = st.lists(
    st.sampled_from(list(Kind)).flatmap(lambda kind: st.tuples(st.just(kind), ARGUMENTS[kind], numbers)), max_size=40
)


@settings(deadline=None, max_examples=150)
@given(records)
def test_no_record_that_can_be_read_stops_the_log(records: list[Any]) -> None:
    log = Log()
    for kind, arguments, time in records:
        log.write(kind, list(arguments))
        log.now = min(log.now + time, LONGEST)
    assert list(restore(pieces(log.state, 50)).queues) == list(log.state.queues)


def test_time_of_the_log_never_goes_back() -> None:
    log = Log()
    log.write(Kind.CREATE, [["alice"]])
    log.enqueue("m1", ["alice"])
    log.now += 10 * SECOND
    log.lease("alice", visibility=5 * SECOND)
    log.now -= 9 * SECOND
    assert log.lease("alice") == []
    log.now += 9 * SECOND + 5 * SECOND
    assert [item.attempt for item in log.lease("alice")] == [2]


def test_message_older_than_the_retention_is_a_gap_whatever_its_ttl() -> None:
    log = Log()
    log.write(Kind.CREATE, [["alice"]])
    log.enqueue("m1", ["alice"], None)
    log.now += RETENTION - 1
    [held] = log.lease("alice")
    log.write(Kind.RELEASE, [[[held.queue, held.token]]])
    log.now += 1
    assert [(item.at, item.dropped) for item in log.lease("alice")] == [(None, 1)]


def test_first_offer_of_a_snapshot_counts_until_it_has_taken_too_long() -> None:
    log = Log()
    claim = len(log.records)
    assert log.write(Kind.CLAIM, [], issuer="one") is True
    assert log.write(Kind.CLAIM, [], issuer="other") is False
    log.now += CLAIM_TIME
    later = len(log.records)
    assert log.write(Kind.CLAIM, [], issuer="other") is True
    assert log.write(Kind.DONE, [claim], issuer="one") is False
    assert log.write(Kind.DONE, [later], issuer="one") is False
    assert log.write(Kind.DONE, [later], issuer="other") is True
    assert (log.state.snapshot_at, log.state.work) == (later, 0)


def test_claim_lets_go_of_payloads_that_have_timed_out() -> None:
    log = Log()
    log.write(Kind.CREATE, [["alice", "bob"]])
    old = len(log.records)
    log.enqueue("m1", ["alice"], SECOND)
    log.enqueue("m2", ["bob"])
    assert oldest_payload(log.state) == old
    log.now += 2 * SECOND
    log.write(Kind.CLAIM, [])
    assert oldest_payload(log.state) == old + 1


def test_traces_are_let_go_when_nobody_has_the_message_and_its_window_is_over() -> None:
    log = Log()
    log.write(Kind.CREATE, [list(QUEUES)])
    for i in range(100):
        log.enqueue(f"m{i}", ["alice", "nobody"])
        log.write(Kind.ACK, [[[item.queue, item.token] for item in log.lease("alice")]])
        log.now += 10 * SECOND
    assert len(log.state.traces) < 50
    log.write(Kind.DELETE, [["alice"], None])
    log.now += 1000 * SECOND
    log.enqueue("last", ["nobody"])
    assert len(log.state.traces) == 1


def garbage() -> Iterator[bytes | None]:
    good = encode(Kind.CREATE, "me", 1, [["alice"]])
    yield from (None, b"", b"\x00\xff" * 20, b"prism-log", b"prism-log/", b"prism-log/1", b"prism-log/x [] \n")
    yield good.replace(b"\n", b"")
    yield good.replace(b"create", b"explode")
    yield good.replace(b'["alice"]', b'"alice"')
    yield good.replace(b'["alice"]', b'[["alice"]]')
    yield b"prism-log/1 {}\n"
    yield b'prism-log/1 ["ack","me",1,[["alice"]]]\n'
    yield b'prism-log/1 ["enqueue","me",1,"m1","text/plain",0,"thrice","",["alice"],null]\n'
    yield b'prism-log/1 ["dequeue","me",1,["alice"],true,1]\n'
    yield b'prism-log/1 ["dequeue","me",1,["alice"],-1,1]\n'
    yield b'prism-log/1 ["dequeue","me",1,["alice"],1,9223372036854775807]\n'
    yield b'prism-log/1 ["policy","me",1,0,1,1,1,1]\n'


@pytest.mark.parametrize("value", list(garbage()))
def test_record_that_nobody_can_have_written_is_malformed(value: bytes | None) -> None:
    with pytest.raises(Malformed):
        decode(value)


def test_record_of_a_newer_format_is_not_passed_over() -> None:
    with pytest.raises(NewerFormat, match="format 2, and this Prism knows 1; upgrade it"):
        decode(b"prism-log/2 anything\n")


def test_record_reads_as_it_was_written() -> None:
    sent = message("m\u00e9\n1")
    written = encode(Kind.ENQUEUE, "me", 7, [*described(sent), ["a\nb", "\u0000"], None], sent.payload)
    read = decode(written)
    assert read == Command(Kind.ENQUEUE, "me", 7, [*described(sent), ["a\nb", "\u0000"], None], sent.payload)
    assert read.message() == sent


def test_snapshot_that_is_cut_is_malformed() -> None:
    log = Log()
    log.write(Kind.CREATE, [list(QUEUES)])
    log.enqueue("m1", list(QUEUES))
    [whole] = pieces(log.state, 10_000)
    assert list(restore([whole[:7], whole[7:]]).queues) == list(QUEUES)
    for end in range(len(whole)):
        with pytest.raises(Malformed):
            restore([whole[:end]])
