"""The ids of the contract's obligations."""

from __future__ import annotations

import re

from .durability import DurabilityContract
from .messaging import MessagingContract
from .registry import RegistryContract

ID = re.compile(r"(SLOT|REG|FIL|MSG|DUR)-\d{3}")


def test_every_obligation_has_an_id_of_its_own() -> None:
    obligations = {
        function
        for contract in (RegistryContract, MessagingContract, DurabilityContract)
        for kind in contract.__mro__
        for name, function in vars(kind).items()
        if name.startswith("test_")
    }
    ids = [function.__doc__ or function.__name__ for function in obligations]
    assert [text for text in ids if not ID.fullmatch(text)] == []
    assert sorted(ids) == sorted(set(ids))
