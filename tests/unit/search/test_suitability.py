from __future__ import annotations

from pathlib import Path

import pytest
from rasterio.transform import Affine

from fakes import ColourEncoder
from rasters import write_utm
from rsitr.formats import find_unsuitable, to_csv
from rsitr.index import Settings, ingest
from rsitr.search import Index, say_left_out, say_outcome
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
    assert (len(coarse), coarse.n_hopeless) == (0, 16)
    assert say_outcome(coarse, n_all=16) == (
        "no confident match for “red”: the pixels of all 16 tiles within these limits can show nothing to a model"
    )
    every = Index.open(tmp_path / "index", encoder=encoder).search("red", k=3, every=True)
    assert (every.state, every.matches, every.relevance, len(every)) == ("unsure", False, None, 3)
    assert say_outcome(every, n_all=16) == (
        "no confident match for “red”: all hits are of pixels that can show nothing to a model (pixels of 100 m), "
        "and are not judged"
    )
    assert "pixels of 100 m" in to_csv(every.to_answer())
    write_utm(tmp_path / "scenes" / "fine.tif")
    ingest([tmp_path / "scenes"], into=tmp_path / "index", encoder=encoder)
    index = Index.open(tmp_path / "index", encoder=encoder)
    fine = index.search("red", k=8)
    assert {hit.tile.scene for hit in fine} == {"fine.tif"}
    assert say_left_out(fine) == "left out: 16 tiles, whose pixels can show nothing to a model"
    both = index.search("red", k=8, every=True)
    assert say_left_out(both) == ""
    assert both.state == "matches"
    assert {hit.tile.scene: hit.relevance is None for hit in both} == {"coarse.tif": True, "fine.tif": False}
    assert "4 of 8 hits are of pixels that can show nothing" in say_outcome(both, n_all=32)
