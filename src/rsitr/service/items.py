"""The index as a STAC API: scenes and tiles as items, and what a search finds as tiles with their relevance."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from rsitr.formats import STAC_VERSION, Answer, SceneRecord, TileRecord, round_score, say_suitability, stac_item
from rsitr.service.answers import item_id, scene_id, show_tile
from rsitr.service.catalogue import Extent
from rsitr.service.features import list_collections, show_landing
from rsitr.service.links import GEOJSON, Links
from rsitr.service.replies import SceneReply
from rsitr.types import Hit, SceneEntry, Tile

__all__ = [
    "COLLECTIONS",
    "STAC",
    "hit_item",
    "scene_item",
    "show_catalog",
    "show_collections",
    "show_conformance",
    "tile_item",
]

STAC = "/stac"
COLLECTIONS = ("scenes", "tiles")
API = "https://api.stacspec.org/v1.0.0"
CONFORMS_TO = (
    f"{API}/core",
    f"{API}/collections",
    f"{API}/ogcapi-features",
    f"{API}/item-search",
    "https://api.stacspec.org/v1.0.0-rc.1/item-search#free-text",
    "http://www.opengis.net/spec/ogcapi-features-1/1.0/conf/core",
    "http://www.opengis.net/spec/ogcapi-features-1/1.0/conf/oas30",
    "http://www.opengis.net/spec/ogcapi-features-1/1.0/conf/geojson",
)


def show_conformance() -> dict[str, Any]:
    """What the view conforms to."""
    return {"conformsTo": list(CONFORMS_TO)}


def show_catalog(links: Links, *, name: str) -> dict[str, Any]:
    """The landing page, which is a STAC catalog."""
    told = show_landing(links, name=name)
    return {
        "type": "Catalog",
        "stac_version": STAC_VERSION,
        "id": name,
        "title": told["title"],
        "description": told["description"],
        **show_conformance(),
        "links": [
            links.to("root", ""),
            *told["links"],
            *(links.to("search", "/search", media_type=GEOJSON, method=method) for method in ("GET", "POST")),
            *(links.to("child", f"/collections/{one}") for one in COLLECTIONS),
        ],
    }


def show_collections(links: Links, extent: Extent, *, n_undated: int) -> list[dict[str, Any]]:
    """The collections.

    Args:
        links: of the view.
        extent: of the index.
        n_undated: scenes that are in none of them, since STAC knows no item without a time.
    """
    left_out = f" Left out: {n_undated:,} scenes of unknown day, and their tiles." if n_undated else ""
    return [
        {
            "type": "Collection",
            "stac_version": STAC_VERSION,
            "id": told["id"],
            "title": told["title"],
            "description": told["description"] + left_out,
            "license": "other",
            "extent": {
                "spatial": {"bbox": told["extent"].get("spatial", {}).get("bbox", [[-180.0, -90.0, 180.0, 90.0]])},
                "temporal": told["extent"]["temporal"],
            },
            "links": [links.to("root", ""), links.to("parent", ""), *told["links"]],
        }
        for told in list_collections(links, extent)
        if told["id"] in COLLECTIONS
    ]


def scene_item(links: Links, entry: SceneEntry, scene: SceneReply) -> dict[str, Any]:
    """A scene of a known day."""
    assets = {
        "thumbnail": _picture(links, f"{scene.overview}?max_px=256", title="Thumbnail", role="thumbnail"),
        "overview": _picture(links, scene.overview, title="Overview", role="overview"),
    }
    return stac_item(
        scene.id,
        days=[entry.date] if entry.date else [],
        geometry=scene.footprint,
        bbox=scene.bbox,
        properties={
            "title": scene.scene,
            **_measured(scene),
            "rsitr:scene": scene.scene,
            "rsitr:size_px": scene.size_px,
            "rsitr:n_tiles": scene.n_tiles,
        },
        assets=assets | _map_tiles(links, scene),
        links=[*_links(links, "scenes", scene.id), *_web_map(links, scene)],
        collection="scenes",
    )


def tile_item(links: Links, tile: Tile, scene: SceneReply | None, **more: Any) -> dict[str, Any]:
    """A tile of a known day, of a scene; `more` are further properties."""
    name, told = item_id(tile), show_tile(tile)
    of_scene = links.to("derived_from", f"/collections/scenes/items/{scene_id(tile.scene)}", media_type=GEOJSON)
    return stac_item(
        name,
        days=[tile.date] if tile.date else [],
        geometry=told.geometry,
        bbox=told.bbox,
        properties={
            "title": tile.tile,
            **_measured(told),
            "rsitr:tile": tile.tile,
            "rsitr:scene": tile.scene,
            "rsitr:window_px": told.window_px,
            "rsitr:suitability": say_suitability(tile),
            **more,
        },
        assets={
            "thumbnail": _picture(links, told.picture, title="The tile", role="thumbnail"),
            "overview": _picture(
                links, f"{told.picture}?size=1024&context=1", title="The tile and what lies around it", role="overview"
            ),
            **_map_tiles(links, scene),
        },
        links=[*_links(links, "tiles", name), of_scene, *_web_map(links, scene)],
        collection="tiles",
    )


def hit_item(links: Links, hit: Hit, scene: SceneReply | None, answer: Answer) -> dict[str, Any]:
    """A tile that was found, with its rank and relevance, and what is said of the whole answer."""
    said = {
        "rank": hit.rank,
        "score": round_score(hit.score),
        "relevance": round_score(hit.relevance),
        "query": answer.query.text,
        "model": answer.model,
        "state": answer.state,
        "threshold": answer.threshold,
    }
    return tile_item(links, hit.tile, scene, **{f"rsitr:{name}": value for name, value in said.items()})


def _measured(told: TileRecord | SceneRecord) -> dict[str, Any]:
    """Common metadata of STAC, which knows no unknown."""
    return {
        **({"gsd": told.gsd_m} if told.gsd_m else {}),
        **({"instruments": [told.sensor]} if told.sensor else {}),
    }


def _links(links: Links, collection: str, name: str) -> Sequence[dict[str, Any]]:
    path = f"/collections/{collection}"
    return [
        links.to("self", f"{path}/items/{name}", media_type=GEOJSON),
        links.to("root", ""),
        links.to("parent", path),
        links.to("collection", path),
    ]


def _picture(links: Links, path: str, *, title: str, role: str) -> dict[str, Any]:
    return {"href": links.whole(path), "type": "image/jpeg", "title": title, "roles": [role]}


def _map_tiles(links: Links, scene: SceneReply | None) -> dict[str, Any]:
    """Where the scene's map tiles are; nothing where it has no place."""
    if scene is None or scene.tiles is None:
        return {}
    about = {"title": "Map tiles of the scene (XYZ, 512 pixels)", "roles": ["tiles", "visual"]}
    return {"tiles": {"href": links.whole(scene.tiles), "type": "image/webp", **about}}


def _web_map(links: Links, scene: SceneReply | None) -> list[dict[str, Any]]:
    """The same as a link, as programs with a map look for them."""
    if scene is None or scene.tiles is None:
        return []
    return [{"rel": "xyz", "href": links.whole(scene.tiles), "type": "image/webp", "title": "Map tiles of the scene"}]
