from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from rsitr.geo import choose_tile_px, cut_windows


@given(width=st.integers(1, 900), height=st.integers(1, 900), tile_px=st.integers(16, 300), overlap=st.floats(0.0, 0.9))
def test_windows_cover_the_scene_and_stay_inside(width: int, height: int, tile_px: int, overlap: float) -> None:
    windows = cut_windows(width, height, tile_px=tile_px, overlap=overlap)
    seen = np.zeros((height, width), dtype=bool)
    for col, row, w, h in windows:
        assert col >= 0
        assert row >= 0
        assert col + w <= width
        assert row + h <= height
        seen[row : row + h, col : col + w] = True
    assert seen.all()
    assert len(set(windows)) == len(windows)


@given(length=st.integers(400, 3000), overlap=st.sampled_from([0.0, 0.25, 0.5]))
def test_neighbours_share_at_least_the_overlap_and_never_nearly_everything(length: int, overlap: float) -> None:
    cols = [window[0] for window in cut_windows(length, 224, tile_px=224, overlap=overlap)]
    steps = np.diff(cols)
    assert steps.max() <= 224 * (1 - overlap) + 1
    assert steps.min() >= 224 * (1 - overlap) / 2 - 1


def test_an_exact_fit_does_not_overlap() -> None:
    assert cut_windows(448, 224, tile_px=224) == [(0, 0, 224, 224), (224, 0, 224, 224)]


def test_small_rasters_and_pictures_stay_whole() -> None:
    assert cut_windows(336, 256, tile_px=224) == [(0, 0, 336, 256)]
    assert len(cut_windows(600, 600, tile_px=224)) == 9
    assert cut_windows(600, 600, tile_px=224, is_picture=True) == [(0, 0, 600, 600)]
    assert len(cut_windows(1000, 1000, tile_px=224, is_picture=True)) == 25


def test_a_strip_is_cut_into_pieces_that_are_not_too_long() -> None:
    windows = cut_windows(71, 2475, tile_px=224)
    assert {(w, h) for _, _, w, h in windows} == {(71, 142)}


@pytest.mark.parametrize(
    ("gsd_m", "tile_px"), [(None, 224), (5.0, 224), (0.3, 224), (0.15, 448), (0.1, 672), (0.05, 1344)]
)
def test_finer_pixels_make_larger_tiles(gsd_m: float | None, tile_px: int) -> None:
    assert choose_tile_px(model_px=224, gsd_m=gsd_m) == tile_px
