"""An index's tiles with their vectors, for other programs: as GeoParquet 1.1, and as a STAC collection around it.

Metadata follow what there is of conventions: the `emb` key of Earth Index's files (geo-embeddings survey), and the STAC
extension for embeddings (https://stac-extensions.github.io/embeddings/v0.0.1/schema.json).
"""

from __future__ import annotations

import datetime
import json
import re
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Protocol, runtime_checkable

from rsitr.errors import StoreError
from rsitr.files import replacing, require_writable, write_json
from rsitr.formats.places import ring_geometry
from rsitr.formats.stac import PARQUET, STAC_VERSION, instant, media_type
from rsitr.geo import enclosing_bbox
from rsitr.index import IndexFolder, ModelRecord
from rsitr.types import BBox, Progress, SceneEntry, no_progress
from rsitr.version import __version__

__all__ = ["WrittenTiles", "write_embedding_stac", "write_tiles"]

EXTENSION = "https://stac-extensions.github.io/embeddings/v0.0.1/schema.json"
GROUP_NUMBERS = 2**23
"""Numbers of vectors in a row group: 32 MB, which a reader holds at once."""
EMBEDDINGS, MODEL = "embeddings.parquet", "model.json"
ITEMS = "items"


@runtime_checkable
class _Streamed(Protocol):
    """A store that gives all its tiles."""

    def stream(self, *, rows: int) -> Iterator[Any]:
        """All tiles as batches of Arrow."""


@dataclass(frozen=True, slots=True)
class WrittenTiles:
    """What was written.

    Attributes:
        n_tiles: rows.
        n_without_place: of these, rows without a geometry.
        size_bytes: of the file.
    """

    n_tiles: int
    n_without_place: int
    size_bytes: int


