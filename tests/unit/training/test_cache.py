from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest
import torch
from torch.nn import functional as F

from rsitr.data import CaptionedImage, load_dataset
from rsitr.models import CompactDualEncoder
from rsitr.models.compact import TRUNKS
from rsitr.training import cache
from rsitr.training.cache import cache_patches
from rsitr.training.rows import read_picture
from tiny import TinyTrunk, tiny_model, write_tiny_data


@pytest.fixture
def model(monkeypatch: pytest.MonkeyPatch) -> CompactDualEncoder:
    monkeypatch.setitem(TRUNKS, "mobilenetv2", TinyTrunk)
    monkeypatch.setattr(cache, "BATCH", 2)
    return tiny_model()


@pytest.fixture
def images(tmp_path: Path) -> tuple[CaptionedImage, ...]:
    """Enough for a note on the way: it is written every twenty batches."""
    return load_dataset(f"ucm:{write_tiny_data(tmp_path / 'data', n_images=51) / 'ucm'}").images


def test_what_is_cached_is_what_the_trunk_says(
    model: CompactDualEncoder, images: tuple[CaptionedImage, ...], tmp_path: Path
) -> None:
    done: list[int] = []
    found = cache_patches(model, images, folder=tmp_path / "run", progress=done.append)
    assert (found.shape, found.dtype) == ((51, 4, 12), np.float16)
    assert done == [*range(2, 51, 2), 51]
    for number in (0, 17, 50):
        picture = F.interpolate(read_picture(images[number])[None], (32, 32), mode="bilinear", antialias=True)
        with torch.inference_mode():
            expected = model.image.patches(picture.float() / 255)[0]
        np.testing.assert_allclose(found[number], expected.numpy(), rtol=2e-3, atol=1e-3)
    assert float(np.std(found)) > 0.01
    with pytest.raises(ValueError, match="read-only"):
        found[0] = 0


def test_a_second_call_computes_nothing(
    model: CompactDualEncoder, images: tuple[CaptionedImage, ...], tmp_path: Path
) -> None:
    first = np.array(cache_patches(model, images, folder=tmp_path))
    done: list[int] = []
    assert np.array_equal(cache_patches(model, images, folder=tmp_path, progress=done.append), first)
    assert done == []


def interrupt(model: CompactDualEncoder, images: tuple[CaptionedImage, ...], folder: Path, *, after: int) -> None:
    def stop(done: int) -> None:
        if done >= after:
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        cache_patches(model, images, folder=folder, progress=stop)


def test_an_interrupted_cache_goes_on(
    model: CompactDualEncoder, images: tuple[CaptionedImage, ...], tmp_path: Path
) -> None:
    whole = np.array(cache_patches(model, images, folder=tmp_path / "whole"))
    interrupt(model, images, tmp_path / "cut", after=44)
    done: list[int] = []
    found = cache_patches(model, images, folder=tmp_path / "cut", progress=done.append)
    assert done == [42, 44, 46, 48, 50, 51]  # from the note after twenty batches of two
    assert np.array_equal(found, whole)


def test_other_weights_pictures_or_sizes_are_computed_anew(
    model: CompactDualEncoder, images: tuple[CaptionedImage, ...], tmp_path: Path
) -> None:
    first = np.array(cache_patches(model, images, folder=tmp_path))
    with torch.no_grad():
        model.image.trunk.stem.bias += 1  # type: ignore[operator]
    changed = np.array(cache_patches(model, images, folder=tmp_path))
    assert not np.allclose(changed, first)
    assert cache_patches(model, images[::-1], folder=tmp_path)[0].tolist() == changed[50].tolist()
    assert len(cache_patches(model, images[:7], folder=tmp_path)) == 7
    other = tiny_model(grid=1)
    assert cache_patches(other, images, folder=tmp_path).shape == (51, 1, 12)


def test_weights_that_are_no_part_of_the_trunk_do_not_matter(
    model: CompactDualEncoder, images: tuple[CaptionedImage, ...], tmp_path: Path
) -> None:
    cache_patches(model, images, folder=tmp_path)
    with torch.no_grad():
        model.image.embed.weight += 1
    done: list[int] = []
    cache_patches(model, images, folder=tmp_path, progress=done.append)
    assert done == []


def damage_state(folder: Path) -> None:
    (folder / "patches.json").write_text("{cut")


def empty_state(folder: Path) -> None:
    (folder / "patches.json").write_text("{}")


def cut_array(folder: Path) -> None:
    content = (folder / "patches.npy").read_bytes()
    (folder / "patches.npy").write_bytes(content[: len(content) // 2])


def empty_array(folder: Path) -> None:
    (folder / "patches.npy").write_bytes(b"")


def lose_array(folder: Path) -> None:
    (folder / "patches.npy").unlink()


@pytest.mark.parametrize("damage", [damage_state, empty_state, cut_array, empty_array, lose_array])
def test_a_damaged_cache_is_computed_anew(
    model: CompactDualEncoder, images: tuple[CaptionedImage, ...], tmp_path: Path, damage: object
) -> None:
    first = np.array(cache_patches(model, images, folder=tmp_path))
    damage(tmp_path)  # type: ignore[operator]
    done: list[int] = []
    assert np.array_equal(cache_patches(model, images, folder=tmp_path, progress=done.append), first)
    assert len(done) == 26


def test_a_note_never_outlives_the_array_it_speaks_of(
    model: CompactDualEncoder, images: tuple[CaptionedImage, ...], tmp_path: Path
) -> None:
    """Another model starts over in the same folder and is interrupted at once; then the first comes back."""
    first = np.array(cache_patches(model, images, folder=tmp_path))
    other = tiny_model()
    with torch.no_grad():
        other.image.trunk.stem.bias += 1  # type: ignore[operator]
    interrupt(other, images, tmp_path, after=2)
    assert np.array_equal(cache_patches(model, images, folder=tmp_path), first)
    assert json.loads((tmp_path / "patches.json").read_text())["done"] == 51
