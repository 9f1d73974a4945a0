"""`rsitr --import colours` lets every name of a model load the encoder of colours, in processes of their own."""

from __future__ import annotations

from typing import Any

import rsitr.models.zoo
from fakes import ColourEncoder

__all__ = ["load"]


def load(name: str = "colour", *, device: str | None = None, bulk: bool = False) -> Any:
    """Stands in for `rsitr.models.zoo.load_encoder`."""
    return ColourEncoder(image_size_px=64)


rsitr.models.zoo.load_encoder = load
