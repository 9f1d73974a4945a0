"""What `rsitr locate` prints with `--json`: apart, since what it extends is slow to import."""

from __future__ import annotations

from dataclasses import dataclass

from rsitr.formats import HeatRecord

__all__ = ["LocateResult"]


@dataclass(frozen=True, kw_only=True)
class LocateResult(HeatRecord):
    """Where in a scene words fit, and what was written of it.

    Attributes:
        heat_map: the GeoTIFF.
        picture: the PNG.
    """

    heat_map: str
    picture: str
