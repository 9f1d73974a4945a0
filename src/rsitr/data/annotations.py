"""What an annotation file says, faults included, before it becomes a `CaptionDataset`.

Loading forgives what can be forgiven (a blank sentence, a file name twice in one split); `rsitr.data.check` reports it.
Both start from the records here.
"""

from __future__ import annotations

import hashlib
import json
from dataclasses import dataclass, field
from pathlib import Path

from rsitr.data.catalogue import CaptionSet
from rsitr.data.folders import ImageFiles
from rsitr.data.labels import find_label
from rsitr.data.records import CaptionDataset, CaptionedImage
from rsitr.errors import DataError

__all__ = ["Annotation", "AnnotationFile", "Source", "build_dataset", "clean_caption", "parse_json", "read_annotations"]


@dataclass(frozen=True, slots=True)
class Annotation:
    """One entry of an annotation file.

    Attributes:
        filename: the picture's name as written, relative to the image folder, with forward slashes.
        split: canonical spelling.
        sentences: as written; None where the file has something else than a text.
        where: the entry's place in the file, for messages.
        label: class of the picture as written, where the file states one.
    """

    filename: str
    split: str
    sentences: tuple[str | None, ...]
    where: str
    label: str | None = None

    @property
    def captions(self) -> tuple[str, ...]:
        """The sentences that are of use: texts, not blank, white space collapsed."""
        return tuple(caption for sentence in self.sentences if sentence and (caption := clean_caption(sentence)))


@dataclass(frozen=True, slots=True)
class AnnotationFile:
    """The bytes of an annotation file and their digest: read once, so that both belong together."""

    path: Path
    content: bytes = field(repr=False)

    @property
    def sha256(self) -> str:
        """Hex digest of the bytes."""
        return hashlib.sha256(self.content).hexdigest()

    def decode(self) -> str:
        """The text.

        Raises:
            DataError: it is not UTF-8.
        """
        try:
            return self.content.decode("utf-8-sig")
        except UnicodeDecodeError as error:
            raise DataError(f"{self.path} is not UTF-8 text (byte {error.start:,}): save it as UTF-8") from error


@dataclass(frozen=True, slots=True)
class Source:
    """A data set on disk: its annotations as they are, and its pictures.

    Attributes:
        name: of the data set, the first part of an image_id.
        known: the published data set that it is, or None for a table.
        file: the annotation file.
        annotations: its entries.
        images: the pictures to be had.
    """

    name: str
    known: CaptionSet | None
    file: AnnotationFile
    annotations: tuple[Annotation, ...]
    images: ImageFiles


def read_annotations(path: Path) -> AnnotationFile:
    """Read an annotation file.

    Raises:
        DataError: it cannot be read.
    """
    try:
        return AnnotationFile(path=path, content=path.read_bytes())
    except OSError as error:
        raise DataError(f"cannot read {path}: {error.strerror or error}") from error


def parse_json(file: AnnotationFile) -> object:
    """Parse a JSON annotation file.

    Raises:
        DataError: it is not JSON.
    """
    try:
        parsed: object = json.loads(file.decode())
    except json.JSONDecodeError as error:
        raise DataError(
            f"{file.path} is not valid JSON (line {error.lineno}, column {error.colno}: {error.msg}): "
            "download or copy it again"
        ) from error
    except RecursionError as error:
        raise DataError(f"{file.path} is nested too deeply to be a caption file: download or copy it again") from error
    return parsed


def clean_caption(sentence: str) -> str:
    """Collapse white space: captions that differ in blanks alone are the same caption.

    >>> clean_caption("  two  planes .")
    'two planes .'
    """
    return " ".join(sentence.split())


def build_dataset(source: Source) -> CaptionDataset:
    """Drop blank sentences and pictures without any caption, and join the entries of one picture.

    Raises:
        DataError: nothing is left, or one picture is in two splits (training on it would spoil the measurement).
    """
    captions: dict[str, list[str]] = {}
    first: dict[str, Annotation] = {}
    for entry in source.annotations:
        if not entry.captions:
            continue
        other = first.setdefault(entry.filename, entry)
        if other.split != entry.split:
            raise DataError(
                f"{source.file.path}: {entry.filename} is in two splits, {other.split} ({other.where}) and "
                f"{entry.split} ({entry.where}): remove one of them (`rsitr data check` lists all such files)"
            )
        captions.setdefault(entry.filename, []).extend(entry.captions)
    if not captions:
        raise DataError(f"{source.file.path} has no picture with a caption: is it the right file?")
    images = tuple(
        CaptionedImage(
            image_id=f"{source.name}/{filename}",
            path=source.images.locate(filename),
            captions=tuple(texts),
            split=first[filename].split,
            label=find_label(
                filename,
                stated=first[filename].label,
                known=None if source.known is None else source.known.name,
            ),
        )
        for filename, texts in captions.items()
    )
    return CaptionDataset(name=source.name, images=images, sha256=source.file.sha256)
