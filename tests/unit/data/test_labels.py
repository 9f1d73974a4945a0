"""Classes of pictures: stated, read off the file name, or unknown."""

from __future__ import annotations

from pathlib import Path

import pytest

from generators import edit_json, write_karpathy_dataset, write_nwpu_dataset, write_table_dataset
from rsitr.data import load_dataset
from rsitr.data.labels import find_label, spell_label


@pytest.mark.parametrize(
    ("raw", "words"),
    [
        ("DenseResidential", "dense residential"),
        ("denseresidential", "dense residential"),
        ("StorageTanks", "storage tanks"),
        ("storagetanks", "storage tanks"),
        ("Airport", "airport"),
        ("basketball_court", "basketball court"),
        (" railway-station ", "railway station"),
    ],
)
def test_class_names_are_words_however_they_are_joined(raw: str, words: str) -> None:
    assert spell_label(raw) == words


@pytest.mark.parametrize(
    ("known", "filename", "label"),
    [
        ("rsicd", "airport_12.jpg", "airport"),
        ("rsitmd", "baseballfield_452.tif", "baseball field"),
        ("rsicd", "00001.jpg", None),
        ("ucm", "1.tif", "agricultural"),
        ("ucm", "100.tif", "agricultural"),
        ("ucm", "101.tif", "airplane"),
        ("ucm", "2100.tif", "tennis court"),
        ("ucm", "2101.tif", None),
        ("ucm", "0.tif", None),
        ("sydney", "airport_12.jpg", None),
        (None, "airport_12.jpg", None),
    ],
)
def test_file_names_tell_classes_of_the_sets_that_name_them_so(
    known: str | None, filename: str, label: str | None
) -> None:
    assert find_label(filename, stated=None, known=known) == label


def test_what_the_annotations_state_counts_first() -> None:
    assert find_label("airport_12.jpg", stated="Pond", known="rsicd") == "pond"
    assert find_label("airport_12.jpg", stated="  ", known="rsicd") == "airport"


def test_loaders_hand_labels_on(tmp_path: Path) -> None:
    json = write_karpathy_dataset(tmp_path / "rsicd", n_images=3, with_pictures=False)
    edit_json(json, image=0, **{"class": "BareLand"})
    edit_json(json, image=1, filename="bridge_7.jpg")
    images = load_dataset(f"rsicd:{tmp_path / 'rsicd'}").images
    assert [image.label for image in images] == ["bare land", "bridge", None]

    write_nwpu_dataset(tmp_path / "nwpu", classes=("basketball_court",), images_per_class=2)
    assert {image.label for image in load_dataset(f"nwpu:{tmp_path / 'nwpu'}").images} == {"basketball court"}


def test_a_table_may_have_a_column_of_labels(tmp_path: Path) -> None:
    table = write_table_dataset(tmp_path, n_images=2)
    assert {image.label for image in load_dataset(f"csv:{table}").images} == {None}
    table.write_text(
        "filename,title,label\na.png,a pond .,Pond\na.png,some water .,\nb.png,trees .,\n", encoding="utf-8"
    )
    assert [image.label for image in load_dataset(f"csv:{table}").images] == ["pond", None]


@pytest.mark.real_data
def test_ucm_numbers_its_classes_by_the_hundred(real_data: Path) -> None:
    for image in load_dataset(f"ucm:{real_data / 'ucm'}").images:
        assert find_label(image.path.name, stated=None, known="ucm") == image.label
