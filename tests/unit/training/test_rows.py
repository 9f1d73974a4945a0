from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from PIL import Image

from generators import draw_scene, save_picture
from rsitr.data import CaptionedImage, load_dataset
from rsitr.data.augmentation import RandAugment
from rsitr.errors import ConfigError, DataError
from rsitr.training.rows import EpochBatches, PictureRows, RowTable, read_picture
from tiny import write_tiny_data


def image(name: str, *captions: str, path: Path = Path("none.png")) -> CaptionedImage:
    return CaptionedImage(image_id=f"set/{name}", path=path, captions=captions, split="train")


@pytest.fixture
def table() -> RowTable:
    """Images with 5, 3, 1 and 5 captions; `a farm` belongs to the first and the third, and repeats in the first."""
    return RowTable.of(
        [
            image("0", "a farm", "b", "a farm", "d", "e"),
            image("1", "f", "g", "h"),
            image("2", "a farm"),
            image("3", "j", "k", "l", "m", "n"),
        ]
    )


def test_rows_are_image_and_caption_in_order(table: RowTable) -> None:
    assert len(table) == 14
    assert table.row_image.tolist() == [0] * 5 + [1] * 3 + [2] + [3] * 5
    assert [table.captions[index] for index in table.row_caption[:6]] == ["a farm", "b", "a farm", "d", "e", "f"]
    assert len(set(table.captions)) == len(table.captions) == 12
    assert table.first_row.tolist() == [0, 5, 8, 9, 14]


def test_no_image_is_an_error() -> None:
    with pytest.raises(DataError, match="no training images"):
        RowTable.of([])


def test_an_epoch_holds_every_row_once_in_an_order_of_its_own(table: RowTable) -> None:
    first, second = (table.epoch_rows(epoch=epoch, seed=0, per_image=None) for epoch in (0, 1))
    assert sorted(first.tolist()) == sorted(second.tolist()) == list(range(14))
    assert first.tolist() != second.tolist()
    assert first.tolist() == table.epoch_rows(epoch=0, seed=0, per_image=None).tolist()
    assert first.tolist() != table.epoch_rows(epoch=0, seed=1, per_image=None).tolist()


def test_batches_of_one_set_each_leave_out_what_fills_none() -> None:
    sets = {"land": 7, "sea": 5, "air": 1}
    images = [
        CaptionedImage(image_id=f"{name}/{number}", path=Path("none.png"), captions=("c",), split="train")
        for name, count in sets.items()
        for number in range(count)
    ]
    table = RowTable.of(images)
    orders = []
    for epoch in range(4):
        rows = table.epoch_rows(epoch=epoch, seed=0, per_image=1)
        grouped = table.by_set(rows, batch_size=2, epoch=epoch, seed=0)
        names = [
            [images[table.row_image[row]].image_id.partition("/")[0] for row in pair] for pair in grouped.reshape(-1, 2)
        ]
        assert all(first == second for first, second in names)
        assert sorted(first for first, _ in names) == ["land"] * 3 + ["sea"] * 2
        assert len(set(grouped.tolist())) == len(grouped) == 10
        assert grouped.tolist() == table.by_set(rows, batch_size=2, epoch=epoch, seed=0).tolist()
        orders.append([first for first, _ in names])
    assert any(order != orders[0] for order in orders)
    with pytest.raises(ConfigError, match="no data set has 8 rows for a batch of its own"):
        table.by_set(rows, batch_size=8, epoch=0, seed=0)


def test_one_caption_per_image_is_another_one_each_epoch(table: RowTable) -> None:
    seen: dict[int, list[int]] = {number: [] for number in range(4)}
    orders = []
    for epoch in range(5):
        rows = table.epoch_rows(epoch=epoch, seed=0, per_image=1)
        orders.append(table.row_image[rows].tolist())
        assert sorted(orders[-1]) == [0, 1, 2, 3]
        for row in rows:
            seen[int(table.row_image[row])].append(int(row))
    assert len({tuple(order) for order in orders}) > 1
    assert sorted(seen[0]) == [0, 1, 2, 3, 4]  # five captions in five epochs
    assert sorted(seen[3]) == [9, 10, 11, 12, 13]
    assert set(seen[1]) == {5, 6, 7}
    assert seen[2] == [8] * 5


