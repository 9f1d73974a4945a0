"""What is known of a scene before a pixel is read: size, bands, place on Earth, date, sensor."""

from __future__ import annotations

import re
import threading
import warnings
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

import numpy as np
import rasterio
from rasterio._err import CPLE_BaseError
from rasterio.enums import ColorInterp, Interleaving
from rasterio.errors import NodataShadowWarning, NotGeoreferencedWarning, RasterioError, RasterioIOError
from rasterio.io import DatasetReader, MemoryFile

from rsitr.errors import RsitrError, SceneError
from rsitr.geo.colours import find_true_colour
from rsitr.geo.exif import UPRIGHT, Orientation, read_orientation, read_position
from rsitr.geo.files import gdal_name, name_of, public_address
from rsitr.geo.metadata import SceneDate, find_date, find_sensor
from rsitr.geo.placement import Ground, Placement, point_ground, read_placement
from rsitr.geo.remote import gives_parts
from rsitr.geo.tiling import Window
from rsitr.types import Stretch

__all__ = ["Scene", "describe", "files_of", "open_dataset", "open_memory", "open_scene", "reading"]

PICTURE_DRIVERS = frozenset({"BMP", "GIF", "JPEG", "PNG", "WEBP"})
PAGED_DRIVERS = frozenset({"GTiff", "NITF"})
RGB = (ColorInterp.red, ColorInterp.green, ColorInterp.blue)
# Left alone, GDAL fills the rest of a JPEG or PNG that is cut off with grey or black, and says nothing.
# And it keeps what it has decoded in up to a twentieth of the memory. A reader needs the blocks of one window, and
# needs those: where there is no room, a mask decodes the same blocks anew for every row.
STRICT = {
    "GDAL_ERROR_ON_LIBJPEG_WARNING": "YES",
    "GDAL_PNG_WHOLE_IMAGE_OPTIM": "NO",
    "GDAL_CACHEMAX": 256 * 2**20,  # in bytes: rasterio does not take megabytes, as GDAL's variable of this name does
}
REMOTE = {"GDAL_DISABLE_READDIR_ON_OPEN": "EMPTY_DIR", "GDAL_HTTP_TIMEOUT": "60", "GDAL_HTTP_MAX_RETRY": "3"}
SIGNED = {"CPL_VSIL_CURL_USE_HEAD": "NO"}  # an address that is signed for GET is refused to HEAD
REMOTE_DRIVERS = ("GTiff", "JP2OpenJPEG", "PNG", "JPEG", "WEBP", "NITF")
LARGEST_BLOCK_BYTES = 2**29
LONGEST_REASON = 200
ARCHIVES = (".7z", ".bz2", ".gz", ".kmz", ".rar", ".tar", ".tgz", ".xz", ".zip")
# Only of files that are opened here and read next door: whoever opens others with rasterio is warned as before.
QUIET = (
    (NotGeoreferencedWarning, re.compile(rf"{re.escape(__name__)}$")),
    (NodataShadowWarning, re.compile(r"rsitr\.geo\.pixels$")),  # a nodata value beside an alpha band: both are heeded
)
QUERY = re.compile(r"(?<=\w)\?[^\s']*")  # of an address: it may hold a signature, which is nobody's business
FILTERS = threading.Lock()


@dataclass(frozen=True, slots=True)
class Scene:
    """An image or raster that can be read.

    Attributes:
        path: the file, or its address without a query.
        driver: GDAL's name of its format.
        width: in pixels.
        height: in pixels.
        n_bands: of any kind.
        dtype: of the shown bands, as numpy names it.
        bands: the bands that are shown, counted from 1: red, green and blue, or a single one.
        is_palette: the values of the single band are rows of a colour table.
        is_eight_bit: values are shown as they are; all others need a stretch.
        crs: the reference system as a person would name it, or None.
        placement: how pixels become coordinates, or None for a scene without a known place on Earth.
        ground: where the whole scene lies, or None; of a picture whose camera says where it was, that point.
        date: day of acquisition and what says so, or None.
        sensor: as the metadata name it, or None.
        stretch: how values become 8-bit, or None where that has not been measured or is not needed.
        orientation: what makes the stored pixels upright; width and height are those of the upright picture.
        n_pages: images in the file, of which this is one.
        are_bands_guessed: nothing says which bands are red, green and blue, and the first are shown.
    """

    path: Path | str
    driver: str
    width: int
    height: int
    n_bands: int
    dtype: str
    bands: tuple[int, ...]
    is_palette: bool
    is_eight_bit: bool
    crs: str | None
    placement: Placement | None
    ground: Ground | None
    date: SceneDate | None
    sensor: str | None
    stretch: Stretch | None = None
    orientation: Orientation = UPRIGHT
    n_pages: int = 1
    are_bands_guessed: bool = False

    @property
    def whole(self) -> Window:
        """The window that is the whole scene."""
        return (0, 0, self.width, self.height)

    @property
    def is_picture(self) -> bool:
        """A plain picture, as a camera or a paint program makes them, without a place on Earth."""
        return self.driver in PICTURE_DRIVERS and self.placement is None


