"""`rsitr train`: train a model from a config, resumable."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import Annotated

import typer

from rsitr.cli.output import AsJson


def train(
    config: Annotated[str, typer.Argument(help="A packaged config by name, or the path of a YAML file.")],
    data: Annotated[
        list[str] | None, typer.Option(help="Where a data set of the config is: NAME:FOLDER. Repeatable.")
    ] = None,
    data_root: Annotated[
        Path | None, typer.Option(help="Folder that holds the data sets and init/ by name. [default: $RSITR_DATA]")
    ] = None,
    out: Annotated[Path | None, typer.Option(help="Folder of the run. [default: runs/NAME]")] = None,
    device: Annotated[str | None, typer.Option(help="cpu, cuda, cuda:1, ... [default: a GPU if there is one]")] = None,
    changes: Annotated[
        list[str] | None,
        typer.Option(
            "--set",
            metavar="KEY=VALUE",
            help="Change a setting of the config: loss.scale=10.0, phases.0.epochs=3. Repeatable; `rsitr configs NAME` "
            "shows what there is.",
        ),
    ] = None,
    splits: Annotated[
        str | None, typer.Option(help="What is trained on: train,restval, say. [default: the config's]")
    ] = None,
    seed: Annotated[int | None, typer.Option(min=0, help="Of everything random. [default: the config's]")] = None,
    fresh: Annotated[bool, typer.Option("--fresh", help="Start over; don't go on where it stopped.")] = False,
    as_json: AsJson = False,
) -> None:
    """Train a model. Interrupt it with Ctrl-C; the same command goes on where it stopped.

    On several GPUs: torchrun --nproc-per-node N -m rsitr train CONFIG ...; every batch is shared, the result the same.
    """
    from rsitr.cli.output import console, print_json, require_folder
    from rsitr.cli.progress import TrainingProgress
    from rsitr.cli.provenance import provenance
    from rsitr.cli.results_training import TrainResult
    from rsitr.config import load_config, override, read_settings
    from rsitr.data.collection import find_data_root
    from rsitr.errors import ConfigError
    from rsitr.models import choose_device
    from rsitr.training.interruption import Interrupted
    from rsitr.training.memory import keep_freed_memory
    from rsitr.training.ranks import join_ranks
    from rsitr.training.runs import build_run

    err = console(sys.stderr)
    settings = load_config(config)
    try:
        own = read_settings(changes or [])
        if seed is not None:
            if own.get("seed", seed) != seed:
                raise ConfigError("two seeds are given; leave out --seed or seed=")
            own["seed"] = seed
        if splits is not None:
            if "data.splits" in own:
                raise ConfigError("splits are given twice; leave out --splits or data.splits=")
            own["data.splits"] = [split.strip() for split in splits.split(",") if split.strip()]
        settings = override(settings, own)
    except ConfigError as error:
        raise ConfigError(f"--set: {error}") from error
    folder = out or Path("runs") / settings.name
    require_folder(folder, option="--out")
    if settings.recipe == "lookout" and str(choose_device(device)) == "cpu":
        keep_freed_memory()  # what it gains was measured with this one's large pictures
    with join_ranks(str(choose_device(device))) as (ranks, place), TrainingProgress(err, settings) as progress:
        err.quiet = not ranks.is_first
        run = build_run(
            settings,
            specs=data or [],
            root=find_data_root(data_root),
            folder=folder,
            device=place,
            ranks=ranks,
            provenance=provenance(),
            on_cache=progress.cached,
            on_hash=progress.hashed,
            on_note=lambda note: err.print(note, highlight=False),
            report=progress.stepped,
        )
        err.print(
            f"{settings.name}: {len(run.table.images):,} images, {len(run.table):,} rows, "
            f"{len(run.table.captions):,} distinct captions; run folder {folder}"
        )
        try:
            position = run.trainer.run(resume=not fresh)
        except Interrupted:
            err.print(f"interrupted; the same command goes on from {folder}")
            raise typer.Exit(130) from None
    for entry in position.history:
        results = ", ".join(f"{name} {value:.2f}" for name, value in entry.items() if name != "epoch")
        err.print(f"epoch {int(entry['epoch']) + 1}: {results}")
    err.print(f"best: epoch {position.best_epoch + 1}, mean mR {position.best:.2f}; model in {folder / 'best'}")
    if as_json and not err.quiet:
        print_json(
            TrainResult(
                config=settings.name,
                folder=str(folder),
                best=str(folder / "best"),
                best_epoch=position.best_epoch + 1,
                best_mR=position.best,
                history=list(position.history),
            )
        )
