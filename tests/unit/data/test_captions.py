from __future__ import annotations

import pytest

from rsitr.data.captions import number_captions


def test_equal_captions_have_one_number_and_rows_follow_the_pictures() -> None:
    found = number_captions([("a sea", "a bay", "a sea"), ("a bay",)])
    assert found.texts == ("a bay", "a sea")
    assert found.row_text.tolist() == [1, 0, 1, 0]
    assert found.row_image.tolist() == [0, 0, 0, 1]


def test_texts_may_have_an_order_of_their_own() -> None:
    assert number_captions([("a", "b")], texts=["b", "a"]).row_text.tolist() == [1, 0]
    with pytest.raises(KeyError, match="c"):
        number_captions([("c",)], texts=["a"])
