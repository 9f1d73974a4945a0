"""Features of a frozen image trunk, computed once and kept on disk, resumable."""

from __future__ import annotations

import copy
import functools
import hashlib
import json
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import cast

import numpy as np
import torch
from numpy.typing import NDArray
from torch.nn import functional as F

from rsitr.data import CaptionedImage
from rsitr.data.augmentation import RandAugment
from rsitr.files import write_json
from rsitr.models.compact import CompactDualEncoder, CompactImageEncoder
from rsitr.models.fusion import FusionModel
from rsitr.training.rows import read_picture

__all__ = ["VIEW_SEED", "cache_patches", "open_patches", "patches_key"]

BATCH = 16
VIEW_SEED = 0
"""Of cached pictures' augmentation, whatever a run's seed: runs with several seeds share the features."""
ARRAY_FILE, STATE_FILE = "patches.npy", "patches.json"


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
    folder.mkdir(parents=True, exist_ok=True)
    array_file, state_file = folder / ARRAY_FILE, folder / STATE_FILE
    shape = (len(images), side.grid**2, side.trunk.out_channels)
    done = _done(state_file, array_file, key=key, shape=shape)
    if done == 0:
        # First the note goes, so that no interruption leaves it beside another array than it speaks of.
        state_file.unlink(missing_ok=True)
        array = np.lib.format.open_memmap(array_file, mode="w+", dtype=np.float16, shape=shape)
    else:
        array = np.lib.format.open_memmap(array_file, mode="r+")
    device = next(side.trunk.parameters()).device
    dtype = torch.bfloat16 if half else torch.float32
    encoder = copy.deepcopy(side).to(dtype) if half else side
    size = (model.image_size_px, model.image_size_px)
    for start in range(done, len(images), BATCH):
        pictures = [_resize(read_picture(image), size) for image in images[start : start + BATCH]]
        if augment is not None:
            pictures = [
                _augmented(picture, augment, seed=(*seed, start + place)) for place, picture in enumerate(pictures)
            ]
        with torch.inference_mode():
            batch = torch.stack(pictures).to(device).float() / 255
            array[start : start + BATCH] = encoder.patches(batch.to(dtype)).float().cpu().numpy()
        progress(min(len(images), start + BATCH))
        if start // BATCH % 20 == 19:
            array.flush()
            write_json(state_file, {"key": key, "done": start + BATCH})
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
    if _done(folder / STATE_FILE, folder / ARRAY_FILE, key=key, shape=shape) < len(images):
        return None
    return np.load(folder / ARRAY_FILE, mmap_mode="r")  # type: ignore[no-any-return]


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
    for image in images:
        stat = image.path.stat()
        content = _fingerprint(image.path, stat.st_size, stat.st_mtime_ns)
        digest.update(f"{image.image_id} {content}\n".encode())
    for name, value in side.trunk.state_dict().items():
        digest.update(name.encode())
        digest.update(value.detach().cpu().contiguous().numpy().tobytes())
    return digest.hexdigest()


@functools.cache
def _fingerprint(path: Path, _size: int, _mtime_ns: int) -> str:
    """SHA-256 of a picture's file, read once as long as it doesn't change."""
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()
