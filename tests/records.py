"""What commands print with `--json`, held against the records that the reference is made of."""

from __future__ import annotations

import dataclasses
import json
import typing
from typing import Any

from pydantic import ConfigDict, TypeAdapter, with_config

from rsitr.cli.results import RESULTS

__all__ = ["OPEN", "check"]

OPEN = {"evaluate", "evaluate-embeddings", "tune", "data leakage"}
"""Commands whose reports hold further keys, as their records say."""


def check(name: str, text: str) -> dict[str, Any]:
    """What was printed is one object, of its command's record: no key is missing, none is unknown, kinds agree."""
    found = json.loads(text)
    record = RESULTS[name]
    strict = with_config(ConfigDict(extra="ignore" if name in OPEN else "forbid", strict=True))(record)
    TypeAdapter(strict).validate_json(text)
    hints = typing.get_type_hints(record)
    optional = {field.name for field in dataclasses.fields(record) if field.default is not dataclasses.MISSING}
    assert set(hints) - optional <= set(found)
    assert isinstance(found, dict)
    return found
