"""The HTTP service: an API to search an index, and a page for people."""

from rsitr.service.app import create_app, require_keys
from rsitr.service.explore import Explorer, explore
from rsitr.service.keys import KeyRing, add_key, load_keys
from rsitr.service.logs import set_up_logging
from rsitr.service.processes import run_processes
from rsitr.service.settings import ServiceSettings, load_settings

__all__ = [
    "Explorer",
    "KeyRing",
    "ServiceSettings",
    "add_key",
    "create_app",
    "explore",
    "load_keys",
    "load_settings",
    "require_keys",
    "run_processes",
    "set_up_logging",
]
