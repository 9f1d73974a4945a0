"""The records and Protocols that rooms exchange. No torch here: arrays cross rooms as numpy.

Shapes: n items, D joint width, N image patches, M text tokens.
"""

from __future__ import annotations

import datetime
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Literal, Protocol, runtime_checkable

import numpy as np
from numpy.typing import NDArray

__all__ = [
    "GLOBAL_ONLY",
    "Area",
    "BBox",
    "EncodedImages",
    "EncodedTexts",
    "Encoder",
    "FloatArray",
    "Hit",
    "ImageArray",
    "Mixture",
    "OpenStore",
    "Progress",
    "Ring",
    "SceneEntry",
    "Store",
    "Stretch",
    "Tile",
    "TileCoder",
    "TileFilter",
    "no_progress",
]

Progress = Callable[[int, int], None]
"""Told how far some work is: done, of how many."""


def no_progress(_done: int, _total: int) -> None:
    """A :data:`Progress` that nobody watches."""


FloatArray = NDArray[np.float32]
ImageArray = NDArray[np.uint8]
"""One picture, (H, W, 3) RGB."""

BBox = tuple[float, float, float, float]
"""West, south, east, north in degrees (WGS 84). West > east means the box crosses the antimeridian."""

Ring = tuple[tuple[float, float], ...]
"""A closed ring of (longitude, latitude) in WGS 84, counter-clockwise (RFC 7946).

Longitudes don't jump: a ring across the antimeridian goes beyond 180 (or below -180). `rsitr.geo` cuts it there for
GeoJSON.
"""

Area = tuple[tuple[Ring, ...], ...]
"""Polygons, each an outer ring and the rings of its holes. `rsitr.geo` reads them from GeoJSON."""

Stretch = tuple[tuple[float, float], ...]
"""Per shown band (one or three): the values that become 0 and 255. Recorded, so that pictures can be made again."""


@dataclass(frozen=True, slots=True)
class EncodedImages:
    """Features of n images: `global_emb` (n, D) with unit rows; `tokens` (n, N, D), one per patch, not normalised."""

    global_emb: FloatArray
    tokens: FloatArray

    def __len__(self) -> int:
        return len(self.global_emb)


@dataclass(frozen=True, slots=True)
class EncodedTexts:
    """Features of n texts.

    Attributes:
        global_emb: (n, D), unit rows.
        tokens: (n, M, D), one per token, not normalised.
        token_mask: (n, M) bool, True where a token counts as local (METHODS 1.1: `valid` or `all`).
    """

    global_emb: FloatArray
    tokens: FloatArray
    token_mask: NDArray[np.bool_]

    def __len__(self) -> int:
        return len(self.global_emb)


@dataclass(frozen=True, slots=True, kw_only=True)
class Mixture:
    """S = alpha S_g + beta S_l: how a pair's score mixes its global and local similarity (EBAKER, equation 6).

    The paper's 0.6 : 0.4 belong to norm `l2` over all 77 tokens; with other settings they are tuned on validation.

    Attributes:
        alpha: weight of the global similarity.
        beta: weight of the local similarity; where it is 0, local similarity is never computed.
        norm: of the local similarity (METHODS 1.4).
    """

    alpha: float = 0.6
    beta: float = 0.4
    norm: Literal["l2", "rms"] = "l2"


GLOBAL_ONLY = Mixture(alpha=1.0, beta=0.0)


@runtime_checkable
class Encoder(Protocol):
    """Turns pictures and words into vectors of one space. What index, search and evaluation need of a model."""

    @property
    def name(self) -> str:
        """What a person typed to get this model, e.g. `compact` or `ViT-B-32-quickgelu:openai`."""

    @property
    def fingerprint(self) -> str:
        """Hex digest of weights and settings: equal fingerprints give comparable vectors."""

    @property
    def dim(self) -> int:
        """Joint width D."""

    @property
    def image_size_px(self) -> int:
        """Side of the square picture the image encoder sees."""

    @property
    def mixture(self) -> Mixture:
        """How global and local similarity are mixed for this model."""

    def encode_images(self, images: Sequence[ImageArray], *, batch_size: int = 64) -> EncodedImages:
        """Encode pictures of any size, each (H, W, 3) uint8 RGB; they are resized as the model was trained."""

    def encode_texts(self, texts: Sequence[str], *, batch_size: int = 256) -> EncodedTexts:
        """Encode captions or queries."""


class TileCoder(Protocol):
    """Makes the codes that an index keeps of its tiles for a second stage of ranking."""

    @property
    def length(self) -> int:
        """Numbers in a code."""

    @property
    def fingerprint(self) -> str:
        """Hex digest of what makes the codes: equal fingerprints give comparable codes."""

    def encode(self, images: EncodedImages) -> NDArray[np.float16]:
        """The codes of n pictures, (n, length)."""

    def save(self, path: Path) -> None:
        """Write what makes the codes, so that a search can make those of a query."""


@dataclass(frozen=True, slots=True)
class Tile:
    """A rectangular window of a scene: the unit that is indexed.

    Attributes:
        tile: stable id, unique in an index.
        scene: path of the scene relative to the index's root, with forward slashes.
        window_px: (column, row, width, height) in the scene's full-resolution pixels; width and height are 0 where
            nobody knows: of embeddings that others made.
        footprint: outline on the ground, or None for a scene that has no known place on Earth.
        bbox: box around the footprint, or None.
        date: day of acquisition, or None where it is unknown (never the file's time stamp).
        gsd_m: ground sampling distance in metres per pixel, or None.
        sensor: as the scene's metadata name it, or None.
    """

    tile: str
    scene: str
    window_px: tuple[int, int, int, int]
    footprint: Ring | None = None
    bbox: BBox | None = None
    date: datetime.date | None = None
    gsd_m: float | None = None
    sensor: str | None = None


