"""`rsitr export-embeddings` and `rsitr evaluate-embeddings`: a split's features in a Parquet file, and back."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from rsitr.cli.output import AsJson


def export_embeddings(
    model: Annotated[str, typer.Argument(help="One of `rsitr models`, a checkpoint folder, or open_clip's NAME:TAG.")],
    data: Annotated[str, typer.Option(help="NAME:FOLDER (rsicd, ucm, sydney, rsitmd, nwpu) or csv:FILE.")],
    out: Annotated[Path, typer.Option(metavar="FILE", help="Parquet file to write.")],
    split: Annotated[str, typer.Option(help="Split to encode; test only when named.")] = "val",
    tokens: Annotated[
        bool | None,
        typer.Option(
            "--tokens/--no-tokens",
            help="Local features too: most of the file. [default: if the model's mixture uses them]",
        ),
    ] = None,
    batch_size: Annotated[int, typer.Option(min=1, metavar="N", help="Pictures per pass.")] = 64,
    device: Annotated[str | None, typer.Option(help="cpu, cuda, ... [default: a GPU if there is one]")] = None,
    as_json: AsJson = False,
) -> None:
    """Write the features of a split's pictures and captions to a Parquet file."""
    from rsitr.cli.output import print_json, progress_bar, screen
    from rsitr.cli.provenance import provenance
    from rsitr.cli.results_training import EmbeddingsResult
    from rsitr.data import load_dataset
    from rsitr.evaluation import encode_embeddings, write_embeddings
    from rsitr.files import require_writable
    from rsitr.models import load_model

    require_writable(out)
    load_dataset(data).split(split)  # a typing error shows before the model loads
    encoder = load_model(model, device=device)
    with progress_bar() as bar:
        task = bar.add_task("Encoding pictures", total=None)
        embeddings = encode_embeddings(
            encoder,
            data=data,
            split=split,
            batch_size=batch_size,
            progress=lambda done, total: bar.update(task, completed=done, total=total),
        )
    with_tokens = encoder.mixture.beta != 0 if tokens is None else tokens
    write_embeddings(out, embeddings, tokens=with_tokens, provenance=provenance())
    if as_json:
        print_json(
            EmbeddingsResult(
                file=str(out),
                n_images=len(embeddings.image_ids),
                n_texts=len(embeddings.texts),
                dim=encoder.dim,
                has_tokens=with_tokens,
                size_bytes=out.stat().st_size,
            )
        )
    screen(as_json).print(
        f"{out}: {len(embeddings.image_ids):,} images, {len(embeddings.texts):,} distinct captions, {encoder.dim} "
        f"numbers each, {'with' if with_tokens else 'without'} local features, {out.stat().st_size / 2**20:.1f} MiB"
    )


def evaluate_embeddings(
    file: Annotated[Path, typer.Argument(help="Parquet file of `rsitr export-embeddings`, or with its columns.")],
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
            help="Re-rank without training: sar:k=20, csls, ..., or none. [default: the model's own, if it has one]",
        ),
    ] = None,
    device: Annotated[str | None, typer.Option(help="cpu, cuda, ... [default: a GPU if there is one]")] = None,
) -> None:
    """Measure retrieval with features from a file: the same numbers as `rsitr evaluate`, without the model."""
    from rsitr.cli.output import require_report, screen, write_json
    from rsitr.cli.provenance import provenance
    from rsitr.cli.report import print_retrieval
    from rsitr.errors import ConfigError
    from rsitr.evaluation import evaluate_embeddings as run
    from rsitr.evaluation import read_embeddings
    from rsitr.evaluation.report import override
    from rsitr.files import fingerprint_files, write_file

    if norm not in (None, "l2", "rms"):
        raise ConfigError(f"--norm {norm} is unknown; use l2 or rms")
    for path in (json_file, per_query):
        require_report(path)
    embeddings = read_embeddings(file)
    report = run(
        embeddings,
        mixture=override(embeddings.source.mixture, alpha=alpha, beta=beta, norm=norm),  # type: ignore[arg-type]
        rerank=rerank,
        device=device,
        bootstrap=bootstrap,
    )
    if json_file is not None:
        write_json(json_file, {**report.as_dict(), "embeddings_sha256": fingerprint_files(file), **provenance()})
    if per_query is not None:
        write_file(per_query, report.per_query_csv())
    print_retrieval(report, screen(json_file))
