"""Records as if runs had been done, with values that a hand can check."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import pytest

from rsitr.ablation import Cell, Grid, Measure, RunRecord, plan_trainings
from rsitr.config import TrainConfig
from tiny import tiny_config


def results(mR: float) -> dict[str, dict[str, object]]:  # noqa: N803  # the field's name
    """All six recalls around an mR."""
    recall = {"R@1": mR - 1, "R@5": mR, "R@10": mR + 1}
    return {"ucm": {"mR": mR, "image_to_text": recall, "text_to_image": recall}}


def make_records(grid: Grid, base: TrainConfig, values: Mapping[str, Sequence[float]]) -> dict[str, RunRecord]:
    """Records of the cells named, one per seed."""
    records: dict[str, RunRecord] = {}
    for name, by_seed in values.items():
        cell = next(cell for cell in grid.cells if cell.name == name)
        alone = Grid(name="alone", title="", source="", cells=(cell,))
        trainings = plan_trainings([alone], base=base, n_seeds=len(by_seed))
        for training, value in zip(trainings, by_seed, strict=True):
            known = records.get(training.key)
            measured = {} if known is None else dict(known.measured)
            records[training.key] = RunRecord(
                key=training.key,
                seconds=60.0,
                data_sha256={"ucm": "ab" * 32},
                measured=measured | {training.measures[0]: results(value)},
                provenance={"command": "c", "version": "v", "commit": "c0ffee"},
            )
    return records


@pytest.fixture
def base() -> TrainConfig:
    return tiny_config()


@pytest.fixture
def grid() -> Grid:
    """Two trainings, one of them measured in two ways."""
    return Grid(
        name="mine",
        title="Parts | pieces",
        source="us",
        cells=(
            Cell(name="plain", train={"ker.weight": 0.0}, paper_mR=37.0),
            Cell(name="full", paper_mR=40.0),
            Cell(name="full, sorted", measure=Measure(rerank="sar:k=5")),
        ),
    )
