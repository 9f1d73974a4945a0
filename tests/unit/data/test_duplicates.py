"""Perceptual hashes of pictures, and the search for close ones."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from PIL import Image

from generators import draw_pattern, write_pattern_table
from rsitr.data import load_dataset
from rsitr.data.duplicates import HashedImage, NearDuplicates, hash_images
from rsitr.errors import ConfigError, DataError

BASES = (0, 0xFFFF_FFFF_FFFF_FFFF, 0x0123_4567_89AB_CDEF)


def slow_neighbours(hashes: list[int], *, index: int, max_distance: int) -> list[tuple[int, int]]:
    close = [(other, (hashes[index] ^ code).bit_count()) for other, code in enumerate(hashes) if other != index]
    return sorted((pair for pair in close if pair[1] <= max_distance), key=lambda pair: (pair[1], pair[0]))


@st.composite
def clustered_hashes(draw: st.DrawFn) -> list[int]:
    """A few hashes with altered copies, so that many are close."""
    hashes = []
    for _ in range(draw(st.integers(1, 12))):
        code = draw(st.sampled_from(BASES))
        for bit in draw(st.lists(st.integers(0, 63), max_size=5)):
            code ^= 1 << bit
        hashes.append(code)
    return hashes


@given(clustered_hashes(), st.integers(0, 6))
def test_search_agrees_with_comparing_all(hashes: list[int], max_distance: int) -> None:
    near = NearDuplicates(hashes, max_distance=max_distance)
    for index in range(len(hashes)):
        assert near.of(index) == slow_neighbours(hashes, index=index, max_distance=max_distance)


@pytest.mark.parametrize("max_distance", [0, 2, 16])
def test_search_agrees_on_many_hashes(max_distance: int) -> None:
    """More than one block in a bucket: half of them share their upper bits."""
    rng = np.random.default_rng(0)
    crowded = rng.integers(0, 1 << 14, size=1200).tolist()
    hashes = [*crowded, *rng.integers(0, 1 << 63, size=300).tolist()]
    near = NearDuplicates(hashes, max_distance=max_distance)
    for index in (0, 1, 1100, 1199, 1200, 1499):
        assert near.of(index) == slow_neighbours(hashes, index=index, max_distance=max_distance)


@pytest.mark.parametrize("max_distance", [-1, 17])
def test_impossible_distance_is_refused(max_distance: int) -> None:
    with pytest.raises(ConfigError, match="must be 0 to 16 of 64 bits"):
        NearDuplicates([1, 2], max_distance=max_distance)


def hash_table(folder: Path, **pictures: Image.Image) -> dict[str, HashedImage]:
    table = write_pattern_table(
        folder / "set.csv", {f"{name}.png": (picture, "train") for name, picture in pictures.items()}
    )
    hashed = hash_images([load_dataset(f"csv:{table}")])
    return {image.image.path.stem: image for image in hashed.images}


def test_scaled_and_compressed_copies_are_close_and_others_are_not(tmp_path: Path) -> None:
    picture = draw_pattern(1)
    picture.save(tmp_path / "worse.jpg", quality=40)
    hashed = hash_table(
        tmp_path,
        picture=picture,
        copy=picture.copy(),
        grey_copy=picture.convert("L"),
        larger=picture.resize((200, 150), Image.Resampling.BICUBIC),
        compressed=Image.open(tmp_path / "worse.jpg"),
        other=draw_pattern(2),
    )
    near = {name: (hashed["picture"].phash ^ image.phash).bit_count() for name, image in hashed.items()}
    assert near.pop("other") > 16
    assert max(near.values()) <= 2
    assert hashed["copy"].pixels == hashed["picture"].pixels
    assert hashed["larger"].pixels != hashed["picture"].pixels != hashed["compressed"].pixels
    assert hashed["picture"].group == ("set", "train")


def test_pictures_that_cannot_be_read_are_listed(tmp_path: Path) -> None:
    table = write_pattern_table(
        tmp_path / "set.csv",
        {
            "good.png": (draw_pattern(1), "train"),
            "bad.png": (draw_pattern(2), "val"),
            "gone.png": (draw_pattern(3), "val"),
        },
    )
    (tmp_path / "bad.png").write_bytes((tmp_path / "bad.png").read_bytes()[:500])
    (tmp_path / "gone.png").unlink()
    seen: list[object] = []
    hashed = hash_images([load_dataset(f"csv:{table}")], progress=lambda done, total: seen.append((done, total)))
    assert [image.image.path.name for image in hashed.images] == ["good.png"]
    assert [entry.image.path.name for entry in hashed.unreadable] == ["bad.png", "gone.png"]
    assert hashed.unreadable[1].fault == "there is no such file"
    assert all(entry.fault for entry in hashed.unreadable)
    assert seen == [(1, 3), (2, 3), (3, 3)]
    (tmp_path / "good.png").unlink()
    with pytest.raises(DataError, match="none of the 3 pictures can be read"):
        hash_images([load_dataset(f"csv:{table}")])


def test_sets_of_one_name_cannot_be_told_apart(tmp_path: Path) -> None:
    table = write_pattern_table(tmp_path / "set.csv", {"a.png": (draw_pattern(1), "train")})
    dataset = load_dataset(f"csv:{table}")
    with pytest.raises(DataError, match="two of the data sets are called set"):
        hash_images([dataset, dataset])
