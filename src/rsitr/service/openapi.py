"""The part of the OpenAPI description that is of one view, in version 3.0, which GIS programs read; ours is 3.1."""

from __future__ import annotations

import json
import re
from collections.abc import Mapping
from typing import Any

__all__ = ["describe_view"]

REFERENCE = re.compile(r'"#/components/schemas/([^"]+)"')


def describe_view(whole: Mapping[str, Any], *, view: str) -> dict[str, Any]:
    """The description of the paths that begin with `view`, and of what they refer to.

    Args:
        whole: the service's own, OpenAPI 3.1.
        view: e.g. `/stac`.
    """
    paths = {path: told for path, told in whole["paths"].items() if path == view or path.startswith(f"{view}/")}
    every = whole["components"]["schemas"]
    wanted: set[str] = set()
    found = set(REFERENCE.findall(json.dumps(paths)))
    while found:
        wanted |= found
        found = set(REFERENCE.findall(json.dumps([every[name] for name in found]))) - wanted
    return {
        "openapi": "3.0.3",
        "info": dict(whole["info"]),
        "paths": _lowered(paths),
        "components": {"schemas": {name: _lowered(every[name]) for name in sorted(wanted)}},
    }


def _lowered(value: Any) -> Any:
    """The same in the words of JSON Schema that OpenAPI 3.0 has."""
    if isinstance(value, list):
        return [_lowered(one) for one in value]
    if not isinstance(value, Mapping):
        return value
    told = {name: _lowered(one) for name, one in value.items()}
    if isinstance(told.get("examples"), list):
        told["example"] = told.pop("examples")[0]
    if "const" in told:
        told["enum"] = [told.pop("const")]
    choices = told.get("anyOf")
    if isinstance(choices, list) and {"type": "null"} in choices:
        rest = [one for one in choices if one != {"type": "null"}]
        del told["anyOf"]
        told = {**told, "nullable": True, **(rest[0] if len(rest) == 1 and "$ref" not in rest[0] else {"anyOf": rest})}
    return told
