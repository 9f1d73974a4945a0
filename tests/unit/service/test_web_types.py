"""The types of the page (web/src/types.ts) are those of the service: each field, its kind, whether it may be null."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any

import pytest

from fakes import ColourEncoder
from rsitr.search import Index
from rsitr.service import ServiceSettings, create_app

TYPES = Path(__file__).resolve().parents[3] / "web" / "src" / "types.ts"
SCHEMAS = {
    "Health": "HealthReply",
    "IndexInfo": "IndexReply",
    "Scene": "SceneReply",
    "Tile": "TileReply",
    "Hit": "HitReply",
    "Sighting": "SightingReply",
    "Place": "PlaceReply",
    "SearchBody": "SearchBody",
    "SearchResult": "SearchReply",
    "UnknownWord": "UnknownWordReply",
    "Detector": "DetectorReply",
    "DetectorWithMarks": "DetectorWithMarksReply",
    "SavedSearch": "SavedReply",
    "SavedSearches": "SavedSearchesReply",
    "Finds": "FindsReply",
    "Compared": "ComparedReply",
    "Sight": "ViewReply",
    "GivenArea": "AreaReply",
    "Review": "ReviewReply",
    "Cell": "CellReply",
    "Heat": "HeatReply",
    "Brushed": "BrushedReply",
}
GEOJSON = {"Polygon", "MultiPolygon"}  # of RFC 7946, not ours
KINDS = {"string": "string", "number": "number", "integer": "number", "boolean": "boolean", "array": "list"}


@pytest.fixture(scope="module")
def schemas(archive: Path, encoder: ColourEncoder) -> dict[str, Any]:
    app = create_app(ServiceSettings(index=archive), index=Index.open(archive, encoder=encoder))
    return app.openapi()["components"]["schemas"]


def read_interfaces() -> dict[str, dict[str, str]]:
    """Fields of each interface with their types as they are written, inherited ones included."""
    text = TYPES.read_text(encoding="utf-8")
    found: dict[str, dict[str, str]] = {}
    for name, parent, body in re.findall(r"export interface (\w+)(?: extends (\w+))? \{\n(.*?)\n\}", text, re.DOTALL):
        fields = dict(re.findall(r"^  (\w+)\??: (.+);$", body, re.MULTILINE))
        found[name] = {**found.get(parent, {}), **fields}
    return {name: fields for name, fields in found.items() if name not in GEOJSON}


def kind_in_page(written: str) -> str:
    """Of a field's type without its null."""
    if written.endswith("[]") or written.startswith("[") or written in {"BBox", "Position"}:
        return "list"
    if written.startswith('"'):
        return "string"
    return written if written in {"string", "number", "boolean"} else "object"


def resolve(schema: dict[str, Any]) -> tuple[str, bool]:
    """The kind of a field in the API, and whether it may be null."""
    options = schema.get("anyOf", [schema])
    kinds = [option for option in options if option.get("type") != "null"]
    (first,) = kinds
    return KINDS.get(first.get("type", "object"), "object"), len(kinds) < len(options)


def test_every_interface_is_one_of_the_api() -> None:
    assert set(read_interfaces()) == set(SCHEMAS)


@pytest.mark.parametrize("name", SCHEMAS)
def test_the_page_and_the_service_spell_the_same_fields(name: str, schemas: dict[str, Any]) -> None:
    told = schemas[SCHEMAS[name]]["properties"]
    fields = read_interfaces()[name]
    assert fields
    assert not set(fields) - set(told), "the page reads what the service does not send"
    for field, written in fields.items():
        kind, nullable = resolve(told[field])
        assert kind_in_page(written.removesuffix(" | null")) == kind, field
        if not (name == "Health" and field == "model"):  # a page may be newer than the service that it asks
            assert written.endswith(" | null") == nullable, field
