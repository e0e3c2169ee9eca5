"""What `type: memory` takes in a configuration."""

from __future__ import annotations

from pydantic import BaseModel, ConfigDict, Field


class MemoryConfig(BaseModel):
    """Options of each of the three slots."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    store: str | None = Field(default=None, min_length=1)
    """Slots of one process that name the same store share what it holds; without a name a slot has its own."""
