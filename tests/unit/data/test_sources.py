from __future__ import annotations

import hashlib
from pathlib import Path

import pytest
from PIL import Image

from generators import (
    draw_scene,
    edit_json,
    karpathy_entry,
    save_picture,
    write_json,
    write_karpathy_dataset,
    write_nwpu_dataset,
    write_table_dataset,
)
from rsitr.data import load_dataset, require_images
from rsitr.errors import DataError


@pytest.mark.parametrize(
    ("name", "layout"),
    [
        ("rsicd", {"image_folder": "RSICD_images"}),
        ("rsicd", {"image_folder": "RSICD_images", "json_name": "dataset_RSICD.json", "suffix": ".tif"}),
        ("ucm", {"image_folder": "imgs", "json_name": "dataset.json", "suffix": ".tif"}),
        ("ucm", {"image_folder": "UCM_images", "json_name": "dataset.json", "suffix": ".tif", "disk_suffix": ".jpg"}),
        ("sydney", {"image_folder": "Sydney_images", "suffix": ".tif", "disk_suffix": ".TIF"}),
        ("rsitmd", {"json_name": "dataset_RSITMD.json", "suffix": ".tif", "jgdn_val": True}),
        ("rsitmd", {"json_name": "anything.json", "image_folder": "pixels", "disk_suffix": ".png"}),
        ("sydney", {"image_folder": "", "disk_suffix": ".png"}),
    ],
)
def test_official_layouts_load(tmp_path: Path, name: str, layout: dict[str, object]) -> None:
    file = write_karpathy_dataset(tmp_path, name=name, n_images=8, **layout)  # type: ignore[arg-type]
    dataset = load_dataset(f"{name}:{tmp_path}")
    assert dataset.name == name
    assert dataset.splits == {"train": 4, "val": 2, "test": 2}
    assert dataset.sha256 == hashlib.sha256(file.read_bytes()).hexdigest()
    first = dataset.split("train")[0]
    assert first.image_id == f"{name}/00001{layout.get('suffix', '.jpg')}"
    assert first.captions == tuple(draw_scene(0)[1])
    require_images(dataset.images)
    with Image.open(first.path) as image:
        assert image.size == (48, 48)


def test_rsitmd_takes_its_validation_images_out_of_training(tmp_path: Path) -> None:
    write_karpathy_dataset(tmp_path, name="rsitmd", n_images=8, jgdn_val=True)
    dataset = load_dataset(f"rsitmd:{tmp_path}")
    train = {image.image_id for image in dataset.split("train")}
    val = {image.image_id for image in dataset.split("val")}
    assert val == {"rsitmd/00003.jpg", "rsitmd/00007.jpg"}
    assert not train & val


@pytest.mark.parametrize("layout", [{}, {"flat": True}, {"image_folder": "images"}, {"image_folder": ""}])
def test_nwpu_layouts_load(tmp_path: Path, layout: dict[str, object]) -> None:
    write_nwpu_dataset(tmp_path, **layout)  # type: ignore[arg-type]
    dataset = load_dataset(f"nwpu:{tmp_path}")
    assert dataset.splits == {"train": 6, "val": 3, "test": 3}
    image = dataset.split("test")[1]
    assert image.image_id == "nwpu/bridge/bridge_004.jpg"
    assert image.captions == tuple(draw_scene(1_009 + 3)[1])
    require_images(dataset.images)


@pytest.mark.parametrize("delimiter", [",", "\t"])
def test_a_table_loads(tmp_path: Path, delimiter: str) -> None:
    file = write_table_dataset(tmp_path, delimiter=delimiter)
    dataset = load_dataset(f"csv:{file}")
    assert dataset.name == "captions"
    assert dataset.splits == {"train": 4, "val": 1, "test": 1}
    assert dataset.images[2].image_id == "captions/pictures/002.png"
    assert dataset.images[2].captions == tuple(draw_scene(2)[1])
    require_images(dataset.images)


def test_a_table_without_splits_is_for_training_and_open_clips_column_name_works(tmp_path: Path) -> None:
    file = write_table_dataset(tmp_path, with_split=False)
    file.write_text("\ufeff" + file.read_text().replace("filename", "filepath"), encoding="utf-8")
    assert load_dataset(f"csv:{file}").splits == {"train": 6}


