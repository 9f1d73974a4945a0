"""A data set's health: counts, repeated captions and what they cost, and everything that would spoil a training.

Nothing is changed. Loading leaves out what it must (blank captions, pictures without any); here it is named.
"""

from __future__ import annotations

import unicodedata
from collections import Counter, defaultdict
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from enum import StrEnum
from pathlib import Path

from rsitr.data.annotations import Annotation, Source, clean_caption
from rsitr.data.catalogue import CaptionSet
from rsitr.data.ceiling import RecallCeiling, recall_ceiling
from rsitr.data.pictures import Picture, inspect_pictures
from rsitr.data.records import sort_splits
from rsitr.data.sources import read_source
from rsitr.types import Progress, no_progress

__all__ = ["CheckReport", "Problem", "ProblemKind", "SplitReport", "check_dataset"]

_CONTEXT_WORDS = 75
"""CLIP's text encoder sees 77 tokens, two of them marks; a word is at least one token."""


class ProblemKind(StrEnum):
    """What can be wrong; the value is what a person reads."""

    MISSING_IMAGE = "missing image"
    UNREADABLE_IMAGE = "unreadable image"
    BLANK_CAPTION = "blank caption"
    MALFORMED_CAPTION = "caption is not a text"
    WORDLESS_CAPTION = "caption without a word"
    GARBLED_CAPTION = "caption with broken characters"
    OVERLONG_CAPTION = "caption longer than the text encoder sees"
    NO_CAPTION = "image without any caption"
    DUPLICATE_NAME = "file name used twice"
    SAME_FILE = "two names, one file"
    SPLIT_OVERLAP = "image in two splits"
    IDENTICAL_ACROSS_SPLITS = "identical files in two splits"

    @property
    def advice(self) -> str:
        """What loading does about it, or what a person should."""
        return _ADVICE[self]


_ADVICE = {
    ProblemKind.MISSING_IMAGE: "training and evaluation refuse to start without it",
    ProblemKind.UNREADABLE_IMAGE: "copy or download a damaged file again, convert one of another kind",
    ProblemKind.BLANK_CAPTION: "left out when the data set is loaded",
    ProblemKind.MALFORMED_CAPTION: "left out when the data set is loaded",
    ProblemKind.WORDLESS_CAPTION: "used as it is; it says nothing about the image",
    ProblemKind.GARBLED_CAPTION: "used as it is; correct the annotation file",
    ProblemKind.OVERLONG_CAPTION: f"cut when it is encoded (more than {_CONTEXT_WORDS} words)",
    ProblemKind.NO_CAPTION: "left out when the data set is loaded",
    ProblemKind.DUPLICATE_NAME: "its captions are joined when the data set is loaded",
    ProblemKind.SAME_FILE: "correct one of the names in the annotation file",
    ProblemKind.SPLIT_OVERLAP: "the data set cannot be loaded until one entry is removed",
    ProblemKind.IDENTICAL_ACROSS_SPLITS: "what is measured on one split leaks from the other",
}


@dataclass(frozen=True, slots=True)
class Problem:
    """One thing that is wrong.

    Attributes:
        kind: what it is.
        subject: the picture's name in the annotation file.
        where: the place in the annotation file, or the file on disk.
        detail: more, where there is more to say.
    """

    kind: ProblemKind
    subject: str
    where: str
    detail: str = ""


@dataclass(frozen=True, slots=True)
class SplitReport:
    """One split in numbers. Captions are those that are loaded: blank ones are not among them.

    Attributes:
        images: entries of the annotation file.
        captions: usable captions.
        captions_per_image: fewest, mean, most.
        distinct_captions: different texts.
        images_repeating: images that have a caption more than once.
        ceiling: the most that recall can be, or None without captions.
    """

    images: int
    captions: int
    captions_per_image: tuple[int, float, int]
    distinct_captions: int
    images_repeating: int
    ceiling: RecallCeiling | None


