from __future__ import annotations

import re
from html import unescape
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from fakes import ColourEncoder
from generators import save_picture
from rsitr.data import CaptionedImage
from rsitr.errors import ConfigError
from rsitr.evaluation.protocol import EncodedSplit, encode_split
from rsitr.evaluation.sheets import make_sheets, render_sheets, write_image_sheet, write_text_sheet

RIGHT, WRONG = (0x1B, 0x8A, 0x5A), (0xD1, 0x57, 0x1F)
COLOURS = {"red": (255, 0, 0), "green": (0, 255, 0), "blue": (0, 0, 255), "yellow": (255, 255, 0), "dark": (0, 0, 0)}


@pytest.fixture
def images(tmp_path: Path) -> tuple[CaptionedImage, ...]:
    """Pictures of one colour, each with a caption of its own and one that all share."""
    made = []
    for name, colour in COLOURS.items():
        path = tmp_path / f"{name}.png"
        save_picture(Image.new("RGB", (24, 24), colour), path)
        made.append(
            CaptionedImage(f"set/{name}", path, (f"a {name} <field>", "something", f"{name} $x_1$ ground"), "val")
        )
    return tuple(made)


@pytest.fixture
def split(images: tuple[CaptionedImage, ...]) -> EncodedSplit:
    return encode_split(ColourEncoder(), images)


def scores(split: EncodedSplit) -> np.ndarray:
    return split.texts.global_emb @ split.images.global_emb.T


def frames(path: Path, colour: tuple[int, int, int]) -> int:
    with Image.open(path) as opened:
        return int((np.abs(np.asarray(opened.convert("RGB")).astype(int) - colour).sum(axis=2) < 24).sum())


def test_right_is_what_a_caption_was_written_for(split: EncodedSplit, images: tuple[CaptionedImage, ...]) -> None:
    sheets = make_sheets(split, images, scores=scores(split), n_queries=5, seed=0)
    assert [query.image for query in sheets.image_to_text] == list(images)
    for query in sheets.image_to_text:
        assert query.caption is None
        assert query.rank == 1
        for candidate in query.candidates:
            assert candidate.image is None
            assert candidate.right is (candidate.caption in query.image.captions)
        found = [candidate.score for candidate in query.candidates]
        assert found == sorted(found, reverse=True)
        assert len(found) == 5
    for query in sheets.text_to_image:
        assert query.caption in query.image.captions
        for candidate in query.candidates:
            assert candidate.image is not None
            assert candidate.right is (query.caption in candidate.image.captions)
        if query.caption == "something":  # written for all of them
            assert all(candidate.right for candidate in query.candidates)
        else:
            assert [candidate.right for candidate in query.candidates] == [True, False, False, False, False]


def test_the_rank_is_that_of_the_best_right_candidate(split: EncodedSplit, images: tuple[CaptionedImage, ...]) -> None:
    sheets = make_sheets(split, images, scores=-scores(split), n_queries=5, seed=0)
    for query in sheets.text_to_image:
        assert query.rank == (1 if query.caption == "something" else 5)


def test_queries_are_drawn_by_lot_and_the_seed_repeats_it(
    split: EncodedSplit, images: tuple[CaptionedImage, ...]
) -> None:
    def drawn(seed: int) -> list[tuple[str, str | None]]:
        sheets = make_sheets(split, images, scores=scores(split), n_queries=2, seed=seed)
        return [(query.image.image_id, query.caption) for query in sheets.text_to_image]

    assert drawn(0) == drawn(0)
    assert len({tuple(drawn(seed)) for seed in range(8)}) > 3


@pytest.mark.parametrize("n_queries", [0, 6])
def test_more_queries_than_pictures_are_refused(
    split: EncodedSplit, images: tuple[CaptionedImage, ...], n_queries: int
) -> None:
    with pytest.raises(ConfigError, match=f"{n_queries} queries cannot be drawn from 5 pictures"):
        make_sheets(split, images, scores=scores(split), n_queries=n_queries, seed=0)


def test_right_and_wrong_are_seen_in_the_pictures(
    split: EncodedSplit, images: tuple[CaptionedImage, ...], tmp_path: Path
) -> None:
    found = scores(split)
    sheets = make_sheets(split, images, scores=found, n_queries=5, seed=0)
    write_image_sheet(sheets.text_to_image, tmp_path / "t2i.png", title="T $x$")
    write_text_sheet(sheets.image_to_text, tmp_path / "i2t.png", title="T $x$")
    for name in ("t2i.png", "i2t.png"):
        assert frames(tmp_path / name, RIGHT) > 200
        assert frames(tmp_path / name, WRONG) > 200
    assert not list(tmp_path.glob(".*"))
    with Image.open(tmp_path / "t2i.png") as opened:
        assert opened.width > 1200


def test_the_page_needs_no_other_file_and_takes_captions_as_they_are(
    split: EncodedSplit, images: tuple[CaptionedImage, ...]
) -> None:
    sheets = make_sheets(split, images, scores=scores(split), n_queries=5, seed=0)
    page = render_sheets(sheets, title="R & D", facts={"command": "rsitr figures <here>"})
    assert "<field>" not in page
    assert "rsitr figures <here>" in unescape(page)
    sources = re.findall(r'<img src="([^"]{0,30})', page)
    assert len(sources) == 5 * 5 + 5
    assert all(source.startswith("data:image/jpeg;base64,") for source in sources)
    assert "http" not in page
    right = sum(c.right for query in (*sheets.text_to_image, *sheets.image_to_text) for c in query.candidates)
    assert len(re.findall(r'<(?:figure|li) class="right"', page)) == right
    assert page.count("✗") == 50 - right + 1  # and one in the legend
