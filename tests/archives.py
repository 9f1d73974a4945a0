"""Makers of small indexed archives that several rooms are tested on."""

from __future__ import annotations

import io
from pathlib import Path

import numpy as np
from PIL import Image

from fakes import COLOURS, ColourEncoder
from rasters import quadrants, write_dateline, write_utm
from rsitr.index import Settings, ingest

__all__ = ["picture_file", "write_archive"]


def write_archive(folder: Path, encoder: ColourEncoder) -> Path:
    """An index of four scenes: two with a place and a day, one across the antimeridian, one without a place."""
    write_utm(folder / "scenes" / "north_20160816.tif", tags={"SENSOR": "NAIP"})
    write_utm(
        folder / "scenes" / "deep" / "values_20200101.tif",
        np.moveaxis(np.tile(np.linspace(0, 3000, 128).astype(np.uint16), (1, 128, 1)), 2, 2),
    )
    write_dateline(folder / "scenes" / "<b>dateline.tif", gsd_m=20.0)
    Image.fromarray(np.moveaxis(quadrants(64, 64, names=("yellow",) * 4), 0, -1)).save(folder / "scenes" / "photo.png")
    ingest([folder / "scenes"], into=folder / "index", encoder=encoder, settings=Settings(tile_px=64))
    return folder / "index"


def picture_file(colour: str, form: str = "PNG", *, size_px: tuple[int, int] = (40, 30)) -> bytes:
    """A picture of one colour, (width, height), as a file."""
    file = io.BytesIO()
    Image.fromarray(np.full((size_px[1], size_px[0], 3), COLOURS[colour], dtype=np.uint8)).save(file, form)
    return file.getvalue()