def test_the_rows_of_a_picture_need_not_be_neighbours(tmp_path: Path) -> None:
    file = tmp_path / "t.csv"
    file.write_text('filename,title\na.png,"one, and two"\nb.png,three\na.png,four\n')
    assert [image.captions for image in load_dataset(f"csv:{file}").images] == [("one, and two", "four"), ("three",)]


def test_split_names_are_told_apart_by_meaning(tmp_path: Path) -> None:
    write_karpathy_dataset(tmp_path, n_images=4, splits=("Training", "validation", "dev", "test"))
    dataset = load_dataset(f"RSICD:{tmp_path}")
    assert dataset.splits == {"train": 1, "val": 2, "test": 1}
    assert dataset.split("dev") == dataset.split("val")


def test_an_unknown_split_is_told_which_there_are(tmp_path: Path) -> None:
    write_karpathy_dataset(tmp_path, n_images=4, splits=("train", "val"))
    with pytest.raises(DataError, match=r"no split 'test'; .* train \(2 images\), val \(2 images\)"):
        load_dataset(f"rsicd:{tmp_path}").split("test")


def test_blank_captions_are_left_out_and_white_space_is_collapsed(tmp_path: Path) -> None:
    file = write_karpathy_dataset(tmp_path, n_images=3)
    edit_json(file, image=0, sentences=[{"raw": " two  planes\n."}, {"raw": "  "}, {"raw": ""}, {"raw": None}, {}])
    edit_json(file, image=1, sentences=[{"raw": " "}])
    images = load_dataset(f"rsicd:{tmp_path}").images
    assert [image.image_id for image in images] == ["rsicd/00001.jpg", "rsicd/00003.jpg"]
    assert images[0].captions == ("two planes .",)


def test_the_entries_of_one_picture_in_one_split_are_joined(tmp_path: Path) -> None:
    file = write_karpathy_dataset(tmp_path, n_images=2, splits=("train",))
    edit_json(file, image=1, filename="00001.jpg")
    (image,) = load_dataset(f"rsicd:{tmp_path}").images
    assert len(image.captions) == 10


def test_a_picture_in_two_splits_is_refused(tmp_path: Path) -> None:
    file = write_karpathy_dataset(tmp_path, n_images=4)
    edit_json(file, image=3, filename="00001.jpg")
    with pytest.raises(DataError, match=r"00001.jpg is in two splits, train \(images\[0\]\) and test \(images\[3\]\)"):
        load_dataset(f"rsicd:{tmp_path}")


def test_missing_pictures_load_but_are_required_by_name(tmp_path: Path) -> None:
    write_karpathy_dataset(tmp_path, name="rsitmd", n_images=5, with_pictures=False)
    dataset = load_dataset(f"rsitmd:{tmp_path}")
    assert dataset.images[0].path == tmp_path.resolve() / "images" / "00001.jpg"
    with pytest.raises(DataError, match=r"5 of 5 pictures are missing: .*00001.jpg, .*00003.jpg and 2 more"):
        require_images(dataset.images)


def test_some_missing_pictures_are_expected_where_the_others_are(tmp_path: Path) -> None:
    write_karpathy_dataset(tmp_path, n_images=5, image_folder="RSICD_images")
    (tmp_path / "RSICD_images" / "00004.jpg").unlink()
    with pytest.raises(DataError, match=r"1 of 5 pictures are missing: .*RSICD_images/00004.jpg; put"):
        require_images(load_dataset(f"rsicd:{tmp_path}").images)


def test_the_folder_with_the_pictures_wins_over_one_with_the_usual_name(tmp_path: Path) -> None:
    write_karpathy_dataset(tmp_path, n_images=4, image_folder="originals")
    save_picture(draw_scene(0)[0], tmp_path / "images" / "logo.png")
    assert load_dataset(f"rsicd:{tmp_path}").images[0].path.parent.name == "originals"


