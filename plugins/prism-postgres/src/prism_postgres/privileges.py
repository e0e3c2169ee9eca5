"""What a role must be allowed that serves but doesn't migrate, and what it lacks: one statement over the catalogs.

Every table that the steps of our modules make must be read and written, every sequence drawn from, and every function
called; `Module.needs` has what is different.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator, Sequence
from functools import cache
from typing import Final, TypeAlias

from prism_postgres.migrations import Module, in_schema, quoted
from prism_postgres.pool import Database

_MADE: Final = re.compile(r"^CREATE (?:UNLOGGED )?(TABLE|SEQUENCE|FUNCTION) __schema__\.(\w+)", re.MULTILINE)
_STEPS: Final = ("TABLE", "migrations", "SELECT")
_USUAL: Final = {
    "TABLE": ("SELECT", "INSERT", "UPDATE", "DELETE"),
    "SEQUENCE": ("USAGE",),
    "FUNCTION": ("EXECUTE",),
}
_ORDER: Final = ("USAGE", "SELECT", "INSERT", "UPDATE", "DELETE", "EXECUTE")

_LACKING: Final = """
    WITH needed AS (
        SELECT * FROM unnest($2::text[], $3::text[], $4::text[]) AS n (kind, name, privilege)
    )
    SELECT 'SCHEMA' AS kind, $1 AS name, 'USAGE' AS privilege, quote_ident(current_user) AS role
    WHERE NOT has_schema_privilege(to_regnamespace($1)::oid, 'USAGE')
    UNION ALL
    SELECT n.kind, n.name, n.privilege, quote_ident(current_user)
    FROM needed n JOIN pg_class c ON c.relname = n.name AND c.relnamespace = to_regnamespace($1)
    WHERE NOT CASE c.relkind
        WHEN 'S' THEN has_sequence_privilege(c.oid, n.privilege) ELSE has_table_privilege(c.oid, n.privilege) END
    UNION ALL
    SELECT n.kind, n.name, n.privilege, quote_ident(current_user)
    FROM needed n JOIN pg_proc p ON p.proname = n.name AND p.pronamespace = to_regnamespace($1)
    WHERE n.kind = 'FUNCTION' AND NOT has_function_privilege(p.oid, n.privilege)
"""

Need: TypeAlias = tuple[str, str, str]
"""Kind, name, privilege."""


async def lacking(database: Database, schema: str, modules: Sequence[Module], *, reading: bool) -> str | None:
    """What our role may not do and has to, with the GRANTs that mend it; None where it may do everything.

    What isn't there isn't missed. `reading` is for who changes nothing.
    """
    needs = {_STEPS} | {need for module in modules for need in _needs(module)}
    chosen = sorted(need for need in needs if not reading or need[2] == "SELECT")
    rows = await database.fetch(_LACKING, quoted(schema), *map(list, zip(*chosen, strict=True)), harmless=True)
    if not rows:
        return None
    role, missing = rows[0]["role"], [(row["kind"], row["name"], row["privilege"]) for row in rows]
    grants = " ".join(f"{in_schema(grant, schema)} TO {role};" for grant in _grants(missing))
    return (
        f"role {role} lacks {', '.join(_sentences(missing, schema))}; whoever owns the schema can mend that: {grants}"
    )


@cache
def _needs(module: Module) -> frozenset[Need]:
    made = [pair for version in range(1, module.steps + 1) for pair in _MADE.findall(module.text(version))]
    return frozenset(
        (kind, name, privilege) for kind, name in made for privilege in module.needs.get(name, _USUAL[kind])
    )


def _sentences(missing: Iterable[Need], schema: str) -> Iterator[str]:
    """`SELECT on sequence queue_positions`, and of many relations the first."""
    missing = list(missing)
    if any(kind == "SCHEMA" for kind, _, _ in missing):
        yield f"USAGE on schema {quoted(schema)}"
    for kind in _USUAL:
        names = list(dict.fromkeys(name for of, name, _ in missing if of == kind))
        if names:
            more = f" and {len(names) - 2} more" if len(names) > 2 else ""
            yield f"{_listed(missing, kind)} on {kind.lower()} {', '.join(names[:2])}{more}"


def _grants(missing: Sequence[Need]) -> Iterator[str]:
    if any(kind == "SCHEMA" for kind, _, _ in missing):
        yield "GRANT USAGE ON SCHEMA __schema__"
    for kind in _USUAL:
        if privileges := _listed(missing, kind):
            yield f"GRANT {privileges} ON ALL {kind}S IN SCHEMA __schema__"


def _listed(missing: Iterable[Need], kind: str) -> str:
    held = {privilege for of, _, privilege in missing if of == kind}
    return ", ".join(privilege for privilege in _ORDER if privilege in held)
