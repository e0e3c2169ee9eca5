"""Which part of a filter a backend answers, and which part is left to us (after DataFusion's TableProvider)."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from typing import Any

from prism.filters.ast import EVERYONE, And, Compare, Node, Not, Op, Or, SortKey, Support
from prism.filters.mapping import to_mapping
from prism.filters.sorting import format_sort
from prism.model.errors import InternalError

NOBODY = Or(())
"""The filter that matches nothing."""

PlanFunction = Callable[[Sequence[Node]], Sequence[Support]]
"""What a backend says of each conjunct: `RegistryBackend.plan`."""


@dataclass(frozen=True, slots=True)
class PushdownPlan:
    """A filter split in two.

    `pushed` goes down; the backend's answer is every record that it holds for, or a superset. `residual` is
    what is still to be checked on what comes up, None for nothing. `exact` is true when the backend answers
    it all, which is when sort, limit, cursor and count may go down too. `support` is the backend's word on
    each conjunct, in order.
    """

    pushed: tuple[Node, ...]
    residual: Node | None
    exact: bool
    support: tuple[tuple[Node, Support], ...]

    def to_mapping(self) -> dict[str, Any]:
        """The plan as JSON."""
        return {
            "exact": self.exact,
            "pushed": [to_mapping(node) for node in self.pushed],
            "residual": None if self.residual is None else to_mapping(self.residual),
            "conjuncts": [{"filter": to_mapping(node), "support": support.value} for node, support in self.support],
        }


@dataclass(frozen=True, slots=True)
class Explanation:
    """How a query would run: the filter as it was asked, as it was planned, and who evaluates what."""

    asked: Node
    planned: Node
    sort: tuple[SortKey, ...]
    plan: PushdownPlan

    def to_mapping(self) -> dict[str, Any]:
        """The explanation as JSON."""
        return {
            "filter": to_mapping(self.asked),
            "normalised": to_mapping(self.planned),
            "sort_by": format_sort(self.sort),
            "sort_pushed": self.plan.exact,
            **self.plan.to_mapping(),
        }


def normalise(node: Node) -> Node:
    """An equal filter with `not` pushed inwards by De Morgan's laws, nested And and Or flattened.

    `not eq` is `ne` and the reverse, `not exists` flips its operand; any other negated clause stays a Not
    around it, since `not lt` isn't `gte` where there is no value.
    """
    match node:
        case Compare():
            return node
        case Not():
            return _negate(node.child)
        case And():
            return _and([normalise(child) for child in node.children])
        case Or():
            return _or([normalise(child) for child in node.children])


def conjuncts(node: Node) -> tuple[Node, ...]:
    """The parts that must all hold; none for everyone."""
    return node.children if isinstance(node, And) else (node,)


def split(node: Node, plan: PlanFunction) -> PushdownPlan:
    """Normalises a filter, asks the backend about its conjuncts, and keeps what it doesn't answer exactly.

    Raises InternalError when the backend doesn't give one Support per conjunct: guessing could widen a filter.
    """
    asked = conjuncts(normalise(node))
    support = _answers(asked, plan)
    paired = tuple(zip(asked, support, strict=True))
    pushed = tuple(part for part, answer in paired if answer is not Support.UNSUPPORTED)
    kept = [part for part, answer in paired if answer is not Support.EXACT]
    residual = _and(kept) if kept else None
    return PushdownPlan(pushed, residual, residual is None, paired)


def explain(node: Node, plan: PlanFunction, sort: tuple[SortKey, ...] = ()) -> Explanation:
    """What `split` decides for a filter, in a form to print."""
    return Explanation(node, normalise(node), sort, split(node, plan))


def _answers(asked: tuple[Node, ...], plan: PlanFunction) -> list[Support]:
    if not asked:
        return []
    answers = list(plan(asked))
    if len(answers) != len(asked):
        raise InternalError(
            f"the backend's plan answered {len(answers)} of {len(asked)} conjuncts; it must answer each"
        )
    for answer in answers:
        if not isinstance(answer, Support):
            raise InternalError(f"the backend's plan answered {answer!r}; it must answer with prism.filters.Support")
    return answers


def _negate(node: Node) -> Node:
    """The normal form of the complement."""
    match node:
        case Compare(op=Op.EQ):
            return replace(node, op=Op.NE)
        case Compare(op=Op.NE):
            return replace(node, op=Op.EQ)
        case Compare(op=Op.EXISTS):
            return replace(node, value=not node.value)
        case Compare():
            return Not(node)
        case Not():
            return normalise(node.child)
        case And():
            return _or([_negate(child) for child in node.children])
        case Or():
            return _and([_negate(child) for child in node.children])


def _and(children: list[Node]) -> Node:
    flat = [part for child in children for part in (child.children if isinstance(child, And) else (child,))]
    if NOBODY in flat:
        return NOBODY
    return flat[0] if len(flat) == 1 else And(tuple(flat))


def _or(children: list[Node]) -> Node:
    flat = [part for child in children for part in (child.children if isinstance(child, Or) else (child,))]
    if EVERYONE in flat:
        return EVERYONE
    return flat[0] if len(flat) == 1 else Or(tuple(flat))
