"""What is computed once of every picture and kept on disk, resumable: features of a frozen trunk, decoded pixels."""

from __future__ import annotations

import copy
import functools
import hashlib
import json
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any, cast

import numpy as np
import torch
from numpy.typing import DTypeLike, NDArray
from PIL import Image
from torch.nn import functional as F

from rsitr.data import CaptionedImage
from rsitr.data.augmentation import RandAugment
from rsitr.files import write_json
from rsitr.models.compact import CompactDualEncoder, CompactImageEncoder
from rsitr.models.fusion import FusionModel
from rsitr.training.rows import read_picture

__all__ = ["VIEW_SEED", "cache_patches", "cache_pixels", "open_patches", "patches_key"]

BATCH = 16
VIEW_SEED = 0
"""Of cached pictures' augmentation, whatever a run's seed: runs with several seeds share the features."""
PATCHES, PIXELS = "patches", "pixels"
"""What their files are called: `.npy` for the array, `.json` for how much of it is done for which pictures."""
NOTED_EVERY = 20
"""Batches."""


def cache_patches(
    model: CompactDualEncoder | FusionModel,
    images: Sequence[CaptionedImage],
    *,
    folder: Path,
    augment: RandAugment | None = None,
    seed: tuple[int, ...] = (),
    half: bool = False,
    progress: Callable[[int], None] = lambda _done: None,
) -> NDArray[np.float16]:
    """Trunk features of pictures, read-only memory map (n, grid * grid, C) fp16.

    What was computed before an interruption is kept: the folder holds the array, and how much of it is done for which
    pictures and weights.

    Args:
        model: only its trunk is used.
        images: in the order of the result.
        folder: where the array is kept.
        augment: applied to each resized picture; None leaves pictures as they are.
        seed: of the augmentation.
        half: the trunk computes in bf16 throughout, which is faster than autocast; no more than fp16 is kept anyway.
        progress: called with the number of pictures done.
    """
    side = cast("CompactImageEncoder", model.image)
    key = patches_key(model, images, augment=augment, seed=seed, half=half)
    device = next(side.trunk.parameters()).device
    dtype = torch.bfloat16 if half else torch.float32
    encoder = copy.deepcopy(side).to(dtype) if half else side
    size = (model.image_size_px, model.image_size_px)

    def compute(start: int, batch: Sequence[CaptionedImage]) -> NDArray[np.float32]:
        pictures = [_resize(read_picture(image), size) for image in batch]
        if augment is not None:
            pictures = [
                _augmented(picture, augment, seed=(*seed, start + place)) for place, picture in enumerate(pictures)
            ]
        with torch.inference_mode():
            stacked = torch.stack(pictures).to(device).float() / 255
            found: NDArray[np.float32] = encoder.patches(stacked.to(dtype)).float().cpu().numpy()
        return found

    shape = (len(images), side.grid**2, side.trunk.out_channels)
    return _fill(folder / PATCHES, images, compute, key=key, shape=shape, dtype=np.float16, progress=progress)


def cache_pixels(
    images: Sequence[CaptionedImage],
    *,
    size_px: int,
    folder: Path,
    progress: Callable[[int], None] = lambda _done: None,
) -> NDArray[np.uint8]:
    """Pictures, decoded and squashed to a square, read-only memory map (n, 3, size_px, size_px) uint8.

    Args:
        images: in the order of the result.
        size_px: side of the square; Pillow resizes, bicubic.
        folder: where the array is kept; what was done before an interruption counts, as with :func:`cache_patches`.
        progress: called with the number of pictures done.

    Raises:
        DataError: a picture cannot be decoded.
    """

    def compute(_start: int, batch: Sequence[CaptionedImage]) -> NDArray[np.uint8]:
        return np.stack([_square(read_picture(image), size_px) for image in batch])

    digest = hashlib.sha256(f"{size_px}\n".encode())
    _add_pictures(digest, images)
    shape = (len(images), 3, size_px, size_px)
    key = digest.hexdigest()
    return _fill(folder / PIXELS, images, compute, key=key, shape=shape, dtype=np.uint8, progress=progress)


def _square(picture: torch.Tensor, size_px: int) -> NDArray[np.uint8]:
    if tuple(picture.shape[-2:]) == (size_px, size_px):
        return np.asarray(picture.numpy())
    whole = Image.fromarray(picture.permute(1, 2, 0).contiguous().numpy())
    return np.asarray(whole.resize((size_px, size_px), Image.Resampling.BICUBIC)).transpose(2, 0, 1)


