"""Scenes: opening anything GDAL reads, windows of it as pictures, and where they lie on Earth. No torch in here.

Names are imported when they are first used: an index is searched without GDAL, and described without shapely.
"""

from typing import TYPE_CHECKING

from rsitr.registry import lazy_names

if TYPE_CHECKING:
    from rsitr.geo.area import area_from_geojson, area_from_geometry, area_shape, read_area, widen
    from rsitr.geo.arrays import is_array, open_array, read_array
    from rsitr.geo.chips import write_chip
    from rsitr.geo.files import (
        SCENE_SUFFIXES,
        FileState,
        Source,
        count_passed_over,
        find_scenes,
        is_url,
        public_address,
    )
    from rsitr.geo.geometry import (
        area_km2,
        bbox_centre,
        bbox_shape,
        cut_shape,
        enclosing_bbox,
        geojson_geometry,
        ring_shape,
    )
    from rsitr.geo.given import GivenArea, parse_area
    from rsitr.geo.outlines import Outlines, make_outlines, read_crs
    from rsitr.geo.pixels import SceneReader, WindowPixels, open_reader, read_picture, read_window
    from rsitr.geo.placement import Ground, Placement
    from rsitr.geo.scene import Scene, open_scene
    from rsitr.geo.sources import find_sources, list_files, stat_source
    from rsitr.geo.tiling import COARSEST_GSD_M, SMALLEST_PX, Window, choose_tile_px, cut_scales, cut_windows
    from rsitr.geo.webtiles import draw_web_tile

__all__ = [
    "COARSEST_GSD_M",
    "SCENE_SUFFIXES",
    "SMALLEST_PX",
    "FileState",
    "GivenArea",
    "Ground",
    "Outlines",
    "Placement",
    "Scene",
    "SceneReader",
    "Source",
    "Window",
    "WindowPixels",
    "area_from_geojson",
    "area_from_geometry",
    "area_km2",
    "area_shape",
    "bbox_centre",
    "bbox_shape",
    "choose_tile_px",
    "count_passed_over",
    "cut_scales",
    "cut_shape",
    "cut_windows",
    "draw_web_tile",
    "enclosing_bbox",
    "find_scenes",
    "find_sources",
    "geojson_geometry",
    "is_array",
    "is_url",
    "list_files",
    "make_outlines",
    "open_array",
    "open_reader",
    "open_scene",
    "parse_area",
    "public_address",
    "read_area",
    "read_array",
    "read_crs",
    "read_picture",
    "read_window",
    "ring_shape",
    "stat_source",
    "widen",
    "write_chip",
]

_LAZY = {
    **dict.fromkeys(("area_from_geojson", "area_from_geometry", "area_shape", "read_area", "widen"), "rsitr.geo.area"),
    **dict.fromkeys(
        ("SCENE_SUFFIXES", "FileState", "Source", "count_passed_over", "find_scenes", "is_url", "public_address"),
        "rsitr.geo.files",
    ),
    **dict.fromkeys(
        ("area_km2", "bbox_centre", "bbox_shape", "cut_shape", "enclosing_bbox", "geojson_geometry", "ring_shape"),
        "rsitr.geo.geometry",
    ),
    **dict.fromkeys(
        ("COARSEST_GSD_M", "SMALLEST_PX", "Window", "choose_tile_px", "cut_scales", "cut_windows"), "rsitr.geo.tiling"
    ),
    **dict.fromkeys(("is_array", "open_array", "read_array"), "rsitr.geo.arrays"),
    "write_chip": "rsitr.geo.chips",
    **dict.fromkeys(("Outlines", "make_outlines", "read_crs"), "rsitr.geo.outlines"),
    **dict.fromkeys(("GivenArea", "parse_area"), "rsitr.geo.given"),
    **dict.fromkeys(("SceneReader", "WindowPixels", "open_reader", "read_picture", "read_window"), "rsitr.geo.pixels"),
    **dict.fromkeys(("Ground", "Placement"), "rsitr.geo.placement"),
    **dict.fromkeys(("Scene", "open_scene"), "rsitr.geo.scene"),
    **dict.fromkeys(("find_sources", "list_files", "stat_source"), "rsitr.geo.sources"),
    "draw_web_tile": "rsitr.geo.webtiles",
}
__getattr__ = lazy_names(__name__, _LAZY)


def __dir__() -> list[str]:
    return sorted(__all__)
