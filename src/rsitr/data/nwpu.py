"""NWPU-Captions' own JSON (`dataset_nwpu.json`): entries by class, five sentences in five keys.

    {"airplane": [{"filename": "airplane_001.jpg", "split": "train", "raw": "...", "raw_1": "...", ..., "raw_4": "..."},
                  ...], ...}

The pictures lie in `NWPU_images/<class>/<filename>`, as in NWPU-RESISC45; one flat folder works too.
"""

from __future__ import annotations

from rsitr.data.annotations import Annotation, AnnotationFile, parse_json
from rsitr.data.records import canonical_split
from rsitr.errors import DataError

__all__ = ["read_nwpu"]

_SENTENCE_KEYS = ("raw", "raw_1", "raw_2", "raw_3", "raw_4")


def read_nwpu(file: AnnotationFile) -> tuple[Annotation, ...]:
    """Every entry of the file, in its order; the file name carries the class as its folder.

    Raises:
        DataError: it is not JSON, or not of this structure; the message says which entry.
    """
    parsed = parse_json(file)
    if not isinstance(parsed, dict) or not parsed or not all(isinstance(entries, list) for entries in parsed.values()):
        raise DataError(
            f"{file.path} is not NWPU-Captions' caption file (an object of classes, each with a list of images): "
            "is it the right file? A file with an `images` list goes by its own name, such as `rsicd:FOLDER`"
        )
    return tuple(
        _read_entry(file, entry, class_name=class_name, number=number)
        for class_name, entries in parsed.items()
        for number, entry in enumerate(entries)
    )


def _read_entry(file: AnnotationFile, entry: object, *, class_name: str, number: int) -> Annotation:
    where = f"{class_name}[{number}]"
    if not isinstance(entry, dict):
        raise DataError(f"{file.path}, {where}: an object with filename, split and raw ... raw_4 is expected")
    for key in ("filename", "split"):
        if not isinstance(entry.get(key), str) or not entry[key].strip():
            raise DataError(f"{file.path}, {where}: {key!r} is missing or not a text: correct the file")
    if not any(key in entry for key in _SENTENCE_KEYS):
        raise DataError(f"{file.path}, {where}: there is none of {', '.join(_SENTENCE_KEYS)}: is it the right file?")
    filename = entry["filename"].strip().replace("\\", "/")
    sentences = (entry[key] for key in _SENTENCE_KEYS if key in entry)
    return Annotation(
        filename=filename if "/" in filename else f"{class_name}/{filename}",
        split=canonical_split(entry["split"]),
        sentences=tuple(sentence if isinstance(sentence, str) else None for sentence in sentences),
        where=where,
        label=class_name,
    )