def test_pictures_spread_over_folders_are_found_unless_the_name_is_ambiguous(tmp_path: Path) -> None:
    write_karpathy_dataset(tmp_path, n_images=2, image_folder="train_images")
    picture = tmp_path / "train_images" / "00002.jpg"
    (tmp_path / "val_images").mkdir()
    picture.rename(tmp_path / "val_images" / picture.name)
    require_images(load_dataset(f"rsicd:{tmp_path}").images)
    save_picture(draw_scene(0)[0], tmp_path / "val_images" / "00001.jpg")
    paths = [image.path for image in load_dataset(f"rsicd:{tmp_path}").images]
    assert paths[1].parent.name == "val_images"
    write_karpathy_dataset(tmp_path / "deep", n_images=1, image_folder="images/a")
    save_picture(draw_scene(9)[0], tmp_path / "deep" / "images" / "b" / "00001.jpg")
    with pytest.raises(DataError, match="1 of 1 pictures are missing"):
        require_images(load_dataset(f"rsicd:{tmp_path / 'deep'}").images)


def test_a_missing_picture_is_not_replaced_by_its_namesake_of_another_class(tmp_path: Path) -> None:
    images = [
        karpathy_entry(f"{place}/1.jpg", captions=[f"a {place}"], split="train") for place in ("airport", "beach")
    ]
    write_json(tmp_path / "dataset_rsicd.json", {"images": images})
    save_picture(draw_scene(0)[0], tmp_path / "images" / "airport" / "1.jpg")
    airport, beach = load_dataset(f"rsicd:{tmp_path}").images
    assert airport.path.is_file()
    assert not beach.path.exists()


def test_the_exact_name_goes_before_another_extension(tmp_path: Path) -> None:
    write_karpathy_dataset(tmp_path, n_images=1, suffix=".tif")
    save_picture(draw_scene(5)[0], tmp_path / "images" / "00001.jpg")
    assert load_dataset(f"rsicd:{tmp_path}").images[0].path.name == "00001.tif"


def test_a_linked_image_folder_is_followed(tmp_path: Path) -> None:
    write_karpathy_dataset(tmp_path / "store", n_images=2)
    write_karpathy_dataset(tmp_path / "set", n_images=2, with_pictures=False)
    (tmp_path / "set" / "images").symlink_to(tmp_path / "store" / "images")
    (tmp_path / "set" / "loop").symlink_to(tmp_path / "set")
    require_images(load_dataset(f"rsicd:{tmp_path / 'set'}").images)


def test_one_of_several_annotation_files_can_be_named(tmp_path: Path) -> None:
    write_karpathy_dataset(tmp_path, json_name="a.json", n_images=2)
    write_karpathy_dataset(tmp_path, json_name="b.json", n_images=3)
    with pytest.raises(DataError, match=r"2 JSON files .* name the file itself, rsicd:.*a\.json"):
        load_dataset(f"rsicd:{tmp_path}")
    assert len(load_dataset(f"rsicd:{tmp_path / 'b.json'}").images) == 3


@pytest.mark.parametrize(
    ("spec", "message"),
    [
        ("rsicd", r"'rsicd' does not name a data set: give NAME:FOLDER, NAME one of rsicd, .*nwpu, or csv:FILE"),
        ("rsicd: ", "does not name a data set"),
        ("coco:there", r"unknown data set 'coco' in 'coco:there': give NAME:FOLDER"),
        ("rsicd:nowhere", r"there is no folder .*nowhere: give the folder that holds dataset_rsicd.json"),
        ("ucm:empty", r"empty has no annotation file \(dataset.json\): put it there"),
        ("csv:nowhere.csv", r"there is no file nowhere.csv: csv:FILE takes a table"),
        ("csv:empty", r"there is no file empty"),
    ],
)
def test_what_names_no_data_set_is_refused(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, spec: str, message: str
) -> None:
    monkeypatch.chdir(tmp_path)
    Path("empty").mkdir()
    with pytest.raises(DataError, match=message):
        load_dataset(spec)


ENTRY = karpathy_entry("1.jpg", captions=["a"], split="train")


