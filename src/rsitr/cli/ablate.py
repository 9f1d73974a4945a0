"""`rsitr ablate`: run grids of trainings, resumable, and write their tables and figures."""

from __future__ import annotations

import sys
import time
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from rsitr.cli.output import AsJson

if TYPE_CHECKING:
    from rsitr.ablation import Grid, RunRecord, Training
    from rsitr.config import TrainConfig


def ablate(
    tables: Annotated[
        list[str],
        typer.Argument(
            metavar="TABLE...",
            help="table2 (modules), table3 (global : local), table4 (masks), table5 (lambda), table6 (keywords), "
            "figure5-epoch, figure5-ratio, schemes (joint or split), sar, mtgfe-tasks, or the path of a YAML grid.",
        ),
    ],
    base: Annotated[
        str | None, typer.Option(help="Config that the rows change, by name or path. [default: the table's own]")
    ] = None,
    seeds: Annotated[int, typer.Option(min=1, metavar="N", help="Runs per row, from the config's seed on.")] = 3,
    data: Annotated[
        list[str] | None, typer.Option(help="Where a data set of the config is: NAME:FOLDER. Repeatable.")
    ] = None,
    data_root: Annotated[
        Path | None, typer.Option(help="Folder that holds the data sets and init/ by name. [default: $RSITR_DATA]")
    ] = None,
    into: Annotated[
        Path | None, typer.Option(help="Folder for runs, tables and figures. [default: runs/ablations/BASE]")
    ] = None,
    device: Annotated[str | None, typer.Option(help="cpu, cuda, cuda:1, ... [default: a GPU if there is one]")] = None,
    keep_models: Annotated[bool, typer.Option("--keep-models", help="Keep what was trained, too.")] = False,
    as_json: AsJson = False,
) -> None:
    """Train every row of ablations with several seeds and measure it on validation; Ctrl-C, and the same goes on.

    Rows that train the same thing share a run, over all tables named. Tables and figures grow with every run.
    """
    from rsitr.ablation import Progress, load_grid, load_records, plan_trainings, run_trainings
    from rsitr.cli.output import console, print_json, require_folder
    from rsitr.cli.progress import TrainingProgress
    from rsitr.cli.provenance import provenance
    from rsitr.cli.results_training import AblateResult
    from rsitr.config import load_config
    from rsitr.data.collection import find_data_root
    from rsitr.errors import ConfigError
    from rsitr.models import choose_device
    from rsitr.training.interruption import Interrupted

    err = console(sys.stderr)
    grids = [load_grid(name) for name in dict.fromkeys(tables)]
    bases = list(dict.fromkeys([grid.base for grid in grids] if base is None else [base]))
    if len(bases) > 1:
        raise ConfigError(f"these tables change different configs, {' and '.join(bases)}: run them one after the other")
    config = load_config(bases[0])
    trainings = plan_trainings(grids, base=config, n_seeds=seeds)
    where = str(choose_device(device))
    folder = into or Path("runs") / "ablations" / config.name
    require_folder(folder, option="--into")
    records = load_records(trainings, into=folder)
    err.print(f"{config.name}: {len(trainings)} runs, {len(records)} of them done; in {folder}")
    began, first = time.monotonic(), len(records)

    def started(training: Training) -> None:
        changes = ", ".join(f"{name} {value}" for name, value in training.changes.items()) or "as it is"
        err.print(f"run {len(records) + 1} of {len(trainings)}: seed {training.config.seed}, {changes}")

    def finished(training: Training, record: RunRecord) -> None:
        records[training.key] = record
        _write(grids, config=config, n_seeds=seeds, records=records, folder=folder)
        left_s = (time.monotonic() - began) / (len(records) - first) * (len(trainings) - len(records))
        err.print(f"  {record.seconds:.0f} s; {len(trainings) - len(records)} to go, about {left_s / 60:.0f} min")

    with TrainingProgress(err, config) as shown:
        try:
            run_trainings(
                trainings,
                into=folder,
                specs=data or [],
                root=find_data_root(data_root),
                device=where,
                provenance=provenance(),
                keep_models=keep_models,
                progress=Progress(
                    started=started,
                    cached=shown.cached,
                    hashed=shown.hashed,
                    stepped=shown.stepped,
                    finished=finished,
                ),
            )
        except Interrupted:
            err.print(f"interrupted; the same command goes on from {folder}")
            raise typer.Exit(130) from None
    text = _write(grids, config=config, n_seeds=seeds, records=records, folder=folder)
    if as_json:
        print_json(AblateResult(folder=str(folder), n_runs=len(records), tables=_read_tables(grids, folder)))
    else:
        typer.echo(text, nl=False)
    err.print(f"tables and figures in {folder}")


def _read_tables(grids: list[Grid], folder: Path) -> list[dict[str, Any]]:
    """The tables that were written, as rows by column."""
    import csv

    told: list[dict[str, Any]] = []
    for grid in grids:
        path = folder / f"{grid.name}.csv"
        if path.is_file():
            with path.open(encoding="utf-8", newline="") as file:
                told.append({"name": grid.name, "rows": list(csv.DictReader(file))})
    return told


def _write(grids: list[Grid], *, config: TrainConfig, n_seeds: int, records: dict[str, RunRecord], folder: Path) -> str:
    """Write NAME.md, NAME.csv and NAME.png of every grid that has a result; returns the tables' text."""
    from rsitr.ablation import make_table, write_figure
    from rsitr.cli.provenance import provenance
    from rsitr.files import write_file

    facts = {"command": f"`{provenance()['command']}`"}
    texts = []
    for grid in grids:
        table = make_table(grid, base=config, n_seeds=n_seeds, records=records, facts=facts)
        if not table.rows:
            continue
        texts.append(table.markdown())
        write_file(folder / f"{grid.name}.md", texts[-1])
        write_file(folder / f"{grid.name}.csv", table.csv())
        write_figure(table, folder / f"{grid.name}.png")
    return "\n".join(texts)
