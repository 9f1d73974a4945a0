"""The index as OGC API Features: scenes, tiles, and what a search finds, as collections of GeoJSON features."""

from __future__ import annotations

import dataclasses
import datetime
from collections.abc import Sequence
from typing import Any

from rsitr.formats import Answer, about, answer_features, plain
from rsitr.service.answers import item_id, show_tile
from rsitr.service.catalogue import Extent
from rsitr.service.links import GEOJSON, OPENAPI, Links
from rsitr.service.replies import SceneReply
from rsitr.types import Tile

__all__ = [
    "OGC",
    "found_features",
    "keep_matches",
    "list_collections",
    "scene_feature",
    "show_conformance",
    "show_feature",
    "show_features",
    "show_landing",
    "tile_feature",
]

OGC = "/ogc"
CRS84 = "http://www.opengis.net/def/crs/OGC/1.3/CRS84"
CONFORMS_TO = (
    "http://www.opengis.net/spec/ogcapi-common-1/1.0/conf/core",
    "http://www.opengis.net/spec/ogcapi-common-2/1.0/conf/collections",
    "http://www.opengis.net/spec/ogcapi-features-1/1.0/conf/core",
    "http://www.opengis.net/spec/ogcapi-features-1/1.0/conf/oas30",
    "http://www.opengis.net/spec/ogcapi-features-1/1.0/conf/geojson",
)
COLLECTIONS = {
    "scenes": ("Scenes", "The scenes of the index, with their footprints and where their pictures and map tiles are."),
    "tiles": ("Tiles", "The tiles that are searched: rectangles of the scenes."),
    "search": (
        "Search",
        "What a search finds: places, or tiles (`places=false`), best first, with their relevance. `q` says in words "
        "what to look for; without it, `like` or `detector`, there is nothing.",
    ),
}


def show_landing(links: Links, *, name: str) -> dict[str, Any]:
    """The landing page."""
    return {
        "title": f"{name}, searched by rsitr",
        "description": "Places in satellite and aerial imagery, by words or by example.",
        "links": [
            links.to("self", ""),
            links.to("service-desc", "/api", media_type=OPENAPI, title="The API"),
            links.to("conformance", "/conformance"),
            links.to("data", "/collections"),
        ],
    }


def show_conformance() -> dict[str, Any]:
    """What the view conforms to."""
    return {"conformsTo": list(CONFORMS_TO)}


def list_collections(links: Links, extent: Extent) -> list[dict[str, Any]]:
    """The collections."""
    box, since, until, _ = extent
    where = {"spatial": {"bbox": [list(box)], "crs": CRS84}} if box else {}
    when = {"temporal": {"interval": [[since and f"{since}T00:00:00Z", until and f"{until}T23:59:59Z"]]}}
    return [
        {
            "id": name,
            "title": title,
            "description": description,
            "itemType": "feature",
            "crs": [CRS84],
            "extent": {**where, **when},
            "links": [
                links.to("self", f"/collections/{name}"),
                links.to("items", f"/collections/{name}/items", media_type=GEOJSON, title=title),
            ],
        }
        for name, (title, description) in COLLECTIONS.items()
    ]


def scene_feature(links: Links, scene: SceneReply) -> dict[str, Any]:
    """A scene; its geometry is null where it has no known place on Earth."""
    told = plain(scene)
    return {
        "type": "Feature",
        "id": told.pop("id"),
        **({"bbox": box} if (box := told.pop("bbox")) else {}),
        "geometry": told.pop("footprint"),
        "properties": {
            **{name: value for name, value in told.items() if name not in {"corners", "overview", "tiles"}},
            "overview": links.whole(scene.overview),
            "tiles": None if scene.tiles is None else links.whole(scene.tiles),
        },
    }


def tile_feature(links: Links, tile: Tile) -> dict[str, Any]:
    """A tile; its geometry is null where it has no known place on Earth."""
    told = plain(show_tile(tile))
    return {
        "type": "Feature",
        "id": item_id(tile),
        **({"bbox": box} if (box := told.pop("bbox")) else {}),
        "geometry": told.pop("geometry"),
        "properties": {**told, "picture": links.whole(told["picture"])},
    }


def keep_matches(answer: Answer) -> Answer:
    """The answer with those places and hits alone that reach the threshold; all, where relevance is not known."""
    if answer.relevance is None:
        return answer
    return dataclasses.replace(
        answer,
        hits=tuple(hit for hit in answer.hits if (hit.relevance or 0.0) >= answer.threshold),
        places=answer.places
        and tuple(place for place in answer.places if (place.relevance or 0.0) >= answer.threshold),
    )


def found_features(links: Links, answer: Answer) -> list[dict[str, Any]]:
    """What was found, each with what is said of the whole answer, and with its picture, a place with its best one."""
    told = {name: value for name, value in about(answer).items() if name in {"query", "model", "state"}}
    tiles = [hit.tile for hit in answer.hits] if answer.places is None else [p.best.tile for p in answer.places]
    return [
        {
            **feature,
            "id": item_id(tile),
            "properties": {
                **feature["properties"],
                **told,
                "threshold": answer.threshold,
                "picture": links.whole(show_tile(tile).picture),
            },
        }
        for feature, tile in zip(answer_features(answer), tiles, strict=True)
    ]


def show_features(
    features: Sequence[dict[str, Any]], *, n_matched: int, links: Sequence[dict[str, Any]], **more: Any
) -> dict[str, Any]:
    """A page of features; `more` are further members of the collection."""
    now = datetime.datetime.now(datetime.UTC).isoformat(timespec="seconds").replace("+00:00", "Z")
    return {
        "type": "FeatureCollection",
        **more,
        "numberMatched": n_matched,
        "numberReturned": len(features),
        "timeStamp": now,
        "links": list(links),
        "features": list(features),
    }


def show_feature(links: Links, feature: dict[str, Any], *, collection: str) -> dict[str, Any]:
    """A single feature, with links to itself and its collection."""
    path = f"/collections/{collection}"
    return {
        **feature,
        "links": [
            links.to("self", f"{path}/items/{feature['id']}", media_type=GEOJSON),
            links.to("collection", path),
        ],
    }
