"""The pixels of a scene as models and people see them: 8-bit RGB of any window, reduced where it is large.

Reads go through GDAL's overviews and reduced reads, so a large window costs about as much as what is returned of it.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray
from rasterio.enums import ColorInterp, Resampling
from rasterio.io import DatasetReader
from rasterio.windows import Window as RasterWindow

from rsitr.errors import SceneError
from rsitr.geo.scene import Scene, describe, files_of, open_dataset, reading
from rsitr.geo.tiling import Window
from rsitr.pictures import NEUTRAL, STRETCH_PERCENT
from rsitr.types import ImageArray, Stretch

__all__ = ["SceneReader", "WindowPixels", "open_reader", "read_dataset", "read_picture", "read_window"]

SAMPLE_PX = 512  # a scene's values are sampled as a picture of at most this side

Mask = NDArray[np.bool_]


@dataclass(frozen=True, slots=True, eq=False)
class WindowPixels:
    """The picture of a window, and where the scene knows it.

    Attributes:
        image: (H, W, 3).
        valid: (H, W) bool, False where there is no data.
    """

    image: ImageArray
    valid: Mask

    @property
    def valid_share(self) -> float:
        """Which part of it is known, 0 to 1; the rest is nodata."""
        return float(self.valid.mean())


class SceneReader:
    """Reads windows of one open scene. Made by `open_reader`; belongs to one thread."""

    def __init__(self, scene: Scene, dataset: DatasetReader) -> None:
        self.scene = scene
        self._dataset = dataset
        self._colours: NDArray[np.uint8] | None = None
        self._opaque: Mask | None = None
        if scene.is_palette:
            self._colours, self._opaque = _colour_table(dataset, scene)
        kinds = dataset.colorinterp
        self._is_negative = dataset.tags(ns="IMAGE_STRUCTURE").get("MINISWHITE") == "YES"
        self._alpha = kinds.index(ColorInterp.alpha) + 1 if ColorInterp.alpha in kinds else None

    def read(self, window: Window, *, max_px: int) -> WindowPixels:
        """The picture of a window, reduced so that its longer side is at most `max_px`.

        What is nodata takes the mean colour of the rest, so that it says as little as possible to a model.

        Raises:
            SceneError: the window does not lie in the scene, or its pixels cannot be decoded.
        """
        col, row, width, height = window
        if col < 0 or row < 0 or col + width > self.scene.width or row + height > self.scene.height:
            raise SceneError(
                f"{self.scene.path}: the window {window} does not lie in its {self.scene.width} x {self.scene.height} "
                "pixels; the file has changed since it was indexed: index it again"
            )
        with reading(self.scene.path, phase="decode"):
            values, known, valid = self._values(window, max_px=max_px, resampling=self._resampling(window, max_px))
        image = self._to_rgb(values, known)
        if not valid.all():
            image[~valid] = image[valid].mean(axis=0).round() if valid.any() else NEUTRAL
        return WindowPixels(image=image, valid=valid)

    def measure_stretch(self) -> Stretch | None:
        """The 2nd and 98th percentile of each shown band where it is known; None where values are 8-bit already.

        Raises:
            SceneError: every pixel is nodata, or the pixels cannot be decoded.
        """
        if self.scene.is_eight_bit:
            return None
        for window in self._samples():
            with reading(self.scene.path, phase="decode"):
                values, known, valid = self._values(window, max_px=SAMPLE_PX, resampling=Resampling.nearest)
            if valid.any():
                bands = zip(values, known & valid, strict=True)
                return tuple(_percentiles(band[where] if where.any() else np.zeros(1)) for band, where in bands)
        raise self.without_data()

    def files(self) -> list[Path]:
        """All files that the scene is read from; none for one on a server."""
        path = self.scene.path
        return files_of(self._dataset, path) if isinstance(path, Path) else []

    def without_data(self) -> SceneError:
        """The error for a scene of which nothing can be shown."""
        value = self._dataset.nodata
        named = "" if value is None else f" (the value {value:g})"
        return SceneError(f"{self.scene.path}: every pixel is nodata{named}")

    def _samples(self) -> Iterator[Window]:
        """The scene as a whole, then, for the few known pixels that a reduced look may miss, every piece of it."""
        yield self.scene.whole
        for row in range(0, self.scene.height, SAMPLE_PX):
            for col in range(0, self.scene.width, SAMPLE_PX):
                yield (col, row, min(SAMPLE_PX, self.scene.width - col), min(SAMPLE_PX, self.scene.height - row))

    def _resampling(self, window: Window, max_px: int) -> Resampling:
        """Averages when it reduces; never between rows of a colour table, nor between complex numbers."""
        is_whole = max(window[2:]) <= max_px
        exact = self.scene.is_palette or self.scene.dtype.startswith("complex")
        return Resampling.nearest if is_whole or exact else Resampling.average

    def _values(self, window: Window, *, max_px: int, resampling: Resampling) -> tuple[NDArray[Any], Mask, Mask]:
        """Values (bands, h, w), where each band is known (bands, h, w), and where any of them is (h, w).

        Nodata, masks and NaN are one thing: each belongs to a band.
        """
        turn = self.scene.orientation
        col, row, width, height = turn.stored_window(window, width=self.scene.width, height=self.scene.height)
        scale = min(1.0, max_px / max(width, height))
        shape = (max(1, round(height * scale)), max(1, round(width * scale)))
        area = RasterWindow(col, row, width, height)
        bands = list(self.scene.bands)
        kept = self._kept((col, row, width, height), shape)
        if kept is not None and not kept.any():  # nothing to decode
            blank = np.zeros(kept.shape, dtype=bool)
            return turn.apply(blank.astype(np.uint8)), turn.apply(blank), turn.apply(blank[0])
        values = self._dataset.read(bands, window=area, out_shape=(len(bands), *shape), resampling=resampling)
        masks = self._dataset.read_masks(bands, window=area, out_shape=(len(bands), *shape))
        known: Mask = masks > 0
        if kept is not None:
            known &= kept
        if np.iscomplexobj(values):
            values = np.abs(values)
        if np.issubdtype(values.dtype, np.floating):
            known &= np.isfinite(values)
        valid: Mask = np.asarray(known.any(axis=0))
        if self._alpha is not None:
            valid &= self._dataset.read(self._alpha, window=area, out_shape=shape) > 0
        if self._opaque is not None:
            valid &= self._opaque[np.minimum(values[0], len(self._opaque) - 1)]
        return turn.apply(values), turn.apply(known), turn.apply(valid)

    def _kept(self, window: Window, shape: tuple[int, int]) -> Mask | None:
        """Where the file holds blocks at all, for each shown band (bands, *shape); None where all are there.

        A sparse GeoTIFF leaves blocks out that nobody has written: they are nodata, and need not be read one by one.
        """
        if self._dataset.driver != "GTiff" or not isinstance(self.scene.path, Path):
            return None
        col, row, width, height = window
        block_rows, block_cols = self._dataset.block_shapes[0]
        rows = range(row // block_rows, (row + height - 1) // block_rows + 1)
        cols = range(col // block_cols, (col + width - 1) // block_cols + 1)
        there = np.array([[[self._is_there(band, y, x) for x in cols] for y in rows] for band in self.scene.bands])
        if there.all():
            return None
        at_row = (row + (np.arange(shape[0]) + 0.5) * height / shape[0]).astype(int) // block_rows - rows.start
        at_col = (col + (np.arange(shape[1]) + 0.5) * width / shape[1]).astype(int) // block_cols - cols.start
        return there[:, at_row][:, :, at_col]

    def _is_there(self, band: int, row: int, col: int) -> bool:
        place = self._dataset.get_tag_item(f"BLOCK_OFFSET_{col}_{row}", "TIFF", bidx=band)
        return place is not None

    def _to_rgb(self, values: NDArray[Any], known: Mask) -> ImageArray:
        """Values (bands, h, w), and where each band is known, as colours; an unknown band adds none."""
        if self._colours is not None:
            rgb: ImageArray = self._colours[np.minimum(values[0], len(self._colours) - 1)]
            return rgb
        if not self.scene.is_eight_bit:
            if self.scene.stretch is None:
                raise SceneError(
                    f"{self.scene.path}: values of {self.scene.dtype} need a stretch before they are shown"
                )
            values = np.where(known, _stretched(np.where(known, values, 0), self.scene.stretch), 0).astype(np.uint8)
        if self._is_negative:
            values = 255 - values
        three = values if len(values) == 3 else np.repeat(values, 3, axis=0)
        return np.ascontiguousarray(np.moveaxis(three, 0, -1), dtype=np.uint8)


@contextmanager
def open_reader(
    path: Path | str,
    *,
    stretch: Stretch | None = None,
    bands: Sequence[int] | None = None,
    page: int | None = None,
) -> Iterator[SceneReader]:
    """Open a scene to read windows of it.

    Args:
        path: the file, or its address.
        bands: one or three bands to show, counted from 1; what the file says, or its first, where it is None.
        stretch: as recorded earlier; measured where it is None and the scene needs one.
        page: of a file of several images, counted from 1; the first where it is None.

    Raises:
        SceneError: the file cannot be opened or decoded, it has no such band or page, or every pixel is nodata.
    """
    with reading(path, phase="open"):
        dataset = open_dataset(path, page=page)
    with read_dataset(dataset, path, stretch=stretch, bands=bands) as reader:
        yield reader


@contextmanager
def read_dataset(
    dataset: DatasetReader, path: Path | str, *, stretch: Stretch | None = None, bands: Sequence[int] | None = None
) -> Iterator[SceneReader]:
    """As `open_reader`, of a dataset that is open already, and is closed at the end; `path` is what it is called."""
    with dataset:
        with reading(path, phase="open"):
            scene = describe(dataset, path, bands=bands)
        reader = SceneReader(scene, dataset)
        known = stretch if stretch is not None and not scene.is_eight_bit else reader.measure_stretch()
        reader.scene = replace(scene, stretch=known)
        yield reader


def read_window(
    path: Path | str,
    window: Window,
    *,
    max_px: int,
    stretch: Stretch | None = None,
    bands: Sequence[int] | None = None,
    page: int | None = None,
) -> ImageArray:
    """The picture of one window of a file, its longer side at most `max_px`.

    Raises:
        SceneError: as `open_reader` and `SceneReader.read` do.
    """
    with open_reader(path, stretch=stretch, bands=bands, page=page) as reader:
        return reader.read(window, max_px=max_px).image


def read_picture(path: Path | str, *, max_px: int) -> ImageArray:
    """A whole file as one picture, its longer side at most `max_px`, e.g. as a query by example.

    Raises:
        SceneError: the file cannot be opened or decoded, or every pixel is nodata.
    """
    with open_reader(path) as reader:
        pixels = reader.read(reader.scene.whole, max_px=max_px)
        if pixels.valid_share == 0:
            raise reader.without_data()
        return pixels.image


def _percentiles(values: NDArray[Any]) -> tuple[float, float]:
    low, high = np.percentile(values.astype(np.float64), STRETCH_PERCENT)
    return float(low), float(high)


def _stretched(values: NDArray[Any], stretch: Stretch) -> NDArray[np.uint8]:
    low = np.array([pair[0] for pair in stretch])[:, None, None]
    high = np.array([pair[1] for pair in stretch])[:, None, None]
    span = high - low
    # A band of one value has no contrast to stretch: mid-grey.
    scaled = np.where(span > 0, (values - low) / np.where(span > 0, span, 1.0) * 255.0, NEUTRAL)
    return np.clip(np.rint(scaled), 0, 255).astype(np.uint8)


def _colour_table(dataset: DatasetReader, scene: Scene) -> tuple[NDArray[np.uint8], Mask]:
    """RGB by value, and which values are seen at all. Those that the table leaves out are black, as GDAL shows them.

    A colour with alpha 0 is nodata, unless all have it: then nobody has thought of alpha.
    """
    with reading(scene.path, phase="decode"):
        table = dataset.colormap(scene.bands[0])
    colours = np.zeros((max(table) + 1, 3), dtype=np.uint8)
    opaque = np.ones(len(colours), dtype=bool)
    for value, (red, green, blue, alpha) in table.items():
        colours[value] = (red, green, blue)
        opaque[value] = alpha > 0
    return colours, (opaque if any(alpha > 0 for *_, alpha in table.values()) else np.ones_like(opaque))
