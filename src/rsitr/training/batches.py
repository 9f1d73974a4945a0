"""Batches of an epoch: the pictures of their rows, decoded and augmented, or as cached features of a frozen trunk."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor
from torch.utils.data import DataLoader

from rsitr.config import DataConfig
from rsitr.errors import ConfigError
from rsitr.training.ranks import Ranks
from rsitr.training.rows import EpochBatches, PictureRows, RowTable

__all__ = ["BatchReader"]


@dataclass(kw_only=True)
class BatchReader:
    """Reads this rank's share of every batch.

    Both ways give the pictures view by view, (views * share, ...), of each picture once for all its rows, and the row
    indices (B,) of the whole batch.

    Attributes:
        table: training rows.
        data: its `per_image`, `crop_scale`, `symmetries` and `workers`.
        seed: of everything random.
        patches: cached trunk features (n_images, N, C), one array or several of differently augmented pictures.
        views: pictures of a row that a step sees, each augmented on its own; of cached features, different arrays.
        augment: further augmentation of a training picture, uint8 (3, S, S); cached features have had theirs.
        pixels: gives the pictures decoded, uint8 (n_images, 3, S, S); None where files are read.
        ranks: the processes that train together.
        pin_memory: for the way to a GPU.
    """

    table: RowTable
    data: DataConfig
    seed: int
    patches: Callable[[], Sequence[NDArray[np.float16]]] | None
    views: int
    augment: Callable[[Tensor], Tensor] | None
    pixels: Callable[[], NDArray[np.uint8]] | None
    ranks: Ranks
    pin_memory: bool

    def decoded(self, batches: EpochBatches, *, epoch: int, size_px: int) -> Iterator[tuple[Tensor, Tensor]]:
        """Pictures, uint8 (views * share, 3, size_px, size_px)."""
        pictures = PictureRows(
            self.table,
            size_px=size_px,
            crop_scale=self.data.crop_scale,
            symmetries=self.data.symmetries,
            seed=self.seed,
            epoch=epoch,
            views=self.views,
            augment=self.augment,
        )
        shares = [batch[self._own(batches)] for batch in batches]
        loader = DataLoader(pictures, batch_sampler=shares, num_workers=self.data.workers, pin_memory=self.pin_memory)
        for (inputs, _), batch in zip(loader, batches, strict=True):
            yield inputs.transpose(0, 1).flatten(0, 1), torch.tensor(batch)

    def stored(self, batches: EpochBatches) -> Iterator[tuple[Tensor, Tensor]]:
        """Decoded pictures as they are, uint8 (share, 3, S, S).

        Raises:
            ConfigError: there are none.
        """
        if self.pixels is None:
            raise ConfigError("there are no decoded pictures: hand in what decodes them")
        pixels = self.pixels()
        for rows in batches:
            batch = torch.from_numpy(pixels[self.table.row_image[np.array(rows[self._own(batches)])]])
            batch = batch.pin_memory() if self.pin_memory else batch
            yield batch, torch.tensor(rows)

    def cached(self, batches: EpochBatches, *, epoch: int) -> Iterator[tuple[Tensor, Tensor]]:
        """Features, fp16 (views * share, N, C).

        Raises:
            ConfigError: there are none, or fewer arrays than views.
        """
        if self.patches is None:
            raise ConfigError("a phase without trunk_lr trains on cached features, which only the compact model has")
        if not self.ranks.is_first:
            self.ranks.wait()  # the first one computes what is not there yet
        arrays = self.patches()
        if self.ranks.is_first:
            self.ranks.wait()
        if len(arrays) < self.views and not (self.data.symmetries and len(arrays) == 1):
            raise ConfigError(f"a step needs {self.views} views of a picture, and {len(arrays)} are cached: cache more")
        own = self._own(batches)
        for number, rows in enumerate(batches, start=batches.start):
            rng = np.random.default_rng((self.seed, epoch, number))
            images = self.table.row_image[np.array(rows[own])]
            # Of a single array the views are the same pictures, turned differently.
            chosen = rng.permutation(len(arrays))[: self.views] if len(arrays) > 1 else (0,) * self.views
            views = [self._turned(torch.from_numpy(np.array(arrays[place][images])), rng=rng) for place in chosen]
            yield torch.cat(views), torch.tensor(rows)

    def _own(self, batches: EpochBatches) -> slice:
        """Of a batch's rows, those whose pictures this rank reads."""
        own = self.ranks.own(batches.batch_size)
        return slice(own.start, own.stop, self.data.per_image or 1)

    def _turned(self, batch: Tensor, *, rng: np.random.Generator) -> Tensor:
        """Cached features (B, N, C) turned or mirrored, where symmetries are wanted.

        Turning the feature map is not turning the picture, but near enough to help while it is all there is.
        """
        if not self.data.symmetries:
            return batch
        turn, grid = int(rng.integers(8)), int(batch.shape[1] ** 0.5)
        square = torch.rot90(batch.view(len(batch), grid, grid, -1), turn % 4, (1, 2))
        return (square.flip(1) if turn > 3 else square).flatten(1, 2)
