"""Turns a slot's options into its plugin's configuration model, and pydantic's complaints into mistakes."""

from __future__ import annotations

import copy
from collections.abc import Iterator, Mapping
from typing import TYPE_CHECKING, Any, get_args

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
        inner = _model_at(spec.config, at[:-1])
        known = [] if inner is None else _option_names(inner)
        if len(at) == 1:
            known = [*reserved, *known]
        if not known:
            return Mistake(here, "unknown key")
        hint = did_you_mean(str(at[-1]), known)
        return Mistake(here, f"unknown key{hint}{'' if hint else ';'} allowed are {', '.join(known)}")
    if detail["type"] == "missing":
        return Mistake(here, f'is missing; type "{spec.type}" needs it')
    text = detail["msg"].removeprefix("Value error, ")
    got = "" if ", got " in text else _got(detail["input"], here)
    return Mistake(here, f"{text[:1].lower()}{text[1:]}{got}")


def _model_at(model: type[BaseModel], at: tuple[int | str, ...]) -> type[BaseModel] | None:
    """The model of the mapping at a place within a model's, None where that can't be told."""
    from pydantic import BaseModel  # noqa: PLC0415 - only a mistake needs it

    def models(annotation: Any) -> Iterator[type[BaseModel]]:
        if isinstance(annotation, type) and issubclass(annotation, BaseModel):
            yield annotation
        for argument in get_args(annotation):
            yield from models(argument)

    for step in at:
        if isinstance(step, int):
            continue
        field = next((each for name, each in model.model_fields.items() if step in (name, each.alias)), None)
        inner = list(models(field.annotation)) if field is not None else []
        if len(inner) != 1:
            return None
        (model,) = inner
    return model


def _option_names(model: type[BaseModel]) -> list[str]:
    fields = model.model_fields.items()
    return [field.alias or name for name, field in fields]


def _got(value: object, place: Place) -> str:
    """The wrong value, unless it may be, or hold, a secret."""
    secret = any(word in str(step).lower() for step in place[-2:] for word in _SECRET_WORDS)
    if secret or not isinstance(value, (str, int, float, bool)) or (isinstance(value, str) and "@" in value):
        return ""
    return f", got {describe(value)}"
