"""The pairs that each epoch dropped, for a person to read: it is also a data-cleaning report (METHODS 1.7).

Each epoch writes a table, and draws the page over all tables so far anew. There is no other memory than the tables, so
an interrupted run leaves the same report as one that was not.
"""

from __future__ import annotations

import csv
import re
from collections import defaultdict
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Protocol

import jinja2
import numpy as np
from PIL import Image

from rsitr.data import CaptionedImage
from rsitr.errors import DataError
from rsitr.pages import picture_uri
from rsitr.training.bank import SimilarityBank
from rsitr.training.rows import RowTable, read_picture

__all__ = ["ELIMINATED_FOLDER", "PAGE_FILE", "Eliminating", "write_eliminated"]

ELIMINATED_FOLDER, PAGE_FILE = "eliminated", "index.html"
COLUMNS = ("image", "path", "caption", "similarity", "threshold", "times")

PICTURE_PX, JPEG_QUALITY = 200, 75
MOST_PICTURES = 300
"""On the page. A picture takes some 12 kB, so the page stays near 4 MB for each similarity, however much is dropped."""


@dataclass(frozen=True, slots=True)
class _Dropped:
    """A pair in one epoch's table; numbers as they are written there."""

    epoch: int
    image_id: str
    caption: str
    similarity: str
    threshold: str


class Eliminating(Protocol):
    """A recipe that drops pairs by their similarity."""

    table: RowTable
    global_bank: SimilarityBank
    local_bank: SimilarityBank
    global_threshold: float | None
    local_threshold: float | None


def write_eliminated(recipe: Eliminating, *, epoch: int, folder: Path) -> list[Path]:
    """Write `epoch-NN.csv`, least similar first, and draw `index.html` over this epoch and those before it.

    The columns are image, path, caption, similarity, threshold, and times: in how many epochs the pair was dropped,
    this one included. The split scheme drops by local similarity, too; those pairs are in `epoch-NN-local.csv`. Both
    list every pair that did not exceed the threshold, the one that stayed because its whole batch would have gone
    included.

    Args:
        recipe: after the epoch, before its thresholds move on.
        epoch: counted from 0; the files count from 1.
        folder: for the reports.

    Returns:
        The files: none when this epoch dropped nothing.
    """
    written, sections = [], []
    for name, suffix, bank, threshold in (
        ("global", "", recipe.global_bank, recipe.global_threshold),
        ("local", "-local", recipe.local_bank, recipe.local_threshold),
    ):
        if threshold is None:
            continue
        before = _read_tables(folder, suffix=suffix, before=epoch + 1)
        now = _list(recipe.table, bank=bank, threshold=threshold, epoch=epoch + 1)
        path = folder / f"epoch-{epoch + 1:02d}{suffix}.csv"
        _write_table(path, now, table=recipe.table, times=_count([*before, *now]))
        sections.append(_section(recipe.table, [*before, *now], name=name))
        written.append(path)
    if sections:
        _write_page(folder / PAGE_FILE, sections=sections, epoch=epoch + 1, n_rows=len(recipe.table))
        written.append(folder / PAGE_FILE)
    return written


def _list(table: RowTable, *, bank: SimilarityBank, threshold: float, epoch: int) -> list[_Dropped]:
    return [
        _Dropped(
            epoch=epoch,
            image_id=table.images[table.row_image[row]].image_id,
            caption=table.captions[table.row_caption[row]],
            similarity=f"{bank.values[row]:.4f}",
            threshold=f"{threshold:.4f}",
        )
        for row in bank.below(threshold).tolist()
    ]


def _count(entries: Iterable[_Dropped]) -> dict[tuple[str, str], list[int]]:
    """The epochs that dropped each pair, ascending. An image may have a caption twice; that is one pair."""
    epochs: defaultdict[tuple[str, str], set[int]] = defaultdict(set)
    for entry in entries:
        epochs[entry.image_id, entry.caption].add(entry.epoch)
    return {pair: sorted(found) for pair, found in epochs.items()}


