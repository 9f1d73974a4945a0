"""Heat maps of words over a picture: one panel per word, one row per model (as MTGFE's figures 6 and 7)."""

from __future__ import annotations

import io
from collections.abc import Mapping

import numpy as np
from numpy.typing import NDArray

from rsitr.models.fusion.attention import WordMaps
from rsitr.pictures import paint_heat
from rsitr.types import ImageArray

__all__ = ["draw_heatmaps"]

PANEL_IN = 1.7
DPI = 110
OPACITY = 0.55


def draw_heatmaps(picture: ImageArray, maps: Mapping[str, WordMaps], *, text: str) -> bytes:
    """A PNG: in each row the picture, then it once per word under the word's map.

    Each map is stretched from its own least to its own greatest value: it shows where a word looks, not how much.

    Args:
        picture: (H, W, 3).
        maps: by the name of the model; models may cut a text into words differently.
        text: the heading.
    """
    from matplotlib.backends.backend_agg import FigureCanvasAgg
    from matplotlib.figure import Figure

    columns = 1 + max(len(found.words) for found in maps.values())
    figure = Figure(figsize=(PANEL_IN * columns, (PANEL_IN + 0.5) * len(maps) + 0.4), dpi=DPI, layout="constrained")
    canvas = FigureCanvasAgg(figure)
    axes = figure.subplots(len(maps), columns, squeeze=False)
    height, width = picture.shape[:2]
    for row, (name, found) in zip(axes, maps.items(), strict=True):
        for axis in row:
            axis.axis("off")
        row[0].imshow(picture)
        row[0].set_title(f"{name}\n{found.kind}\nscore {found.score:.3f}", fontsize=6, loc="left")
        for axis, word, heat in zip(row[1:], found.words, found.maps, strict=False):
            axis.imshow(picture)
            colours = paint_heat(_stretched(heat), strongest=OPACITY, faintest=OPACITY)
            axis.imshow(colours, interpolation="bicubic", extent=(-0.5, width - 0.5, height - 0.5, -0.5))
            axis.set_title(word, fontsize=9, parse_math=False)
    figure.suptitle(text, fontsize=9, parse_math=False)
    target = io.BytesIO()
    canvas.print_png(target)  # type: ignore[no-untyped-call]
    return target.getvalue()


def _stretched(heat: NDArray[np.float32]) -> NDArray[np.float32]:
    low, high = float(heat.min()), float(heat.max())
    stretched: NDArray[np.float32] = (heat - low) / (high - low) if high > low else np.zeros_like(heat)
    return stretched