@dataclass(frozen=True, slots=True)
class CheckReport:
    """Everything that `check_dataset` found.

    Attributes:
        name: of the data set.
        annotation_file: its path.
        sha256: hex digest of the annotation file.
        image_folder: where the pictures are, or were expected.
        splits: by name.
        unofficial_sizes: splits whose number of images is not the published one: here, and officially.
        sizes_px: number of pictures of each (width, height), most frequent first.
        modes: number of pictures of each kind of channels.
        identical_within_split: groups of names whose files are the same bytes; no error, but repeated information.
        problems: what is wrong, by kind, then in the file's order.
    """

    name: str
    annotation_file: Path
    sha256: str
    image_folder: Path
    splits: dict[str, SplitReport]
    unofficial_sizes: dict[str, tuple[int, int]]
    sizes_px: dict[tuple[int, int], int]
    modes: dict[str, int]
    identical_within_split: tuple[tuple[str, ...], ...]
    problems: tuple[Problem, ...]


def check_dataset(spec: str, *, progress: Progress = no_progress) -> CheckReport:
    """Check a data set; every picture is decoded.

    Args:
        spec: as for `rsitr.data.load_dataset`.
        progress: called after each picture.

    Raises:
        DataError: the annotation file cannot be found or understood.
    """
    source = read_source(spec)
    found = {entry.filename: source.images.locate(entry.filename) for entry in source.annotations}
    present = sorted({path for path in found.values() if path.is_file()})
    pictures = {picture.path: picture for picture in inspect_pictures(present, progress=progress)}
    within, across = _identical(source, found=found, pictures=pictures)
    problems = [
        *_picture_problems(source, found=found, pictures=pictures),
        *_caption_problems(source.annotations),
        *_name_problems(source.annotations, found=found),
        *across,
    ]
    kinds = list(ProblemKind)
    counts = Counter(entry.split for entry in source.annotations)
    sizes = Counter(picture.size_px for picture in pictures.values() if picture.size_px)
    return CheckReport(
        name=source.name,
        annotation_file=source.file.path,
        sha256=source.file.sha256,
        image_folder=source.images.root,
        splits={
            name: _report_split([entry for entry in source.annotations if entry.split == name])
            for name in sort_splits(counts)
        },
        unofficial_sizes=_compare_with_official(source.known, counts=counts),
        sizes_px=dict(sizes.most_common()),
        modes=dict(Counter(picture.mode for picture in pictures.values() if picture.mode).most_common()),
        identical_within_split=within,
        problems=tuple(sorted(problems, key=lambda problem: kinds.index(problem.kind))),
    )


def _report_split(entries: list[Annotation]) -> SplitReport:
    captions = [entry.captions for entry in entries]
    counts = [len(texts) for texts in captions]
    with_captions = [texts for texts in captions if texts]
    return SplitReport(
        images=len(entries),
        captions=sum(counts),
        captions_per_image=(min(counts), sum(counts) / len(counts), max(counts)),
        distinct_captions=len({caption for texts in captions for caption in texts}),
        images_repeating=sum(len(set(texts)) < len(texts) for texts in captions),
        ceiling=recall_ceiling(with_captions) if with_captions else None,
    )


def _compare_with_official(known: CaptionSet | None, *, counts: Counter[str]) -> dict[str, tuple[int, int]]:
    if known is None:
        return {}
    official = known.split_sizes
    # A set without an official validation split has it cut from its training split.
    here = counts if "val" in official else counts + Counter({"train": counts["val"]})
    return {name: (here[name], size) for name, size in official.items() if here[name] != size}


def _picture_problems(source: Source, *, found: dict[str, Path], pictures: dict[Path, Picture]) -> Iterator[Problem]:
    for entry in _first_entries(source.annotations):
        path = found[entry.filename]
        picture = pictures.get(path)
        if picture is None:
            yield Problem(ProblemKind.MISSING_IMAGE, entry.filename, str(path))
        elif picture.fault:
            yield Problem(ProblemKind.UNREADABLE_IMAGE, entry.filename, str(path), picture.fault)


