"""One clause into the filter tree: `room=engineering`, `battery<0.2`, `location near 48.1,11.5,200km`."""

from __future__ import annotations

import re
from collections.abc import Sequence
from typing import Any, NoReturn

from prism.cli.where.scan import Scanner, WhereError
from prism.cli.where.values import read_list, read_near, read_value, read_within
from prism.filters.ast import EVERYONE, And, Compare, Field, Node, Op, RecordField
from prism.filters.parse import compare
from prism.filters.paths import OPERATORS, PathError, format_key, read_key, read_path
from prism.model.errors import InvalidFilter

SYMBOLS = {
    "!=": Op.NE,
    "<=": Op.LTE,
    ">=": Op.GTE,
    "^=": Op.STARTSWITH,
    "$=": Op.ENDSWITH,
    "~=": Op.CONTAINS,
    "=": Op.EQ,
    "<": Op.LT,
    ">": Op.GT,
}
"""Operators by their sign, the longer ones first."""

WORDS = {"in": Op.IN, "near": Op.NEAR, "within": Op.WITHIN}
"""Operators by their word, which stands between spaces."""

JOINING = ("and", "or", "&&", "||")
"""Words that others have between clauses."""
SEVERAL = (
    "several --where all have to hold, FIELD in A,B is any of a list, and --filter '{\"$or\": [...]}' is any filter"
)
PATTERNS = "FIELD~=TEXT is contains, FIELD^=TEXT begins with, FIELD$=TEXT ends with, FIELD.regex=PATTERN a pattern"
_JOINED = re.compile(r""""(?:\\.|[^"\\])*"|'[^']*'|(?<=\s)(and|or|&&|\|\|)(?=\s)""", re.IGNORECASE)
"""What is quoted, or a word between clauses."""

_FIXES = {
    "~": PATTERNS,
    "!": f'"is not" is FIELD!=VALUE, {PATTERNS}',
    "&": SEVERAL,
    "|": SEVERAL,
    ":": "equality is FIELD=VALUE",
    "^": PATTERNS,
    "*": PATTERNS,
    "%": PATTERNS,
}
"""Signs that others have for an operator, and what to write. Read as part of a name, they would match nobody."""
_ALONE = ":^*%"
"""Of these, the ones that may be in a name where an operator follows it."""

_TEXT_OPERATORS = (Op.STARTSWITH, Op.ENDSWITH, Op.REGEX, Op.TYPE)


def parse_wheres(texts: Sequence[str]) -> Node:
    """Several clauses, all of which have to hold; everyone when there is none. Raises WhereError."""
    clauses = tuple(parse_where(text) for text in texts)
    if not clauses:
        return EVERYONE
    return clauses[0] if len(clauses) == 1 else And(clauses, implicit=True)


def parse_where(text: str) -> Compare:
    r"""Reads one clause. Raises WhereError, which points at the character.

    `=` `!=` `<` `<=` `>` `>=` compare; `^=` starts with, `$=` ends with, `~=` contains; `FIELD` has a value,
    `!FIELD` has none; `FIELD in A,B`; `FIELD near LAT,LON,RADIUS`; `FIELD within SOUTH,WEST,NORTH,EAST`;
    `FIELD.OPERATOR=VALUE` is any operator by its name. Paths are dotted; a key in double quotes is taken
    literally. An unquoted value that reads as a number, true or false is one; a quoted value is text.
    """
    scanner = Scanner(text)
    scanner.skip_space()
    negated = scanner.take_any(["!"]) is not None
    scanner.skip_space()
    start = scanner.position
    path, literal = _take_path(scanner)
    end = scanner.position
    if negated:
        _refuse_lone(scanner, start, end, literal)
        scanner.expect_end('the field; "!FIELD" stands alone (for "is not" write FIELD!=VALUE)')
        return _build(scanner, start, _field(scanner, path, start), Op.EXISTS, False)
    scanner.skip_space()
    if scanner.done:
        _refuse_lone(scanner, start, end, literal)
        return _build(scanner, start, _field(scanner, path, start), Op.EXISTS, True)
    field, op = _take_operator(scanner, path, start, literal)
    at = _after_space(scanner)
    op, value = _operand(scanner, field, op)
    return _build(scanner, at, field, op, value)


def _take_path(scanner: Scanner) -> tuple[str, bool]:
    """The path with its escapes, and whether its last key was quoted."""
    start = scanner.position
    keys: list[str] = []
    quoted = False
    while True:
        quoted = scanner.rest.startswith('"')
        keys.append(_escape(scanner.take_quoted()) if quoted else _take_key(scanner))
        if scanner.take_any(["."]) is None:
            break
    if keys == [""]:
        scanner.fail("expected a field, such as room=engineering", start)
    if "" in keys:
        scanner.fail("a path is keys separated by single dots; this one has an empty key", start)
    return ".".join(keys), quoted


