"""An ablation's results as a table: mean and standard deviation over seeds, differences paired by seed."""

from __future__ import annotations

import csv
import io
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np

from rsitr.ablation.grid import Cell, Grid, training_of
from rsitr.ablation.record import Results, RunRecord
from rsitr.config import TrainConfig

__all__ = ["COLUMNS", "AblationTable", "Spread", "TableRow", "make_table"]

COLUMNS = (
    "mR",
    *(f"{direction} R@{k}" for direction in ("image to text", "text to image") for k in (1, 5, 10)),
)


@dataclass(frozen=True, slots=True)
class Spread:
    """Values over seeds.

    Attributes:
        values: one per seed.
    """

    values: tuple[float, ...]

    @property
    def mean(self) -> float:
        """Their mean."""
        return float(np.mean(self.values))

    @property
    def deviation(self) -> float | None:
        """Their standard deviation (n - 1), or None for a single one."""
        return float(np.std(self.values, ddof=1)) if len(self.values) > 1 else None

    def __str__(self) -> str:
        return self.format()

    def format(self, *, signed: bool = False) -> str:
        """`12.34 ± 0.56`.

        >>> Spread((1.0, 2.0, 3.0)).format(signed=True)
        '+2.00 ± 1.00'
        """
        mean = f"{self.mean:{'+' if signed else ''}.2f}"
        return mean if self.deviation is None else f"{mean} ± {self.deviation:.2f}"


@dataclass(frozen=True, slots=True)
class TableRow:
    """One cell's results.

    Attributes:
        cell: what was compared.
        seeds: that are done.
        recall: by the names of `COLUMNS`, in percent, mean over the data sets.
        difference: of the mR to the reference cell's, seed by seed; None for the reference itself.
        seconds: of training.
    """

    cell: Cell
    seeds: tuple[int, ...]
    recall: Mapping[str, Spread]
    difference: Spread | None
    seconds: Spread


@dataclass(frozen=True, slots=True)
class AblationTable:
    """A grid's results.

    Attributes:
        grid: what was compared.
        base: name of the base config.
        sets: the data sets whose validation splits were measured.
        rows: of the cells that have a result, in the grid's order.
        n_missing: runs that are not done yet.
        facts: for whoever repeats it: command, commits, checksums of the data.
    """

    grid: Grid
    base: str
    sets: tuple[str, ...]
    rows: tuple[TableRow, ...]
    n_missing: int
    facts: Mapping[str, str]

    def markdown(self) -> str:
        """The table with what is needed to read and to repeat it."""
        papers = any(row.cell.paper_mR is not None for row in self.rows)
        seeds = sorted({seed for row in self.rows for seed in row.seeds})
        header = [
            "",
            "mR",
            f"Δ mR to {self.grid.reference_cell.name}",
            *COLUMNS[1:],
            *(["paper's mR"] if papers else []),
        ]
        lines = [
            f"## {self.grid.title}",
            "",
            f"{self.grid.source}. Base config `{self.base}`, validation split of {', '.join(self.sets)}, seeds "
            f"{', '.join(map(str, seeds))}: mean ± standard deviation over seeds, in percent; Δ is paired by seed."
            + (f" The paper's mR is on {self.grid.paper_setting}." if papers else ""),
            "",
            _line(header),
            _line(["---", *["---:"] * (len(header) - 1)]),
        ]
        for row in self.rows:
            difference = "" if row.difference is None else row.difference.format(signed=True)
            cells = [row.cell.name, str(row.recall["mR"]), difference, *(str(row.recall[name]) for name in COLUMNS[1:])]
            if papers:
                cells.append("" if row.cell.paper_mR is None else f"{row.cell.paper_mR:.2f}")
            lines.append(_line(cells))
        if self.n_missing:
            lines += ["", f"{self.n_missing} runs are not done yet."]
        lines += ["", *(f"- {name}: {value}" for name, value in self.facts.items())]
        return "\n".join(lines) + "\n"

    def csv(self) -> str:
        """One line per cell, means and deviations in columns of their own."""
        out = io.StringIO()
        writer = csv.writer(out, lineterminator="\n")
        names = [*COLUMNS, "difference", "seconds"]
        header = [f"{name} {part}" for name in names for part in ("mean", "deviation")]
        writer.writerow(["cell", "x", "seeds", *header, "paper mR"])
        for row in self.rows:
            spreads = [*(row.recall[name] for name in COLUMNS), row.difference, row.seconds]
            numbers = [part for spread in spreads for part in _numbers(spread)]
            x = "" if row.cell.x is None else f"{row.cell.x:g}"
            paper = "" if row.cell.paper_mR is None else f"{row.cell.paper_mR:.2f}"
            writer.writerow([row.cell.name, x, " ".join(map(str, row.seeds)), *numbers, paper])
        return out.getvalue()


