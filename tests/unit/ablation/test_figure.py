from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from rsitr.ablation import Cell, Grid, make_table, write_figure
from rsitr.config import TrainConfig

from .conftest import make_records

ALONG = Grid(
    name="along",
    title="Weight",
    source="us",
    axis="lambda",
    log=True,
    cells=tuple(Cell(name=f"{x}", x=x, train={"ker.weight": x}, paper_mR=40 - x) for x in (0.1, 1.0)),
)


def pixels(path: Path) -> np.ndarray:
    with Image.open(path) as opened:
        return np.asarray(opened.convert("RGB")).astype(int)


@pytest.mark.parametrize("along", [False, True])
def test_a_figure_shows_the_results(grid: Grid, base: TrainConfig, tmp_path: Path, along: bool) -> None:
    grid = ALONG if along else grid
    names = [cell.name for cell in grid.cells]
    for number, step in enumerate((1.0, 5.0)):
        values = {name: (10.0, 11.0 + step * place) for place, name in enumerate(names)}
        table = make_table(grid, base=base, n_seeds=2, records=make_records(grid, base, values), facts={})
        write_figure(table, tmp_path / f"{number}.png")
    one, other = pixels(tmp_path / "0.png"), pixels(tmp_path / "1.png")
    assert one.shape[0] > 200
    assert one.shape[1] > 600
    assert (np.abs(one - [0x1F, 0x6F, 0x8B]).sum(axis=2) < 30).sum() > 100  # our dots
    assert (np.abs(one - [0xB5, 0x65, 0x1D]).sum(axis=2) < 30).sum() > 50  # the paper's
    assert one.shape != other.shape or (one != other).any()
    assert not list(tmp_path.glob(".*"))


def test_without_the_papers_values_there_is_one_panel(grid: Grid, base: TrainConfig, tmp_path: Path) -> None:
    cells = tuple(cell.replace(paper_mR=None) for cell in grid.cells)
    alone = grid.replace(cells=cells)
    table = make_table(alone, base=base, n_seeds=1, records=make_records(alone, base, {"full": (11.0,)}), facts={})
    write_figure(table, tmp_path / "f.png")
    assert (np.abs(pixels(tmp_path / "f.png") - [0xB5, 0x65, 0x1D]).sum(axis=2) < 30).sum() == 0


def test_nothing_cannot_be_drawn(grid: Grid, base: TrainConfig, tmp_path: Path) -> None:
    table = make_table(grid, base=base, n_seeds=1, records={}, facts={})
    with pytest.raises(ValueError, match="nothing to draw: no run of mine is done"):
        write_figure(table, tmp_path / "f.png")
    assert not (tmp_path / "f.png").exists()
