"""Training rows: which (image, caption) pairs an epoch holds, in which order, and how a batch is read.

Everything random is a function of (seed, epoch, row), so that an interrupted run continues as if it had not been.
"""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass

import numpy as np
import torch
from numpy.typing import NDArray
from PIL import Image
from torch import Tensor
from torch.utils.data import Dataset
from torchvision.transforms import v2
from torchvision.transforms.v2 import functional as VF

from rsitr.data import CaptionedImage
from rsitr.errors import ConfigError, DataError
from rsitr.pictures import to_rgb

__all__ = ["EpochBatches", "PictureRows", "RowTable", "read_picture"]


@dataclass(frozen=True, slots=True)
class RowTable:
    """All (image, caption) rows of a training set.

    Attributes:
        images: the training images.
        captions: distinct captions.
        row_image: (L,) image of each row.
        row_caption: (L,) distinct caption of each row.
        first_row: (n_images + 1,) an image's rows are first_row[i] to first_row[i + 1].
    """

    images: tuple[CaptionedImage, ...]
    captions: tuple[str, ...]
    row_image: NDArray[np.int64]
    row_caption: NDArray[np.int64]
    first_row: NDArray[np.int64]

    @classmethod
    def of(cls, images: Sequence[CaptionedImage]) -> RowTable:
        """The rows of these images, in their order.

        Raises:
            DataError: there is no image.
        """
        if not images:
            raise DataError("there are no training images; `rsitr data check` shows what is in a data set")
        captions = tuple(sorted({caption for image in images for caption in image.captions}))
        number = {caption: index for index, caption in enumerate(captions)}
        counts = [len(image.captions) for image in images]
        return cls(
            images=tuple(images),
            captions=captions,
            row_image=np.repeat(np.arange(len(images)), counts),
            row_caption=np.array([number[caption] for image in images for caption in image.captions]),
            first_row=np.concatenate([[0], np.cumsum(counts)]),
        )

    def __len__(self) -> int:
        return len(self.row_image)

    @property
    def ids_sha256(self) -> str:
        """Digest of the sorted image ids: tells which samples a checkpoint has seen."""
        return hashlib.sha256("\n".join(sorted(image.image_id for image in self.images)).encode()).hexdigest()

    @property
    def rows_sha256(self) -> str:
        """Digest of the rows in their order, with their captions."""
        parts = [*(image.image_id for image in self.images), *self.captions]
        digest = hashlib.sha256("\n".join(parts).encode())
        digest.update(self.row_image.tobytes())
        digest.update(self.row_caption.tobytes())
        return digest.hexdigest()

    def epoch_rows(
        self, *, epoch: int, seed: int, per_image: int | None, repeats: NDArray[np.int64] | None = None
    ) -> NDArray[np.int64]:
        """The rows of an epoch in their order: all of them, or so many per image, the next ones each epoch.

        With `per_image`, an image's rows follow each other, so that one pass through the image encoder serves them all.
        With `repeats` (n_images,) they do so as often as it says.
        """
        rng = np.random.default_rng((seed, epoch))
        if per_image is None:
            return rng.permutation(len(self))
        counts = np.diff(self.first_row)
        offset = np.random.default_rng(seed).integers(0, counts)
        turns = offset[:, None] + epoch * per_image + np.arange(per_image)
        rows = self.first_row[:-1, None] + turns % counts[:, None]
        return rng.permutation(rows if repeats is None else rows.repeat(repeats, axis=0)).ravel()

    def by_set(self, rows: NDArray[np.int64], *, batch_size: int, epoch: int, seed: int) -> NDArray[np.int64]:
        """An epoch's rows so that each batch is of one data set, whose pictures are the hardest to tell apart.

        A data set's incomplete last batch is left out; the batches are shuffled.
        """
        names = np.array([image.image_id.partition("/")[0] for image in self.images])[self.row_image[rows]]
        batches = []
        for name in np.unique(names):
            own = rows[names == name]
            batches += [own[start : start + batch_size] for start in range(0, len(own) - batch_size + 1, batch_size)]
        if not batches:
            raise ConfigError(f"no data set has {batch_size} rows for a batch of its own: set data.batches: mixed")
        order = np.random.default_rng((seed, epoch, 1)).permutation(len(batches))
        return np.concatenate([batches[place] for place in order])

    def belongs(self, rows: NDArray[np.int64]) -> Tensor:
        """(B, B) bool: is the column row's image one that the row's caption was written for, word by word?"""
        images = self.row_image[rows]
        widest = int(np.diff(self.first_row)[images].max())
        owned = np.full((len(rows), widest), -1, dtype=np.int64)
        for place, image in enumerate(images):
            own = self.row_caption[self.first_row[image] : self.first_row[image + 1]]
            owned[place, : len(own)] = own
        return torch.from_numpy((self.row_caption[rows][:, None, None] == owned[None]).any(axis=-1))


class EpochBatches:
    """Batch sampler: the positions of an epoch from a given step on, incomplete last batch left out."""

    def __init__(self, rows: NDArray[np.int64], *, batch_size: int, start: int = 0) -> None:
        self.rows = rows
        self.batch_size = batch_size
        self.start = start

    def __iter__(self) -> Iterator[list[int]]:
        for step in range(self.start, len(self.rows) // self.batch_size):
            yield self.rows[step * self.batch_size : (step + 1) * self.batch_size].tolist()

    def __len__(self) -> int:
        return max(0, len(self.rows) // self.batch_size - self.start)


class PictureRows(Dataset[tuple[Tensor, int]]):
    """Pictures of rows, augmented by (seed, epoch, row): uint8 (views, 3, S, S) and the row."""

    def __init__(
        self,
        table: RowTable,
        *,
        size_px: int,
        crop_scale: float,
        symmetries: bool,
        seed: int,
        epoch: int,
        views: int = 1,
        augment: Callable[[Tensor], Tensor] | None = None,
    ) -> None:
        self.table = table
        self.symmetries, self.views, self.augment = symmetries, views, augment
        self.seed = (seed, epoch)
        self.crop = v2.RandomResizedCrop(
            size_px, scale=(crop_scale, 1.0), interpolation=v2.InterpolationMode.BICUBIC, antialias=True
        )

    def __len__(self) -> int:
        return len(self.table)

    def __getitem__(self, row: int) -> tuple[Tensor, int]:
        """The views of a row's picture."""
        picture = read_picture(self.table.images[self.table.row_image[row]])
        with torch.random.fork_rng(devices=[]):
            torch.manual_seed(int(np.random.default_rng((*self.seed, row)).integers(2**62)))
            views = [self._view(picture) for _ in range(self.views)]
        return torch.stack(views), row

    def _view(self, picture: Tensor) -> Tensor:
        view: Tensor = self.crop(picture)
        if self.augment is not None:
            view = self.augment(view)
        if self.symmetries:
            turns, mirror = int(torch.randint(4, ())), bool(torch.randint(2, ()))
            view = torch.rot90(view, turns, (1, 2))
            view = VF.horizontal_flip(view) if mirror else view
        return view


def read_picture(image: CaptionedImage) -> Tensor:
    """Decode a picture: uint8 (3, H, W).

    Raises:
        DataError: it cannot be decoded.
    """
    try:
        with Image.open(image.path) as opened:
            # A copy: Pillow's own array cannot be written to, which torch warns of.
            return torch.from_numpy(np.array(to_rgb(opened))).permute(2, 0, 1)
    except Exception as error:  # decoders raise anything on damaged bytes (OSError, SyntaxError, struct.error, ...)
        raise DataError(f"{image.path} cannot be decoded ({error}); `rsitr data check` lists all such") from error
