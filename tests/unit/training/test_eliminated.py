"""The report of eliminated pairs: what a person who cleans a data set gets to see."""

from __future__ import annotations

import base64
import csv
import io
import re
from dataclasses import dataclass
from pathlib import Path

import pytest
import torch
from PIL import Image

from rsitr.data import CaptionedImage
from rsitr.training import eliminated
from rsitr.training.bank import SimilarityBank
from rsitr.training.eliminated import write_eliminated
from rsitr.training.rows import RowTable

WORDS = ("red", "green", "blue", "yellow")


@dataclass
class Recipe:
    """What the report needs of a recipe. Rows 0 to 2 are of picture 0, 3 to 5 of picture 1, and so on."""

    table: RowTable
    global_bank: SimilarityBank
    local_bank: SimilarityBank
    global_threshold: float | None = None
    local_threshold: float | None = None

    def saw(self, *similarities: float, local: tuple[float, ...] | None = None) -> None:
        for bank, values in ((self.global_bank, similarities), (self.local_bank, local or similarities)):
            bank.start_epoch()
            bank.record(torch.arange(len(values)), torch.tensor(values))


@pytest.fixture
def recipe(tmp_path: Path) -> Recipe:
    images = []
    for number, word in enumerate(WORDS):
        path = tmp_path / f"{number}.png"
        Image.new("RGB", (400, 300), word).save(path)
        captions = (f"a {word} barn , <b>near</b> a road", f"one {word} field", "many trees")
        images.append(CaptionedImage(f"set/{number}.png", path, captions, "train", label=f"{word} class"))
    table = RowTable.of(images)
    return Recipe(table, SimilarityBank(len(table)), SimilarityBank(len(table)))


def read(path: Path) -> list[dict[str, str]]:
    with path.open(encoding="utf-8", newline="") as file:
        return list(csv.DictReader(file))


def write(recipe: Recipe, *, epoch: int, folder: Path) -> list[str]:
    return [path.name for path in write_eliminated(recipe, epoch=epoch, folder=folder)]  # type: ignore[arg-type]


def test_a_table_lists_what_did_not_exceed_the_threshold_least_similar_first(recipe: Recipe, tmp_path: Path) -> None:
    recipe.saw(0.5, 0.4, 0.1, 0.9, 0.2, 0.8)
    out = tmp_path / "out"
    assert write(recipe, epoch=0, folder=out) == []
    assert not out.exists()
    recipe.global_threshold = float(recipe.global_bank.values[4])
    assert write(recipe, epoch=1, folder=out) == ["epoch-02.csv", "index.html"]
    first, second = read(out / "epoch-02.csv")
    assert first == {
        "image": "set/0.png",
        "path": str(tmp_path / "0.png"),
        "caption": "many trees",
        "similarity": "0.1000",
        "threshold": "0.2000",
        "times": "1",
    }
    assert (second["image"], second["caption"], second["similarity"]) == ("set/1.png", "one green field", "0.2000")
    assert sorted(path.name for path in out.iterdir()) == ["epoch-02.csv", "index.html"]


def test_a_caption_with_a_comma_stays_one_field(recipe: Recipe, tmp_path: Path) -> None:
    recipe.saw(0.1, 0.5)
    recipe.global_threshold = 0.2
    write(recipe, epoch=0, folder=tmp_path)
    assert [row["caption"] for row in read(tmp_path / "epoch-01.csv")] == ["a red barn , <b>near</b> a road"]


def test_it_counts_how_often_a_pair_was_dropped(recipe: Recipe, tmp_path: Path) -> None:
    recipe.global_threshold = 0.3
    for epoch, similarities in enumerate([(0.1, 0.2, 0.9), (0.1, 0.9, 0.9), (0.2, 0.25, 0.05)]):
        recipe.saw(*similarities)
        write(recipe, epoch=epoch, folder=tmp_path)
    assert [row["times"] for row in read(tmp_path / "epoch-01.csv")] == ["1", "1"]
    assert [(row["caption"][:5], row["times"]) for row in read(tmp_path / "epoch-03.csv")] == [
        ("many ", "1"),
        ("a red", "3"),
        ("one r", "2"),
    ]
    # An epoch that is done again, after an interruption, counts once.
    before = [path.read_bytes() for path in sorted(tmp_path.glob("*.*ml")) + sorted(tmp_path.glob("*.csv"))]
    write(recipe, epoch=2, folder=tmp_path)
    assert before == [path.read_bytes() for path in sorted(tmp_path.glob("*.*ml")) + sorted(tmp_path.glob("*.csv"))]


