"""What `type: sqlite` takes in a configuration."""

from __future__ import annotations

from pydantic import BaseModel, ConfigDict, Field


class SqliteConfig(BaseModel):
    """Options of the slot. Unknown keys must be refused, so that a typing error is found at the start."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    path: str = Field(min_length=1)
    """The file. Slots that name the same one share what it holds."""
