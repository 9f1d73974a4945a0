"""Top candidates of some queries, right and wrong marked: as pictures for a paper, and as a page."""

from __future__ import annotations

import textwrap
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.patches import Rectangle
from numpy.typing import NDArray

from rsitr.data import CaptionedImage
from rsitr.data.captions import list_texts
from rsitr.errors import ConfigError
from rsitr.evaluation.protocol import EncodedSplit
from rsitr.files import replacing
from rsitr.pages import picture_uri, render_page
from rsitr.pictures import open_picture
from rsitr.types import FloatArray

__all__ = [
    "Candidate",
    "Query",
    "RetrievalSheets",
    "make_sheets",
    "render_sheets",
    "write_image_sheet",
    "write_text_sheet",
]

TOP = 5
PICTURE_PX = 224
_RIGHT, _WRONG = "#1b8a5a", "#d1571f"
_MARKS = {True: "✓", False: "✗"}


@dataclass(frozen=True, slots=True)
class Candidate:
    """What was found: a picture, or a caption.

    Attributes:
        image: that was found, or None for a caption.
        caption: that was found, or None for a picture.
        score: of the pair.
        right: the caption was written for the picture, word by word.
    """

    image: CaptionedImage | None
    caption: str | None
    score: float
    right: bool


@dataclass(frozen=True, slots=True)
class Query:
    """A query with its best candidates, best first.

    Attributes:
        image: the query, or, for a caption, the picture it was written for.
        caption: the query, or None where it is the picture.
        candidates: the best ones.
        rank: of the best right candidate, from 1; ties count in the query's favour.
    """

    image: CaptionedImage
    caption: str | None
    candidates: tuple[Candidate, ...]
    rank: int


@dataclass(frozen=True, slots=True)
class RetrievalSheets:
    """Both directions."""

    text_to_image: tuple[Query, ...]
    image_to_text: tuple[Query, ...]


def make_sheets(
    split: EncodedSplit, images: Sequence[CaptionedImage], *, scores: FloatArray, n_queries: int, seed: int
) -> RetrievalSheets:
    """Draw queries by lot and look up what is found for them.

    Each distinct caption is a candidate once. A picture is right for a caption if the caption was written for it, word
    by word, be it for others as well.

    Args:
        split: the encoded split.
        images: of the split, in its order.
        scores: (n_distinct, n_image), higher is better.
        n_queries: pictures, and one caption of each.
        seed: of the lot.

    Raises:
        ConfigError: there are fewer pictures than queries.
    """
    if not 1 <= n_queries <= len(images):
        raise ConfigError(f"{n_queries} queries cannot be drawn from {len(images):,} pictures; choose fewer")
    rng = np.random.default_rng(seed)
    chosen = np.sort(rng.choice(len(images), size=n_queries, replace=False))
    texts = list_texts([image.captions for image in images], row_text=split.caption_text)
    belongs = np.zeros(scores.shape, dtype=np.bool_)
    belongs[split.caption_text, split.text_image] = True
    by_text, by_image = [], []
    for image in chosen:
        text = int(rng.choice(split.caption_text[split.text_image == image]))
        order = np.argsort(-scores[text], kind="stable")[:TOP]
        by_text.append(
            Query(
                image=images[image],
                caption=texts[text],
                candidates=tuple(
                    Candidate(images[i], None, float(scores[text, i]), bool(belongs[text, i])) for i in order
                ),
                rank=_rank(scores[text], belongs[text]),
            )
        )
        order = np.argsort(-scores[:, image], kind="stable")[:TOP]
        by_image.append(
            Query(
                image=images[image],
                caption=None,
                candidates=tuple(
                    Candidate(None, texts[t], float(scores[t, image]), bool(belongs[t, image])) for t in order
                ),
                rank=_rank(scores[:, image], belongs[:, image]),
            )
        )
    return RetrievalSheets(text_to_image=tuple(by_text), image_to_text=tuple(by_image))


def _rank(scores: FloatArray, right: NDArray[np.bool_]) -> int:
    return 1 + int((scores > scores[right].max()).sum())


def write_image_sheet(queries: Sequence[Query], path: Path, *, title: str) -> None:
    """Draw text-to-image queries into a PNG file: the caption, then its best pictures."""
    figure, top = _sheet(len(queries), title=title)
    grid = figure.add_gridspec(
        len(queries), 1 + TOP, width_ratios=[1.55, *([1] * TOP)], left=0.012, right=0.995, bottom=0.01,
        top=top, wspace=0.05, hspace=0.24,
    )  # fmt: skip
    for row, query in enumerate(queries):
        words = figure.add_subplot(grid[row, 0])
        _write(words, _as_read(query.caption), note=f"right one at rank {query.rank}", width=26)
        for column, candidate in enumerate(query.candidates):
            axes = figure.add_subplot(grid[row, 1 + column])
            if candidate.image is not None:
                _draw_picture(axes, candidate.image, right=candidate.right)
            _label(axes, candidate)
    _save(figure, path)


