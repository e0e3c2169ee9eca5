"""The kinds of server there are, by name."""

from __future__ import annotations

import difflib
from collections.abc import Mapping
from types import MappingProxyType

from prism_conformance.servers import kafka, nats, postgres, redis
from prism_conformance.servers.errors import ServerError
from prism_conformance.servers.recipe import Recipe

_ALL = (*redis.RECIPES, *nats.RECIPES, *postgres.RECIPES, *kafka.RECIPES)

KINDS: Mapping[str, Recipe] = MappingProxyType({recipe.kind: recipe for recipe in _ALL})
"""Every kind that `start` knows."""


def find(kind: str) -> Recipe:
    """Returns the recipe of a kind.

    Raises:
        ServerError: there is no such kind; the message names the nearest.
    """
    if recipe := KINDS.get(kind):
        return recipe
    near = difflib.get_close_matches(kind, KINDS, n=1)
    hint = f" Did you mean {near[0]!r}?" if near else ""
    raise ServerError(f"kind {kind!r}: no such server.{hint} There are {', '.join(KINDS)}.")
