"""An ablation's results as a picture: every seed a dot, mean and standard deviation, beside the paper's values."""

from __future__ import annotations

import textwrap
from collections.abc import Sequence
from pathlib import Path
from typing import Literal

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from rsitr.ablation.table import AblationTable, TableRow

__all__ = ["write_figure"]

_OURS, _PAPER, _REFERENCE = "#1f6f8b", "#b5651d", "#9aa3ab"


def write_figure(table: AblationTable, path: Path) -> None:
    """Draw the mR of every cell into a PNG file; the paper's values have a panel, since theirs is another scale.

    Raises:
        ValueError: the table has no row.
    """
    if not table.rows:
        raise ValueError(f"there is nothing to draw: no run of {table.grid.name} is done")
    papers = sum(row.cell.paper_mR is not None for row in table.rows) > 1
    along = table.grid.axis is not None
    size = (5.2 * (1 + papers), 3.6) if along else (8.6 + 2.4 * papers, 1.4 + 0.42 * len(table.rows))
    figure = Figure(figsize=size, dpi=150, facecolor="white", layout="constrained")
    panels = figure.subplots(1, 1 + papers, squeeze=False, sharey=not along)[0]
    draw = _draw_along if along else _draw_names
    draw(panels[0], table, paper=False)
    panels[0].set_title(f"{table.base}, {', '.join(table.sets)} val", fontsize=10)
    if papers:
        draw(panels[1], table, paper=True)
        panels[1].set_title(f"the paper, {table.grid.paper_setting}", fontsize=10)
    figure.suptitle("\n".join(textwrap.wrap(table.grid.title, 70)), fontsize=12)
    part = path.with_name(f".{path.name}.part")
    figure.savefig(part, format="png")
    part.replace(path)


def _draw_along(axes: Axes, table: AblationTable, *, paper: bool) -> None:
    rows = [row for row in table.rows if not paper or row.cell.paper_mR is not None]
    places = [row.cell.x or 0.0 for row in rows]
    axes.plot(places, [_mean(row, paper=paper) for row in rows], color=_color(paper), linewidth=1.6, marker="o", ms=4)
    if not paper:
        for row, place in zip(rows, places, strict=True):
            axes.errorbar(place, row.recall["mR"].mean, yerr=row.recall["mR"].deviation, color=_OURS, capsize=3)
            _draw_seeds(axes, [place] * len(row.seeds), row.recall["mR"].values)
    if table.grid.log:
        axes.set_xscale("log")
    axes.set_xticks(places, [f"{place:g}" for place in places])
    axes.minorticks_off()
    axes.set_xlabel(table.grid.axis or "")
    axes.set_ylabel("mR in percent")
    _tidy(axes, grid="y")


def _draw_names(axes: Axes, table: AblationTable, *, paper: bool) -> None:
    heights = np.arange(len(table.rows))[::-1]
    for row, height in zip(table.rows, heights, strict=True):
        if paper and row.cell.paper_mR is None:
            continue
        mean, deviation = _mean(row, paper=paper), None if paper else row.recall["mR"].deviation
        axes.errorbar(mean, height, xerr=deviation, color=_color(paper), marker="o", ms=6, capsize=4)
        if not paper:
            _draw_seeds(axes, row.recall["mR"].values, [float(height)] * len(row.seeds))
        if row.cell == table.grid.reference_cell:
            axes.axvline(mean, color=_REFERENCE, linewidth=1, linestyle="--", zorder=0)
    axes.set_yticks(heights, [row.cell.name for row in table.rows])
    axes.set_ylim(-0.6, len(table.rows) - 0.4)
    axes.set_xlabel("mR in percent")
    _tidy(axes, grid="x")


def _draw_seeds(axes: Axes, x: Sequence[float], y: Sequence[float]) -> None:
    axes.plot(x, y, linestyle="", marker="o", ms=3.5, color=_OURS, alpha=0.45, markeredgewidth=0)


def _mean(row: TableRow, *, paper: bool) -> float:
    return (row.cell.paper_mR or 0.0) if paper else row.recall["mR"].mean


def _color(paper: bool) -> str:
    return _PAPER if paper else _OURS


def _tidy(axes: Axes, *, grid: Literal["x", "y"]) -> None:
    axes.grid(axis=grid, color="#e3e7ea", linewidth=0.8)
    axes.set_axisbelow(True)
    axes.spines[["top", "right"]].set_visible(False)
