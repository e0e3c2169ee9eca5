"""Checks have ids, properties and sources; contracts keep theirs."""

from __future__ import annotations

from collections import Counter

import pytest
from prism.plugins.spec import Capability
from prism_conformance import DurabilityContract, MessagingContract, RegistryContract
from prism_conformance.capabilities import PROOFS
from prism_conformance.checks import Check, ContractBroken, check, checks_of, replaces

CONTRACTS = (RegistryContract, MessagingContract, DurabilityContract)


def every_check() -> set[Check]:
    return {item for contract in CONTRACTS for item in checks_of(contract).values()}


def test_no_id_stands_for_two_properties() -> None:
    assert [id_ for id_, count in Counter(item.id for item in every_check()).items() if count > 1] == []


def test_every_check_has_a_sentence_and_a_source() -> None:
    assert [item.id for item in every_check() if not item.promise.endswith(".")] == []
    assert [item.id for item in every_check() if "RFC-017" not in item.source and "design" not in item.source] == []


def test_every_capability_is_proved_by_checks_that_there_are_or_said_to_be_taken_on_trust() -> None:
    ids = {item.id for item in every_check()}
    assert set(PROOFS) == set(Capability)
    assert [capability for capability, proof in PROOFS.items() if not (proof.checks or proof.trusted)] == []
    assert [id_ for proof in PROOFS.values() for id_ in proof.checks if id_ not in ids] == []


@pytest.mark.parametrize("contract", CONTRACTS)
def test_every_test_of_a_contract_is_a_check(contract: type) -> None:
    assert {name for name in dir(contract) if name.startswith("test_")} == set(checks_of(contract))


@pytest.mark.parametrize("id_", ["REG-1", "reg-010", "ABC-010", ""])
def test_malformed_id_is_refused(id_: str) -> None:
    with pytest.raises(ContractBroken, match="is not the id of a check"):
        check(id_, source="design 5")


def test_check_without_a_property_is_refused() -> None:
    with pytest.raises(ContractBroken, match="no docstring"):

        @check("REG-999", source="design 5")
        def test_nothing() -> None: ...


def test_replacement_without_a_reason_is_refused() -> None:
    with pytest.raises(ContractBroken, match="needs a reason"):
        replaces("REG-010", reason=" ")


def test_replacement_keeps_property_and_source() -> None:
    class Mine(RegistryContract):
        @replaces("REG-013", reason="told apart elsewhere")
        async def test_write_if_absent_over_a_live_registration_changes_nothing(self) -> None: ...

    name = "test_write_if_absent_over_a_live_registration_changes_nothing"
    mine, theirs = checks_of(Mine)[name], checks_of(RegistryContract)[name]
    assert (mine.id, mine.promise, mine.source) == (theirs.id, theirs.promise, theirs.source)
    assert mine.replaced_because == "told apart elsewhere"


def test_replacement_under_another_id_is_refused() -> None:
    with pytest.raises(ContractBroken, match="stands for REG-013, but says REG-014"):

        class Mine(RegistryContract):
            @replaces("REG-014", reason="a slip")
            async def test_write_if_absent_over_a_live_registration_changes_nothing(self) -> None: ...


def test_check_overridden_without_a_reason_is_refused() -> None:
    with pytest.raises(ContractBroken, match=r"overrides MSG-032 \(test_namespaces_never_mix\) without a reason"):

        class Mine(MessagingContract):
            async def test_namespaces_never_mix(self) -> None: ...


def test_check_overridden_by_a_mixin_is_refused() -> None:
    class Mixin:
        async def test_namespaces_never_mix(self) -> None: ...

    with pytest.raises(ContractBroken, match="overrides MSG-032"):

        class Mine(Mixin, MessagingContract):
            pass


def test_deleted_check_is_refused() -> None:
    with pytest.raises(ContractBroken, match="deletes MSG-032"):

        class Mine(MessagingContract):
            test_namespaces_never_mix = None  # type: ignore[assignment]


@pytest.mark.parametrize(
    ("excused", "message"),
    [({"REG-010": "x"}, "names REG-010, which is none of its checks"), ({"MSG-010": " "}, "no reason for MSG-010")],
)
def test_known_failure_has_to_be_of_a_check_and_for_a_reason(excused: dict[str, str], message: str) -> None:
    with pytest.raises(ContractBroken, match=message):

        class Mine(MessagingContract):
            known_failures = excused
