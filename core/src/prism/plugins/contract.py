"""What the slots that a plugin declares must keep to, whoever wrote it."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from prism.plugins.spec import API_VERSION, Capability, SlotKind, SlotSpec


def check_specs(type: str, specs: Sequence[object]) -> list[str]:  # noqa: A002 - the configuration's word
    """Everything wrong with the answer of a plugin's `prism_slots`, in words; empty when it is sound."""
    if not specs:
        return ["prism_slots declares no slot"]
    problems: list[str] = []
    seen: set[SlotKind] = set()
    for spec in specs:
        if not isinstance(spec, SlotSpec):
            problems.append(f"prism_slots must yield SlotSpec, got a {spec.__class__.__name__}")
            continue
        problems.extend(f"{spec.slot} slot: {problem}" for problem in _check(type, spec))
        if spec.slot in seen:
            problems.append(f"declares the {spec.slot} slot twice")
        seen.add(spec.slot)
    return problems


def _check(entry_type: str, spec: SlotSpec) -> Iterator[str]:
    """Tells a newer API first: what such a plugin declares may mean something we don't know."""
    if spec.api[0] != API_VERSION[0] or spec.api > API_VERSION:
        theirs, ours = _version(spec.api), _version(API_VERSION)
        yield (
            f"was built for plugin API {theirs}, and this prism-multicast has {ours}; "
            f"upgrade prism-multicast or install a release of the plugin for {ours}"
        )
        return
    slot: object = spec.slot
    if not isinstance(slot, SlotKind):
        yield f"unknown slot {slot!r}; allowed are {', '.join(SlotKind)}"
    if spec.type != entry_type:
        yield f'its type is "{spec.type}", but its entry point is called "{entry_type}"; they must be equal'
    yield from _check_config(spec)
    module, colon, attribute = spec.factory.partition(":")
    if not (module and colon and attribute.isidentifier()):
        yield f'factory "{spec.factory}" is not of the form "package.module:function"'
    unknown = [item for item in spec.capabilities if not isinstance(item, Capability)]
    if unknown:
        yield f"unknown capabilities {', '.join(map(str, unknown))}; use prism.plugins.spec.Capability"


def _check_config(spec: SlotSpec) -> Iterator[str]:
    from pydantic import BaseModel  # noqa: PLC0415 - only loading a plugin needs it

    config: object = spec.config
    if not (isinstance(config, type) and issubclass(config, BaseModel)):
        yield f"config must be a pydantic model class, got {config!r}"
    elif config.model_config.get("extra") != "forbid":
        yield f'config model {config.__name__} lets unknown keys pass; give it ConfigDict(extra="forbid")'


def _version(api: tuple[int, int]) -> str:
    return ".".join(map(str, api))
