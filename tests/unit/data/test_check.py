from __future__ import annotations

from pathlib import Path

import pytest
from PIL import Image

from generators import (
    edit_json,
    save_picture,
    write_karpathy_dataset,
    write_nwpu_dataset,
    write_table_dataset,
)
from rsitr.data.check import CheckReport, ProblemKind, check_dataset


def kinds(report: CheckReport) -> dict[str, list[str]]:
    found: dict[str, list[str]] = {}
    for problem in report.problems:
        found.setdefault(problem.kind.name, []).append(problem.subject)
    return found


@pytest.fixture
def rsicd(tmp_path: Path) -> Path:
    write_karpathy_dataset(tmp_path, n_images=8)
    return tmp_path


def test_a_clean_set_is_counted(rsicd: Path) -> None:
    seen: list[tuple[int, int]] = []
    report = check_dataset(f"rsicd:{rsicd}", progress=lambda done, total: seen.append((done, total)))
    assert report.problems == ()
    assert seen == [(done, 8) for done in range(1, 9)]
    assert {name: split.images for name, split in report.splits.items()} == {"train": 4, "val": 2, "test": 2}
    assert report.splits["train"].captions_per_image == (5, 5.0, 5)
    assert report.sizes_px == {(48, 48): 8}
    assert report.modes == {"RGB": 8}
    assert report.image_folder == rsicd.resolve() / "images"
    assert report.unofficial_sizes["test"] == (2, 1093)


def test_other_formats_are_checked_too(tmp_path: Path) -> None:
    write_nwpu_dataset(tmp_path / "nwpu")
    table = write_table_dataset(tmp_path / "table")
    for spec, images in ((f"nwpu:{tmp_path / 'nwpu'}", 12), (f"csv:{table}", 6)):
        report = check_dataset(spec)
        assert report.problems == ()
        assert sum(report.sizes_px.values()) == images
    assert report.unofficial_sizes == {}  # a table has no authors to compare with


def test_repeated_captions_are_counted_with_their_ceiling(rsicd: Path) -> None:
    file = rsicd / "dataset_rsicd.json"
    for image in (2, 6):  # the two of val
        edit_json(file, image=image, sentences=[{"raw": "a farm"}] * 4 + [{"raw": f"lake {image}"}])
    val = check_dataset(f"rsicd:{rsicd}").splits["val"]
    assert (val.captions, val.distinct_captions, val.images_repeating) == (10, 3, 2)
    assert val.ceiling is not None
    assert val.ceiling.text_to_image["R@1"] == pytest.approx(100 * (8 * 0.5 + 2) / 10)
    assert val.ceiling.image_to_text["R@1"] == 100.0