def write_tiles(index: IndexFolder, path: Path, *, progress: Progress = no_progress) -> WrittenTiles:
    """Write all tiles of an index to a GeoParquet file, row by row as they are kept; never all are in memory.

    Args:
        index: an open one.
        path: of the file.
        progress: told how many tiles are written, of how many.

    Raises:
        StoreError: the index cannot be read, or its engine does not give all tiles.
        ConfigError: the file cannot be written.
    """
    import pyarrow.compute as pc
    import pyarrow.parquet as pq

    from rsitr.index import Exchange, file_columns, file_schema

    store, model = index.store, index.manifest.model
    if not isinstance(store, _Streamed):
        raise StoreError(f"{index.path}: its tiles are kept by {index.manifest.engine!r}, which cannot list them all")
    require_writable(path)
    scenes, n_all = store.scenes(), len(store)
    schema = file_schema(model.dim)
    n_tiles = n_without = 0
    kinds: set[str] = set()
    with replacing(path) as part, pq.ParquetWriter(
        part,
        schema,
        compression={**dict.fromkeys(_leaves(schema), "zstd"), "embedding.list.element": "none"},
        use_dictionary=["sensor", "scene", "model", "model_fingerprint"],
    ) as writer:  # fmt: skip
        rows = max(1, GROUP_NUMBERS // model.dim)
        for batch in store.stream(rows=rows):
            found = file_columns(batch, model=model)
            writer.write_batch(found, row_group_size=rows)
            n_tiles += len(found)
            n_without += found["geometry"].null_count
            kinds |= {"MultiPolygon"} if found["crossing"].null_count < len(found) else set()
            kinds |= {"Polygon"} if pc.sum(pc.is_valid(found["geometry"])).as_py() else set()
            progress(n_tiles, n_all)
        own = Exchange(model=model, settings=index.manifest.settings, scenes=tuple(scenes))
        writer.add_key_value_metadata(
            {
                "geo": json.dumps(_about_geometry(scenes, kinds)),
                "emb": json.dumps(_about_embeddings(scenes, model), ensure_ascii=False),
                "rsitr": own.dump(),
            }
        )
    return WrittenTiles(n_tiles, n_without, path.stat().st_size)


def write_embedding_stac(
    index: IndexFolder,
    folder: Path,
    *,
    address: Callable[[str], str],
    license_id: str = "other",
    progress: Progress = no_progress,
) -> tuple[WrittenTiles, tuple[str, ...]]:
    """Write a STAC collection: an item for each scene, and the file of all embeddings, which is their asset.

    STAC knows no item without a day, so scenes whose day is unknown are no items; their tiles are in the file.

    Args:
        index: an open one.
        folder: to write into; made if it is not there.
        address: of a scene, from its path in the index: a URL that leads to it from anywhere.
        license_id: of the embeddings: an SPDX identifier, or `other`.
        progress: as of `write_tiles`.

    Returns:
        What the file holds, and the scenes that are no items, a line for each.

    Raises:
        StoreError, ConfigError: as of `write_tiles`.
    """
    (folder / ITEMS).mkdir(parents=True, exist_ok=True)
    written = write_tiles(index, folder / EMBEDDINGS, progress=progress)
    scenes, model = index.store.scenes(), index.manifest.model
    write_json(folder / MODEL, {**model.model_dump(mode="json"), "described_by": f"rsitr {__version__}"})
    links, missing = [], []
    names: set[str] = set()
    collection = re.sub(r"[^A-Za-z0-9_.-]+", "-", index.path.resolve().name) or "embeddings"
    for scene in scenes:
        if scene.date is None:
            missing.append(f"{scene.scene} is no STAC item: its day is unknown")
            continue
        name = _item_id(scene.scene, names)
        write_json(folder / ITEMS / f"{name}.json", _item(scene, name, index, collection=collection, address=address))
        links.append(
            {"rel": "item", "href": f"./{ITEMS}/{name}.json", "type": "application/geo+json", "title": scene.scene}
        )
    about = _collection(scenes, index, name=collection, links=links, license_id=license_id)
    write_json(folder / "collection.json", about)
    return written, tuple(missing)


def _leaves(schema: Any) -> list[str]:
    """The columns of a Parquet file, whose names go down into what is nested."""
    import pyarrow as pa

    def walk(field: Any, path: str) -> Iterator[str]:
        if pa.types.is_struct(field.type):
            for inner in field.type:
                yield from walk(inner, f"{path}.{inner.name}")
        elif pa.types.is_nested(field.type):
            yield f"{path}.list.element"
        else:
            yield path

    return [leaf for field in schema for leaf in walk(field, field.name)]


def _about_geometry(scenes: list[SceneEntry], kinds: set[str]) -> dict[str, Any]:
    box = enclosing_bbox(scene.bbox for scene in scenes if scene.bbox is not None)
    column = {
        "encoding": "WKB",
        "geometry_types": sorted(kinds),
        "orientation": "counterclockwise",
        "covering": {"bbox": {side: ["bbox", side] for side in ("xmin", "ymin", "xmax", "ymax")}},
        # As GeoJSON's: west > east where the tiles lie on both sides of the antimeridian.
        **({"bbox": list(box)} if box is not None else {}),
    }
    return {"version": "1.1.0", "primary_column": "geometry", "columns": {"geometry": column}}


def _about_embeddings(scenes: list[SceneEntry], model: ModelRecord) -> dict[str, Any]:
    """As Earth Index's files have it under `emb`; who provides the file is not known here, and left out."""
    days = sorted(scene.date for scene in scenes if scene.date is not None)
    return {
        "version": "0.0.1",
        "model": {"id": model.name, "name": model.name, "version": model.fingerprint, "source": model.name},
        "embedding_dim": model.dim,
        "embedding_quantization": "None",
        **({"start_datetime": instant(days[0]), "end_datetime": instant(days[-1])} if days else {}),
    }


def _item(
    scene: SceneEntry, name: str, index: IndexFolder, *, collection: str, address: Callable[[str], str]
) -> dict[str, Any]:
    if scene.date is None:
        raise ValueError("an item has a day")
    settings = index.manifest.settings.model_dump(mode="json", exclude_none=True)
    media = media_type(scene.scene, has_place=scene.footprint is not None)
    has_file = min(scene.size_px) > 0
    source = {
        "rel": "emb:source-data",
        "href": address(scene.scene),
        **({"type": media} if media else {}),
        "title": scene.scene,
    }
    return {
        "type": "Feature",
        "stac_version": STAC_VERSION,
        "stac_extensions": [EXTENSION],
        "id": name,
        "collection": collection,
        **({"bbox": list(scene.bbox)} if scene.bbox is not None else {}),
        "geometry": ring_geometry(scene.footprint),
        "properties": {
            "datetime": instant(scene.date),
            "title": scene.scene,
            **({"gsd": scene.gsd_m} if scene.gsd_m is not None else {}),
            "emb:runtime_parameters": settings,
            "rsitr:scene": scene.scene,
            "rsitr:sensor": scene.sensor,
            "rsitr:n_tiles": scene.n_tiles,
        },
        "links": [
            {"rel": "root", "href": "../collection.json", "type": "application/json"},
            {"rel": "parent", "href": "../collection.json", "type": "application/json"},
            {"rel": "collection", "href": "../collection.json", "type": "application/json"},
            *([source] if has_file else []),
        ],
        "assets": {"embeddings": {"href": f"../{EMBEDDINGS}", **_asset(scene.scene)}},
    }


def _collection(
    scenes: list[SceneEntry], index: IndexFolder, *, name: str, links: list[dict[str, str]], license_id: str
) -> dict[str, Any]:
    model = index.manifest.model
    days = sorted(scene.date for scene in scenes if scene.date is not None)
    box = enclosing_bbox(scene.bbox for scene in scenes if scene.bbox is not None)
    world: BBox = (-180.0, -90.0, 180.0, 90.0)
    sizes = sorted(scene.gsd_m for scene in scenes if scene.gsd_m is not None)
    return {
        "type": "Collection",
        "stac_version": STAC_VERSION,
        "stac_extensions": [EXTENSION],
        "id": name,
        "title": f"Embeddings of {index.path.resolve().name} by {model.name}",
        "description": f"{model.dim} numbers for each of {len(index.store):,} tiles of {len(scenes):,} scenes, made by "
        f"{model.name} (fingerprint {model.fingerprint[:12]}).",
        "license": license_id,
        "extent": {
            "spatial": {"bbox": [list(box or world)]},
            "temporal": {"interval": [_interval(days)]},
        },
        "emb:type": "chip",
        "emb:dimensions": model.dim,
        "data_type": "float32",
        **({"gsd": sizes[0]} if sizes and sizes[0] == sizes[-1] else {}),
        "emb:temporal_resolution": "single_acquisition",
        "emb:fit_for_use": ["retrieval", "similarity_search"],
        "rsitr:model": model.name,
        "rsitr:model_fingerprint": model.fingerprint,
        "links": [
            {"rel": "root", "href": "./collection.json", "type": "application/json"},
            {"rel": "emb:model", "href": f"./{MODEL}", "type": "application/json", "title": model.name},
            {"rel": "emb:source-data", "href": index.root.resolve().as_uri(), "title": "the folder of the scenes"},
            *links,
        ],
        "assets": {"embeddings": {"href": f"./{EMBEDDINGS}", **_asset("all scenes")}},
        "item_assets": {"embeddings": _asset("a scene and all others")},
        "summaries": {"emb:type": ["chip"], "emb:dimensions": [model.dim], "data_type": ["float32"]},
    }


def _asset(of: str) -> dict[str, Any]:
    return {
        "type": PARQUET,
        "title": f"Embeddings of {of}: rows whose column `scene` names it",
        "roles": ["data"],
    }


def _interval(days: list[datetime.date]) -> list[str | None]:
    return [instant(days[0]), instant(days[-1])] if days else [None, None]


def _item_id(scene: str, taken: set[str]) -> str:
    """A scene's name as a file's, of which each is another whatever the case of its letters."""
    plain = re.sub(r"[^A-Za-z0-9_.-]+", "-", scene).strip(".-")[:150] or "scene"
    name, number = plain, 1
    while name.casefold() in taken:
        number += 1
        name = f"{plain}-{number}"
    taken.add(name.casefold())
    return name