def test_not_all_images_start_with_their_first_caption() -> None:
    table = RowTable.of([image(str(number), *(f"{number} {place}" for place in range(5))) for number in range(40)])
    rows = table.epoch_rows(epoch=0, seed=0, per_image=1)
    assert len(set((rows % 5).tolist())) == 5


def test_a_caption_belongs_to_every_image_it_was_written_for(table: RowTable) -> None:
    rows = np.array([0, 6, 8, 1, 9])  # `a farm` of image 0, `g`, `a farm` of image 2, `b` of image 0, `j`
    found = table.belongs(rows)
    assert found.dtype == torch.bool
    expected = [
        [1, 0, 1, 1, 0],  # image 0 has it, image 2 has it word by word
        [0, 1, 0, 0, 0],
        [1, 0, 1, 1, 0],
        [1, 0, 0, 1, 0],  # `b` is of image 0 alone, which is there twice
        [0, 0, 0, 0, 1],
    ]
    assert found.int().tolist() == expected


def test_belonging_is_what_the_captions_say() -> None:
    rng = np.random.default_rng(0)
    images = [
        image(str(number), *(f"word {value}" for value in rng.integers(0, 6, size=rng.integers(1, 5))))
        for number in range(12)
    ]
    table = RowTable.of(images)
    rows = rng.permutation(len(table))[:15]
    found = table.belongs(rows)
    for i, row in enumerate(rows):
        for j, other in enumerate(rows):
            caption = table.captions[table.row_caption[row]]
            assert bool(found[i, j]) == (caption in images[table.row_image[other]].captions)


def test_batches_go_on_where_they_stopped() -> None:
    rows = np.arange(100, 111)
    whole = list(EpochBatches(rows, batch_size=3))
    assert whole == [[100, 101, 102], [103, 104, 105], [106, 107, 108]]  # the incomplete last one is left out
    assert list(EpochBatches(rows, batch_size=3, start=1)) == whole[1:]
    assert list(EpochBatches(rows, batch_size=3, start=3)) == []
    assert [len(EpochBatches(rows, batch_size=3, start=start)) for start in (0, 1, 3, 9)] == [3, 2, 0, 0]


def test_the_ids_that_were_trained_on_have_a_digest(table: RowTable) -> None:
    import hashlib

    expected = hashlib.sha256(b"set/0\nset/1\nset/2\nset/3").hexdigest()
    assert table.ids_sha256 == expected
    assert RowTable.of(table.images[::-1]).ids_sha256 == expected
    assert RowTable.of(table.images[1:]).ids_sha256 != expected


@pytest.fixture
def pictures(tmp_path: Path) -> RowTable:
    return RowTable.of(load_dataset(f"ucm:{write_tiny_data(tmp_path) / 'ucm'}").split("train"))


def rows_of(table: RowTable, *, epoch: int = 0, seed: int = 0, symmetries: bool = True) -> PictureRows:
    return PictureRows(table, size_px=32, crop_scale=0.5, symmetries=symmetries, seed=seed, epoch=epoch)


def test_a_picture_is_augmented_by_seed_epoch_and_row(pictures: RowTable) -> None:
    torch.manual_seed(3)
    before = torch.get_rng_state()
    picture, row = rows_of(pictures)[4]
    assert torch.equal(torch.get_rng_state(), before)  # whatever else is random is left alone
    assert (row, picture.dtype, picture.shape) == (4, torch.uint8, (1, 3, 32, 32))
    torch.manual_seed(9)
    assert torch.equal(rows_of(pictures)[4][0], picture)
    for other in (rows_of(pictures, epoch=1), rows_of(pictures, seed=1)):
        assert not torch.equal(other[4][0], picture)
    assert not torch.equal(rows_of(pictures)[3][0], picture)  # the same image with another caption


