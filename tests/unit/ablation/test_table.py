from __future__ import annotations

import csv
import io
import math

import pytest

from rsitr.ablation import Grid, Spread, make_table
from rsitr.config import TrainConfig

from .conftest import make_records

FACTS = {"command": "`rsitr ablate mine`"}
VALUES = {"plain": (10.0, 12.0, 11.0), "full": (11.0, 12.0, 13.0), "full, sorted": (11.5, 12.5, 13.5)}


def test_mean_and_deviation_over_seeds_and_differences_seed_by_seed(grid: Grid, base: TrainConfig) -> None:
    table = make_table(grid, base=base, n_seeds=3, records=make_records(grid, base, VALUES), facts=FACTS)
    plain, full, ordered = table.rows
    assert (plain.recall["mR"].mean, plain.recall["mR"].deviation) == (11.0, 1.0)
    assert plain.recall["image to text R@1"].mean == 10.0
    assert plain.recall["text to image R@10"].mean == 12.0
    assert plain.difference is None
    assert full.difference is not None
    assert full.difference.values == (1.0, 0.0, 2.0)  # paired, so smaller than the seeds' own spread
    assert ordered.difference is not None
    assert ordered.difference.values == (1.5, 0.5, 2.5)
    assert table.n_missing == 0
    assert plain.seeds == (0, 1, 2)


def test_a_single_seed_has_no_deviation() -> None:
    assert Spread((3.0,)).deviation is None
    assert str(Spread((3.0,))) == "3.00"
    assert Spread((3.0, 5.0)).deviation == pytest.approx(math.sqrt(2))
    assert Spread((-1.0, -2.0)).format(signed=True) == "-1.50 ± 0.71"


def test_the_markdown_holds_what_is_needed_to_read_and_repeat_it(grid: Grid, base: TrainConfig) -> None:
    table = make_table(grid, base=base, n_seeds=3, records=make_records(grid, base, VALUES), facts=FACTS)
    text = table.markdown()
    assert "validation split of ucm, seeds 0, 1, 2: mean ± standard deviation" in text
    assert "| full | 12.00 ± 1.00 | +1.00 ± 1.00 | 11.00 ± 1.00 |" in text
    assert "| plain | 11.00 ± 1.00 |  |" in text
    assert "| 37.00 |" in text
    for fact in ("- command: `rsitr ablate mine`", "- trained at commit: c0ffee", "60 s, of 6 runs", "ab" * 32):
        assert fact in text
    rows = [line for line in text.splitlines() if line.startswith("|")]
    assert len(rows) == 2 + 3
    assert {line.count("|") for line in rows} == {11}
    assert "not done yet" not in text


def test_the_csv_has_numbers_only(grid: Grid, base: TrainConfig) -> None:
    table = make_table(grid, base=base, n_seeds=3, records=make_records(grid, base, VALUES), facts=FACTS)
    rows = list(csv.DictReader(io.StringIO(table.csv())))
    assert [row["cell"] for row in rows] == ["plain", "full", "full, sorted"]
    assert (rows[1]["mR mean"], rows[1]["mR deviation"], rows[1]["difference mean"]) == ("12.0000", "1.0000", "1.0000")
    assert (rows[0]["difference mean"], rows[0]["paper mR"], rows[2]["paper mR"]) == ("", "37.00", "")
    assert rows[0]["seeds"] == "0 1 2"


def test_what_is_not_done_yet_is_said_and_left_out(grid: Grid, base: TrainConfig) -> None:
    records = make_records(grid, base, {"plain": (10.0, 12.0), "full": (11.0,)})
    table = make_table(grid, base=base, n_seeds=3, records=records, facts={})
    assert [row.cell.name for row in table.rows] == ["plain", "full"]
    assert table.rows[1].difference == Spread((1.0,))
    assert table.n_missing == 1 + 2 + 3
    assert "6 runs are not done yet." in table.markdown()


def test_without_any_run_there_is_an_empty_table(grid: Grid, base: TrainConfig) -> None:
    table = make_table(grid, base=base, n_seeds=2, records={}, facts={})
    assert table.rows == ()
    assert table.n_missing == 6
