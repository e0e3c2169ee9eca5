"""Reads one namespace of a configuration."""

from __future__ import annotations

from dataclasses import dataclass, fields

from prism.config.declared import undeclared_indexes
from prism.config.needs import broken_needs, read_needs
from prism.config.section import Section
from prism.config.settings import NamespaceConfig, Needs, SlotConfig
from prism.config.slotblocks import SlotBlocks, SlotReader
from prism.model.errors import InvalidArgument
from prism.model.identity import check_namespace
from prism.model.limits import Limits
from prism.model.time import SECOND, Micros, show_seconds
from prism.plugins.loader import PluginLoader
from prism.plugins.spec import SlotKind
from prism.schema import IdentitySchema
from prism.schema.parse import read_schema
from prism.schema.place import Mistake

PATTERN = "multicast-registry"
_ATTACH_TTL: Micros = 30 * SECOND


class NamespaceReader:
    """Reads namespace blocks with the plugins of one loader; every mistake is added to the list."""

    def __init__(self, loader: PluginLoader, mistakes: list[Mistake]) -> None:
        self._loader = loader
        self._mistakes = mistakes
        self._slots = SlotReader(loader, mistakes)

    def read(self, section: Section) -> NamespaceConfig | None:
        """The namespace, None when a mistake was found in it."""
        found = len(self._mistakes)
        name = _name(section)
        section.choice("pattern", PATTERN, (PATTERN,))
        schema = self._schema(section)
        needs_section = section.section("needs")
        needs = read_needs(needs_section) if needs_section is not None else Needs()
        slots = self._slots.read(section.section("backend_slots"), (*section.place, "backend_slots"))
        ttl = _ttl(section, slots)
        limits = _limits(section)
        timeout = section.whole("timeout_ms", 1_000, minimum=0) * 1_000
        sweep_interval = section.duration("sweep_interval", SECOND, minimum=SECOND // 100)
        section.finish()
        if slots.registry is not None:
            self._check_indexes(section, schema, slots.registry)
        if needs_section is not None:
            self._check_needs(needs_section, needs, slots)
        if len(self._mistakes) > found or slots.registry is None or slots.messaging is None:
            return None
        return NamespaceConfig(
            name=name,
            schema=schema,
            registry=slots.registry,
            messaging=slots.messaging,
            durability=slots.durability,
            limits=limits,
            ttl_default=ttl.default,
            attach_ttl=ttl.attach,
            max_ttl=ttl.longest,
            timeout=timeout,
            delivery=slots.delivery,
            queues=slots.queues,
            needs=needs,
            sweep_interval=sweep_interval,
            composition=slots.composition,
        )

    def _schema(self, section: Section) -> IdentitySchema | None:
        source = section.value("identity_schema")
        if source is None:
            return None
        return read_schema(source, (*section.place, "identity_schema"), self._mistakes)

    def _check_indexes(self, section: Section, schema: IdentitySchema | None, registry: SlotConfig) -> None:
        """Notes indexes on fields that a closed schema refuses: nothing would ever be in them."""
        for found in undeclared_indexes(schema, registry.options):
            if found.closed:
                place = (*section.place, "backend_slots", "registry", "indexes", found.position, "field")
                self._mistakes.append(Mistake(place, found.text))

    def _check_needs(self, section: Section, needs: Needs, slots: SlotBlocks) -> None:
        """Notes broken promises; of slots that couldn't be read nothing is known, so nothing is said."""
        if slots.registry is None or slots.messaging is None:
            return
        filled = {SlotKind.REGISTRY: slots.registry, SlotKind.MESSAGING: slots.messaging}
        if slots.durability is not None:
            filled[SlotKind.DURABILITY] = slots.durability
        capabilities = {kind: slot.spec.capabilities for kind, slot in filled.items()}
        for need, text in broken_needs(needs, filled, capabilities, self._loader.installed):
            section.wrong(need, text)


def _name(section: Section) -> str:
    if not section.has("name"):
        section.wrong("name", "is missing; every namespace has one")
        return ""
    try:
        return check_namespace(section.value("name"))
    except InvalidArgument as error:
        for violation in error.violations:
            section.wrong("name", violation.description)
        return ""


def _limits(section: Section) -> Limits:
    block = section.section("limits")
    if block is None:
        return Limits()
    usual = Limits()
    counts = {each.name: getattr(usual, each.name) for each in fields(usual) if each.name != "registrations"}
    read = {key: block.whole(key, default) for key, default in counts.items()}
    registrations = block.whole("registrations", 0) if block.value("registrations") is not None else None
    block.finish()
    return Limits(**read, registrations=registrations)


@dataclass(frozen=True, slots=True)
class _Ttl:
    default: Micros | None
    longest: Micros | None
    attach: Micros


def _ttl(section: Section, slots: SlotBlocks) -> _Ttl:
    """Reads `ttl: {default, max, attach}` with the registry's `ttl_default`; 0 as default is no expiry.

    Without a default the longest allowed time is it, since no expiry is not allowed then.
    """
    block = section.section("ttl") or Section({}, (*section.place, "ttl"), section.mistakes)
    found = len(section.mistakes)
    default = block.duration("default", 0, minimum=0) if block.has("default") else None
    longest = block.duration("max", SECOND) if block.has("max") else None
    attach = block.duration("attach", _ATTACH_TTL) if block.has("attach") else None
    block.finish()
    if len(section.mistakes) > found:
        return _Ttl(None, None, _ATTACH_TTL)
    if default is not None and slots.ttl_default not in (None, default):
        block.wrong("default", "differs from backend_slots.registry.ttl_default; write the time once")
    if default is None:
        default = slots.ttl_default
    if longest is None:
        return _Ttl(default or None, None, attach or _ATTACH_TTL)
    if default == 0:
        block.wrong("default", f"0 asks for no expiry, and max allows {_seconds(longest)} at most")
    elif default is not None and default > longest:
        block.wrong("default", f"{_seconds(default)} is over max, {_seconds(longest)}")
    if attach is not None and attach > longest:
        block.wrong("attach", f"{_seconds(attach)} is over max, {_seconds(longest)}")
    return _Ttl(default or longest, longest, attach or min(_ATTACH_TTL, longest))


def _seconds(micros: Micros) -> str:
    return show_seconds(micros)