@pytest.mark.parametrize(
    ("name", "content", "message"),
    [
        (
            "rsicd",
            b'{"images": [',
            r"dataset.json is not valid JSON \(line 1, column 13: .*\): download or copy it again",
        ),
        ("rsicd", b"\xff\xfe{}", r"is not UTF-8 text \(byte 0\): save it as UTF-8"),
        ("rsicd", b"[" * 200_000, r"is nested too deeply"),
        ("rsicd", b"[]", r"not a Karpathy caption file \(no \"images\" list\)"),
        ("rsicd", b'{"images": {}}', r"not a Karpathy caption file"),
        ("rsicd", b'{"images": []}', r"has no picture with a caption"),
        ("rsicd", b'{"images": ["x"]}', r"images\[0\]: an object with filename, split and sentences is expected"),
        ("rsicd", {"images": [ENTRY, ENTRY | {"filename": 7}]}, r"images\[1\]: 'filename' is missing or not a str"),
        ("rsicd", {"images": [ENTRY | {"split": " "}]}, r"images\[0\]: 'split' is missing"),
        ("rsicd", {"images": [ENTRY | {"sentences": "a"}]}, r"images\[0\]: 'sentences' is missing or not a list"),
        ("nwpu", {"images": [ENTRY]}, r"images\[0\]: there is none of raw, raw_1, .*: is it the right file\?"),
        ("nwpu", {"dataset": "x", "images": []}, r"not NWPU-Captions' caption file .* `rsicd:FOLDER`"),
        ("nwpu", b"{}", r"not NWPU-Captions' caption file"),
        ("nwpu", {"beach": [5]}, r"beach\[0\]: an object with filename, split and raw"),
        ("nwpu", {"beach": [{"filename": "a.jpg", "raw": "a"}]}, r"beach\[0\]: 'split' is missing or not a text"),
    ],
)
def test_a_broken_annotation_file_is_refused(tmp_path: Path, name: str, content: object, message: str) -> None:
    file = tmp_path / "dataset.json"
    if isinstance(content, bytes):
        file.write_bytes(content)
    else:
        write_json(file, content)
    with pytest.raises(DataError, match=message):
        load_dataset(f"{name}:{tmp_path}")


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("", r"the first line must name the columns filename and title .* it is ''"),
        ("image,caption\na.png,b\n", r"it is 'image,caption'"),
        ("filename,title\n,b\n", r"line 2: filename is empty"),
        ('filename,title\na.png,"b\n', r"after line 1: unexpected end of data: correct the row"),
        ("filename,title\na.png,\n", r"has no picture with a caption"),
        ("filename,title\na.png,a plane, near it\n", r"line 2: 3 fields, where the first line names 2 .*into quotes"),
        (
            "filename,title,split\na.png,a\n",
            r"line 2: 2 fields, where the first line names 3 .*fill in what is missing",
        ),
    ],
)
def test_a_broken_table_is_refused(tmp_path: Path, text: str, message: str) -> None:
    file = tmp_path / "t.csv"
    file.write_text(text)
    with pytest.raises(DataError, match=message):
        load_dataset(f"csv:{file}")


def test_an_unreadable_file_is_refused(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    write_karpathy_dataset(tmp_path, n_images=1)

    def refuse(path: Path) -> bytes:
        raise PermissionError(13, "Permission denied", str(path))

    monkeypatch.setattr(Path, "read_bytes", refuse)
    with pytest.raises(DataError, match=r"cannot read .*dataset_rsicd.json: Permission denied"):
        load_dataset(f"rsicd:{tmp_path}")


def test_a_folder_that_cannot_be_listed_is_refused(tmp_path: Path) -> None:
    write_karpathy_dataset(tmp_path, n_images=1)
    (tmp_path / "circle").symlink_to(tmp_path / "circle")
    with pytest.raises(DataError, match=r"cannot look into .*: Too many levels of symbolic links"):
        load_dataset(f"rsicd:{tmp_path}")


@pytest.mark.real_data
@pytest.mark.parametrize(
    ("name", "splits"),
    [
        ("rsicd", {"train": 8734, "val": 1094}),
        ("ucm", {"train": 1680, "val": 210}),
        ("rsitmd", {"train": 3429, "val": 858}),  # 3 and 1 images have blank captions only
    ],
)
def test_the_real_sets(real_data: Path, name: str, splits: dict[str, int]) -> None:
    dataset = load_dataset(f"{name}:{real_data / name}")
    assert dataset.splits == splits
    if name != "rsitmd":
        require_images(dataset.images)
