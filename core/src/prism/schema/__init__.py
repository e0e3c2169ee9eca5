"""Identity schemas: field types, defaults, validation (RFC: schema definition). Imports `filters` and `model` alone.

`parse_schema` reads and checks a schema, `IdentitySchema.validate` checks metadata against it, and
`prepare_metadata` makes the bytes that a registry stores.
"""

from prism.schema.identity import IdentitySchema
from prism.schema.metadata import prepare_metadata, prepare_metadata_json
from prism.schema.parse import parse_schema
from prism.schema.patch import merge_patch
from prism.schema.types import Field, FieldType, Kind

__all__ = [
    "Field",
    "FieldType",
    "IdentitySchema",
    "Kind",
    "merge_patch",
    "parse_schema",
    "prepare_metadata",
    "prepare_metadata_json",
]
