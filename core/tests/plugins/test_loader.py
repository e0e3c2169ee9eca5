"""Finding, loading and refusing plugins."""

from __future__ import annotations

import sys

import pytest
from prism.model.errors import PluginError
from prism.plugins.loader import PluginLoader, make_factory
from prism.plugins.spec import Capability, SlotKind, SlotSpec
from pydantic import BaseModel, ConfigDict

from .conftest import SOUND, Site


def refusal(loader: PluginLoader, name: str) -> str:
    with pytest.raises(PluginError) as caught:
        loader.load(name)
    return str(caught.value)


def test_available_names_type_distribution_and_version_without_importing(site: Site) -> None:
    module = site.install("redis", distribution="prism-redis", version="2.5")
    (entry,) = site.loader().available()
    assert (entry.type, entry.distribution, entry.version, entry.module) == ("redis", "prism-redis", "2.5", module)
    assert module not in sys.modules


def test_load_gives_the_slots_that_the_hook_declares(site: Site) -> None:
    site.install("redis")
    loaded = site.loader().load("redis")
    assert set(loaded.slots) == {SlotKind.REGISTRY}
    assert loaded.slots[SlotKind.REGISTRY].type == "redis"


def test_loading_one_plugin_imports_no_other(site: Site) -> None:
    site.install("redis")
    other = site.install("nats")
    site.loader().load("redis")
    assert other not in sys.modules


def test_a_plugin_is_asked_for_its_slots_once(site: Site) -> None:
    site.install("redis")
    loader = site.loader()
    assert loader.load("redis") is loader.load("redis")


def test_a_hook_may_be_a_generator(site: Site) -> None:
    site.install("redis", SOUND.replace("return [", "yield from ["))
    assert set(site.loader().load("redis").slots) == {SlotKind.REGISTRY}


def test_resolve_gives_the_slot_of_the_asked_kind(site: Site) -> None:
    site.install("redis")
    spec = site.loader().resolve(SlotKind.REGISTRY, "redis")
    assert spec.slot is SlotKind.REGISTRY


def test_a_type_that_cannot_fill_the_slot_says_what_it_fills_and_who_fills_it(site: Site) -> None:
    site.install("redis")
    site.install("nats", SOUND.replace("SlotKind.REGISTRY", "SlotKind.MESSAGING"))
    with pytest.raises(PluginError, match=r'type "redis" fills registry, not messaging; .* fill messaging: nats'):
        site.loader().resolve(SlotKind.MESSAGING, "redis")


def test_an_unknown_type_lists_the_installed_with_a_near_match(site: Site) -> None:
    site.install("mongodb")
    text = refusal(site.loader(), "mongdb")
    assert text == 'no installed plugin has the type "mongdb"; installed are mongodb; did you mean "mongodb"?'


@pytest.mark.parametrize(
    ("name", "distribution"),
    [("redis", "prism-redis"), ("kafka", "prism-kafka"), ("dynamodb", "prism-aws"), ("sns", "prism-aws")],
)
def test_a_known_type_that_is_not_installed_says_what_to_install(site: Site, name: str, distribution: str) -> None:
    assert refusal(site.loader(), name).endswith(
        f"it comes with {distribution}; from a checkout of Prism: pip install ./plugins/{distribution}"
    )


def test_a_misspelt_known_type_that_is_not_installed_says_both(site: Site) -> None:
    hint = 'did you mean "postgres"? It comes with prism-postgres; from a checkout of Prism: pip install ./plugins/'
    assert hint in refusal(site.loader(), "postgre")


def test_a_type_like_nothing_else_lists_the_installed(site: Site) -> None:
    assert refusal(site.loader(), "zzz") == 'no installed plugin has the type "zzz"; installed are none'


def test_a_selected_plugin_that_fails_to_import_fails_with_its_cause(site: Site) -> None:
    module = site.install("broken", "raise RuntimeError('no licence')")
    with pytest.raises(
        PluginError, match=f"dist-broken 1.0: importing {module} failed: RuntimeError: no lic"
    ) as caught:
        site.loader().load("broken")
    assert isinstance(caught.value.__cause__, RuntimeError)


def test_a_broken_plugin_that_nobody_selects_harms_nobody(site: Site) -> None:
    site.install("broken", "import a_driver_that_is_not_installed")
    site.install("redis")
    assert site.loader().load("redis").entry.type == "redis"


def test_report_lists_broken_plugins_with_their_error_and_sound_ones_with_their_slots(site: Site) -> None:
    site.install("broken", "import a_driver_that_is_not_installed")
    site.install("redis")
    broken, sound = site.loader().report()
    assert "a_driver_that_is_not_installed" in str(broken.error)
    assert not broken.slots
    assert sound.error is None
    assert set(sound.slots) == {SlotKind.REGISTRY}


def test_two_distributions_with_one_type_are_refused_naming_both(site: Site) -> None:
    site.install("redis", distribution="prism-redis")
    site.install("redis", distribution="their-redis", version="0.3")
    text = refusal(site.loader(), "redis")
    assert "prism-redis 1.0" in text
    assert "their-redis 0.3" in text


def test_a_duplicate_type_harms_no_other(site: Site) -> None:
    site.install("redis", distribution="one")
    site.install("redis", distribution="two")
    site.install("nats")
    assert site.loader().load("nats").entry.type == "nats"