def _read_tables(folder: Path, *, suffix: str, before: int) -> list[_Dropped]:
    """What the tables of earlier epochs hold; a line that a person has spoilt is passed over."""
    entries = []
    for path in sorted(folder.glob("epoch-*.csv")):
        match = re.fullmatch(rf"epoch-(\d+){suffix}\.csv", path.name)
        if match is None or int(match[1]) >= before:
            continue
        with path.open(newline="", encoding="utf-8", errors="replace") as file:
            entries += [
                _Dropped(int(match[1]), row["image"], row["caption"], row["similarity"], row["threshold"])
                for row in csv.DictReader(file)
                if all(isinstance(row.get(column), str) for column in COLUMNS)
                and re.fullmatch(r"-?\d+\.\d+", row["similarity"])
            ]
    return entries


def _write_table(
    path: Path, entries: list[_Dropped], *, table: RowTable, times: dict[tuple[str, str], list[int]]
) -> None:
    paths = {image.image_id: image.path for image in table.images}
    path.parent.mkdir(parents=True, exist_ok=True)
    part = path.with_suffix(".part")
    with part.open("w", newline="", encoding="utf-8") as file:
        writer = csv.writer(file)
        writer.writerow(COLUMNS)
        for entry in entries:
            count = len(times[entry.image_id, entry.caption])
            writer.writerow(
                [entry.image_id, paths[entry.image_id], entry.caption, entry.similarity, entry.threshold, count]
            )
    part.replace(path)


def _section(table: RowTable, entries: list[_Dropped], *, name: str) -> dict[str, Any]:
    """Pictures with their dropped captions: those dropped most often first, then the least similar."""
    times = _count(entries)
    latest = {(entry.image_id, entry.caption): entry for entry in entries}
    by_image: defaultdict[str, list[_Dropped]] = defaultdict(list)
    for entry in sorted(latest.values(), key=lambda entry: (-len(times[_pair(entry)]), float(entry.similarity))):
        by_image[entry.image_id].append(entry)
    spread = _spread(table)
    images = {image.image_id: image for image in table.images if image.image_id in by_image}
    shown = [(images[image_id], dropped) for image_id, dropped in by_image.items() if image_id in images]
    return {
        "name": name,
        "epochs": sorted({entry.epoch for entry in entries}),
        "n_pairs": len(latest),
        "n_pictures": len(shown),
        "n_shown": len(shown[:MOST_PICTURES]),
        "cards": [_card(image, dropped, times=times, spread=spread) for image, dropped in shown[:MOST_PICTURES]],
    }


def _pair(entry: _Dropped) -> tuple[str, str]:
    return entry.image_id, entry.caption


def _spread(table: RowTable) -> dict[str, int]:
    """How many training pictures each caption was written for, word by word."""
    pairs = np.unique(np.stack([table.row_caption, table.row_image]), axis=1)
    return dict(zip(table.captions, np.bincount(pairs[0], minlength=len(table.captions)).tolist(), strict=True))


def _card(
    image: CaptionedImage, dropped: list[_Dropped], *, times: dict[tuple[str, str], list[int]], spread: dict[str, int]
) -> dict[str, Any]:
    try:
        pixels = Image.fromarray(read_picture(image).permute(1, 2, 0).contiguous().numpy())
        picture = picture_uri(pixels, side_px=PICTURE_PX, quality=JPEG_QUALITY)
    except DataError:  # a training on cached features does without the files: no reason for it to end
        picture = None
    gone = {entry.caption for entry in dropped}
    return {
        "picture": picture,
        "name": image.image_id,
        "label": image.label,
        "dropped": [
            {
                "caption": entry.caption,
                "similarity": entry.similarity,
                "threshold": entry.threshold,
                "epochs": times[_pair(entry)],
                "elsewhere": spread.get(entry.caption, 1) - 1,
            }
            for entry in dropped
        ],
        "kept": [caption for caption in dict.fromkeys(image.captions) if caption not in gone],
    }


def _write_page(path: Path, *, sections: list[dict[str, Any]], epoch: int, n_rows: int) -> None:
    environment = jinja2.Environment(
        loader=jinja2.PackageLoader("rsitr.training"), autoescape=True, trim_blocks=True, lstrip_blocks=True
    )
    page = environment.get_template("eliminated.html.jinja").render(sections=sections, epoch=epoch, n_rows=n_rows)
    part = path.with_name(f".{path.name}.part")
    part.write_text(page, encoding="utf-8")
    part.replace(path)
