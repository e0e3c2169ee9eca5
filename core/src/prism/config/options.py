"""Turns a slot's options into its plugin's configuration model, and pydantic's complaints into mistakes."""

from __future__ import annotations

import copy
from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

from prism.filters.suggest import did_you_mean
from prism.model.json import describe
from prism.schema.place import Mistake, Place

if TYPE_CHECKING:
    from pydantic import BaseModel
    from pydantic_core import ErrorDetails

    from prism.plugins.spec import SlotSpec

_SECRET_WORDS = ("pass", "secret", "token", "key", "cred", "auth", "url", "dsn", "connection", "server", "broker")


def validate_options(
    spec: SlotSpec, options: Mapping[str, Any], place: Place, mistakes: list[Mistake], reserved: tuple[str, ...] = ()
) -> BaseModel | None:
    """The plugin's configuration, or None with mistakes added.

    `reserved` are the keys of the same block that the core takes for itself: they are allowed there too.
    """
    from pydantic import ValidationError  # noqa: PLC0415 - only reading a configuration needs it

    try:
        return spec.config.model_validate(copy.deepcopy(dict(options)))
    except ValidationError as error:
        mistakes.extend(_mistake(detail, spec, place, reserved) for detail in error.errors(include_url=False))
    except Exception as error:  # noqa: BLE001 - a plugin's own check failed in its own way; it is reported
        text = f'type "{spec.type}" refuses its options: {type(error).__name__}: {error}'
        mistakes.append(Mistake(place, text))
    return None


def _mistake(detail: ErrorDetails, spec: SlotSpec, place: Place, reserved: tuple[str, ...]) -> Mistake:
    at = tuple(detail["loc"])
    here = (*place, *at)
    if detail["type"] == "extra_forbidden":
        if len(at) > 1:
            return Mistake(here, "unknown key")
        known = [*reserved, *_option_names(spec)]
        hint = did_you_mean(str(at[0]), known)
        return Mistake(here, f"unknown key{hint}{'' if hint else ';'} allowed are {', '.join(known)}")
    if detail["type"] == "missing":
        return Mistake(here, f'is missing; type "{spec.type}" needs it')
    text = detail["msg"].removeprefix("Value error, ")
    return Mistake(here, f"{text[:1].lower()}{text[1:]}{_got(detail['input'], here)}")


def _option_names(spec: SlotSpec) -> list[str]:
    fields = spec.config.model_fields.items()
    return [field.alias or name for name, field in fields]


def _got(value: object, place: Place) -> str:
    """The wrong value, unless it may be, or hold, a secret."""
    secret = any(word in str(step).lower() for step in place[-2:] for word in _SECRET_WORDS)
    if secret or not isinstance(value, (str, int, float, bool)) or (isinstance(value, str) and "@" in value):
        return ""
    return f", got {describe(value)}"
