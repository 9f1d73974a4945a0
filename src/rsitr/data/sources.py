"""From what a person types, `rsicd:FOLDER`, `csv:FILE` or `shards:FILES`, to a caption data set."""

from __future__ import annotations

import dataclasses
from collections.abc import Callable
from pathlib import Path

from rsitr.data.annotations import Source, build_dataset, read_annotations
from rsitr.data.catalogue import CATALOGUE, CaptionSet
from rsitr.data.folders import ImageFiles, find_images
from rsitr.data.karpathy import read_karpathy
from rsitr.data.nwpu import read_nwpu
from rsitr.data.records import CaptionDataset
from rsitr.data.shards import unpack_shards
from rsitr.data.table import read_table
from rsitr.errors import DataError
from rsitr.registry import Registry

__all__ = ["DATASETS", "load_dataset", "read_source"]

DATASETS: Registry[Callable[[Path], CaptionDataset]] = Registry("data set", group="datasets", error=DataError)
"""Data sets of one's own: what gives `NAME:FOLDER` from the folder. Those of the catalogue are known without."""

_READERS = {"karpathy": read_karpathy, "nwpu": read_nwpu}
_USAGE = f"give NAME:FOLDER, NAME one of {', '.join(CATALOGUE)}, or csv:FILE, or shards:FILES"


def load_dataset(spec: str) -> CaptionDataset:
    """Load a caption data set.

    Blank captions are left out. A missing picture is no error here (`require_images` makes it one): text statistics
    need none.

    Args:
        spec: `NAME:FOLDER`, NAME one of rsicd, ucm, sydney, rsitmd, nwpu, and FOLDER holding the official annotation
            JSON beside the image folder (or the JSON itself, where a folder has several); or `csv:FILE`; or
            `shards:train-{000..099}.tar`; or the name of one's own that is registered in `DATASETS`.

    Raises:
        DataError: unknown name, missing folder or file, unreadable or malformed annotations, a picture in two splits.
    """
    name, _, place = spec.partition(":")
    if place and name.strip() in DATASETS:
        return DATASETS[name.strip()](Path(place.strip()).expanduser())
    return build_dataset(read_source(spec))


def read_source(spec: str) -> Source:
    """As `load_dataset`, but everything as the file has it, faults included.

    Raises:
        DataError: unknown name, missing folder or file, unreadable or malformed annotations.
    """
    name, colon, place = spec.partition(":")
    name = name.strip().lower()
    if not colon or not place.strip():
        raise DataError(f"{spec!r} does not name a data set: {_USAGE}")
    path = Path(place.strip()).expanduser()
    if name == "csv":
        return _read_csv(path)
    if name == "shards":
        return dataclasses.replace(_read_csv(unpack_shards(place.strip())), name="shards")
    if name not in CATALOGUE:
        raise DataError(f"unknown data set {name!r} in {spec!r}: {_USAGE}")
    return _read_folder(CATALOGUE[name], path)


def _read_csv(path: Path) -> Source:
    if not path.is_file():
        raise DataError(f"there is no file {path}: csv:FILE takes a table with the columns filename and title")
    path = path.resolve()
    file = read_annotations(path)
    # A table names its files in full, so none is searched for: they are where it says.
    return Source(
        name=path.stem, known=None, file=file, annotations=read_table(file), images=ImageFiles(path.parent, ())
    )


def _read_folder(known: CaptionSet, path: Path) -> Source:
    path = path.resolve()
    if not path.exists():
        raise DataError(f"there is no folder {path}: give the folder that holds {known.files[0]} and the images")
    folder = path if path.is_dir() else path.parent
    try:
        content = read_annotations(_find_json(known, folder) if path.is_dir() else path)
        annotations = _READERS[known.format](content)
        images = find_images(folder, (entry.filename for entry in annotations))
    except OSError as error:
        raise DataError(f"cannot look into {error.filename or folder}: {error.strerror or error}") from error
    return Source(name=known.name, known=known, file=content, annotations=annotations, images=images)


def _find_json(known: CaptionSet, folder: Path) -> Path:
    found = sorted(path for path in folder.iterdir() if path.suffix.lower() == ".json" and path.is_file())
    if len(found) == 1:
        return found[0]
    by_name = {path.name.lower(): path for path in found}
    for name in known.files:
        if name.lower() in by_name:
            return by_name[name.lower()]
    if not found:
        raise DataError(f"{folder} has no annotation file ({known.files[0]}): put it there, beside the image folder")
    raise DataError(
        f"{folder} has {len(found)} JSON files and none is called {' or '.join(known.files)}: "
        f"name the file itself, {known.name}:{found[0]}"
    )
