"""Columns of registrations and targets."""

import pytest
from prism.model.identity import Registration, Target
from prism.model.pages import RecordPage, TargetPage

ALICE = Registration("alice", b'{"a":1}', "r1", 7, 1_000, 2_000, None, "inbox-1", "ops")
BOB = Registration("bob", b"{}", "r2", 8, 3_000, 4_000, 5_000)
CAROL = Registration("carol", b"{}", "r3", 9, 6_000, 6_000, None, "inbox-1")
EVERYONE = [ALICE, BOB, CAROL]


def test_a_page_of_registrations_gives_them_back():
    assert RecordPage.of(EVERYONE).registrations() == EVERYONE


def test_a_page_of_targets_gives_them_back():
    targets = [Target("alice", "r1", "inbox-1"), Target("bob", "r2", "")]
    assert TargetPage.of(targets).targets() == targets


def test_rows_make_the_page_they_came_from():
    page = RecordPage.of(EVERYONE)
    assert RecordPage.of_rows(list(page.rows())).registrations() == EVERYONE


def test_the_targets_of_a_record_page_are_those_of_its_registrations():
    found = RecordPage.of(EVERYONE).target_page().targets()
    assert found == [Target(one.identity, one.registration_id, one.address) for one in EVERYONE]


@pytest.mark.parametrize("kind", [RecordPage, TargetPage])
def test_an_empty_page_is_false_and_has_all_columns(kind):
    page = kind.empty()
    assert not page
    assert [len(column) for column in page.columns] == [0] * len(page.columns)
    assert len(kind.of_rows([])) == len(kind.joined([])) == len(kind.joined([page, page])) == 0


def test_a_part_is_a_stretch_of_rows():
    page = RecordPage.of(EVERYONE)
    assert page.part(1).registrations() == [BOB, CAROL]
    assert page.part(0, 1).registrations() == [ALICE]
    assert page.part(1, 2).registrations() == [BOB]
    assert page.part(3).registrations() == []


def test_a_part_that_is_everything_is_the_page_itself():
    page = RecordPage.of(EVERYONE)
    assert page.part(0) is page
    assert page.part(0, 3) is page


def test_chosen_rows_come_in_the_order_asked():
    assert RecordPage.of(EVERYONE).chosen([2, 0]).registrations() == [CAROL, ALICE]


def test_joined_pages_follow_one_another():
    parts = [RecordPage.of([ALICE]), RecordPage.empty(), RecordPage.of_rows(list(RecordPage.of([BOB, CAROL]).rows()))]
    assert RecordPage.joined(parts).registrations() == EVERYONE


def test_one_filled_page_joined_is_itself():
    page = RecordPage.of(EVERYONE)
    assert RecordPage.joined([RecordPage.empty(), page]) is page
