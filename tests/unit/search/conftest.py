"""An index of four scenes, made once: two with a place and a day, one across the antimeridian, one without a place."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from fakes import ColourEncoder
from rasters import quadrants, write_dateline, write_utm
from rsitr.index import ingest


@pytest.fixture(scope="session")
def encoder() -> ColourEncoder:
    return ColourEncoder(image_size_px=64)


@pytest.fixture(scope="session")
def index_path(tmp_path_factory: pytest.TempPathFactory, encoder: ColourEncoder) -> Path:
    folder = tmp_path_factory.mktemp("archive")
    write_utm(folder / "scenes" / "north_20160816.tif", tags={"SENSOR": "NAIP"})
    write_utm(
        folder / "scenes" / "deep" / "values_20200101.tif",
        np.moveaxis(np.tile(np.linspace(0, 3000, 128).astype(np.uint16), (1, 128, 1)), 2, 2),
    )
    write_dateline(folder / "scenes" / "<b>dateline.tif")
    Image.fromarray(np.moveaxis(quadrants(64, 64, names=("yellow",) * 4), 0, -1)).save(folder / "scenes" / "photo.png")
    ingest([folder / "scenes"], into=folder / "index", encoder=encoder, tile_px=64)
    return folder / "index"