def test_a_distribution_found_twice_counts_once(site: Site) -> None:
    site.install("redis", distribution="prism-redis")
    loader = PluginLoader([str(site.folder), str(site.folder) + "/."])
    assert len(loader.available()) == 1


def test_other_entry_point_groups_are_no_plugins(site: Site) -> None:
    site.write_metadata("other", "1.0", "[console_scripts]\nredis = somewhere:main\n")
    assert site.loader().available() == []


@pytest.mark.parametrize(
    "text", ["[prism.backends.v1]\nno equals sign\n", "[prism.backends.v1\nx = y\n", "\x00", "= x"]
)
def test_a_garbled_entry_point_file_harms_nobody(site: Site, text: str) -> None:
    site.write_metadata("garbled", "1.0", "[prism.backends.v1]\n" + text)
    site.install("redis")
    loader = site.loader()
    assert loader.load("redis").entry.type == "redis"
    assert [report.entry.type for report in loader.report() if report.error is None] == ["redis"]


def test_a_distribution_without_readable_metadata_is_still_named_somehow(site: Site) -> None:
    site.write_metadata("nameless", "1.0", "[prism.backends.v1]\nghost = nowhere\n")
    (site.folder / "nameless-1.0.dist-info" / "METADATA").unlink()
    (report,) = site.loader().report()
    assert report.entry.type == "ghost"
    assert report.error is not None


@pytest.mark.parametrize(
    ("api", "theirs"),
    [("(1, 7)", "1.7"), ("(2, 0)", "2.0"), ("(0, 9)", "0.9")],
)
def test_a_plugin_for_another_api_is_refused_naming_both_versions(site: Site, api: str, theirs: str) -> None:
    site.install("redis", SOUND.replace("factory=", f"api={api}, factory="))
    assert f"was built for plugin API {theirs}, and this prism-multicast has 1.0" in refusal(site.loader(), "redis")


@pytest.mark.parametrize(
    ("change", "text"),
    [
        (('type="TYPE"', 'type="other"'), 'its type is "other", but its entry point is called "redis"'),
        (('extra="forbid"', 'extra="ignore"'), "config model Options lets unknown keys pass"),
        (("config=Options", "config=dict"), "config must be a pydantic model class"),
        (('":make"', '".make"'), "is not of the form"),
        (("return [", "return 2 * ["), "declares the registry slot twice"),
        (("return [", "return [] and ["), "declares no slot"),
        (("return [", "return [42] or ["), "must yield SlotSpec, got a int"),
        (("return [", "return 1 / 0 or ["), "prism_slots failed: ZeroDivisionError"),
        (("@hookimpl", ""), "implements no prism_slots"),
        (("prism_slots()", "prism_slots(surprise)"), "pluggy refuses"),
        (("def prism_slots", "def prism_slot"), "pluggy refuses"),
        (("slot=SlotKind.REGISTRY", 'slot="cache"'), "unknown slot 'cache'; allowed are registry"),
        (("config=Options", "capabilities={'fast'}, config=Options"), "unknown capabilities fast"),
    ],
)
def test_a_plugin_that_breaks_the_contract_is_refused(site: Site, change: tuple[str, str], text: str) -> None:
    assert SOUND.replace(*change) != SOUND
    site.install("redis", SOUND.replace(*change))
    assert text in refusal(site.loader(), "redis")


def test_make_factory_imports_what_the_spec_names(site: Site) -> None:
    site.install("redis")
    spec = site.loader().resolve(SlotKind.REGISTRY, "redis")
    assert make_factory(spec)(spec.config(), "context") == (spec.config(), "context")


@pytest.mark.parametrize(
    ("factory", "text"),
    [
        ("no_such_package.module:make", "importing no_such_package.module failed: ModuleNotFoundError"),
        ("prism.plugins.spec:missing", "prism.plugins.spec has no function missing"),
        ("prism.plugins.spec:API_VERSION", "prism.plugins.spec has no function API_VERSION"),
    ],
)
def test_a_factory_that_cannot_be_imported_names_slot_and_reason(factory: str, text: str) -> None:
    with pytest.raises(PluginError) as caught:
        make_factory(SlotSpec(SlotKind.MESSAGING, "nats", BaseModel, factory))
    assert str(caught.value).startswith('the messaging slot of type "nats"')
    assert text in str(caught.value)


class Options(BaseModel):
    model_config = ConfigDict(extra="forbid")


def test_a_loader_of_given_slots_knows_exactly_those() -> None:
    spec = SlotSpec(SlotKind.REGISTRY, "mine", Options, "a:b", frozenset({Capability.SHARED}))
    loader = PluginLoader.of([spec])
    assert loader.resolve(SlotKind.REGISTRY, "mine") is spec
    assert [entry.type for entry in loader.available()] == ["mine"]


def test_a_loader_of_given_slots_refuses_unsound_ones() -> None:
    with pytest.raises(PluginError, match="lets unknown keys pass"):
        PluginLoader.of([SlotSpec(SlotKind.REGISTRY, "mine", BaseModel, "a:b")])


def test_the_memory_backend_is_a_plugin_like_any_other() -> None:
    assert set(PluginLoader().load("memory").slots) == set(SlotKind)
