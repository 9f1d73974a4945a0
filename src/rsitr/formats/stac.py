"""Answers as STAC 1.1 items."""

from __future__ import annotations

import datetime
import json
import re
from collections.abc import Callable, Mapping, Sequence
from pathlib import PurePosixPath
from typing import Any
from urllib.parse import urlsplit

from rsitr.formats.answer import Answer
from rsitr.formats.document import PLACE
from rsitr.formats.places import Place, Sighting, outline_box, outline_geometry
from rsitr.formats.records import PlaceRecord, plain

__all__ = ["PARQUET", "STAC_VERSION", "instant", "media_type", "stac_item", "to_stac"]

STAC_VERSION = "1.1.0"
PARQUET = "application/vnd.apache.parquet"
GEOTIFF = "image/tiff; application=geotiff"
MEDIA_TYPES = {
    **dict.fromkeys((".tif", ".tiff", ".gtiff"), "image/tiff"),
    **dict.fromkeys((".jpg", ".jpeg"), "image/jpeg"),
    **dict.fromkeys((".jp2", ".j2k"), "image/jp2"),
    **dict.fromkeys((".ntf", ".nitf"), "application/vnd.nitf"),
    **{".png": "image/png", ".webp": "image/webp", ".bmp": "image/bmp"},
}


def to_stac(answers: Sequence[Answer], *, address: Callable[[str], str]) -> tuple[str, tuple[str, ...]]:
    """A STAC ItemCollection, an item for each place with its scenes as assets, and what had to be left out.

    STAC knows no item without a day, so places that no dated scene shows are left out.

    Args:
        answers: with places.
        address: of a scene, from its path in the index: a URL that leads to it from anywhere.

    Raises:
        ValueError: an answer has hits alone.
    """
    items, left_out = [], []
    for number, answer in enumerate(answers, start=1):
        if answer.places is None:
            raise ValueError("an item is a place: give answers with places")
        prefix = f"{number:04d}-" if len(answers) > 1 else ""
        for place in answer.places:
            if place.dates:
                items.append(_item(place, answer, prefix=prefix, address=address))
            else:
                left_out.append(f"place {place.rank} is no STAC item: the day of {place.best.tile.scene} is unknown")
    text = json.dumps({"type": "FeatureCollection", "features": items}, indent=1, ensure_ascii=False)
    return text + "\n", tuple(left_out)


def stac_item(
    name: str,
    *,
    days: Sequence[datetime.date],
    geometry: Mapping[str, Any] | None,
    bbox: Sequence[float] | None,
    properties: Mapping[str, Any],
    assets: Mapping[str, Any],
    links: Sequence[Mapping[str, Any]] = (),
    collection: str | None = None,
) -> dict[str, Any]:
    """A STAC item.

    Args:
        name: its id.
        days: at least one, in their order: a STAC item has a time.
        geometry: as GeoJSON.
        bbox: around it.
        properties: beside the days.
        assets: by key.
        links: to its collection and others.
        collection: the id of that collection, where it has one.
    """
    first, last = instant(days[0]), instant(days[-1])
    when = {"datetime": first} if first == last else {"datetime": None, "start_datetime": first, "end_datetime": last}
    return {
        "type": "Feature",
        "stac_version": STAC_VERSION,
        "stac_extensions": [],
        "id": name,
        **({"collection": collection} if collection else {}),
        **({"bbox": list(bbox)} if bbox is not None and geometry is not None else {}),
        "geometry": geometry,
        "properties": {**when, **properties},
        "links": list(links),
        "assets": dict(assets),
    }


def _item(place: Place, answer: Answer, *, prefix: str, address: Callable[[str], str]) -> dict[str, Any]:
    names = re.sub(r"[^A-Za-z0-9_.-]+", "-", place.place)
    return stac_item(
        f"{prefix}{place.rank:04d}-{names}",
        days=place.dates,
        geometry=outline_geometry(place.outline),
        bbox=outline_box(place.outline),
        properties={
            "title": answer.query.described,
            "rsitr:model": answer.model,
            "rsitr:state": answer.state,
            **{f"rsitr:{name}": value for name, value in plain(PlaceRecord.of(place), PLACE).items()},
        },
        assets={
            sighting.scene: {
                "href": address(sighting.scene),
                **_media(sighting),
                "title": f"{sighting.scene}, {sighting.date.isoformat() if sighting.date else 'day unknown'}",
                "roles": ["data"],
            }
            for sighting in place.sightings
        },
    )


def _media(sighting: Sighting) -> dict[str, str]:
    found = media_type(sighting.scene, has_place=sighting.outline is not None)
    return {} if found is None else {"type": found}


def media_type(scene: str, *, has_place: bool) -> str | None:
    """Of a scene's file, by the ending of its name; None where that says nothing."""
    found = MEDIA_TYPES.get(PurePosixPath(urlsplit(scene).path).suffix.lower())
    return GEOTIFF if found == "image/tiff" and has_place else found


def instant(day: datetime.date) -> str:
    """The beginning of a day, as STAC writes it."""
    return f"{day.isoformat()}T00:00:00Z"
