"""Registry obligations: whatever is pushed down, EXACT is exact and INEXACT a superset."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Sequence
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from prism.filters.ast import Compare, MetadataField, Node, Op, RecordField, Support
from prism.filters.parse import parse
from prism.filters.plan import conjuncts, normalise
from prism.filters.record import Record
from prism.filters.reference import matches
from prism.model import json
from prism.model.errors import Violation
from prism.model.limits import Limits
from prism.plugins.spec import SlotKind
from prism.slots.registry import After, Fence, RegistryBackend

from prism_conformance.awkward import INJECTIONS
from prism_conformance.checks import check
from prism_conformance.filters.corpus import CASES, Case
from prism_conformance.filters.meetings import Meetings
from prism_conformance.harness import Opener
from prism_conformance.registry.scans import as_record
from prism_conformance.registry.words import HOUR, PAST, names, scanned, store, store_short, stored, write
from prism_conformance.slot import AnySlotContract

SHARED = settings(
    max_examples=100,
    deadline=None,
    suppress_health_check=[
        HealthCheck.function_scoped_fixture,
        HealthCheck.too_slow,
        HealthCheck.data_too_large,
        HealthCheck.differing_executors,
    ],
)
"""Examples share one registry, which each empties first. One run may hold several backends to the same check."""

ROUNDS = 5
"""Filters tried for each example."""

FILLERS = 40

INDEXES = ["a", "b", "a.b", "eq"]


async def compare(registry: RegistryBackend, node: Node) -> None:
    """Compares what the registry finds with what the reference does, on all that it holds."""
    everyone = [as_record(item) for item in await scanned(registry)]
    asked = conjuncts(normalise(node))
    pushed = [
        (part, answer)
        for part, answer in zip(asked, registry.plan(asked), strict=True)
        if answer is not Support.UNSUPPORTED
    ]
    parts = tuple(part for part, _ in pushed)
    found = await names(registry, conjuncts=parts)
    due = [record.identity for record in everyone if all(matches(part, record) for part in parts)]
    if all(answer is Support.EXACT for _, answer in pushed):
        assert found == due
        assert await registry.count(parts) == len(due)
    else:
        assert found == sorted(set(found))
        assert set(due) <= set(found)
    for part, answer in pushed:
        alone, expected = set(await names(registry, conjuncts=(part,))), set(_expected(part, everyone))
        assert alone == expected if answer is Support.EXACT else alone >= expected


def claimed(registry: RegistryBackend, *asked: Node) -> tuple[Node, ...]:
    """Those of the conjuncts that the slot takes: it is never given another."""
    answers = registry.plan(asked)
    return tuple(part for part, answer in zip(asked, answers, strict=True) if answer is not Support.UNSUPPORTED)


def _expected(node: Node, records: Sequence[Record]) -> list[str]:
    return [record.identity for record in records if matches(node, record)]


def _storable(document: object) -> bool:
    """Whether metadata may be this: some cases of the corpus are beyond what JSON here can hold."""
    problems: list[Violation] = []
    json.normalise(document, "metadata", problems)
    return not problems


async def refill(registry: RegistryBackend, documents: Sequence[dict[str, Any]]) -> None:
    """Empties the registry and writes one registration for each document, and many that few filters match.

    Without those a planner would not trouble to use an index.
    """
    present = await names(registry)
    await registry.delete([Fence(name) for name in present if not name.startswith("filler")])
    batch = [
        write(f"{'ab'[i % 2]}-{i}", json.encode(document), ttl=HOUR if i % 3 else None)
        for i, document in enumerate(documents)
    ]
    if not present:
        batch += [write(f"filler-{i}", b'{"filler":%d}' % i) for i in range(FILLERS)]
    assert all(stored(outcome) for outcome in await registry.set(batch))


async def _shared(opener: Opener, indexes: Sequence[str] = ()) -> RegistryBackend:
    """The one registry of a property test."""
    registry = opener.opened[0] if opener.opened else await opener.registry(indexes=indexes)
    assert isinstance(registry, RegistryBackend)
    return registry


class FilterContract(AnySlotContract):
    """Obligations of `plan`, `scan` and `count` with conjuncts."""

    kind = SlotKind.REGISTRY

    @check("FIL-010", source="RFC-017 Filter Evaluation Strategy; design 6, pushdown")
    @pytest.mark.parametrize("case", CASES, ids=[case.name for case in CASES])
    async def test_filter_means_what_the_reference_says(self, opener: Opener, case: Case) -> None:
        """Every case of the corpus means what the reference evaluator says."""
        registry = await opener.registry(indexes=INDEXES)
        await refill(registry, [document for document in (*case.holds, *case.fails) if _storable(document)])
        await compare(registry, parse(case.filter, Limits()))

    @check("FIL-020", source="RFC-017 Filter Evaluation Strategy; design 6, pushdown")
    @SHARED
    @given(seed=st.integers(0, 2**64))
    async def test_pushed_filter_finds_what_the_reference_does(self, opener: Opener, seed: int) -> None:
        """A generated filter, pushed as far as the slot claims, finds what the reference evaluator does."""
        registry = await _shared(opener)
        meetings = Meetings(seed)
        for _ in range(ROUNDS):
            node, records = meetings.pair()
            await refill(registry, [record.document for record in records])
            await compare(registry, node)

    @check("FIL-021", source="RFC-017 Filter Evaluation Strategy; design 6, pushdown")
    @SHARED
    @given(seed=st.integers(0, 2**64))
    async def test_indexes_change_no_answer(self, opener: Opener, seed: int) -> None:
        """Indexes change no answer to a generated filter."""
        registry = await _shared(opener, indexes=INDEXES)
        meetings = Meetings(seed)
        for _ in range(ROUNDS):
            node, records = meetings.pair()
            await refill(registry, [record.document for record in records])
            await compare(registry, node)

    @check("FIL-022", source="RFC-017 Filter Evaluation Strategy; design 6, pushdown")
    @SHARED
    @given(seed=st.integers(0, 2**64))
    async def test_indexes_follow_what_is_written_over(self, opener: Opener, seed: int) -> None:
        """Indexes follow what is written over."""
        registry = await _shared(opener, indexes=INDEXES)
        meetings = Meetings(seed)
        before, records = meetings.pair()
        await refill(registry, [record.document for record in records])
        await compare(registry, before)  # an index that is built when it is first asked is there from now on
        for _ in range(ROUNDS):
            node, records = meetings.pair()
            batch = [write(f"a-{i * 2}", json.encode(record.document)) for i, record in enumerate(records)]
            assert all(stored(outcome) for outcome in await registry.set(batch))
            await compare(registry, node)
            await compare(registry, before)

    @check("FIL-030", source="RFC-017 Filter Evaluation Strategy; design 6, pushdown")
    async def test_boolean_is_not_the_number_that_python_takes_it_for(self, opener: Opener) -> None:
        """A boolean is not the number that python takes it for."""
        registry = await opener.registry(indexes=["a"])
        await refill(registry, [{"a": True}, {"a": 1}, {"a": 1.0}, {"a": False}, {"a": 0}, {"a": "1"}])
        for value in (True, 1, 1.0, False, 0, "1"):
            for operator in ("eq", "ne") if isinstance(value, bool) else ("eq", "ne", "lt", "lte", "gt", "gte"):
                await compare(registry, parse({f"a.{operator}": value}, Limits()))
            await compare(registry, parse({"a.in": [value]}, Limits()))

    @check("FIL-031", source="RFC-017 Filter Evaluation Strategy; design 6, pushdown")
    async def test_number_is_found_by_value_whether_whole_or_not(self, opener: Opener) -> None:
        """A number is found by value whether whole or not."""
        registry = await opener.registry(indexes=["a"])
        numbers = [1, 1.0, 2**53, 2**53 + 1, 2.0**53, -0.0, 0, 2**63 - 1, 2.0**63, 0.1]
        await refill(registry, [{"a": number} for number in numbers])
        for number in numbers:
            for operator in ("eq", "lt", "lte", "gt", "gte"):
                await compare(registry, parse({f"a.{operator}": number}, Limits())) if abs(number) < 2**63 else None

    @check("FIL-032", source="RFC-017 Filter Evaluation Strategy; design 6, pushdown")
    async def test_prefix_is_found_up_to_the_last_code_point(self, opener: Opener) -> None:
        """A prefix is found up to the last code point."""
        registry = await opener.registry(indexes=["a"])
        texts = [
            "",
            "a",
            "a\U0010ffff",
            "a\U0010ffffb",
            "ab",
            "b",
            "\U0010ffff",
            "\U0010ffff\U0010ffff",
            "\ud7ff",
            "\ue000",
        ]
        await refill(registry, [{"a": text} for text in texts])
        for text in texts:
            for operator in ("startswith", "lt", "lte", "gt", "gte", "contains"):
                await compare(registry, parse({f"a.{operator}": text}, Limits()))

    @check("FIL-033", source="RFC-017 Filter Evaluation Strategy; design 6, pushdown")
    async def test_element_is_found_in_arrays_and_text_in_texts(self, opener: Opener) -> None:
        """An element is found in arrays and text in texts."""
        registry = await opener.registry(indexes=["a"])
        arrays: list[Any] = [["x", "y"], ["x"], [], [["x"]], [1, True], [1.0], [{"x": 1}], ["x", "x"], [None]]
        await refill(registry, [{"a": array} for array in arrays])
        for element in ("x", 1, True, 1.0, ["x"], {"x": 1}):
            await compare(registry, parse({"a.contains": element}, Limits()))
        await store(registry, "text", b'{"a":"xyz"}')
        await store(registry, "other text", b'{"a":"x"}')
        await compare(registry, parse({"a.contains": "x"}, Limits()))
        await registry.delete([Fence("other text")])
        await compare(registry, parse({"a.contains": "x"}, Limits()))

    @check("FIL-034", source="RFC-017 Security Considerations; design 6, decided meanings")
    async def test_no_text_is_taken_for_a_part_of_the_query(self, opener: Opener) -> None:
        """Text that means something to a query language changes nothing, as a field, a value or an identity."""
        registry = await opener.registry(indexes=list(INJECTIONS))
        documents = [document for text in INJECTIONS for document in ({text: 1}, {"a": text}, {text: text})]
        await refill(registry, documents)
        for text in INJECTIONS:
            field = MetadataField((text,))
            await compare(registry, Compare(field, Op.EQ, 1))
            await compare(registry, Compare(field, Op.EQ, text))
            await compare(registry, Compare(field, Op.EXISTS, value=True))
            for op in (Op.EQ, Op.NE, Op.STARTSWITH, Op.ENDSWITH, Op.CONTAINS, Op.LT, Op.GTE):
                await compare(registry, Compare(MetadataField(("a",)), op, text))
            await compare(registry, Compare(MetadataField(("a",)), Op.IN, (text, "a")))
            await compare(registry, Compare(RecordField.IDENTITY, Op.EQ, text))
            await compare(registry, Compare(RecordField.IDENTITY, Op.STARTSWITH, text))

    @check("FIL-040", source="RFC-017 Enumerate Operation; design 6, pushdown")
    async def test_expired_identity_matches_no_filter(
        self, opener: Opener, advance: Callable[[float], Awaitable[None]]
    ) -> None:
        """An expired identity matches no filter."""
        registry = await opener.registry(indexes=["a"])
        await store_short(registry, "alice", b'{"a":1}')
        await store(registry, "bob", b'{"a":1}')
        await advance(PAST)
        node = parse({"a": 1}, Limits())
        assert await names(registry, conjuncts=claimed(registry, node)) == ["bob"]
        await registry.pop_expired(10)
        await compare(registry, node)

    @check("FIL-041", source="RFC-017 Enumerate Operation; design 6, pushdown")
    async def test_filtered_scan_pages_like_any_other(self, opener: Opener) -> None:
        """A filtered scan pages like any other."""
        registry = await opener.registry(indexes=["a"])
        await refill(registry, [{"a": i % 3, "b": i % 2} for i in range(300)])
        node = parse({"a": 1}, Limits())
        pushed = claimed(registry, node)
        everyone = await names(registry, conjuncts=pushed)
        assert len(everyone) >= 100
        assert await names(registry, conjuncts=pushed, after=After((), everyone[49])) == everyone[50:]
        assert await names(registry, conjuncts=pushed, page_size=7) == everyone
        if registry.plan([node]) == [Support.EXACT]:
            assert len(everyone) == 100
            assert await names(registry, conjuncts=(node,), limit=33, page_size=10) == everyone[:33]