def _take_key(scanner: Scanner) -> str:
    """An unquoted key up to a dot, an operator, a quote or white space; backslash escapes stay in it.

    Fails at a sign that others have for an operator: read as part of a name, it would match nobody in silence.
    """
    text, start = scanner.text, scanner.position
    while not scanner.done:
        character = text[scanner.position]
        if character == "\\":
            scanner.position = min(scanner.position + 2, len(text))
            continue
        signed = character in "!^$~" and text.startswith("=", scanner.position + 1)
        if signed or character.isspace() or character in ".=<>\"'":
            break
        if character in _FIXES and character not in _ALONE:
            _refuse_sign(scanner, character, scanner.position)
        scanner.position += 1
    return text[start : scanner.position]


def _refuse_sign(scanner: Scanner, character: str, at: int) -> NoReturn:
    named = "a field that has it in its name stands in double quotes"
    scanner.fail(f'there is no operator with "{character}"; {_FIXES[character]} ({named})', at)


def _refuse_lone(scanner: Scanner, start: int, end: int, literal: bool) -> None:
    """Fails where what stands alone, and so would ask whether there is such a field, has a sign in it."""
    for at in range(start, start if literal else end):
        if scanner.text[at] in _ALONE and scanner.text[at - 1 : at] != "\\":
            _refuse_sign(scanner, scanner.text[at], at)


def _escape(key: str) -> str:
    return key.replace("\\", "\\\\").replace(".", "\\.")


def _take_operator(scanner: Scanner, path: str, start: int, literal: bool) -> tuple[Field, Op]:
    at = scanner.position
    sign = scanner.take_any(SYMBOLS)
    if sign is None:
        return _field(scanner, path, start), _take_word_operator(scanner, at)
    if not scanner.done and scanner.text[scanner.position] in "=<>~":
        both = sign + scanner.text[scanner.position]
        fix = PATTERNS if both[-1] == "~" else f"operators are {' '.join(SYMBOLS)}"
        fix = "equality is one =" if both == "==" else fix
        scanner.fail(f'unknown operator "{both}"; {fix} (quote a value that begins with a sign)', at)
    if sign == "=" and not literal:
        return _read_key(scanner, path, start)
    return _field(scanner, path, start), SYMBOLS[sign]


def _take_word_operator(scanner: Scanner, at: int) -> Op:
    word = scanner.take_word()
    if word not in WORDS:
        _refuse_word(scanner, word, at)
    return WORDS[word]


def _refuse_word(scanner: Scanner, word: str, at: int) -> NoReturn:
    known = " ".join([*SYMBOLS, *WORDS])
    fix = ""
    if word.lower() in JOINING:
        fix = f"; {SEVERAL}"
    elif word in OPERATORS:
        fix = f"; any operator is written FIELD.{word}=VALUE"
    elif "~" in word or word.lower() in ("like", "matches", "regexp"):
        fix = f"; {PATTERNS}"
    scanner.fail(f'expected an operator ({known}), got "{word}"{fix}', at)


def _after_space(scanner: Scanner) -> int:
    scanner.skip_space()
    return scanner.position


def _operand(scanner: Scanner, field: Field, op: Op) -> tuple[Op, Any]:
    """Operator and value; `FIELD=*` is the RFC's way to say that it exists."""
    text_only = op in _TEXT_OPERATORS or field is RecordField.IDENTITY
    if op is not Op.REGEX:
        _refuse_joined(scanner)
    if op is Op.IN:
        return op, read_list(scanner, text_only=text_only)
    if op is Op.NEAR:
        return op, read_near(scanner)
    if op is Op.WITHIN:
        return op, read_within(scanner)
    if scanner.rest.strip() == "*" and op in (Op.EQ, Op.NE):
        if op is Op.NE:
            scanner.fail('write "!FIELD" for no value, or quote the text "*"')
        return Op.EXISTS, True
    return op, read_value(scanner, text_only=text_only)


def _refuse_joined(scanner: Scanner) -> None:
    """Fails where an unquoted value goes on as if another clause followed: it would match nobody in silence."""
    if scanner.rest[:1] in ("[", "{"):
        return
    for match in _JOINED.finditer(scanner.text, scanner.position):
        if match[1] is not None:
            scanner.fail(f'"{match[1]}" in a value; {SEVERAL} (quote a value that has it)', match.start(1))


def _field(scanner: Scanner, path: str, at: int) -> Field:
    try:
        return read_path(path)
    except PathError as error:
        scanner.fail(str(error), at)


def _read_key(scanner: Scanner, path: str, at: int) -> tuple[Field, Op]:
    try:
        field, op = read_key(path)
    except PathError as error:
        scanner.fail(str(error), at)
    return field, op or Op.EQ


def _build(scanner: Scanner, at: int, field: Field, op: Op, value: object) -> Compare:
    try:
        return compare(field, op, value, f"$.{format_key(field, op)}")
    except WhereError:
        raise
    except InvalidFilter as error:
        problem = "; ".join(violation.description for violation in error.violations)
        scanner.fail(problem or error.message, at)