def test_the_page_shows_pictures_and_the_most_often_dropped_first(recipe: Recipe, tmp_path: Path) -> None:
    recipe.global_threshold = 0.3
    recipe.saw(0.9, 0.9, 0.9, 0.9, 0.29, 0.9, 0.2, 0.9, 0.22)
    write(recipe, epoch=4, folder=tmp_path)
    recipe.saw(0.9, 0.9, 0.01, 0.9, 0.28, 0.9, 0.9, 0.9, 0.9)
    write(recipe, epoch=5, folder=tmp_path)
    page = (tmp_path / "index.html").read_text(encoding="utf-8")
    # Picture 1 twice, then picture 0 (0.01) before picture 2 (0.2): dropped once each.
    assert re.findall(r"set/\d\.png", page) == ["set/1.png", "set/0.png", "set/2.png"]
    assert "By global similarity" in page
    assert "By local similarity" not in page
    assert "4 pairs of 3 pictures, left out in\nepochs 5, 6." in page
    cards = page.split("<article")[1:]
    assert "left out in 2 of 2 epochs (5, 6); similarity\n0.2800, threshold 0.3000" in cards[0]
    assert "left out in 1 of 2 epochs (6)" in cards[1]
    assert cards[2].count('class="caption"') == 2  # both captions beside one picture
    assert "also the caption of 3 other\npictures" in cards[1]  # `many trees`
    assert "also the caption" not in cards[0]
    assert "<li>a green barn , &lt;b&gt;near&lt;/b&gt; a road</li>" in cards[0]  # kept, and text is not markup
    assert "green class" in cards[0]
    (uri,) = re.findall(r'src="data:image/jpeg;base64,([^"]+)"', cards[0])
    with Image.open(io.BytesIO(base64.b64decode(uri))) as picture:
        assert picture.size == (200, 150)
        assert picture.getpixel((100, 75))[1] > 100  # green


def test_the_split_scheme_has_tables_and_a_section_of_its_own(recipe: Recipe, tmp_path: Path) -> None:
    recipe.saw(0.1, 0.5, 0.6, local=(3.0, 1.0, 2.0))
    recipe.global_threshold, recipe.local_threshold = 0.2, 2.0
    assert write(recipe, epoch=4, folder=tmp_path) == ["epoch-05.csv", "epoch-05-local.csv", "index.html"]
    assert [row["caption"] for row in read(tmp_path / "epoch-05-local.csv")] == ["one red field", "many trees"]
    page = (tmp_path / "index.html").read_text(encoding="utf-8")
    first, second = page.split("<section>")[1:]
    assert ("By global" in first, "By local" in second) == (True, True)
    assert (first.count('class="caption"'), second.count('class="caption"')) == (1, 2)


def test_the_page_stays_small(recipe: Recipe, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(eliminated, "MOST_PICTURES", 2)
    recipe.saw(*(0.1 + 0.001 * row for row in range(12)))
    recipe.global_threshold = 0.5
    write(recipe, epoch=0, folder=tmp_path)
    page = (tmp_path / "index.html").read_text(encoding="utf-8")
    assert page.count("<article") == 2
    assert "The first 2 pictures are shown." in page
    assert len(read(tmp_path / "epoch-01.csv")) == 12


def test_neither_a_lost_picture_nor_a_spoilt_table_ends_the_training(recipe: Recipe, tmp_path: Path) -> None:
    recipe.global_threshold = 0.3
    recipe.saw(0.1, 0.9, 0.2)
    write(recipe, epoch=0, folder=tmp_path)
    table = tmp_path / "epoch-01.csv"
    table.write_text(table.read_text(encoding="utf-8").replace("0.2000", "0,2000") + "x;y\n", encoding="utf-8")
    (tmp_path / "0.png").unlink()
    recipe.saw(0.1, 0.9, 0.2)
    write(recipe, epoch=1, folder=tmp_path)
    assert [row["times"] for row in read(tmp_path / "epoch-02.csv")] == ["2", "1"]
    assert "The picture cannot be read." in (tmp_path / "index.html").read_text(encoding="utf-8")
