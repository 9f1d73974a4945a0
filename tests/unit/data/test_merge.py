"""One training set out of several."""

from __future__ import annotations

from pathlib import Path

import pytest

from generators import draw_pattern, write_pattern_table
from rsitr.data import CaptionedImage, load_dataset
from rsitr.data.duplicates import HashedImage, HashedImages, hash_images
from rsitr.data.merge import DropReason, MergedTraining, merge_training


def picture(name: str, phash: int, *, split: str = "train", pixels: str | None = None) -> HashedImage:
    dataset, _, _ = name.partition("/")
    image = CaptionedImage(image_id=name, path=Path(name), captions=("a pond",), split=split)
    return HashedImage(image=image, dataset=dataset, pixels=pixels or name, phash=phash)


def merge(*images: HashedImage, max_distance: int = 2) -> MergedTraining:
    return merge_training(HashedImages(images=images, unreadable=()), max_distance=max_distance)


def names(merged: MergedTraining) -> list[str]:
    return [image.image.image_id for image in merged.kept]


def test_of_every_duplicate_the_first_stays() -> None:
    merged = merge(picture("a/1", 0b0), picture("a/2", 0b1111), picture("b/1", 0b11), picture("b/2", 0xFF00))
    assert names(merged) == ["a/1", "a/2", "b/2"]
    (drop,) = merged.dropped
    assert (drop.hashed.image.image_id, drop.reason, drop.twin.image.image_id, drop.distance, drop.exact) == (
        *("b/1", DropReason.DUPLICATE, "a/1", 2, False),
    )


@pytest.mark.parametrize("split", ["val", "test", "restval"])
def test_held_out_pictures_of_any_set_are_not_trained_on(split: str) -> None:
    merged = merge(picture("a/1", 0), picture("a/2", 0), picture("b/1", 1, split=split), picture("b/2", 0xFF))
    assert names(merged) == ["b/2"]
    assert {drop.reason for drop in merged.dropped} == {DropReason.HELD_OUT}
    assert {drop.twin.image.image_id for drop in merged.dropped} == {"b/1"}


def test_every_dropped_picture_has_a_twin_in_the_result_even_in_a_chain() -> None:
    merged = merge(picture("a/1", 0b0), picture("a/2", 0b11), picture("a/3", 0b1111), picture("a/4", 0b111111))
    assert names(merged) == ["a/1", "a/3"]
    assert [(drop.hashed.image.image_id, drop.twin.image.image_id) for drop in merged.dropped] == [
        ("a/2", "a/1"),
        ("a/4", "a/3"),
    ]


def test_the_closest_twin_is_named_and_an_exact_one_first() -> None:
    held = (
        picture("b/near", 1, split="val"),
        picture("b/same", 0, split="val"),
        picture("b/exact", 0, split="val", pixels="x"),
    )
    (drop,) = merge(picture("a/1", 0, pixels="x"), *held).dropped
    assert (drop.twin.image.image_id, drop.distance, drop.exact) == ("b/exact", 0, True)


def test_distance_is_a_setting() -> None:
    images = picture("a/1", 0b0), picture("a/2", 0b11), picture("a/3", 0b0, pixels="y")
    assert names(merge(*images, max_distance=0)) == ["a/1", "a/2"]
    assert names(merge(*images, max_distance=2)) == ["a/1"]


def test_sets_that_only_protect_are_not_trained_on() -> None:
    images = (picture("a/1", 0), picture("a/2", 0xFF), picture("b/1", 0, split="test"), picture("b/2", 0xFF))
    merged = merge_training(HashedImages(images=images, unreadable=()), trained=lambda name: name == "a")
    assert names(merged) == ["a/2"]


@pytest.mark.real_data
@pytest.mark.slow
def test_rsicd_and_ucm(real_data: Path) -> None:
    merged = merge_training(
        hash_images([load_dataset(f"{name}:{real_data / name}") for name in ("rsicd", "ucm")]), max_distance=2
    )
    assert len(merged.kept) == 8734 + 1680 - 4
    held_out = [drop for drop in merged.dropped if drop.reason == DropReason.HELD_OUT]
    assert [(drop.hashed.image.image_id, drop.twin.image.image_id) for drop in held_out] == [
        ("rsicd/stadium_100.jpg", "rsicd/stadium_95.jpg")
    ]


def test_pictures_on_disk(tmp_path: Path) -> None:
    first, second = draw_pattern(1), draw_pattern(2)
    one = write_pattern_table(tmp_path / "one" / "one.csv", {"a.png": (first, "train"), "b.jpg": (second, "val")})
    two = write_pattern_table(tmp_path / "two" / "two.csv", {"c.jpg": (first, "train"), "d.png": (second, "train")})
    merged = merge_training(hash_images([load_dataset(f"csv:{one}"), load_dataset(f"csv:{two}")]))
    assert names(merged) == ["one/a.png"]
    assert [drop.reason for drop in merged.dropped] == [DropReason.DUPLICATE, DropReason.HELD_OUT]
