"""`rsitr calibrate`: make a model's scores probabilities."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import Annotated

import typer

from rsitr.cli.output import AsJson

__all__ = ["calibrate"]


def calibrate(
    model: Annotated[str, typer.Argument(help="A checkpoint folder, a packaged model, or an open_clip name.")],
    data: Annotated[
        str, typer.Option(help="NAME:FOLDER or csv:FILE with classes, which the model was not trained on.")
    ],
    references: Annotated[
        list[str] | None,
        typer.Option(
            help="Data sets of whose train split 1,000 pictures become reference tiles, and whose captions tell which "
            "words the model knows, if it was trained on them. Repeatable. [default: that of --data]"
        ),
    ] = None,
    split: Annotated[str, typer.Option(help="Split of --data.")] = "val",
    into: Annotated[
        Path | None,
        typer.Option(help="Folder of the checkpoint, or of an index that the model made. [default: MODEL itself]"),
    ] = None,
    device: Annotated[str | None, typer.Option(help="cpu, cuda, ... [default: a GPU if there is one]")] = None,
    as_json: AsJson = False,
) -> None:
    """Fit how surely a hit of this model is what was asked for, and keep it with the model or an index.

    Labelled pictures are encoded as they are and changed (coarser, finer, hazier, of other colours); each class is
    asked for in words and by example. Without a calibration a search shows scores and gives no verdict.
    """
    from rsitr.calibration import write_calibration
    from rsitr.cli.output import console, print_json, progress_bar
    from rsitr.cli.results_training import CalibrateResult
    from rsitr.data import load_dataset, require_images
    from rsitr.errors import ConfigError
    from rsitr.models import load_model
    from rsitr.search.calibrating import calibrate as fit
    from rsitr.search.calibrating import read_words

    folder = into or Path(model)
    if not folder.is_dir():
        raise ConfigError(f"{model} is no folder to keep a calibration in: give --into, a checkpoint's or an index's")
    labelled = load_dataset(data)
    require_images(labelled.split(split))
    sources = [labelled if spec == data else load_dataset(spec) for spec in references or [data]]
    pictures = [image for source in sources for image in source.split("train")]
    require_images(pictures)
    encoder = load_model(model, device=device)
    with progress_bar() as bar:
        task = bar.add_task("Encoding pictures", total=None)
        found = fit(
            encoder,
            labelled=labelled.split(split),
            references=pictures,
            known=read_words(pictures),
            about=f"{labelled.name} {split}",
            progress=lambda done, total: bar.update(task, completed=done, total=total),
        )
    path = write_calibration(folder, found, fingerprint=encoder.fingerprint)
    if as_json:
        print_json(CalibrateResult(file=str(path), about=dict(found.about)))
    console(sys.stderr).print(
        f"{path}: on {found.about['data']}, and changed versions of it, relevance divides right from wrong with an "
        f"AUC of {found.about['auc_words']} for words and {found.about['auc_pictures']} for example pictures"
    )
