from __future__ import annotations

import base64
import io

import jinja2
import numpy as np
import pytest
from PIL import Image

from rsitr.pages import picture_uri, render_page


def test_a_page_has_the_style_sheet_and_escapes_its_title() -> None:
    page = render_page("rsitr", "base.html.jinja", title="<a> & b")
    assert page.startswith("<!doctype html>")
    assert page.count("&lt;a&gt; &amp; b") == 2  # in the head, and above the text
    assert "--page:" in page
    assert "&#34;" not in page.split("</style>")[0]


def test_a_value_that_is_missing_is_an_error() -> None:
    with pytest.raises(jinja2.UndefinedError):
        render_page("rsitr", "base.html.jinja")


def test_a_picture_is_shrunk_inside_the_page_and_not_outside() -> None:
    picture = Image.new("RGB", (64, 32), (200, 30, 30))
    small = Image.open(io.BytesIO(base64.b64decode(picture_uri(picture, side_px=16).split(",")[1])))
    assert (small.size, picture.size) == ((16, 8), (64, 32))
    whole = Image.open(io.BytesIO(base64.b64decode(picture_uri(np.asarray(picture)).split(",")[1])))
    assert whole.size == (64, 32)
    assert np.asarray(whole)[0, 0] == pytest.approx([200, 30, 30], abs=6)
