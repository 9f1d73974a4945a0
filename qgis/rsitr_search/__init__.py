"""A plugin for QGIS: places in satellite and aerial imagery by words, found by a service of rsitr."""

from __future__ import annotations

from typing import Any

__all__ = ["classFactory"]


def classFactory(iface: Any) -> Any:
    """What QGIS calls to load the plugin."""
    from .plugin import SearchPlugin

    return SearchPlugin(iface)
