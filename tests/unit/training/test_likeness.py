from __future__ import annotations

import math
from pathlib import Path

import numpy as np
import pytest

from rsitr.data import CaptionedImage
from rsitr.models.bpe import clip_tokenizer
from rsitr.training.likeness import CaptionLikeness
from rsitr.training.rows import RowTable

CAPTIONS = (("a red roof", "many trees"), ("many trees", "a blue lake"), ("a white ship",))


@pytest.fixture
def table() -> RowTable:
    return RowTable.of(
        [
            CaptionedImage(image_id=f"{number}", path=Path(f"{number}.png"), split="train", captions=captions)
            for number, captions in enumerate(CAPTIONS)
        ]
    )


@pytest.fixture
def likeness(table: RowTable) -> CaptionLikeness:
    return CaptionLikeness(table, ids=clip_tokenizer(12)(list(table.captions)).numpy())


def test_a_caption_is_most_like_the_pictures_that_have_it(table: RowTable, likeness: CaptionLikeness) -> None:
    rows = np.array([1, 3, 4])  # `many trees` of picture 0, `a blue lake` of picture 1, `a white ship` of picture 2
    found = likeness(rows)
    assert found.shape == (3, 3)
    assert float(found.min()) >= 0
    assert float(found.max()) <= 1 + 1e-6
    # Both pictures have `many trees`, and one more caption each.
    assert float(found[0, 0]) == pytest.approx(float(found[0, 1]), rel=1e-5)
    assert float(found[0, 2]) == 0
    assert float(found[2, 2]) == pytest.approx(1.0)


def test_words_that_are_everywhere_are_worth_little(table: RowTable, likeness: CaptionLikeness) -> None:
    """Three of four captions have `a`, one has `ship`: idf log(4 / 4) and log(4 / 2)."""
    assert float(likeness(np.array([0, 4]))[0, 1]) == 0
    assert sorted({round(float(value), 4) for value in likeness.worth}) == [0.0, round(math.log(2), 4)]