def _fill(
    stem: Path,
    images: Sequence[CaptionedImage],
    compute: Callable[[int, Sequence[CaptionedImage]], NDArray[Any]],
    *,
    key: str,
    shape: tuple[int, ...],
    dtype: DTypeLike,
    progress: Callable[[int], None],
) -> NDArray[Any]:
    """The array beside its note, of which is computed what is not there: batches, from the place of their first."""
    stem.parent.mkdir(parents=True, exist_ok=True)
    array_file, state_file = stem.with_suffix(".npy"), stem.with_suffix(".json")
    done = _done(state_file, array_file, key=key, shape=shape)
    if done == 0:
        # First the note goes, so that no interruption leaves it beside another array than it speaks of.
        state_file.unlink(missing_ok=True)
        array = np.lib.format.open_memmap(array_file, mode="w+", dtype=dtype, shape=shape)
    elif done < len(images):
        array = np.lib.format.open_memmap(array_file, mode="r+")
    for start in range(done, len(images), BATCH):
        array[start : start + BATCH] = compute(start, images[start : start + BATCH])
        progress(min(len(images), start + BATCH))
        if start // BATCH % NOTED_EVERY == NOTED_EVERY - 1:
            array.flush()
            write_json(state_file, {"key": key, "done": min(len(images), start + BATCH)})
    if done < len(images):
        array.flush()
        write_json(state_file, {"key": key, "done": len(images)})
    return np.load(array_file, mmap_mode="r")  # type: ignore[no-any-return]


def open_patches(
    model: CompactDualEncoder | FusionModel,
    images: Sequence[CaptionedImage],
    *,
    folder: Path,
    augment: RandAugment | None = None,
    seed: tuple[int, ...] = (),
    half: bool = False,
) -> NDArray[np.float16] | None:
    """What :func:`cache_patches` left in a folder for the same arguments; None where there is none, or not all."""
    side = cast("CompactImageEncoder", model.image)
    key = patches_key(model, images, augment=augment, seed=seed, half=half)
    shape = (len(images), side.grid**2, side.trunk.out_channels)
    array_file, state_file = (folder / f"{PATCHES}{suffix}" for suffix in (".npy", ".json"))
    if _done(state_file, array_file, key=key, shape=shape) < len(images):
        return None
    return np.load(array_file, mmap_mode="r")  # type: ignore[no-any-return]


def _done(state_file: Path, array_file: Path, *, key: str, shape: tuple[int, ...]) -> int:
    """How many pictures are done; 0 where a file is absent, broken, or about other pictures or weights."""
    try:
        state = json.loads(state_file.read_text(encoding="utf-8"))
        done, known = int(state["done"]), state["key"] == key
        whole = np.load(array_file, mmap_mode="r").shape == shape
    except (OSError, ValueError, KeyError, TypeError, EOFError):
        return 0
    return done if known and whole else 0


def _resize(picture: torch.Tensor, size: tuple[int, int]) -> torch.Tensor:
    if tuple(picture.shape[-2:]) == size:
        return picture
    return F.interpolate(picture[None], size, mode="bilinear", antialias=True)[0]


def _augmented(picture: torch.Tensor, augment: RandAugment, *, seed: tuple[int, ...]) -> torch.Tensor:
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(int(np.random.default_rng(seed).integers(2**62)))
        return augment(picture)


def patches_key(
    model: CompactDualEncoder | FusionModel,
    images: Sequence[CaptionedImage],
    *,
    augment: RandAugment | None = None,
    seed: tuple[int, ...] = (),
    half: bool = False,
) -> str:
    """Digest of all that :func:`cache_patches` depends on: pictures and their order, trunk, augmentation."""
    side = cast("CompactImageEncoder", model.image)
    drawn = "" if augment is None else f"augmented {augment.count} {augment.magnitude} {seed}\n"
    drawn += "bf16\n" if half else ""
    digest = hashlib.sha256(f"{model.image_size_px} {side.grid}\n{drawn}".encode())
    _add_pictures(digest, images)
    for name, value in side.trunk.state_dict().items():
        digest.update(name.encode())
        digest.update(value.detach().cpu().contiguous().numpy().tobytes())
    return digest.hexdigest()


def _add_pictures(digest: hashlib._Hash, images: Sequence[CaptionedImage]) -> None:
    for image in images:
        stat = image.path.stat()
        content = _fingerprint(image.path, stat.st_size, stat.st_mtime_ns)
        digest.update(f"{image.image_id} {content}\n".encode())


@functools.cache
def _fingerprint(path: Path, _size: int, _mtime_ns: int) -> str:
    """SHA-256 of a picture's file, read once as long as it doesn't change."""
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()