@dataclass(frozen=True, slots=True)
class Hit:
    """A tile that answers a query.

    Attributes:
        tile: where it is.
        score: higher is better.
        rank: from 1.
        relevance: how surely it is what was asked for, 0 to 1; None where that was not estimated.
        mark: whether a person has called it right (True) or wrong; None where nobody has.
    """

    tile: Tile
    score: float
    rank: int
    relevance: float | None = None
    mark: bool | None = None


@dataclass(frozen=True, slots=True)
class TileFilter:
    """Which tiles may answer a query. Every condition that is given must hold; what is unknown of a tile fails it.

    Attributes:
        bbox: the footprint meets this box.
        since: acquired on this day or later.
        until: acquired on this day or earlier.
        sensor: taken by this sensor, whatever the case of its letters.
        area: the footprint meets one of these polygons.
        scene: the scene's name in the index matches this pattern (`*`, `?`, `[abc]`; `*` crosses folders), or one of
            several.
        gsd_m: a pixel is so many metres wide on the ground, from and to.
        is_suitable: its pixels can show something to a model: they are not coarser than models read, nor too few. Here
            what is unknown of a tile passes.
    """

    bbox: BBox | None = None
    since: datetime.date | None = None
    until: datetime.date | None = None
    sensor: str | None = None
    area: Area | None = None
    scene: str | tuple[str, ...] | None = None
    gsd_m: tuple[float, float] | None = None
    is_suitable: bool = False


@dataclass(frozen=True, slots=True)
class SceneEntry:
    """What an index remembers of a scene: how to know it again, and how to show it.

    Attributes:
        scene: path relative to the index's root, with forward slashes.
        size_bytes: size of the file when it was indexed.
        mtime_ns: its time of change then, only to notice a change (never a date of acquisition).
        size_px: (width, height); 0 and 0 where there is no file: of embeddings that others made.
        n_tiles: tiles in the index.
        n_left_out: tiles left out because they are mostly nodata.
        crs: the scene's own reference system, as a person would name it, or None.
        stretch: how its values became 8-bit, or None where they are 8-bit.
        footprint: outline on the ground, or None.
        bbox: box around the footprint, or None.
        date: day of acquisition, or None.
        gsd_m: ground sampling distance at the centre, in metres per pixel, or None.
        sensor: as its metadata name it, or None.
    """

    scene: str
    size_bytes: int
    mtime_ns: int
    size_px: tuple[int, int]
    n_tiles: int
    n_left_out: int
    crs: str | None = None
    stretch: Stretch | None = None
    footprint: Ring | None = None
    bbox: BBox | None = None
    date: datetime.date | None = None
    gsd_m: float | None = None
    sensor: str | None = None


class Store(Protocol):
    """Keeps tiles with their vectors and finds the nearest. What ingest and search need of a database."""

    @property
    def dim(self) -> int:
        """Width of the vectors."""

    @property
    def version(self) -> int:
        """Number of the latest state of the tiles: another one after every change, whoever made it."""

    def __len__(self) -> int:
        """Number of tiles."""

    def scenes(self) -> list[SceneEntry]:
        """The scenes whose tiles are here, sorted by name."""

    def scene_names(self) -> list[str]:
        """Names of the scenes whose tiles are here, sorted."""

    def put(
        self,
        entries: Sequence[SceneEntry],
        tiles: Sequence[Tile],
        vectors: FloatArray,
        *,
        codes: NDArray[np.float16] | None = None,
    ) -> None:
        """Write whole scenes, replacing what was there of the same scenes; other readers see all of it or nothing.

        Args:
            entries: the scenes.
            tiles: all tiles of these scenes and of no others.
            vectors: (len(tiles), dim), unit rows.
            codes: (len(tiles), length) where the index keeps codes.
        """

    def remove(self, scenes: Sequence[str]) -> None:
        """Take scenes and their tiles out."""

    def search(self, vector: FloatArray, *, k: int, where: TileFilter | None = None) -> list[Hit]:
        """The k tiles with the highest cosine among those that pass the filter, best first; equal scores by tile id."""

    def count(self, where: TileFilter | None = None) -> int:
        """How many tiles pass the filter."""

    def browse(self, where: TileFilter | None = None, *, start: int, n: int) -> list[Tile]:
        """Up to n of the tiles that pass the filter, after the first `start`, in an order that only writing changes."""

    def tiles(self, tiles: Sequence[str]) -> list[Tile]:
        """Tiles by their ids; MissingError where one is not there."""

    def vectors(self, tiles: Sequence[str]) -> FloatArray:
        """The vectors of tiles by their ids, (len(tiles), dim); MissingError where one is not there."""

    def codes(self, tiles: Sequence[str]) -> NDArray[np.float16] | None:
        """The codes of tiles by their ids, (len(tiles), length); None where no codes are kept."""

    def sample(self, n: int) -> FloatArray:
        """Vectors of up to n tiles, evenly spread over the index, the same in every call: (at most n, dim)."""

    def tidy(self) -> None:
        """Make good what many small writes leave behind. Changes nothing that can be seen."""


class OpenStore(Protocol):
    """Opens an index's store, or makes it; what another engine than LanceDB registers."""

    def __call__(self, folder: Path, *, dim: int, code_length: int = 0, must_exist: bool = False) -> Store:
        """The store of an index.

        Args:
            folder: of the index; an engine keeps its files in the folder `store` in it.
            dim: width of the vectors.
            code_length: numbers in the code of each tile; 0 where none is kept.
            must_exist: what is not there is damage (StoreError), and nothing is made.
        """
