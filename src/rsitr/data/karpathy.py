"""Karpathy's caption JSON, as RSICD, UCM-Captions, Sydney-Captions and RSITMD are distributed.

    {"images": [{"filename": "00001.jpg", "split": "train", "sentences": [{"raw": "two planes ."}, ...]}, ...]}

A key `class` states the class of the picture, where there is one. RSITMD has no official validation split: its flag
`jgdn_val` marks the training images that serve as one, and they are taken out of `train` here.
"""

from __future__ import annotations

from rsitr.data.annotations import Annotation, AnnotationFile, parse_json
from rsitr.data.records import canonical_split
from rsitr.errors import DataError

__all__ = ["read_karpathy"]


def read_karpathy(file: AnnotationFile) -> tuple[Annotation, ...]:
    """Every entry of the file, in its order.

    Raises:
        DataError: it is not JSON, or not of this structure; the message says which entry.
    """
    parsed = parse_json(file)
    images = parsed.get("images") if isinstance(parsed, dict) else None
    if not isinstance(images, list):
        raise DataError(
            f'{file.path} is not a Karpathy caption file (no "images" list): is it the right file? '
            "NWPU-Captions has its own format, `nwpu:FOLDER`; a table is `csv:FILE`"
        )
    return tuple(_read_entry(file, entry, number=number) for number, entry in enumerate(images))


def _read_entry(file: AnnotationFile, entry: object, *, number: int) -> Annotation:
    where = f"images[{number}]"
    if not isinstance(entry, dict):
        raise DataError(f"{file.path}, {where}: an object with filename, split and sentences is expected")
    for key, kind in (("filename", str), ("split", str), ("sentences", list)):
        if not isinstance(entry.get(key), kind) or (kind is str and not entry[key].strip()):
            raise DataError(f"{file.path}, {where}: {key!r} is missing or not a {kind.__name__}: correct the file")
    split = canonical_split(entry["split"])
    if split == "train" and entry.get("jgdn_val") is True:
        split = "val"
    return Annotation(
        filename=entry["filename"].strip().replace("\\", "/"),
        split=split,
        sentences=tuple(_read_sentence(sentence) for sentence in entry["sentences"]),
        where=where,
        label=entry["class"] if isinstance(entry.get("class"), str) else None,
    )


def _read_sentence(sentence: object) -> str | None:
    raw = sentence.get("raw") if isinstance(sentence, dict) else sentence
    return raw if isinstance(raw, str) else None
