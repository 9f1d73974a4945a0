"""Where in a picture words fit."""

from __future__ import annotations

import numpy as np
import pytest

from fakes import ColourEncoder
from rasters import quadrants
from rsitr.errors import QueryError
from rsitr.search import map_words


@pytest.mark.parametrize(("colour", "row", "column"), [("red", 0, 0), ("green", 0, 1), ("blue", 1, 0), ("dark", 1, 1)])
def test_the_hottest_cell_lies_on_the_thing(colour: str, row: int, column: int, encoder: ColourEncoder) -> None:
    picture = np.ascontiguousarray(np.moveaxis(quadrants(128, 64), 0, -1))
    found = map_words(encoder, picture, colour)
    hottest = np.unravel_index(int(found.argmax()), found.shape)
    assert (hottest[0] // 8, hottest[1] // 8) == (row, column)
    quarters = found.reshape(2, 8, 2, 8).mean(axis=(1, 3))
    assert quarters[row, column] > 2 * np.delete(quarters.ravel(), 2 * row + column).max()


def test_small_pictures_and_no_words(encoder: ColourEncoder) -> None:
    assert map_words(encoder, np.zeros((9, 12, 3), np.uint8), "dark").shape == (16, 16)
    with pytest.raises(QueryError, match="are empty"):
        map_words(encoder, np.zeros((8, 8, 3), np.uint8), " ")