def test_pictures_are_turned_and_mirrored_only_on_request(tmp_path: Path) -> None:
    corners = np.zeros((32, 32, 3), dtype=np.uint8)
    corners[:8, :8], corners[:8, -8:] = (255, 0, 0), (0, 255, 0)
    Image.fromarray(corners).save(tmp_path / "corners.png")
    table = RowTable.of([image("0", *(f"caption {n}" for n in range(80)), path=tmp_path / "corners.png")])

    def layouts(symmetries: bool) -> set[str]:
        rows = PictureRows(table, size_px=32, crop_scale=1.0, symmetries=symmetries, seed=0, epoch=0)
        small = [rows[row][0][0].float()[:, [4, 4, 27, 27], [4, 27, 4, 27]] for row in range(80)]
        return {"".join("rg."[int(c.argmax()) if c.max() > 128 else 2] for c in corner.T) for corner in small}

    assert layouts(symmetries=False) == {"rg.."}
    assert layouts(symmetries=True) == {"rg..", "gr..", "..rg", "..gr", "r.g.", "g.r.", ".r.g", ".g.r"}


def test_views_of_a_picture_differ_and_are_augmented_by_the_same_seed(pictures: RowTable) -> None:
    def views(augment: Any) -> torch.Tensor:
        rows = PictureRows(
            pictures, size_px=32, crop_scale=1.0, symmetries=False, seed=0, epoch=0, views=2, augment=augment
        )
        return rows[2][0]

    plain, drawn = views(None), views(RandAugment())
    assert plain.shape == drawn.shape == (2, 3, 32, 32)
    assert torch.equal(plain[0], plain[1])
    assert not torch.equal(drawn[0], drawn[1])
    assert torch.equal(views(RandAugment()), drawn)


@pytest.mark.parametrize("name", ["a.png", "a.jpg", "a.tif", "a.bmp"])
def test_pictures_of_every_kind_are_read(name: str, tmp_path: Path) -> None:
    picture, _ = draw_scene(0)
    save_picture(picture, tmp_path / name)
    found = read_picture(image("0", "x", path=tmp_path / name))
    assert (found.dtype, found.shape) == (torch.uint8, (3, 48, 48))
    difference = np.abs(found.permute(1, 2, 0).numpy().astype(int) - np.asarray(picture).astype(int))
    assert difference.mean() < 8  # JPEG loses some of the noise


@pytest.mark.parametrize("mode", ["L", "P", "RGBA", "1"])
def test_other_kinds_of_colour_become_rgb(mode: str, tmp_path: Path) -> None:
    picture = draw_scene(0)[0].convert(mode)
    picture.save(tmp_path / "a.png")
    found = read_picture(image("0", "x", path=tmp_path / "a.png"))
    np.testing.assert_array_equal(found.permute(1, 2, 0).numpy(), np.asarray(picture.convert("RGB")))


def test_pictures_of_sixteen_bits_are_read(tmp_path: Path) -> None:
    Image.fromarray(np.full((40, 48), 65535, dtype=np.uint16)).save(tmp_path / "a.png")
    found = read_picture(image("0", "x", path=tmp_path / "a.png"))
    assert (found.dtype, found.shape) == (torch.uint8, (3, 40, 48))
    assert found.unique().tolist() == [255]


@pytest.mark.parametrize("content", [b"", b"no picture", b"\x89PNG\r\n\x1a\n" + b"\0" * 50, b"\xff\xd8\xff\xe0cut"])
def test_a_broken_picture_is_named(content: bytes, tmp_path: Path) -> None:
    (tmp_path / "broken.png").write_bytes(content)
    with pytest.raises(DataError, match=r"broken\.png cannot be decoded"):
        read_picture(image("0", "x", path=tmp_path / "broken.png"))