def write_text_sheet(queries: Sequence[Query], path: Path, *, title: str) -> None:
    """Draw image-to-text queries into a PNG file: the picture, then its best captions."""
    figure, top = _sheet(len(queries), title=title)
    grid = figure.add_gridspec(
        len(queries), 2, width_ratios=[1, 5.4], left=0.012, right=0.995, bottom=0.01,
        top=top, wspace=0.03, hspace=0.12,
    )  # fmt: skip
    for row, query in enumerate(queries):
        _draw_picture(figure.add_subplot(grid[row, 0]), query.image, right=None)
        axes = figure.add_subplot(grid[row, 1])
        axes.set_axis_off()
        axes.set_xlim(0, 1)
        axes.set_ylim(0, TOP + 1)
        for place, candidate in enumerate(query.candidates):
            height, color = TOP - place + 0.3, _color(candidate.right)
            axes.text(0.0, height, _MARKS[candidate.right], color=color, fontsize=12, weight="bold", va="center")
            axes.text(0.03, height, f"{candidate.score:.3f}", color="#6b737b", fontsize=8.5, va="center")
            caption = textwrap.shorten(_as_read(candidate.caption), 112, placeholder=" …")
            axes.text(0.085, height, caption, color=color, fontsize=9.5, va="center", parse_math=False)
        axes.text(0.03, 0.3, f"first right one at rank {query.rank}", color="#6b737b", fontsize=8, va="center")
    _save(figure, path)


def render_sheets(sheets: RetrievalSheets, *, title: str, facts: Mapping[str, str]) -> str:
    """Both directions as one HTML page that needs no other file.

    Args:
        sheets: from :func:`make_sheets`.
        title: of the page.
        facts: what a reader needs to repeat it, shown as they are.
    """
    shown = [*sheets.image_to_text, *sheets.text_to_image]
    images = {query.image for query in shown} | {c.image for query in shown for c in query.candidates if c.image}
    uris = {image: picture_uri(open_picture(image.path), side_px=PICTURE_PX) for image in images}
    return render_page(
        "rsitr.evaluation", "retrieval.html.jinja", title=title, facts=facts, sheets=sheets, marks=_MARKS, uris=uris
    )


def _sheet(n_rows: int, *, title: str) -> tuple[Figure, float]:
    """An empty sheet with its title, and the share of its height that is left for the rows."""
    height_in = 0.75 + 1.85 * n_rows
    figure = Figure(figsize=(11.4, height_in), dpi=120, facecolor="white")
    figure.suptitle(title, x=0.012, y=1 - 0.12 / height_in, ha="left", va="top", fontsize=12, parse_math=False)
    return figure, 1 - 0.65 / height_in


def _draw_picture(axes: Axes, image: CaptionedImage, *, right: bool | None) -> None:
    pixels = np.asarray(open_picture(image.path).resize((PICTURE_PX, PICTURE_PX)))
    axes.imshow(pixels)
    axes.set_axis_off()
    if right is not None:
        style = "-" if right else (0, (4, 2))
        frame = Rectangle((2, 2), PICTURE_PX - 5, PICTURE_PX - 5, fill=False, edgecolor=_color(right), linestyle=style)
        frame.set_linewidth(4)
        axes.add_patch(frame)


def _label(axes: Axes, candidate: Candidate) -> None:
    axes.set_title(
        f"{_MARKS[candidate.right]} {candidate.score:.3f}", fontsize=9, pad=2.5, color=_color(candidate.right)
    )


def _write(axes: Axes, text: str, *, note: str, width: int) -> None:
    axes.set_axis_off()
    lines = textwrap.wrap(text, width, max_lines=7, placeholder=" …")
    axes.text(0, 0.98, "\n".join(lines), fontsize=9.5, va="top", parse_math=False, transform=axes.transAxes)
    axes.text(0, 0.02, note, fontsize=8, va="bottom", color="#6b737b", transform=axes.transAxes)


def _as_read(caption: str | None) -> str:
    """Without the blank that data sets have before a full stop, lest the stop gets a line of its own."""
    return (caption or "").replace(" .", ".")


def _color(right: bool) -> str:
    return _RIGHT if right else _WRONG


def _save(figure: Figure, path: Path) -> None:
    with replacing(path) as part:
        figure.savefig(part, format="png")
