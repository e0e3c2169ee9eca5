"""`prism migrate` and `prism audit`: what operators do with a configuration, beside the proxies."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated, Any

import typer
from rich.text import Text

from prism.cli.connection import needing, quiet_drivers, reported, run
from prism.cli.exits import ExitCode
from prism.cli.failures import configured_hint, print_problem
from prism.cli.moments import moment
from prism.cli.options import Config, Json
from prism.cli.screen import cell, print_json, print_json_line, print_table, printable, stderr, stdout, table
from prism.filters.suggest import did_you_mean
from prism.model.audit import AuditEntry, AuditKind, AuditQuery
from prism.model.errors import NotFound
from prism.model.time import to_rfc3339

if TYPE_CHECKING:
    from collections.abc import Mapping

    from prism.config import NamespaceConfig
    from prism.coordinator.upkeep import Fit, SlotWork


def migrate(
    config: Config,
    namespace: Annotated[
        list[str] | None, typer.Option("--namespace", "-n", metavar="NAME", help="Only this one; repeatable.")
    ] = None,
    check: Annotated[
        bool, typer.Option("--check", help="Change nothing: say what there is to do, and fail if there is anything.")
    ] = False,
    prune: Annotated[
        bool, typer.Option("--prune", help="Also drop indexes that the configuration doesn't ask for any more.")
    ] = False,
    accept_misfits: Annotated[
        bool, typer.Option("--accept-misfits", help="Go on although registrations don't fit the schema; they stay.")
    ] = False,
    as_json: Json = False,
) -> None:
    """Make and update the tables and indexes of the backends.

    Proxies may serve meanwhile. First holds every live registration against `identity_schema`. Where some don't fit (a
    narrowed enum, another type, a new required field), it stops: they would live on, but every change of theirs would
    be refused.
    """
    outcomes = [
        run(_migrate(each, check=check, prune=prune, accept=accept_misfits), configured_hint)
        for each in configured_namespaces(config, namespace)
    ]
    if as_json:
        print_json([_as_json(name, work, fit, done=done) for name, work, fit, done in outcomes])
    else:
        for name, work, fit, done in outcomes:
            _print(name, work, fit, done=done)
    stopped = any(fit.misfits and not accept_misfits for _, _, fit, _ in outcomes)
    undone = check and any(slot.lines for _, work, _, _ in outcomes for slot in work)
    if stopped and not as_json:
        problem = "registrations don't fit the schema, so nothing was changed" if not check else "some don't fit"
        print_problem(stderr(), problem, "change them, wait for their TTL, widen the schema, or --accept-misfits")
    if stopped or undone:
        raise typer.Exit(ExitCode.FAILED)


def audit(
    config: Config,
    namespace: Annotated[
        str, typer.Option("--namespace", "-n", envvar="PRISM_NAMESPACE", metavar="NAME", help="Whose audit.")
    ],
    kind: Annotated[list[AuditKind] | None, typer.Option("--kind", help="Only such entries; repeatable.")] = None,
    actor: Annotated[
        str | None, typer.Option("--actor", metavar="NAME|HOST", help="Only of this name, or from this peer.")
    ] = None,
    identity: Annotated[str | None, typer.Option("--identity", metavar="NAME", help="Only of this identity.")] = None,
    message_id: Annotated[
        str | None, typer.Option("--message-id", metavar="ID", help="Only of this multicast.")
    ] = None,
    since: Annotated[
        int | None,
        typer.Option(
            "--since", parser=moment, metavar="WHEN", help="From then on: 2h (ago), 7d, 2025-10-09T12:00:00Z."
        ),
    ] = None,
    until: Annotated[int | None, typer.Option("--until", parser=moment, metavar="WHEN", help="Before then.")] = None,
    limit: Annotated[int, typer.Option("--limit", min=1, metavar="N", help="At most so many, the latest first.")] = 100,
    as_json: Annotated[bool, typer.Option("--json", help="Write a line of JSON for each entry.")] = False,
) -> None:
    """List what was done to whom, by whom, the latest first.

    Who registered, changed, removed and messaged whom, for namespaces with `needs: audit`.
    """
    [chosen] = configured_namespaces(config, [namespace])
    query = AuditQuery(frozenset(kind or ()), since, until, actor, identity, message_id, None, limit)
    entries = run(_audit(chosen, query), configured_hint)
    if as_json:
        for entry in entries:
            print_json_line(_entry_as_json(chosen.name, entry))
        return
    listing = table("#when", "what", "who", "whom", "result")
    for entry in entries:
        listing.add_row(
            to_rfc3339(entry.at),
            entry.kind.value,
            cell(entry.actor),
            cell(_whom(entry)),
            cell(_result(entry)),
        )
    print_table(stdout(), listing)


async def _migrate(
    config: NamespaceConfig, *, check: bool, prune: bool, accept: bool
) -> tuple[str, list[SlotWork], Fit, bool]:
    """The namespace, its work, how what is registered fits, and whether the work was done."""
    from prism.coordinator import upkeep  # noqa: PLC0415

    work = await upkeep.pending(config, prune=prune)
    # What has no tables yet, or old ones, can't be opened to be read; new ones are empty.
    ready = not any(line.startswith(upkeep.TABLES) for slot in work for line in slot.lines)
    fit = await upkeep.fit(config) if ready else upkeep.Fit(0, 0, ())
    if check or (fit.misfits and not accept):
        return config.name, work, fit, False
    done = await upkeep.migrate(config, prune=prune)
    if not ready:
        fit = await upkeep.fit(config)
    return config.name, done, fit, True


async def _audit(config: NamespaceConfig, query: AuditQuery) -> list[AuditEntry]:
    from prism.coordinator import upkeep  # noqa: PLC0415

    return await upkeep.audit(config, query)


def configured_namespaces(config: Config, names: list[str] | None) -> list[NamespaceConfig]:
    """The namespaces of a configuration with these names, all without any, for commands that open slots themselves.

    A mistake in it, and a name that it doesn't have, is printed and ends the program.
    """
    with needing("server"):
        from prism.config import load_config  # noqa: PLC0415 - YAML and pydantic
    quiet_drivers()
    with reported():
        return _chosen(load_config(config).namespaces, names)


def _chosen(namespaces: Mapping[str, NamespaceConfig], names: list[str] | None) -> list[NamespaceConfig]:
    for name in names or ():
        if name not in namespaces:
            has = ", ".join(namespaces) or "none"
            hint = did_you_mean(name, namespaces)
            text = f"the configuration has no namespace {name!r}; it has {has}{hint}"
            raise NotFound(text, details={"namespaces": has})
    return [config for name, config in namespaces.items() if not names or name in names]


def _print(name: str, work: list[SlotWork], fit: Fit, *, done: bool) -> None:
    console = stdout()
    console.print(Text(f"namespace {printable(name)}", style="bold"))
    if not any(slot.lines for slot in work):
        console.print("  up to date")
    for slot in work:
        for line in slot.lines:
            text = f"  {'done' if done else 'to do'}  {slot.slot} ({slot.type})  {printable(line)}"
            console.print(Text(text), soft_wrap=True)
    if fit.checked:
        console.print(f"  {fit.checked:,} registrations checked, {fit.misfitting:,} don't fit the schema")
    for misfits in fit.misfits:
        examples = ", ".join(map(printable, misfits.examples))
        more = " ..." if misfits.count > len(misfits.examples) else ""
        console.print(
            Text(f"  {misfits.count:,} with {misfits.place}: {printable(misfits.problem)} ({examples}{more})"),
            soft_wrap=True,
        )


def _as_json(name: str, work: list[SlotWork], fit: Fit, *, done: bool) -> dict[str, Any]:
    return {
        "namespace": name,
        "done": done,
        "work": [{"slot": slot.slot.value, "type": slot.type, "lines": slot.lines} for slot in work],
        "checked": fit.checked,
        "misfitting": fit.misfitting,
        "misfits": [
            {"place": each.place, "problem": each.problem, "count": each.count, "examples": each.examples}
            for each in fit.misfits
        ],
    }


def _whom(entry: AuditEntry) -> Any:
    if entry.identity:
        return entry.identity
    return "everyone" if entry.filter == {} else entry.filter


def _result(entry: AuditEntry) -> str:
    if entry.identity:
        revision = "" if entry.revision is None else f"revision {entry.revision}"
        return ", ".join(filter(None, [revision, entry.detail]))
    counts = [f"{count:,} {status}" for status, count in (entry.outcomes or {}).items() if count]
    targets = [] if entry.targets is None else [f"{entry.targets:,} targets"]
    return ", ".join([*targets, *counts, *filter(None, [entry.detail]), f"message {entry.message_id}"])


def _entry_as_json(namespace: str, entry: AuditEntry) -> dict[str, Any]:
    return {
        "namespace": namespace,
        "sequence": entry.sequence,
        "at": to_rfc3339(entry.at),
        "kind": entry.kind.value,
        "actor": entry.actor,
        "identity": entry.identity or None,
        "registration_id": entry.registration_id or None,
        "revision": entry.revision,
        "message_id": entry.message_id or None,
        "filter": entry.filter,
        "targets": entry.targets,
        "outcomes": entry.outcomes,
        "detail": entry.detail or None,
    }
