"""What a search finds, as people and programs want it: records spelled once, and the writers that take them.

Names are imported when they are first used: an answer on the screen waits for no writer.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from rsitr.registry import lazy_names

if TYPE_CHECKING:
    from rsitr.formats.answer import Answer, HitStage
    from rsitr.formats.document import to_json, to_json_line
    from rsitr.formats.embeddings import WrittenTiles, write_embedding_stac, write_tiles
    from rsitr.formats.geojson import about, answer_features, collect_features, to_geojson
    from rsitr.formats.heat import HeatMap, HeatRecord, draw_heat_map, say_heat, write_heat_map
    from rsitr.formats.labels import make_label_page
    from rsitr.formats.layers import answer_rows, hit_row, to_layer
    from rsitr.formats.parquet import to_geoparquet
    from rsitr.formats.places import Moment, Place, Sighting, outline_box, outline_geometry, ring_geometry
    from rsitr.formats.records import (
        AskedRecord,
        HitRecord,
        MomentRecord,
        PartRecord,
        PlaceRecord,
        QueryRecord,
        SceneRecord,
        Scored,
        SightingRecord,
        StageRecord,
        TileRecord,
        Verdict,
        name_mark,
        plain,
        round_box,
        round_score,
    )
    from rsitr.formats.reviewed import ReviewForm, to_reviewed
    from rsitr.formats.sheet import ContactSheet, PictureSource, make_sheet
    from rsitr.formats.stac import STAC_VERSION, stac_item, to_stac
    from rsitr.formats.suitability import find_unsuitable, say_suitability
    from rsitr.formats.table import to_csv
    from rsitr.formats.text import (
        format_area,
        format_extent,
        format_gsd,
        format_number,
        format_place,
        format_point,
        say_state,
    )

__all__ = [
    "STAC_VERSION",
    "Answer",
    "AskedRecord",
    "ContactSheet",
    "HeatMap",
    "HeatRecord",
    "HitRecord",
    "HitStage",
    "Moment",
    "MomentRecord",
    "PartRecord",
    "PictureSource",
    "Place",
    "PlaceRecord",
    "QueryRecord",
    "ReviewForm",
    "SceneRecord",
    "Scored",
    "Sighting",
    "SightingRecord",
    "StageRecord",
    "TileRecord",
    "Verdict",
    "WrittenTiles",
    "about",
    "answer_features",
    "answer_rows",
    "collect_features",
    "draw_heat_map",
    "find_unsuitable",
    "format_area",
    "format_extent",
    "format_gsd",
    "format_number",
    "format_place",
    "format_point",
    "hit_row",
    "make_label_page",
    "make_sheet",
    "name_mark",
    "outline_box",
    "outline_geometry",
    "plain",
    "ring_geometry",
    "round_box",
    "round_score",
    "say_heat",
    "say_state",
    "say_suitability",
    "stac_item",
    "to_csv",
    "to_geojson",
    "to_geoparquet",
    "to_json",
    "to_json_line",
    "to_layer",
    "to_reviewed",
    "to_stac",
    "write_embedding_stac",
    "write_heat_map",
    "write_tiles",
]

__getattr__ = lazy_names(
    __name__,
    {
        **dict.fromkeys(("Answer", "HitStage"), "rsitr.formats.answer"),
        **dict.fromkeys(
            ("Moment", "Place", "Sighting", "outline_box", "outline_geometry", "ring_geometry"), "rsitr.formats.places"
        ),
        **dict.fromkeys(
            (
                "AskedRecord",
                "HitRecord",
                "MomentRecord",
                "PartRecord",
                "PlaceRecord",
                "QueryRecord",
                "SceneRecord",
                "Scored",
                "SightingRecord",
                "StageRecord",
                "TileRecord",
                "Verdict",
                "name_mark",
                "plain",
                "round_box",
                "round_score",
            ),
            "rsitr.formats.records",
        ),
        **dict.fromkeys(("find_unsuitable", "say_suitability"), "rsitr.formats.suitability"),
        **dict.fromkeys(
            (
                "format_area",
                "format_extent",
                "format_gsd",
                "format_number",
                "format_place",
                "format_point",
                "say_state",
            ),
            "rsitr.formats.text",
        ),
        "ContactSheet": "rsitr.formats.sheet",
        "HeatMap": "rsitr.formats.heat",
        "HeatRecord": "rsitr.formats.heat",
        "PictureSource": "rsitr.formats.sheet",
        "STAC_VERSION": "rsitr.formats.stac",
        "about": "rsitr.formats.geojson",
        "answer_features": "rsitr.formats.geojson",
        "answer_rows": "rsitr.formats.layers",
        "WrittenTiles": "rsitr.formats.embeddings",
        "ReviewForm": "rsitr.formats.reviewed",
        "collect_features": "rsitr.formats.geojson",
        "draw_heat_map": "rsitr.formats.heat",
        "say_heat": "rsitr.formats.heat",
        "hit_row": "rsitr.formats.layers",
        "make_label_page": "rsitr.formats.labels",
        "make_sheet": "rsitr.formats.sheet",
        "stac_item": "rsitr.formats.stac",
        "to_csv": "rsitr.formats.table",
        "to_geojson": "rsitr.formats.geojson",
        "to_geoparquet": "rsitr.formats.parquet",
        "to_json": "rsitr.formats.document",
        "to_json_line": "rsitr.formats.document",
        "to_layer": "rsitr.formats.layers",
        "to_reviewed": "rsitr.formats.reviewed",
        "to_stac": "rsitr.formats.stac",
        "write_embedding_stac": "rsitr.formats.embeddings",
        "write_heat_map": "rsitr.formats.heat",
        "write_tiles": "rsitr.formats.embeddings",
    },
)


def __dir__() -> list[str]:
    return sorted(__all__)
