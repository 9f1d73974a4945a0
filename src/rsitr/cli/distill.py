"""`rsitr distill`: teach a retrieval filter what a fusion model says."""

from __future__ import annotations

import sys
from enum import StrEnum
from pathlib import Path
from typing import Annotated

import typer

from rsitr.cli.output import AsJson

__all__ = ["FilterKind", "distill"]


class FilterKind(StrEnum):
    """Filters that can be taught."""

    MLP = "mlp"
    DOT = "dot"


def distill(
    model: Annotated[str, typer.Argument(help="Checkpoint folder of a fusion model, the teacher.")],
    data: Annotated[list[str], typer.Option(help="NAME:FOLDER or csv:FILE; train splits are joined. Repeatable.")],
    out: Annotated[Path, typer.Option(help="Folder of the filter; the teacher's scores go to lessons/ beside it.")],
    kind: Annotated[FilterKind, typer.Option(help="mlp, the paper's, or dot, whose vectors an index can hold.")] = (
        FilterKind.MLP
    ),
    hidden: Annotated[int, typer.Option(min=1, metavar="N", help="Width of the filter's layers or vectors.")] = 256,
    negatives: Annotated[int, typer.Option(min=1, metavar="N", help="Other images per caption.")] = 10,
    epochs: Annotated[int, typer.Option(min=1, metavar="N", help="Passes over the pairs.")] = 30,
    batch_size: Annotated[int, typer.Option(min=2, metavar="N", help="Pairs per step.")] = 128,
    lr: Annotated[float, typer.Option(help="Peak learning rate.")] = 1e-4,
    hard_weight: Annotated[float, typer.Option(help="Weight of the labels' cross-entropy beside the teacher.")] = 0.2,
    weight_decay: Annotated[float, typer.Option(help="Of matrices; biases have none.")] = 0.02,
    warmup_steps: Annotated[int, typer.Option(metavar="N", help="Steps of linear growth to the peak.")] = 100,
    seed: Annotated[int, typer.Option(min=0, help="Of pairs, order and initial weights.")] = 0,
    run: Annotated[
        Path | None,
        typer.Option(
            help="Folder of the model's training run: its cached features of augmented pictures are used, "
            "instead of encoding the pictures again."
        ),
    ] = None,
    device: Annotated[str | None, typer.Option(help="cpu, cuda, ... [default: a GPU if there is one]")] = None,
    as_json: AsJson = False,
) -> None:
    """Teach a retrieval filter with KL to the model's scores and a little of the labels' cross-entropy.

    The teacher scores its pairs once. Interrupted, the same command goes on; another --kind beside it begins at once.
    """
    from dataclasses import asdict

    from rsitr.cli.output import console, print_json, progress_bar
    from rsitr.cli.provenance import provenance
    from rsitr.cli.results_training import DistillResult
    from rsitr.data import load_dataset
    from rsitr.models.fusion import load_fusion
    from rsitr.models.fusion.filter import FilterConfig, save_filter
    from rsitr.training.recipes.filter import TeachingConfig, score_lessons, teach

    config = TeachingConfig(
        negatives=negatives,
        hard_weight=hard_weight,
        epochs=epochs,
        batch_size=batch_size,
        lr=lr,
        weight_decay=weight_decay,
        warmup_steps=warmup_steps,
        seed=seed,
    )
    datasets = [load_dataset(spec) for spec in data]
    images = [image for dataset in datasets for image in dataset.split("train")]
    scorer = load_fusion(model, device=device)
    sizes = FilterConfig(
        kind=kind.value, image_width=scorer.model.image_width, text_width=scorer.model.config.width, hidden=hidden
    )
    with progress_bar() as bar:
        pictures = bar.add_task("Encoding pictures", total=len(images))
        pairs = bar.add_task("Asking the teacher", total=None)
        lessons = score_lessons(
            scorer,
            images,
            config=config,
            folder=out.parent / "lessons",
            run=run,
            on_images=lambda done, total: bar.update(pictures, completed=done, total=total),
            on_pairs=lambda done, total: bar.update(pairs, completed=done, total=total),
        )
        passes = bar.add_task("Teaching", total=epochs)
        student = teach(
            lessons,
            student=sizes,
            config=config,
            progress=lambda done, _total, _loss: bar.update(passes, completed=done),
        )
    training = {
        **asdict(config),
        "data": data,
        "run": None if run is None else str(run),
        "data_sha256": [dataset.sha256 for dataset in datasets],
        "n_pairs": len(lessons.labels),
        **provenance(),
    }
    save_filter(out, student, teacher=scorer.fingerprint, training=training)
    if as_json:
        n_pairs = len(lessons.labels)
        print_json(DistillResult(folder=str(out), kind=kind.value, teacher=model, n_pairs=n_pairs, epochs=epochs))
    console(sys.stderr).print(
        f"{kind.value} filter of {model} in {out}: {len(lessons.labels):,} pairs, {epochs} epochs"
    )
