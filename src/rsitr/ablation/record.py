"""The result of one run of an ablation, kept as one JSON file."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from rsitr.ablation.grid import Measure, Training
from rsitr.errors import ConfigError
from rsitr.files import write_json

__all__ = ["RECORD_FOLDER", "RunRecord", "read_record", "write_record"]

FORMAT = 1
RECORD_FOLDER = "runs"
Results = Mapping[str, Mapping[str, Any]]
"""By data set what the JSON of `rsitr evaluate` says of it."""


@dataclass(frozen=True, kw_only=True)
class RunRecord:
    """What a finished run has shown.

    Attributes:
        key: of the run.
        seconds: of training and validation.
        data_sha256: of each set's annotation file.
        measured: results by measure.
        provenance: command, version, commit.
    """

    key: str
    seconds: float
    data_sha256: Mapping[str, str]
    measured: Mapping[Measure, Results]
    provenance: Mapping[str, str]


def write_record(record: RunRecord, *, training: Training, into: Path) -> None:
    """Write `runs/KEY.json`: it appears whole or not at all."""
    content = {
        "format": FORMAT,
        "key": record.key,
        "changes": dict(training.changes),
        "seconds": record.seconds,
        "data_sha256": dict(record.data_sha256),
        "measured": [
            {"measure": measure.model_dump(), "sets": results} for measure, results in record.measured.items()
        ],
        "config": training.config.model_dump(),
        **record.provenance,
    }
    path = _path(into, record.key)
    path.parent.mkdir(parents=True, exist_ok=True)
    write_json(path, content)


def read_record(into: Path, *, key: str) -> RunRecord | None:
    """The record of a run, or None where there is none that can be used: then it is made again."""
    try:
        raw = json.loads(_path(into, key).read_text(encoding="utf-8"))
        if raw["format"] != FORMAT:
            return None
        return RunRecord(
            key=raw["key"],
            seconds=raw["seconds"],
            data_sha256=raw["data_sha256"],
            measured={Measure(**entry["measure"]): entry["sets"] for entry in raw["measured"]},
            provenance={name: raw[name] for name in ("command", "version", "commit")},
        )
    except (OSError, ValueError, KeyError, TypeError, ConfigError):
        return None


def _path(into: Path, key: str) -> Path:
    return into / RECORD_FOLDER / f"{key}.json"