def open_scene(path: Path | str, *, page: int | None = None, bands: Sequence[int] | None = None) -> Scene:
    """Read what a file says about itself; no pixel is read.

    Args:
        path: the file, or its address.
        page: of a file of several images, counted from 1; the first where it is None.
        bands: that are shown, counted from 1; what the file says, or its first, where it is None.

    Raises:
        SceneError: the file is missing, or holds no image that GDAL can open, or not that page or band.
    """
    with reading(path, phase="open"), open_dataset(path, page=page) as dataset:
        return describe(dataset, path, bands=bands)


@contextmanager
def reading(path: Path | str, *, phase: Literal["open", "decode"]) -> Iterator[None]:
    """Turn what can go wrong with a file into a SceneError that names the file and the reason in one line."""
    try:
        with rasterio.Env(**STRICT):
            yield
    except RsitrError:
        raise
    except (RasterioError, CPLE_BaseError, OSError, MemoryError) as error:
        shown = public_address(path)
        if isinstance(path, str) and path.startswith(("http://", "https://")) and not gives_parts(path):
            raise SceneError(
                f"{shown}: its server gives no parts of files (it knows of no HTTP Range), only whole ones: download "
                "the file, and index that"
            ) from error
        raise SceneError(f"{shown}: {_reason(error, shown, phase)}") from error
    except Exception as error:  # whatever a strange file makes of a library: it must not stop the others
        shown = public_address(path)
        raise SceneError(
            f"{shown}: it cannot be read ({type(error).__name__}: {_reason(error, shown, 'open')})"
        ) from error


def open_dataset(path: Path | str, *, page: int | None = None) -> DatasetReader:
    """Open a file, without rasterio's warning about files that have no place on Earth: here they are welcome.

    `rasterio.open` would warn in its own name. What its reader warns of is told in the name of who made the reader.

    Raises:
        SceneError: there is no such file, or it has not so many pages.
    """
    first = _open_first(path)
    if page is None or (page == 1 and not _pages(first)):
        return first
    with first:
        pages = _pages(first)
        if page > max(1, len(pages)):
            said = f"{len(pages)} pages" if pages else "one page"
            raise SceneError(f"{public_address(path)}: it has {said}, and so no page {page}")
        if isinstance(path, Path):
            return DatasetReader(pages[page - 1])
        with rasterio.Env(**REMOTE, **(SIGNED if "?" in path else {})):
            return DatasetReader(pages[page - 1], driver=first.driver)


def open_memory(memory: MemoryFile) -> DatasetReader:
    """Open a file that is in memory, as quietly as `open_dataset`."""
    _keep_quiet()
    return DatasetReader(memory.name)


def files_of(dataset: DatasetReader, path: Path) -> list[Path]:
    """A scene's own file, and behind it the others that GDAL reads with it and that are there."""
    others = (Path(name) for name in sorted(dataset.files))
    return [path, *(other for other in others if other != path and other.is_file())]


def _pages(dataset: DatasetReader) -> list[str]:
    """GDAL's names of the images in a file of several; its overviews and masks do not count."""
    return list(dataset.subdatasets) if dataset.driver in PAGED_DRIVERS and len(dataset.subdatasets) > 1 else []


def _open_first(path: Path | str) -> DatasetReader:
    _keep_quiet()
    if isinstance(path, Path):
        _require_file(path)
        return DatasetReader(path)
    with rasterio.Env(**REMOTE, **(SIGNED if "?" in path else {})):
        return _open_remote(gdal_name(path))


def _keep_quiet() -> None:
    """Put this module's filters before all others, where they are not there yet or others were put before them."""
    with FILTERS:  # filters are shared by all threads
        if list(warnings.filters[: len(QUIET)]) != [("ignore", None, *quiet, 0) for quiet in QUIET]:
            for category, module in reversed(QUIET):
                warnings.filterwarnings("ignore", category=category, module=module.pattern)


def _open_remote(name: str) -> DatasetReader:
    """Of a server's files only those that hold pixels: a VRT could name files of this machine."""
    for driver in REMOTE_DRIVERS[:-1]:
        try:
            return DatasetReader(name, driver=driver)
        except RasterioIOError as error:
            if "not recognized as" not in str(error):
                raise
    return DatasetReader(name, driver=REMOTE_DRIVERS[-1])


def _require_file(path: Path) -> None:
    if not path.exists():
        raise SceneError(f"{path}: no such file")
    if path.is_dir():
        raise SceneError(f"{path}: a folder, where an image file is wanted")
    if path.stat().st_size == 0:
        raise SceneError(f"{path}: the file is empty")


