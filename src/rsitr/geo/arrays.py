"""Arrays of xarray as scenes: what is in memory is read as a file is. rioxarray, an extra, knows where they lie."""

from __future__ import annotations

import warnings
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeGuard

import numpy as np
from rasterio.errors import NotGeoreferencedWarning
from rasterio.io import MemoryFile

from rsitr.errors import ConfigError, SceneError
from rsitr.geo.pixels import SceneReader, read_dataset
from rsitr.geo.scene import open_memory, reading
from rsitr.types import ImageArray

if TYPE_CHECKING:
    from xarray import DataArray

__all__ = ["is_array", "open_array", "read_array"]

STORED = {"bool": "uint8", "float16": "float32", "int64": "float64", "uint64": "float64"}
"""Kinds of numbers that few programs know in rasters, and what they are made."""


def is_array(scene: object) -> TypeGuard[DataArray]:
    """Whether something is an array of xarray, which is not imported for it."""
    return type(scene).__name__ == "DataArray" and hasattr(scene, "dims") and hasattr(scene, "coords")


@contextmanager
def open_array(array: DataArray) -> Iterator[SceneReader]:
    """Open an array to read windows of it; it is copied, and one that is computed late (dask) is computed now.

    Args:
        array: (y, x) or (band, y, x), in any order. Where it lies is what rioxarray says of it (`array.rio.crs`, and
            the transform of its coordinates), what is no data is `array.rio.nodata`. Names of bands (`red`, `B04`) say
            what is shown, as in a file: its coordinate `band`, or `long_name`.

    Raises:
        ConfigError: rioxarray is not installed.
        SceneError: the array has other dimensions, or none of its values can be shown.
    """
    try:
        import rioxarray.exceptions as trouble
    except ModuleNotFoundError as error:
        raise ConfigError('the package rioxarray is not installed: pip install "rsitr[xarray]"') from error
    name = Path(str(array.name or "array"))
    try:
        across, down = array.rio.x_dim, array.rio.y_dim
        crs, nodata = array.rio.crs, array.rio.nodata
        transform = array.rio.transform() if crs is not None else None
    except trouble.RioXarrayError as error:
        raise SceneError(f"{name}: a scene is an array (y, x) or (band, y, x), not {array.dims} ({error})") from error
    others = [dim for dim in array.dims if dim not in {across, down}]
    if len(others) > 1 or 0 in array.shape:
        raise SceneError(f"{name}: a scene is an array (y, x) or (band, y, x), not {array.dims} of {array.shape}")
    values = np.asarray(array.transpose(*others, down, across).values)
    if not np.issubdtype(values.dtype, np.number) and values.dtype != np.bool_:
        raise SceneError(f"{name}: a scene is of numbers, not of {values.dtype}")
    bands = (values if others else values[None]).astype(STORED.get(str(values.dtype), values.dtype), copy=False)
    profile: dict[str, Any] = {"count": len(bands), "height": bands.shape[1], "width": bands.shape[2]}
    profile["photometric"] = "MINISBLACK"  # else four bands of bytes would be taken for red, green, blue and alpha
    placed = {} if crs is None else {"crs": crs, "transform": transform}
    with MemoryFile() as memory:
        with (
            reading(name, phase="open"),
            warnings.catch_warnings(category=NotGeoreferencedWarning, action="ignore"),
            memory.open(driver="GTiff", dtype=bands.dtype, nodata=nodata, **profile, **placed) as written,
        ):
            written.write(bands)
            written.descriptions = _names(array, others, n=len(bands))
        with read_dataset(open_memory(memory), name) as reader:
            yield reader


def read_array(array: DataArray, *, max_px: int) -> ImageArray:
    """A whole array as one picture, its longer side at most `max_px`, e.g. as a query by example.

    Raises:
        ConfigError, SceneError: as `open_array` does, or every pixel is nodata.
    """
    with open_array(array) as reader:
        pixels = reader.read(reader.scene.whole, max_px=max_px)
        if pixels.valid_share == 0:
            raise reader.without_data()
        return pixels.image


def _names(array: DataArray, others: list[Any], *, n: int) -> tuple[str | None, ...]:
    """What the bands are called, where anything says so."""
    told: Any = array.attrs.get("long_name")
    if others and others[0] in array.coords and array.coords[others[0]].dtype.kind in "UO":
        told = [str(name) for name in array.coords[others[0]].values.tolist()]
    return tuple(told) if isinstance(told, list | tuple) and len(told) == n else (None,) * n