def _caption_problems(entries: Iterable[Annotation]) -> Iterator[Problem]:
    for entry in entries:
        if not entry.captions:
            yield Problem(ProblemKind.NO_CAPTION, entry.filename, entry.where)
        for number, sentence in enumerate(entry.sentences):
            if kind := _judge(sentence):
                where = f"{entry.where}, caption {number + 1}"
                yield Problem(kind, entry.filename, where, _quote(sentence) if sentence and sentence.strip() else "")


def _judge(sentence: str | None) -> ProblemKind | None:
    if sentence is None:
        return ProblemKind.MALFORMED_CAPTION
    caption = clean_caption(sentence)
    if not caption:
        return ProblemKind.BLANK_CAPTION
    # U+FFFD stands where a decoder gave up; control, private and unassigned characters have no place in a sentence.
    if any(character == "\N{REPLACEMENT CHARACTER}" or _is_control(character) for character in caption):
        return ProblemKind.GARBLED_CAPTION
    if not any(character.isalpha() for character in caption):
        return ProblemKind.WORDLESS_CAPTION
    if len(caption.split()) > _CONTEXT_WORDS:
        return ProblemKind.OVERLONG_CAPTION
    return None


def _is_control(character: str) -> bool:
    return unicodedata.category(character) in {"Cc", "Cn", "Co", "Cs"}


def _quote(sentence: str) -> str:
    caption = clean_caption(sentence)
    return repr(caption if len(caption) <= 60 else f"{caption[:57]}...")


def _name_problems(entries: tuple[Annotation, ...], *, found: dict[str, Path]) -> Iterator[Problem]:
    first: dict[str, Annotation] = {}
    by_file: dict[Path, Annotation] = {}
    for entry in entries:
        other = first.setdefault(entry.filename, entry)
        if other is not entry:
            if other.split == entry.split:
                yield Problem(ProblemKind.DUPLICATE_NAME, entry.filename, f"{other.where} and {entry.where}")
            else:
                detail = f"{other.split} and {entry.split}"
                yield Problem(ProblemKind.SPLIT_OVERLAP, entry.filename, f"{other.where} and {entry.where}", detail)
            continue
        namesake = by_file.setdefault(found[entry.filename], entry)
        if namesake is not entry:
            detail = f"for {namesake.filename} ({namesake.split}) and {entry.filename} ({entry.split})"
            where = f"{namesake.where} and {entry.where}"
            yield Problem(ProblemKind.SAME_FILE, found[entry.filename].name, where, detail)


def _identical(
    source: Source, *, found: dict[str, Path], pictures: dict[Path, Picture]
) -> tuple[tuple[tuple[str, ...], ...], list[Problem]]:
    """Groups of the same bytes under different names: within one split, and, as problems, across splits."""
    groups: defaultdict[str, dict[Path, Annotation]] = defaultdict(dict)
    for entry in _first_entries(source.annotations):
        picture = pictures.get(found[entry.filename])
        if picture is not None and picture.sha256 and not picture.fault:
            groups[picture.sha256].setdefault(picture.path, entry)
    within: list[tuple[str, ...]] = []
    across: list[Problem] = []
    for group in groups.values():
        entries = list(group.values())
        if len({entry.split for entry in entries}) > 1:
            first, *others = entries
            detail = ", ".join(f"{entry.filename} ({entry.split})" for entry in others)
            where = str(found[first.filename])
            subject = f"{first.filename} ({first.split})"
            across.append(Problem(ProblemKind.IDENTICAL_ACROSS_SPLITS, subject, where, f"same as {detail}"))
        elif len(entries) > 1:
            within.append(tuple(entry.filename for entry in entries))
    return tuple(within), across


def _first_entries(entries: Iterable[Annotation]) -> list[Annotation]:
    return list({entry.filename: entry for entry in reversed(list(entries))}.values())[::-1]
