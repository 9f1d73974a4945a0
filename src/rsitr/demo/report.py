"""What the demo found, for people: an HTML page that needs no other file; and as GeoJSON for programs."""

from __future__ import annotations

from typing import Any

from rsitr.demo.drawing.scene import DemoScene, Region
from rsitr.demo.exploring import Exploration
from rsitr.demo.judging import JudgedAnswer, JudgedHit
from rsitr.demo.raster import ACQUIRED, GSD_M
from rsitr.formats import collect_features, format_place, ring_geometry, round_score
from rsitr.geo import bbox_centre
from rsitr.pages import picture_uri, render_page
from rsitr.search import Index
from rsitr.types import Ring
from rsitr.version import __version__

__all__ = ["format_hits", "format_truth", "render_report"]

_OVERVIEW_PX = 1280
_THUMBNAIL_PX = 200
_JPEG_QUALITY = 85


def render_report(found: Exploration) -> str:
    """The report as one HTML page; every text in it is escaped."""
    _, width, _ = found.scene.pixels.shape
    return render_page(
        "rsitr.demo",
        "report.html.jinja",
        found=found,
        summary=found.summary,
        version=__version__,
        acquired=ACQUIRED.isoformat(),
        gsd_m=GSD_M,
        side_px=width,
        overview=picture_uri(found.scene.pixels, side_px=_OVERVIEW_PX),
        districts=[_label_box(district) for district in found.scene.districts],
        best=found.label_best(),
        queries=[_query_card(i + 1, answer, found.index) for i, answer in enumerate(found.answers)],
    )


def format_hits(found: Exploration) -> str:
    """All hits of all queries as an RFC 7946 FeatureCollection, each with the truth about it."""
    features = [
        _feature(
            judged.hit.tile.footprint,
            {
                "query": answer.title,
                "rank": judged.hit.rank,
                "score": round_score(judged.hit.score),
                "right": judged.right,
                "there": list(judged.there),
                "tile": judged.hit.tile.tile,
                "window_px": list(judged.hit.tile.window_px),
                "synthetic": True,
            },
        )
        for answer in found.answers
        for judged in answer.hits
    ]
    return collect_features(features, about={})


def format_truth(scene: DemoScene) -> str:
    """Districts and things of the scene as an RFC 7946 FeatureCollection: what was drawn where."""
    features = [
        _feature(
            region.footprint,
            {"label": region.label, "kind": kind, "window_px": list(region.window_px), "synthetic": True},
        )
        for kind, regions in (("district", scene.districts), ("thing", scene.things))
        for region in regions
    ]
    return collect_features(features, about={})


def _feature(ring: Ring | None, properties: dict[str, Any]) -> dict[str, Any]:
    return {"type": "Feature", "geometry": ring_geometry(ring), "properties": properties}


def _label_box(region: Region) -> dict[str, Any]:
    column, row, width, height = region.window_px
    return {"label": region.label, "x": column, "y": row, "width": width, "height": height}


def _query_card(number: int, answer: JudgedAnswer, index: Index) -> dict[str, Any]:
    return {
        "number": number,
        "title": answer.title,
        "example": None if answer.example is None else picture_uri(answer.example, quality=_JPEG_QUALITY),
        "answers": sorted(answer.query.answers),
        "first_right": answer.first_right,
        "n_right_tiles": answer.n_right_tiles,
        "hits": [_hit_card(judged, index) for judged in answer.hits],
    }


def _hit_card(judged: JudgedHit, index: Index) -> dict[str, Any]:
    tile = judged.hit.tile
    column, row, width, height = tile.window_px
    return {
        "rank": judged.hit.rank,
        "score": f"{judged.hit.score:.3f}",
        "right": judged.right,
        "there": ", ".join(judged.there),
        "place": format_place(tile.bbox),
        "lonlat": None if tile.bbox is None else "{:.5f}, {:.5f}".format(*bbox_centre(tile.bbox)),
        "picture": picture_uri(index.picture(tile, max_px=_THUMBNAIL_PX), quality=_JPEG_QUALITY),
        "x": column,
        "y": row,
        "width": width,
        "height": height,
    }
