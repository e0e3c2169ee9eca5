"""Configuration: the RFC's YAML (or the same as a mapping) read into frozen settings.

Imports `slots` and what is below it; the coordinator and all above take what `load_config` returns.
"""

from prism.config.load import find_namespace, load_config, memory_namespace
from prism.config.mixes import check_mix
from prism.config.needs import check_needs
from prism.config.settings import Composition, NamespaceConfig, Needs, ProxyConfig, ServerConfig, SlotConfig

__all__ = [
    "Composition",
    "NamespaceConfig",
    "Needs",
    "ProxyConfig",
    "ServerConfig",
    "SlotConfig",
    "check_mix",
    "check_needs",
    "find_namespace",
    "load_config",
    "memory_namespace",
]
