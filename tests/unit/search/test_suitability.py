from __future__ import annotations

from pathlib import Path

import pytest
from rasterio.transform import Affine

from fakes import ColourEncoder
from rasters import write_utm
from rsitr.index import Settings, ingest
from rsitr.search import Index, say_outcome
from rsitr.search.suitability import find_unsuitable
from rsitr.types import Tile

COARSE = Affine(100.0, 0.0, 500_000.0, 0.0, -100.0, 5_200_000.0)


@pytest.mark.parametrize(
    ("window", "gsd_m", "why"),
    [
        ((0, 0, 64, 64), 0.3, None),
        ((0, 0, 64, 64), 30.0, None),
        ((0, 0, 64, 64), None, None),
        ((0, 0, 64, 64), 3000.0, "pixels of 3,000 m"),
        ((0, 0, 3, 2), 0.3, "3 × 2 pixels"),
        ((0, 0, 16, 16), 10.0, None),
    ],
)
def test_pixels_that_can_show_something(
    window: tuple[int, int, int, int], gsd_m: float | None, why: str | None
) -> None:
    assert find_unsuitable(Tile("t", "a.tif", window, gsd_m=gsd_m)) == why


def test_pixels_too_coarse_for_a_model_match_nothing(tmp_path: Path, encoder: ColourEncoder) -> None:
    write_utm(tmp_path / "scenes" / "coarse.tif", transform=COARSE)
    ingest([tmp_path / "scenes"], into=tmp_path / "index", encoder=encoder, settings=Settings(tile_px=32))
    coarse = Index.open(tmp_path / "index", encoder=encoder).search("red", k=3)
    assert (coarse.state, coarse.matches, coarse.relevance) == ("unsure", False, None)
    assert say_outcome(coarse, n_all=16) == (
        "no confident match for “red”: all hits are of pixels that can show nothing to a model (pixels of 100 m), "
        "and are not judged"
    )
    write_utm(tmp_path / "scenes" / "fine.tif")
    ingest([tmp_path / "scenes"], into=tmp_path / "index", encoder=encoder)
    both = Index.open(tmp_path / "index", encoder=encoder).search("red", k=8)
    assert both.state == "matches"
    assert {hit.tile.scene: hit.relevance is None for hit in both} == {"coarse.tif": True, "fine.tif": False}
    assert "4 of 8 hits are of pixels that can show nothing" in say_outcome(both, n_all=32)
