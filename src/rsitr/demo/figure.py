"""The demo as one picture: the scene with the best hits on it, and the first queries with what they found."""

from __future__ import annotations

import textwrap
from collections.abc import Sequence
from pathlib import Path

from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.patches import Rectangle
from matplotlib.patheffects import withStroke

from rsitr.demo.exploring import Exploration
from rsitr.demo.judging import JudgedAnswer
from rsitr.files import replacing

__all__ = ["write_figure"]

_ROWS = 7
_HITS = 4
_RIGHT, _WRONG = "#2fbf71", "#e4572e"


def write_figure(found: Exploration, path: Path) -> None:
    """Draw the figure into a PNG file: best hits by the query's number; green is right, orange and dashed wrong."""
    answers = found.answers[:_ROWS]
    figure = Figure(figsize=(12.6, 9.6), dpi=110, facecolor="white")
    halves = figure.add_gridspec(
        1, 2, width_ratios=[7.9, 4.5], left=0.008, right=0.992, bottom=0.012, top=0.945, wspace=0.03
    )
    left = halves[0].subgridspec(2, 1, height_ratios=[7.9, 1.15], hspace=0.03)
    _draw_map(figure.add_subplot(left[0]), found)
    _list_titles(figure.add_subplot(left[1]), found.answers[_ROWS:], first=_ROWS + 1)
    grid = halves[1].subgridspec(max(1, len(answers)), _HITS, wspace=0.05, hspace=0.3)
    for row, answer in enumerate(answers):
        for column in range(_HITS):
            axes = figure.add_subplot(grid[row, column])
            axes.set_axis_off()
            if column < len(answer.hits):
                _draw_hit(axes, found, answer, column)
            if column == 0:
                axes.set_title(f"{row + 1}  {_shorten(answer.title)}", loc="left", fontsize=9.5, pad=3)
    summary = found.summary
    figure.suptitle(
        f"Synthetic scene (seed {found.scene.seed}), searched in words: {summary.first} of {summary.n_queries} best "
        f"hits are right, {summary.within_k} queries have a right one among {summary.k}",
        x=0.008, y=0.985, ha="left", fontsize=13,
    )  # fmt: skip
    with replacing(path) as part:
        figure.savefig(part, format="png")


def _draw_map(axes: Axes, found: Exploration) -> None:
    axes.imshow(found.scene.pixels[::3, ::3], extent=(0, *found.scene.pixels.shape[1::-1], 0))
    axes.set_axis_off()
    for label in found.label_best():
        column, row, width, height = label.window_px
        color, style = (_RIGHT, "-") if label.right else (_WRONG, "--")
        frame = Rectangle((column + 6, row + 6), width - 12, height - 12, fill=False, edgecolor=color, linestyle=style)
        frame.set_linewidth(2.4)
        axes.add_patch(frame)
        outline = [withStroke(linewidth=3, foreground="black")]
        font = {"size": 13, "weight": "bold"}
        axes.text(
            label.x,
            label.y,
            str(label.number),
            color="white",
            fontdict=font,
            path_effects=outline,
            ha="center",
            va="center",
        )


def _list_titles(axes: Axes, answers: Sequence[JudgedAnswer], *, first: int) -> None:
    """The queries that have no pictures of their own, in two columns."""
    axes.set_axis_off()
    lines = [f"{first + i}  {_shorten(answer.title)}" for i, answer in enumerate(answers)]
    half = -(-len(lines) // 2)
    for x, part in ((0.0, lines[:half]), (0.51, lines[half:])):
        axes.text(x, 1.0, "\n".join(part), fontsize=8.4, va="top", linespacing=1.5, transform=axes.transAxes)


def _shorten(title: str) -> str:
    return textwrap.shorten(title, 58, placeholder=" …")


def _draw_hit(axes: Axes, found: Exploration, answer: JudgedAnswer, column: int) -> None:
    judged = answer.hits[column]
    picture = found.index.picture(judged.hit.tile, max_px=200)
    height, width, _ = picture.shape
    axes.imshow(picture)
    color, style = (_RIGHT, "-") if judged.right else (_WRONG, "--")
    axes.add_patch(Rectangle((0, 0), width - 1, height - 1, fill=False, edgecolor=color, linestyle=style, linewidth=5))
