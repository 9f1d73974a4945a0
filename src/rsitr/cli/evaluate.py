"""`rsitr evaluate`: measure a model on a split of a data set."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

__all__ = ["evaluate"]


def evaluate(
    model: Annotated[str, typer.Argument(help="One of `rsitr models`, a checkpoint folder, or open_clip's NAME:TAG.")],
    data: Annotated[str, typer.Option(help="NAME:FOLDER (rsicd, ucm, sydney, rsitmd, nwpu) or csv:FILE.")],
    split: Annotated[str, typer.Option(help="Split to measure on; test only when named.")] = "val",
    json_file: Annotated[
        Path | None, typer.Option("--json", metavar="FILE", help="Write the report as JSON; - prints it.")
    ] = None,
    per_query: Annotated[Path | None, typer.Option(metavar="FILE", help="Write every query's rank as CSV.")] = None,
    bootstrap: Annotated[int, typer.Option(min=0, metavar="N", help="Resamples for 95 % intervals; 0: none.")] = 0,
    alpha: Annotated[float | None, typer.Option(help="Weight of the global similarity.")] = None,
    beta: Annotated[float | None, typer.Option(help="Weight of the local similarity.")] = None,
    norm: Annotated[str | None, typer.Option(help="Local norm: l2 or rms.")] = None,
    rerank: Annotated[
        str | None,
        typer.Option(
            metavar="METHOD",
            help="Re-rank: sar:k=20, csls, ..., fusion:CHECKPOINT,top=128,weight=W, or none. "
            "[default: the model's own, if it has one]",
        ),
    ] = None,
    bank: Annotated[
        str | None,
        typer.Option(
            metavar="train|FILE",
            help="Reference queries of the re-ranking, in place of the split's own, which a live search has not: the "
            "training split's, or captions from a file, one per line.",
        ),
    ] = None,
    filter_folder: Annotated[
        Path | None, typer.Option("--filter", metavar="FOLDER", help="Retrieval filter of a fusion model.")
    ] = None,
    top: Annotated[int, typer.Option(min=1, metavar="N", help="Candidates that the filter lets through.")] = 128,
    zero_shot: Annotated[
        bool, typer.Option("--zero-shot", help="Also classify the pictures by the names of their classes.")
    ] = False,
    class_file: Annotated[
        Path | None,
        typer.Option(
            "--class-names", metavar="FILE", help="Classes to choose from, one per line. [default: the data set's]"
        ),
    ] = None,
    batch_size: Annotated[int, typer.Option(min=1, metavar="N", help="Pictures per pass.")] = 64,
    device: Annotated[str | None, typer.Option(help="cpu, cuda, ... [default: a GPU if there is one]")] = None,
) -> None:
    """Measure retrieval in both directions: R@1, R@5, R@10 and their mean, with ties counted in expectation."""
    from rsitr.cli.output import progress_bar, require_report, screen, write_json
    from rsitr.cli.provenance import provenance
    from rsitr.cli.report import print_retrieval, print_zero_shot
    from rsitr.data import load_dataset
    from rsitr.errors import ConfigError
    from rsitr.evaluation.fusion import evaluate_fusion, refuse_vector_options
    from rsitr.evaluation.report import evaluate as run
    from rsitr.evaluation.report import override
    from rsitr.files import write_file
    from rsitr.models import load_model
    from rsitr.models.fusion import is_fusion
    from rsitr.rerank import parse_method

    if norm not in (None, "l2", "rms"):
        raise ConfigError(f"--norm {norm} is unknown; use l2 or rms")
    for path in (json_file, per_query):
        require_report(path)
    if rerank not in (None, "none"):
        parse_method(rerank)
    class_names = None if class_file is None else _read_class_names(class_file)
    if class_names is not None and not zero_shot:
        raise ConfigError("--class-names is for --zero-shot: give both")
    load_dataset(data).split(split)  # a typing error shows before the model loads
    fusion = is_fusion(model)
    if fusion:
        refuse_vector_options(alpha=alpha, beta=beta, norm=norm, rerank=rerank, bank=bank, zero_shot=zero_shot)
    elif filter_folder is not None:
        raise ConfigError(f"--filter belongs to a fusion model, and {model} is none; --rerank fusion:... re-ranks it")
    with progress_bar() as bar:
        task = bar.add_task("Encoding pictures", total=None)
        if fusion:
            scoring = bar.add_task("Scoring pairs", total=None, visible=filter_folder is None)
            report = evaluate_fusion(
                model,
                data=data,
                split=split,
                filter_folder=filter_folder,
                top=top,
                device=device,
                batch_size=batch_size,
                bootstrap=bootstrap,
                on_images=lambda done, total: bar.update(task, completed=done, total=total),
                on_scores=lambda done, total: bar.update(scoring, completed=done, total=total),
            )
        else:
            encoder = load_model(model, device=device)
            report = run(
                encoder,
                data=data,
                split=split,
                mixture=override(encoder.mixture, alpha=alpha, beta=beta, norm=norm),  # type: ignore[arg-type]
                rerank=rerank,
                device=device,
                batch_size=batch_size,
                bootstrap=bootstrap,
                zero_shot=zero_shot,
                class_names=class_names,
                bank=bank,
                progress=lambda done, total: bar.update(task, completed=done, total=total),
            )
    write_json(json_file, {**report.as_dict(), **provenance()})
    if per_query is not None:
        write_file(per_query, report.per_query_csv())
    out = screen(json_file)
    print_retrieval(report, out)
    if report.zero_shot is not None:
        print_zero_shot(report.zero_shot, out)


def _read_class_names(file: Path) -> list[str]:
    """One class per line, spelled as the data sets' classes are.

    Raises:
        ConfigError: the file cannot be read, or names no class.
    """
    from rsitr.data.labels import spell_label
    from rsitr.errors import ConfigError

    try:
        names = [spell_label(line) for line in file.read_text(encoding="utf-8-sig").splitlines() if line.strip()]
    except (OSError, UnicodeDecodeError) as error:
        raise ConfigError(
            f"cannot read the class names in {file} ({error}): write UTF-8, one class per line"
        ) from error
    if not names:
        raise ConfigError(f"{file} names no class: write one per line")
    return names