def test_missing_and_unreadable_pictures_are_named(rsicd: Path) -> None:
    images = rsicd / "images"
    (images / "00001.jpg").unlink()
    content = (images / "00002.jpg").read_bytes()
    (images / "00002.jpg").write_bytes(content[: len(content) // 2])
    (images / "00003.jpg").write_bytes(b"")
    (images / "00004.jpg").write_text("<html>404</html>")
    report = check_dataset(f"rsicd:{rsicd}")
    assert kinds(report) == {
        "MISSING_IMAGE": ["00001.jpg"],
        "UNREADABLE_IMAGE": ["00002.jpg", "00003.jpg", "00004.jpg"],
    }
    details = [problem.detail for problem in report.problems[1:]]
    assert "truncated" in details[0]
    assert details[1:] == ["the file is empty", "not a picture, or of an unknown kind"]
    assert sum(report.sizes_px.values()) == 4


@pytest.mark.parametrize("suffix", [".png", ".tif", ".jpg"])
def test_a_truncated_picture_of_any_kind_is_unreadable(tmp_path: Path, suffix: str) -> None:
    write_karpathy_dataset(tmp_path, n_images=2, suffix=suffix)
    file = tmp_path / "images" / f"00001{suffix}"
    content = file.read_bytes()
    file.write_bytes(content[: len(content) * 3 // 5])
    assert kinds(check_dataset(f"rsicd:{tmp_path}")) == {"UNREADABLE_IMAGE": [f"00001{suffix}"]}


def test_captions_that_are_of_no_use_are_named(rsicd: Path) -> None:
    file = rsicd / "dataset_rsicd.json"
    raws = ["a farm", " ", None, "1 .", "the water\ufffds edge", "a\x00b", "word " * 76]
    edit_json(file, image=0, sentences=[{"raw": raw} for raw in raws])
    edit_json(file, image=1, sentences=[{"raw": ""}])
    edit_json(file, image=2, sentences=[{"raw": "un café près de l’eau"}])
    report = check_dataset(f"rsicd:{rsicd}")
    assert kinds(report) == {
        "BLANK_CAPTION": ["00001.jpg", "00002.jpg"],
        "MALFORMED_CAPTION": ["00001.jpg"],
        "WORDLESS_CAPTION": ["00001.jpg"],
        "GARBLED_CAPTION": ["00001.jpg", "00001.jpg"],
        "OVERLONG_CAPTION": ["00001.jpg"],
        "NO_CAPTION": ["00002.jpg"],
    }
    wordless = next(problem for problem in report.problems if problem.kind is ProblemKind.WORDLESS_CAPTION)
    assert (wordless.where, wordless.detail) == ("images[0], caption 4", "'1 .'")
    assert report.splits["train"].captions_per_image[0] == 0


def test_names_that_collide_are_named(rsicd: Path) -> None:
    file = rsicd / "dataset_rsicd.json"
    edit_json(file, image=1, filename="00001.jpg")  # train, as the first
    edit_json(file, image=2, filename="00005.jpg")  # val; the fifth is train
    edit_json(file, image=7, filename="00006.tif")  # test; the sixth, of train, is the same file
    report = check_dataset(f"rsicd:{rsicd}")
    assert kinds(report) == {
        "DUPLICATE_NAME": ["00001.jpg"],
        "SAME_FILE": ["00006.jpg"],
        "SPLIT_OVERLAP": ["00005.jpg"],
    }
    wheres = [problem.where for problem in report.problems]
    assert wheres == ["images[0] and images[1]", "images[5] and images[7]", "images[2] and images[4]"]
    assert report.problems[1].detail == "for 00006.jpg (train) and 00006.tif (test)"
    assert report.problems[2].detail == "val and train"


def test_identical_files_are_a_problem_across_splits_only(rsicd: Path) -> None:
    images = rsicd / "images"
    (images / "00002.jpg").write_bytes((images / "00001.jpg").read_bytes())  # both train
    (images / "00003.jpg").write_bytes((images / "00004.jpg").read_bytes())  # val, test
    report = check_dataset(f"rsicd:{rsicd}")
    assert report.identical_within_split == (("00001.jpg", "00002.jpg"),)
    (problem,) = report.problems
    assert problem.kind is ProblemKind.IDENTICAL_ACROSS_SPLITS
    assert (problem.subject, problem.detail) == ("00003.jpg (val)", "same as 00004.jpg (test)")


def test_sizes_and_channels_are_counted(rsicd: Path) -> None:
    save_picture(Image.new("L", (60, 50)), rsicd / "images" / "00001.jpg")
    report = check_dataset(f"rsicd:{rsicd}")
    assert report.sizes_px == {(48, 48): 7, (60, 50): 1}
    assert report.modes == {"RGB": 7, "L": 1}


def test_rsitmd_without_official_validation_compares_training_as_a_whole(tmp_path: Path) -> None:
    write_karpathy_dataset(tmp_path, name="rsitmd", n_images=8, jgdn_val=True)
    assert check_dataset(f"rsitmd:{tmp_path}").unofficial_sizes == {"train": (6, 4291), "test": (2, 452)}


def test_the_set_is_left_as_it_was(rsicd: Path) -> None:
    before = {path: path.read_bytes() for path in rsicd.rglob("*") if path.is_file()}
    check_dataset(f"rsicd:{rsicd}")
    assert {path: path.read_bytes() for path in rsicd.rglob("*") if path.is_file()} == before


def test_every_kind_of_problem_has_its_advice() -> None:
    assert all(kind.advice for kind in ProblemKind)


@pytest.mark.real_data
def test_rsitmds_blank_captions_are_found(real_data: Path) -> None:
    found = kinds(check_dataset(f"rsitmd:{real_data / 'rsitmd'}"))
    assert len(found["BLANK_CAPTION"]) == 20
    assert len(found["NO_CAPTION"]) == 4


@pytest.mark.real_data
def test_ucm_is_clean(real_data: Path) -> None:
    report = check_dataset(f"ucm:{real_data / 'ucm'}")
    assert report.problems == ()
    assert sum(report.sizes_px.values()) == 1890
    assert (
        report.sizes_px[256, 256] == 1890 - 44 + 3
    )  # 44 differ, says the note beside the data; three of them by no pixel
