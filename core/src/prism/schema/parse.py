"""Reads an identity schema and checks it (RFC: use cases for the short form, schema definition for the long).

The short form maps field names to type texts: `status: enum[online, away]`. The long form has `fields:` as a
mapping, and beside it `primary_key` and `additional_fields`, which a short form can't have: there they would
be fields. In both, a field is a type text or a mapping with `type`.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from prism.filters.suggest import did_you_mean
from prism.model import json
from prism.model.errors import InvalidSchema, Violation
from prism.schema.check import compile_type
from prism.schema.identity import IdentitySchema
from prism.schema.place import Mistake, Place, show_place
from prism.schema.types import MISSING, SCALARS, Field, FieldType, Kind
from prism.schema.typetext import read_type_text, sound_values

_SCHEMA_KEYS = ("primary_key", "fields", "additional_fields")
_EVERY_FIELD = ("type", "required", "default", "index", "auto")
_OWN_KEYS: dict[Kind, tuple[str, ...]] = {
    Kind.STRING: ("max_length",),
    Kind.ENUM: ("values",),
    Kind.ARRAY: ("items", "max_length"),
    Kind.OBJECT: ("fields", "additional_fields"),
}
_TYPE_KEYS = ("max_length", "values", "items", "fields", "additional_fields")


def parse_schema(source: Mapping[str, Any]) -> IdentitySchema:
    """The schema that a decoded `identity_schema:` block describes, in short or long form.

    Raises:
        InvalidSchema: with every mistake at once, placed like `identity_schema.fields.status.values`.
    """
    mistakes: list[Mistake] = []
    schema = read_schema(source, ("identity_schema",), mistakes)
    if mistakes:
        raise InvalidSchema.of(Violation(show_place(mistake.place), mistake.text) for mistake in mistakes)
    return schema


def read_schema(source: object, place: Place, mistakes: list[Mistake]) -> IdentitySchema:
    """Like `parse_schema`, but adds to `mistakes` and returns what could be read."""
    if not isinstance(source, Mapping):
        text = f"expected a mapping of field names to types, got {json.describe(source)}"
        mistakes.append(Mistake(place, text))
        return IdentitySchema()
    if not isinstance(source.get("fields"), Mapping):
        return IdentitySchema(_short_form(source, place, mistakes))
    _refuse_unknown(source, _SCHEMA_KEYS, place, mistakes)
    fields = _fields(source["fields"], (*place, "fields"), mistakes)
    primary_key = _primary_key(source, fields, place, mistakes)
    return IdentitySchema(fields, _closed(source, place, mistakes), primary_key)


def _short_form(source: Mapping[str, Any], place: Place, mistakes: list[Mistake]) -> tuple[Field, ...]:
    for key in ("primary_key", "additional_fields"):
        value = source.get(key)
        if isinstance(value, bool) or (isinstance(value, str) and value in source and value != key):
            text = "is a key of the long form; put the fields under `fields:` and leave this beside it"
            mistakes.append(Mistake((*place, key), text))
            source = {name: item for name, item in source.items() if name != key}
    return _fields(source, place, mistakes)


def _primary_key(
    source: Mapping[str, Any], fields: tuple[Field, ...], place: Place, mistakes: list[Mistake]
) -> str | None:
    here = (*place, "primary_key")
    name = source.get("primary_key")
    if name is None:
        return None
    declared = {field.name: field for field in fields}
    if not isinstance(name, str):
        mistakes.append(Mistake(here, f"expected a field's name, got {json.describe(name)}"))
        return None
    if name not in declared:
        if name == "string":  # as the RFC prints it: the type of the identity, and no field repeats it
            return None
        text = f'"{name}" is not one of the fields ({", ".join(declared) or "there are none"})'
        mistakes.append(Mistake(here, text + did_you_mean(name, declared)))
        return None
    field = declared[name]
    if field.type.kind is not Kind.STRING:
        text = f'"{name}" is of type {field.type}; a primary key equals the identity and must be a string'
        mistakes.append(Mistake(here, text))
    if field.default is not MISSING:
        text = "the primary key is filled in with the identity and takes no default; remove it"
        mistakes.append(Mistake((*place, "fields", name, "default"), text))
    return name


def _fields(source: Mapping[Any, Any], place: Place, mistakes: list[Mistake]) -> tuple[Field, ...]:
    fields = []
    for name, definition in source.items():
        if not isinstance(name, str) or not name:
            shown = "an empty name" if name == "" else json.describe(name)
            mistakes.append(Mistake((*place, str(name)), f"field names are non-empty strings, got {shown}; quote it"))
            continue
        fields.append(_field(name, definition, (*place, name), mistakes))
    return tuple(fields)


def _field(name: str, definition: object, place: Place, mistakes: list[Mistake]) -> Field:
    found = len(mistakes)
    field_type = _type(definition, place, mistakes, _EVERY_FIELD)
    if not isinstance(definition, Mapping):
        return Field(name, field_type)
    required = _boolean(definition, "required", place, mistakes)
    index = _boolean(definition, "index", place, mistakes)
    auto_now = definition.get("auto") is not None
    if auto_now and definition["auto"] != "now":
        text = f'expected "now", the only thing that can be filled in, got {json.describe(definition["auto"])}'
        mistakes.append(Mistake((*place, "auto"), text))
    default = MISSING
    if len(mistakes) == found:  # against a type that couldn't be read, these would only mislead
        if auto_now and field_type.kind is not Kind.TIMESTAMP:
            mistakes.append(Mistake((*place, "auto"), f"now is for fields of type timestamp, not {field_type}"))
        if auto_now and "default" in definition:
            mistakes.append(Mistake((*place, "default"), "a field with `auto: now` takes no default; remove one"))
        if index and not _indexable(field_type):
            text = f"{field_type} can't be indexed; scalars, enum, geo_point and arrays of scalars can"
            mistakes.append(Mistake((*place, "index"), text))
        default = _default(definition, field_type, place, mistakes)
    return Field(name, field_type, required, default, auto_now, index)


def _indexable(field_type: FieldType) -> bool:
    if field_type.kind is Kind.ARRAY:
        return field_type.items is not None and field_type.items.kind in SCALARS
    return field_type.kind in SCALARS or field_type.kind is Kind.GEO_POINT


def _default(definition: Mapping[str, Any], field_type: FieldType, place: Place, mistakes: list[Mistake]) -> Any:
    if "default" not in definition:
        return MISSING
    problems: list[Violation] = []
    value = json.normalise(definition["default"], "", problems)
    if value is None and not problems:
        mistakes.append(Mistake((*place, "default"), "null is no default; leave the key out"))
        return MISSING
    if not problems:
        value = compile_type(field_type)(value, "", problems, 0)
    here = (*place, "default")
    mistakes.extend(Mistake(here, str(Violation(each.field.lstrip("."), each.description))) for each in problems)
    return value


def _type(definition: object, place: Place, mistakes: list[Mistake], beside: tuple[str, ...]) -> FieldType:
    """Reads a type text or a mapping with `type`; `beside` are the keys that may stand in such a mapping."""
    unread = FieldType(Kind.OBJECT)
    if isinstance(definition, str):
        return read_type_text(definition, place, mistakes) or unread
    if not isinstance(definition, Mapping):
        hint = "; write the allowed values as enum[a, b]" if isinstance(definition, list) else ""
        text = f"expected a type, one of {', '.join(Kind)}, or a mapping with `type`, got {json.describe(definition)}"
        mistakes.append(Mistake(place, text + hint))
        return unread
    if len(place) > json.MAX_NESTING * 2:
        mistakes.append(Mistake(place, f"nested deeper than {json.MAX_NESTING} levels"))
        return unread
    named = definition.get("type")
    _refuse_unknown(definition, (*beside, *_TYPE_KEYS), place, mistakes)
    if not isinstance(named, str):
        got = json.describe(named) if "type" in definition else "nothing"
        mistakes.append(Mistake((*place, "type"), f"expected one of {', '.join(Kind)}, got {got}"))
        return unread
    read = read_type_text(named, (*place, "type"), mistakes, values_follow="values" in definition)
    return _complete(read, definition, place, mistakes) if read is not None else unread


def _complete(read: FieldType, definition: Mapping[str, Any], place: Place, mistakes: list[Mistake]) -> FieldType:
    """Adds what stands beside `type` in a mapping."""
    own = _OWN_KEYS.get(read.kind, ())
    for key in _TYPE_KEYS:
        if key in definition and key not in own:
            kinds = " and ".join(kind for kind, keys in _OWN_KEYS.items() if key in keys)
            mistakes.append(Mistake((*place, key), f"is for {kinds}, not {read.kind}; remove it"))
    match read.kind:
        case Kind.ENUM:
            return FieldType(Kind.ENUM, values=_values(definition, read, place, mistakes))
        case Kind.STRING:
            return FieldType(Kind.STRING, max_length=_max_length(definition, place, mistakes))
        case Kind.ARRAY:
            items = _items(definition, read, place, mistakes)
            return FieldType(Kind.ARRAY, items=items, max_length=_max_length(definition, place, mistakes))
        case Kind.OBJECT:
            return _object(definition, place, mistakes)
        case _:
            return read


def _values(definition: Mapping[str, Any], read: FieldType, place: Place, mistakes: list[Mistake]) -> tuple[str, ...]:
    if "values" not in definition:
        return read.values
    here = (*place, "values")
    values = definition["values"]
    if read.values:
        mistakes.append(Mistake(here, "the values stand in the type already; write them once"))
    if not isinstance(values, (list, tuple)):
        mistakes.append(Mistake(here, f"expected a list of strings, got {json.describe(values)}"))
        return ()
    return tuple(values) if sound_values(values, here, mistakes) else ()


def _items(definition: Mapping[str, Any], read: FieldType, place: Place, mistakes: list[Mistake]) -> FieldType | None:
    if "items" not in definition:
        return read.items
    here = (*place, "items")
    if read.items is not None:
        mistakes.append(Mistake(here, "the item type stands in the type already; write it once"))
    found = len(mistakes)
    items = _type(definition["items"], here, mistakes, ("type",))
    if len(mistakes) == found and IdentitySchema(items.fields).indexed_fields:
        mistakes.append(Mistake(here, "fields inside array items can't be indexed: no filter path leads there"))
    return items


def _object(definition: Mapping[str, Any], place: Place, mistakes: list[Mistake]) -> FieldType:
    source = definition.get("fields", {})
    fields: tuple[Field, ...] = ()
    if isinstance(source, Mapping):
        fields = _fields(source, (*place, "fields"), mistakes)
    else:
        text = f"expected a mapping of field names to types, got {json.describe(source)}"
        mistakes.append(Mistake((*place, "fields"), text))
    return FieldType(Kind.OBJECT, fields=fields, closed=_closed(definition, place, mistakes))


def _closed(definition: Mapping[str, Any], place: Place, mistakes: list[Mistake]) -> bool:
    return "additional_fields" in definition and not _boolean(definition, "additional_fields", place, mistakes)


def _boolean(definition: Mapping[str, Any], key: str, place: Place, mistakes: list[Mistake]) -> bool:
    value = definition.get(key, False)
    if not isinstance(value, bool):
        mistakes.append(Mistake((*place, key), f"expected true or false, got {json.describe(value)}"))
        return False
    return value


def _max_length(definition: Mapping[str, Any], place: Place, mistakes: list[Mistake]) -> int | None:
    if "max_length" not in definition:
        return None
    value = definition["max_length"]
    if isinstance(value, bool) or not isinstance(value, int) or value < 1:
        mistakes.append(Mistake((*place, "max_length"), f"expected a whole number from 1, got {json.describe(value)}"))
        return None
    return value


def _refuse_unknown(source: Mapping[Any, Any], allowed: tuple[str, ...], place: Place, mistakes: list[Mistake]) -> None:
    for key in source:
        if key not in allowed:
            hint = did_you_mean(str(key), allowed)
            mistakes.append(Mistake((*place, str(key)), f"unknown key; allowed are {', '.join(allowed)}{hint}"))
