"""What a search finds as frames of GeoPandas, and searches within the area of a frame. GeoPandas is an extra.

GeoPandas is imported when it is first used.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Iterable
from typing import TYPE_CHECKING, Any

import shapely

from rsitr.errors import ConfigError, QueryError
from rsitr.formats import Answer, answer_rows, hit_row
from rsitr.geo import area_from_geometry
from rsitr.search.index import Index
from rsitr.search.result import SearchResult
from rsitr.types import Hit, Tile, TileFilter

if TYPE_CHECKING:
    from geopandas import GeoDataFrame

__all__ = ["FrameSearch", "register_geopandas", "to_geodataframe"]

CRS = "EPSG:4326"
SCORED = ("rank", "score", "relevance", "mark")
"""What only a hit has."""
NOWHERE = Hit(Tile("", "", (0, 0, 1, 1)), 0.0, 1)
"""Where nothing was found, a frame has the columns of hits all the same."""
DAYS = ("date", "first_date", "last_date")


def to_geodataframe(found: SearchResult | Answer | Iterable[Hit | Tile], *, places: bool = False) -> GeoDataFrame:
    """A frame in EPSG:4326 with a row for each hit, or place, or tile; what has no known place has no geometry (None).

    Columns are those of a GeoPackage that `rsitr search --out hits.gpkg` writes: of a hit `rank`, `score`, `relevance`,
    `suitability`, `mark`, `tile`, `scene`, `date`, `gsd_m`, `sensor`; of a place `place`, `lon`, `lat`, `first_date`,
    `last_date`, `n_tiles`, `sightings`, `timeline` (these two as JSON) in place of the last five. Of a result, `query`,
    `model`, `state` and `threshold` say what is said of it as a whole.

    Args:
        found: the result of a search, or hits, or tiles (`Index.browse`).
        places: a result as places on the ground in place of hits.

    Raises:
        ConfigError: GeoPandas is not installed.
        QueryError: it is none of these.
    """
    register_geopandas()
    import geopandas
    import pandas as pd

    rows = _rows(found, places=places)
    names = [name for name in (rows[0] if rows else hit_row(NOWHERE)) if name != "geometry"]
    table = pd.DataFrame([[row[name] for name in names] for row in rows], columns=names)
    for name in set(DAYS) & set(names):
        table[name] = pd.to_datetime(table[name])
    outlines = geopandas.GeoSeries(shapely.from_wkb([row["geometry"] for row in rows]), index=table.index, crs=CRS)
    return geopandas.GeoDataFrame(table, geometry=outlines, crs=CRS)


def _rows(found: SearchResult | Answer | Iterable[Hit | Tile], *, places: bool) -> list[dict[str, Any]]:
    if isinstance(found, SearchResult):
        return answer_rows(found.to_answer(places=found.places() if places else None))
    if isinstance(found, Answer):
        return answer_rows(found if places else dataclasses.replace(found, places=None))
    if places:
        raise QueryError("only the result of a search has places; hits and tiles are rows of their own")
    return [_row(item) for item in found]


def _row(item: Hit | Tile) -> dict[str, Any]:
    if isinstance(item, Hit):
        return hit_row(item)
    if not isinstance(item, Tile):
        raise QueryError(f"a frame is made of the result of a search, of hits or of tiles, not of {item!r}")
    row = hit_row(Hit(item, 0.0, 1))
    return {name: value for name, value in row.items() if name not in SCORED}


class FrameSearch:
    """Searches limited to the ground of a frame: the accessor `rsitr` of frames of GeoPandas."""

    def __init__(self, frame: Any) -> None:
        if not hasattr(frame, "geometry"):
            raise AttributeError("only a GeoDataFrame has ground to search within")
        self._frame = frame

    def search(self, index: Index, text: str | None = None, *, places: bool = False, **asked: Any) -> GeoDataFrame:
        """Search tiles that meet the frame's geometries; points and lines count as a metre wide.

        Args:
            index: to search.
            text: what to look for.
            places: give places on the ground in place of hits.
            asked: as `Index.search` takes it, e.g. `k=50`; a `where` keeps its other limits.

        Raises:
            QueryError: the frame has no reference system or no ground, or the query makes no sense.
        """
        where: TileFilter = asked.pop("where", None) or TileFilter()
        limited = dataclasses.replace(where, area=self._area())
        return to_geodataframe(index.search(text, where=limited, **asked), places=places)

    def _area(self) -> Any:
        frame = self._frame
        if frame.crs is None:
            raise QueryError("the frame has no reference system: frame.set_crs(...) names the one of its coordinates")
        ground = frame.geometry.to_crs(CRS).union_all()
        if ground.is_empty:
            raise QueryError("the frame has no geometries to search within")
        return area_from_geometry(shapely.geometry.mapping(ground))


def register_geopandas() -> None:
    """Give frames of GeoPandas the accessor `rsitr`: `frame.rsitr.search(index, "a river")` searches on their ground.

    `to_geodataframe` does so by itself.

    Raises:
        ConfigError: GeoPandas is not installed.
    """
    try:
        import geopandas
        import pandas as pd
    except ModuleNotFoundError as error:
        raise ConfigError('the package geopandas is not installed: pip install "rsitr[geopandas]"') from error
    if not hasattr(geopandas.GeoDataFrame, "rsitr"):
        pd.api.extensions.register_dataframe_accessor("rsitr")(FrameSearch)
