"""Dead letters on the wire."""

from prism.model.message import DeadLetter, Message
from prism.wire.dead_letters import from_page, to_pages


def letter(number: int, size: int) -> DeadLetter:
    message = Message(f"m{number}", b"x" * size, "text/plain", 1_000 + number)
    return DeadLetter("alice", message, 5, 2_000 + number, "not acked")


def test_dead_letters_survive_the_wire_in_pages_of_bounded_size() -> None:
    letters = [letter(number, 400) for number in range(10)]
    pages = list(to_pages(letters, 1_000))
    assert [len(page.dead_letters) for page in pages] == [2] * 5
    assert [back for page in pages for back in from_page("alice", page)] == letters


def test_a_letter_over_the_bound_has_a_page_of_its_own() -> None:
    pages = list(to_pages([letter(0, 10), letter(1, 5_000), letter(2, 10)], 1_000))
    assert [len(page.dead_letters) for page in pages] == [1, 1, 1]


def test_none_are_one_empty_page() -> None:
    (page,) = to_pages([])
    assert not page.dead_letters