def describe(dataset: DatasetReader, path: Path | str, *, bands: Sequence[int] | None = None) -> Scene:
    """The record of an open dataset, of which `bands` are shown, or what it says itself."""
    source, path = path, public_address(path)
    if dataset.count == 0:
        raise SceneError(f"{path}: it holds no bands of its own, only {len(dataset.subdatasets)} data sets inside it")
    _require_small_blocks(dataset, path)
    told = _told_bands(dataset)
    shown = (told or _first_bands(dataset)) if bands is None else _given_bands(dataset, path, bands)
    kinds = dataset.colorinterp
    is_palette = len(shown) == 1 and kinds[shown[0] - 1] == ColorInterp.palette
    dtype = dataset.dtypes[shown[0] - 1]
    bits = dataset.tags(shown[0], ns="IMAGE_STRUCTURE").get("NBITS")
    placement = read_placement(dataset)
    tags = _all_tags(dataset)
    crs = dataset.crs or dataset.gcps[1]
    orientation = UPRIGHT if placement else read_orientation(dataset, source)
    width, height = orientation.size(dataset.width, dataset.height)
    if placement:
        ground = placement.ground([(0, 0, width, height)])[0]
    else:
        position = read_position(dataset, source)
        ground = point_ground(*position) if position else None
    return Scene(
        path=path,
        driver=dataset.driver,
        width=width,
        height=height,
        n_bands=dataset.count,
        dtype=dtype,
        bands=shown,
        is_palette=is_palette,
        is_eight_bit=is_palette or (dtype == "uint8" and bits is None),
        crs=_crs_name(crs) if crs else None,
        placement=placement,
        ground=ground,
        date=find_date(tags, name=name_of(path)),
        sensor=find_sensor(tags),
        orientation=orientation,
        n_pages=max(1, len(_pages(dataset))),
        are_bands_guessed=bands is None and told is None and _count_colours(dataset) > 1,
    )


def _require_small_blocks(dataset: DatasetReader, path: Path | str) -> None:
    """GDAL decodes whole blocks: an image that is one block, as some programs compress them, would fill the memory."""
    rows, cols = dataset.block_shapes[0]
    bands = dataset.count if dataset.interleaving == Interleaving.pixel else 1
    # GDAL's pairs of whole numbers are read as complex ones; NumPy knows no such pairs.
    kind = "complex64" if dataset.dtypes[0] == "complex_int16" else dataset.dtypes[0]
    block_bytes = rows * cols * bands * np.dtype(kind).itemsize
    if block_bytes > LARGEST_BLOCK_BYTES:
        raise SceneError(
            f"{path}: stored in pieces of {cols} x {rows} pixels, {block_bytes / 2**30:.1f} GB each; rewrite it "
            "in tiles, e.g. with `gdal_translate -of COG`"
        )


def _given_bands(dataset: DatasetReader, path: Path | str, bands: Sequence[int]) -> tuple[int, ...]:
    if max(bands) > dataset.count:
        raise SceneError(f"{path}: it has {dataset.count} bands, and so no band {max(bands)} to show")
    return tuple(bands)


def _told_bands(dataset: DatasetReader) -> tuple[int, ...] | None:
    """Red, green and blue by what the file calls them, or None."""
    kinds = dataset.colorinterp
    if all(kind in kinds for kind in RGB):
        return tuple(kinds.index(kind) + 1 for kind in RGB)
    return find_true_colour(dataset)


def _count_colours(dataset: DatasetReader) -> int:
    """Bands that are no alpha."""
    return sum(kind != ColorInterp.alpha for kind in dataset.colorinterp)


def _first_bands(dataset: DatasetReader) -> tuple[int, ...]:
    """The first three, as NAIP has them, which marks nothing; else one."""
    kinds = dataset.colorinterp
    shown = [band for band, kind in enumerate(kinds, start=1) if kind != ColorInterp.alpha]
    if not shown:
        return (1,)
    is_colour = len(shown) >= 3 and kinds[shown[0] - 1] != ColorInterp.palette
    return tuple(shown[:3] if is_colour else shown[:1])


def _all_tags(dataset: DatasetReader) -> dict[str, str]:
    tags: dict[str, str] = {}
    for namespace in dataset.tag_namespaces():
        if not namespace.startswith(("xml:", "json:", "DERIVED", "SUBDATASETS", "COLOR_PROFILE")):
            tags.update(dataset.tags(ns=namespace))
    tags.update(dataset.tags())
    return tags


def _crs_name(crs: rasterio.crs.CRS) -> str:
    authority = crs.to_authority()
    return ":".join(authority) if authority else str(crs.to_wkt().split('"')[1])


def _reason(error: BaseException, path: Path | str, phase: str) -> str:
    """One line: the deepest cause says most, and it need not say the file's name again."""
    while error.__cause__ is not None:
        error = error.__cause__
    text = " ".join(str(error).split())
    if isinstance(path, str):
        text = QUERY.sub("", text)
    text = text.replace(f"'{path}' ", "").replace(f"{path}: ", "").replace(f"{name_of(path)}, ", "")
    if isinstance(error, MemoryError):
        return "it does not fit into memory"
    if "not recognized as" in text:
        if name_of(path).lower().endswith(ARCHIVES):
            return "an archive: unpack it, and index the folder"
        return "not an image or raster in a format that can be opened"
    text = text[:LONGEST_REASON] or type(error).__name__
    return f"its pixels cannot be decoded: the file is damaged or cut off ({text})" if phase == "decode" else text
