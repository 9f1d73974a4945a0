"""`rsitr tune`: choose the mixture of similarities and the re-ranking on validation."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

if TYPE_CHECKING:
    from collections.abc import Callable

    from rich.console import Console
    from rich.progress import Progress, TaskID

    from rsitr.evaluation.tuning import TuningResult


def tune(
    model: Annotated[str, typer.Argument(help="One of `rsitr models`, a checkpoint folder, or open_clip's NAME:TAG.")],
    data: Annotated[list[str], typer.Option(help="NAME:FOLDER or csv:FILE; several are averaged.")],
    json_file: Annotated[
        Path | None, typer.Option("--json", metavar="FILE", help="Write all trials as JSON; - prints it.")
    ] = None,
    write: Annotated[
        bool,
        typer.Option(
            "--write", help="Record the best mixture, and the best settings of a re-ranking that is recorded."
        ),
    ] = False,
    rerank: Annotated[
        str | None,
        typer.Option(
            metavar="fusion:CHECKPOINT",
            help="Choose instead how this fusion model re-ranks: candidates (at most those of ,top=N) and weight.",
        ),
    ] = None,
    bank: Annotated[
        str | None,
        typer.Option(
            metavar="train|FILE",
            help="Reference queries of the re-rankings, in place of validation's own, which a live search has not: the "
            "training split's, or captions from a file, one per line.",
        ),
    ] = None,
    device: Annotated[str | None, typer.Option(help="cpu, cuda, ... [default: a GPU if there is one]")] = None,
) -> None:
    """Choose alpha, beta, norm, method and K on the validation split. It has no option for another split."""
    from dataclasses import asdict

    import torch

    from rsitr.cli.output import progress_bar, require_report, screen, write_json
    from rsitr.cli.provenance import provenance
    from rsitr.data import load_dataset
    from rsitr.errors import ModelError
    from rsitr.evaluation.bank import Bank, describe_bank, encode_bank, read_bank
    from rsitr.evaluation.protocol import encode_split
    from rsitr.evaluation.tuning import tune as run
    from rsitr.models import load_checkpoint, load_model
    from rsitr.models.checkpoint import CONFIG_FILE, record_mixture

    require_report(json_file)
    if rerank is not None:
        _tune_reading(model, data=data, rerank=rerank, json_file=json_file, device=device, idle=(write, bank))
        return
    if write and not (Path(model) / CONFIG_FILE).is_file():
        raise ModelError(f"--write records the mixture in a checkpoint folder, and {model} is none")
    datasets = [load_dataset(spec) for spec in data]
    images = [dataset.split("val") for dataset in datasets]
    reference = [dataset.split("train") for dataset in datasets] if bank == "train" else []
    encoder = load_model(model, device=device)
    where = device or ("cuda" if torch.cuda.is_available() else "cpu")
    with progress_bar() as bar:
        task = bar.add_task("Encoding", total=sum(map(len, (*images, *reference))))
        splits = []
        seen = 0
        for part in images:
            splits.append(encode_split(encoder, part, progress=_counted(bar, task, first=seen)))
            seen += len(part)
        banks: list[Bank] = []
        for part in reference:
            banks.append(encode_bank(encoder, part, progress=_counted(bar, task, first=seen)))
            seen += len(part)
        if bank not in (None, "train"):
            banks = [read_bank(encoder, Path(bank))] * len(splits)
        task = bar.add_task("Trying settings", total=None)
        result = run(
            splits,
            device=where,
            banks=banks or None,
            progress=lambda done, total: bar.update(task, completed=done, total=total),
        )
    out = screen(json_file)
    out.print(f"re-rankings over {describe_bank(bank)}")
    _print_trials(result, out)
    plain = result.best_plain
    if json_file is not None:
        report = {
            "model": model,
            "data": data,
            "split": "val",
            "bank": describe_bank(bank),
            "data_sha256": [dataset.sha256 for dataset in datasets],
            "fingerprint": encoder.fingerprint,
            "best": asdict(result.best),
            "best_plain": asdict(plain),
            "trials": [asdict(trial) for trial in result.trials],
            **provenance(),
        }
        write_json(json_file, report)
    if write:
        rerank = result.best_of(encoder.rerank) if encoder.rerank else None
        record_mixture(Path(model), load_checkpoint(Path(model)), mixture=plain.mixture, rerank=rerank)
        out.print(f"recorded in {Path(model) / CONFIG_FILE}")


def _print_trials(result: TuningResult, out: Console) -> None:
    """The ten best, and the best without re-ranking."""
    from dataclasses import asdict

    for trial in sorted(result.trials, key=lambda trial: -trial.mR)[:10]:
        mixture = trial.mixture
        out.print(
            f"mR {trial.mR:6.2f}  alpha {mixture.alpha:.1f}  beta {mixture.beta:.1f}  {mixture.norm:3}  "
            f"re-ranking {trial.rerank or 'none'}"
        )
    plain = result.best_plain
    out.print(f"best without re-ranking: mR {plain.mR:.2f} with {asdict(plain.mixture)}")


def _counted(bar: Progress, task: TaskID, *, first: int) -> Callable[[int], None]:
    """Progress of a part of a task, of which so much was done before."""
    return lambda done: bar.update(task, completed=first + done)


def _tune_reading(
    model: str,
    *,
    data: list[str],
    rerank: str,
    json_file: Path | None,
    device: str | None,
    idle: tuple[bool, str | None],
) -> None:
    """How a fusion model re-ranks; `idle` are --write and --bank, which would change nothing here."""
    from dataclasses import asdict

    from rsitr.cli.output import progress_bar, screen, write_json
    from rsitr.cli.provenance import provenance
    from rsitr.data import load_dataset
    from rsitr.errors import ConfigError
    from rsitr.evaluation.protocol import encode_split
    from rsitr.evaluation.reading import tune_reading
    from rsitr.models import load_model
    from rsitr.rerank import FusionPlan, parse_method

    write, bank = idle
    if write:
        raise ConfigError("--write records what a checkpoint says of itself; give what is found here with --rerank")
    if bank is not None:
        raise ConfigError("--bank is for methods without training; a fusion model needs no reference queries")
    plan = parse_method(rerank)
    if not isinstance(plan, FusionPlan):
        raise ConfigError(f"--rerank {rerank}: methods without training are all tried anyway; name a fusion model")
    datasets = [load_dataset(spec) for spec in data]
    images = [dataset.split("val") for dataset in datasets]
    encoder = load_model(model, device=device)
    with progress_bar() as bar:
        task = bar.add_task("Encoding", total=sum(map(len, images)))
        splits = []
        for place, part in enumerate(images):
            seen = sum(map(len, images[:place]))
            splits.append(encode_split(encoder, part, progress=_counted(bar, task, first=seen)))
        task = bar.add_task("Reading", total=sum(map(len, images)))
        found = tune_reading(
            splits,
            images,
            plan=plan,
            mixture=encoder.mixture,
            device=device,
            progress=lambda done: bar.update(task, completed=done),
        )
    out = screen(json_file)
    for trial in sorted(found.trials, key=lambda trial: -trial.mR)[:10]:
        out.print(f"mR {trial.mR:6.2f}  top {trial.plan.top:3}  weight {trial.plan.weight:g}")
    out.print(f"without re-ranking: mR {found.alone:.2f}")
    out.print(f"each half of the pictures with what the other half chose: mR {found.crossed_mR:.2f}")
    out.print(f"best: --rerank {found.best.plan}", highlight=False, soft_wrap=True)
    if json_file is not None:
        report = {
            "model": model,
            "data": data,
            "split": "val",
            "data_sha256": [dataset.sha256 for dataset in datasets],
            "fingerprint": encoder.fingerprint,
            "rerank": str(found.best.plan),
            **asdict(found),
            **provenance(),
        }
        write_json(json_file, report)
