"""Where a configuration comes from, and the lines of a YAML file its values stand on."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any

from prism.model.errors import InvalidConfig, Violation
from prism.model.json import MAX_NESTING
from prism.schema.place import Mistake, Place, show_place

if TYPE_CHECKING:
    from yaml import MappingNode, Node

MAX_BYTES = 1024 * 1024
MAX_VALUES = 100_000
"""Values a file may come to once its aliases are written out."""

_TAG = "tag:yaml.org,2002:"
_MERGE = _TAG + "merge"
_SCALARS = {_TAG + name for name in ("str", "int", "float", "bool", "null")}


@dataclass(slots=True)
class Source:
    """A configuration as plain values, with the mistakes found so far and, for a file, its name and lines."""

    data: Any
    name: str = ""
    lines: dict[Place, int] = field(default_factory=dict)
    mistakes: list[Mistake] = field(default_factory=list)

    def check(self, cause: Exception | None = None) -> None:
        """Raises InvalidConfig with all mistakes, in the order of the file; returns when there are none."""
        if not self.mistakes:
            return
        ordered = sorted(self.mistakes, key=lambda mistake: self._line(mistake.place))
        texts = []
        for mistake in ordered:
            violation = str(Violation(show_place(mistake.place), mistake.text))
            texts.append(f"{self.name}:{self._line(mistake.place)}: {violation}" if self.name else violation)
        violations = [Violation(show_place(mistake.place), mistake.text) for mistake in ordered]
        raise InvalidConfig("\n".join(texts), violations=violations) from cause

    def _line(self, place: Place) -> int:
        """The line of a place, or of the nearest one around it."""
        while place and place not in self.lines:
            place = place[:-1]
        return self.lines.get(place, 1)


def read_source(source: Path | str | Mapping[str, Any]) -> Source:
    """Reads a file (by its path) or takes a mapping as it is.

    Raises:
        InvalidConfig: the file can't be read, is too large or is no YAML. Duplicate keys and the like are
            left in `mistakes`, to be reported with the rest.
    """
    if isinstance(source, Mapping):
        return Source(source)
    path = Path(source)
    try:
        with path.open("rb") as file:
            data = file.read(MAX_BYTES + 1)
    except OSError as error:
        raise InvalidConfig(f"{path}: can't be read: {error.strerror or error}") from error
    if len(data) > MAX_BYTES:
        raise InvalidConfig(f"{path}: is over the limit of {MAX_BYTES:,} bytes; a configuration is far smaller")
    return _read_yaml(str(path), data)


def _read_yaml(name: str, data: bytes) -> Source:
    try:
        import yaml  # noqa: PLC0415 - an optional dependency, and slow to import
    except ImportError as error:
        text = f"{name}: reading YAML needs PyYAML; from a checkout of Prism: pip install './core[server]'"
        raise InvalidConfig(text) from error
    try:
        # Not the C loader: deep nesting overflows its stack, where this one raises RecursionError.
        node = yaml.compose(data.decode(), Loader=yaml.SafeLoader)
    except yaml.MarkedYAMLError as error:
        line = error.problem_mark.line + 1 if error.problem_mark is not None else 1
        text = " ".join(filter(None, (error.context, error.problem)))
        raise InvalidConfig(f"{name}:{line}: is not valid YAML: {text}") from error
    except (yaml.YAMLError, UnicodeDecodeError, RecursionError) as error:
        raise InvalidConfig(f"{name}: is not valid YAML: {' '.join(str(error).split())}") from error
    if node is None:
        return Source({}, name)
    builder = _Builder(name)
    return Source(builder.build(node, (), ()), name, builder.lines, builder.mistakes)


class _Builder:
    """Makes plain values of YAML nodes. Only JSON's types come out, whatever tags the file claims."""

    def __init__(self, name: str) -> None:
        import yaml  # noqa: PLC0415

        self._yaml = yaml
        self.lines: dict[Place, int] = {}
        self.mistakes: list[Mistake] = []
        self._name = name
        self._scalars = yaml.constructor.SafeConstructor()
        self._left = MAX_VALUES

    def build(self, node: Node, place: Place, around: tuple[Node, ...]) -> Any:
        """The value of a node; `around` are the nodes it is inside of."""
        self.lines.setdefault(place, node.start_mark.line + 1)
        self._count()
        if len(around) > MAX_NESTING:
            raise InvalidConfig(f"{self._name}: is nested deeper than {MAX_NESTING} levels")
        if any(outer is node for outer in around):
            self.mistakes.append(Mistake(place, "refers to what it is part of; an alias can't do that"))
            return None
        if isinstance(node, self._yaml.MappingNode):
            return self._mapping(node, place, (*around, node))
        if isinstance(node, self._yaml.SequenceNode):
            items = node.value
            return [self.build(item, (*place, i), (*around, node)) for i, item in enumerate(items)]
        return self._scalar(node, place)

    def _count(self) -> None:
        self._left -= 1
        if self._left < 0:
            raise InvalidConfig(f"{self._name}: holds more than {MAX_VALUES:,} values once aliases are written out")

    def _scalar(self, node: Node, place: Place) -> Any:
        if node.tag == _TAG + "timestamp":  # a date is text to us, as in JSON
            return node.value
        if node.tag not in _SCALARS:
            self.mistakes.append(Mistake(place, f"the YAML tag {node.tag} is not supported; write a plain value"))
            return None
        try:
            return self._scalars.construct_object(node)
        except ValueError as error:
            self.mistakes.append(Mistake(place, f"can't be read: {error}"))
            return None

    def _mapping(self, node: MappingNode, place: Place, around: tuple[Node, ...]) -> dict[str, Any]:
        built: dict[str, Any] = {}
        merged: list[Node] = []
        for key, value in node.value:
            if key.tag == _MERGE:
                merged.extend(value.value if isinstance(value, self._yaml.SequenceNode) else [value])
                continue
            if not isinstance(key, self._yaml.ScalarNode):
                self.mistakes.append(Mistake(place, "a key must be plain text, not a list or mapping"))
                continue
            inner = (*place, key.value)
            if key.value in built:
                again = key.start_mark.line + 1
                self.mistakes.append(Mistake(inner, f"stands there again in line {again}; remove one of the two"))
                continue
            self.lines.setdefault(inner, key.start_mark.line + 1)
            built[key.value] = self.build(value, inner, around)
        for other in merged:
            self._merge(built, other, place, around)
        return built

    def _merge(self, built: dict[str, Any], node: Node, place: Place, around: tuple[Node, ...]) -> None:
        """Adds what `<<` brings in; keys that are there already stay."""
        self._count()
        if not isinstance(node, self._yaml.MappingNode):
            self.mistakes.append(Mistake(place, "<< takes a mapping, or a list of mappings"))
            return
        if any(outer is node for outer in around):
            self.mistakes.append(Mistake(place, "<< refers to what it is part of"))
            return
        for key, value in self._mapping(node, place, (*around, node)).items():
            built.setdefault(key, value)