def make_table(
    grid: Grid, *, base: TrainConfig, n_seeds: int, records: Mapping[str, RunRecord], facts: Mapping[str, str]
) -> AblationTable:
    """Gather the results of a grid, as far as there are any.

    Args:
        grid: what was compared.
        base: config that the cells change.
        n_seeds: from the base config's seed on.
        records: by key, more than this grid's do no harm.
        facts: printed below the table, followed by what the records say of themselves.
    """
    found = {cell.name: _results(cell, grid=grid, base=base, n_seeds=n_seeds, records=records) for cell in grid.cells}
    reference = found[grid.reference_cell.name]
    rows = []
    for cell in grid.cells:
        seeds = found[cell.name]
        if not seeds:
            continue
        recalls = {seed: _recall(results) for seed, (_, results) in seeds.items()}
        shared = [seed for seed in seeds if seed in reference]
        difference = None
        if cell != grid.reference_cell and shared:
            difference = Spread(tuple(recalls[seed]["mR"] - _recall(reference[seed][1])["mR"] for seed in shared))
        rows.append(
            TableRow(
                cell=cell,
                seeds=tuple(seeds),
                recall={name: Spread(tuple(recall[name] for recall in recalls.values())) for name in COLUMNS},
                difference=difference,
                seconds=Spread(tuple(record.seconds for record, _ in seeds.values())),
            )
        )
    used = [record for seeds in found.values() for record, _ in seeds.values()]
    return AblationTable(
        grid=grid,
        base=base.name,
        sets=base.data.sets,
        rows=tuple(rows),
        n_missing=sum(n_seeds - len(seeds) for seeds in found.values()),
        facts={**facts, **_facts(used)},
    )


def _results(
    cell: Cell, *, grid: Grid, base: TrainConfig, n_seeds: int, records: Mapping[str, RunRecord]
) -> dict[int, tuple[RunRecord, Results]]:
    found = {}
    for seed in range(base.seed, base.seed + n_seeds):
        training = training_of(cell, grid=grid, base=base, seed=seed)
        record = records.get(training.key)
        if record is not None and training.measures[0] in record.measured:
            found[seed] = (record, record.measured[training.measures[0]])
    return found


def _recall(results: Results) -> dict[str, float]:
    """By `COLUMNS`, the mean over the data sets."""
    sets = list(results.values())
    recall = {"mR": float(np.mean([entry["mR"] for entry in sets]))}
    for direction in ("image_to_text", "text_to_image"):
        for k in (1, 5, 10):
            values = [entry[direction][f"R@{k}"] for entry in sets]
            recall[f"{direction.replace('_', ' ')} R@{k}"] = float(np.mean(values))
    return recall


def _facts(records: Sequence[RunRecord]) -> dict[str, str]:
    if not records:
        return {}
    seconds = [record.seconds for record in {record.key: record for record in records}.values()]
    digests = {name: digest for record in records for name, digest in record.data_sha256.items()}
    return {
        "trained at commit": ", ".join(sorted({record.provenance["commit"] for record in records})),
        "time per run": f"{np.mean(seconds):.0f} s, of {len(seconds)} runs",
        **{f"annotations of {name}": f"SHA-256 {digest}" for name, digest in sorted(digests.items())},
    }


def _numbers(spread: Spread | None) -> list[str]:
    if spread is None:
        return ["", ""]
    return [f"{spread.mean:.4f}", "" if spread.deviation is None else f"{spread.deviation:.4f}"]


def _line(cells: Sequence[str]) -> str:
    return "| " + " | ".join(cell.replace("|", "\\|") for cell in cells) + " |"
