"""Reading text from left to right, so that an error can point at the character."""

from __future__ import annotations

import json
from collections.abc import Iterable
from typing import Any, NoReturn

from prism.model.errors import InvalidFilter, Violation

_STRINGS = json.JSONDecoder()


class WhereError(InvalidFilter):
    """Typed text that can't be read. `text` is all of it, `position` the character at fault, from 0.

    `source` is where it was typed: `--where`, or `key=value`.
    """

    def __init__(self, text: str, position: int, problem: str, source: str = "--where") -> None:
        message = f"{source}, character {position + 1}: {problem}"
        super().__init__(message, violations=(Violation(source, problem),))
        self.text = text
        self.position = position
        self.problem = problem
        self.source = source

    def __reduce__(self) -> tuple[object, ...]:
        return WhereError, (self.text, self.position, self.problem, self.source)


class Scanner:
    """A text and a place in it. `source` is where it was typed, for messages."""

    def __init__(self, text: str, source: str = "--where") -> None:
        self.text = text
        self.source = source
        self.position = 0

    @property
    def done(self) -> bool:
        """Whether nothing is left."""
        return self.position >= len(self.text)

    @property
    def rest(self) -> str:
        """What is left."""
        return self.text[self.position :]

    def fail(self, problem: str, position: int | None = None) -> NoReturn:
        """Raises WhereError at the present place, or at `position`."""
        raise WhereError(self.text, self.position if position is None else position, problem, self.source)

    def skip_space(self) -> None:
        """Moves to the next character that isn't white space."""
        while not self.done and self.text[self.position].isspace():
            self.position += 1

    def take_any(self, candidates: Iterable[str]) -> str | None:
        """Moves over the first of the candidates that stands here; None when none does."""
        for candidate in candidates:
            if self.text.startswith(candidate, self.position):
                self.position += len(candidate)
                return candidate
        return None

    def take_word(self) -> str:
        """Moves over the characters up to white space or the end."""
        start = self.position
        while not self.done and not self.text[self.position].isspace():
            self.position += 1
        return self.text[start : self.position]

    def take_quoted(self) -> str:
        """Moves over a quoted string: a JSON string in double quotes, or text in single ones (`''` is one quote)."""
        if self.text[self.position] == '"':
            value = self.take_json()
            assert isinstance(value, str)
            return value
        start = self.position
        pieces: list[str] = []
        while True:
            end = self.text.find("'", self.position + 1)
            if end < 0:
                self.fail("this quote is never closed", start)
            pieces.append(self.text[self.position + 1 : end])
            self.position = end + 1
            if not self.text.startswith("'", self.position):
                return "'".join(pieces)

    def take_json(self) -> Any:
        """Moves over the JSON value that stands here."""
        start = self.position
        try:
            value, self.position = _STRINGS.raw_decode(self.text, start)
        except json.JSONDecodeError as error:
            if error.msg.startswith("Unterminated string"):
                self.fail("this quote is never closed", error.pos)
            self.fail(f"not JSON: {error.msg[:1].lower()}{error.msg[1:]}", min(error.pos, len(self.text)))
        except RecursionError:
            self.fail("nested too deeply to be read", start)
        return value

    def expect_end(self, after: str) -> None:
        """Fails unless only white space is left."""
        self.skip_space()
        if not self.done:
            self.fail(f"unexpected text after {after}")
