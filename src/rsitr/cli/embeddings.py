"""`rsitr embeddings`, `export-embeddings` and `evaluate-embeddings`: the vectors of an index or a split, for others."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from rsitr.cli.naming import IndexPlace
from rsitr.cli.output import AsJson


def embeddings(
    index: IndexPlace,
    out: Annotated[
        Path | None,
        typer.Option(metavar="FILE", help="GeoParquet file to write: for each tile, its vector."),
    ] = None,
    stac: Annotated[
        Path | None,
        typer.Option(
            metavar="FOLDER", help="Write a STAC collection: an item for each scene, the file of embeddings as asset."
        ),
    ] = None,
    license_id: Annotated[
        str, typer.Option("--license", metavar="SPDX", help="What the collection says of the right to use it.")
    ] = "other",
    root: Annotated[
        Path | None, typer.Option(metavar="DIR", help="Where the scenes lie now, if they have moved.")
    ] = None,
    as_json: AsJson = False,
) -> None:
    """Write an index's tiles with their vectors for other programs: GeoParquet, STAC.

    `rsitr index --from-embeddings FILE --into INDEX` makes an index of such a file that finds the same. Status 1 if a
    scene could be no STAC item, since its day is unknown.
    """
    import sys

    from rsitr.cli.info import format_size
    from rsitr.cli.output import console, print_json, progress_bar, require_folder
    from rsitr.cli.rendering import scene_address
    from rsitr.cli.results_training import TileEmbeddingsResult
    from rsitr.errors import ConfigError
    from rsitr.files import require_writable
    from rsitr.formats import WrittenTiles, write_embedding_stac, write_tiles
    from rsitr.index import open_index

    if out is None and stac is None:
        raise ConfigError("nothing to write: name a file with --out, or a folder with --stac, or both")
    if out is not None:
        require_writable(out)
    if stac is not None:
        require_folder(stac, option="--stac")
    opened = open_index(index, root=root)

    files: dict[str, WrittenTiles] = {}

    def tell(path: Path, written: WrittenTiles) -> None:
        files[str(path)] = written
        if as_json:
            return
        size = format_size(written.size_bytes)
        without = f", {written.n_without_place:,} of them without a known place" if written.n_without_place else ""
        console().print(f"{path}: {written.n_tiles:,} tiles{without}, {opened.store.dim} numbers each, {size}")

    missing: tuple[str, ...] = ()
    with progress_bar() as bar:
        task = bar.add_task("tiles", total=None)

        def show(done: int, total: int) -> None:
            bar.update(task, completed=done, total=total)

        if out is not None:
            tell(out, write_tiles(opened, out, progress=show))
        if stac is not None:
            written, missing = write_embedding_stac(
                opened, stac, address=scene_address(opened.root), license_id=license_id, progress=show
            )
            tell(stac / "embeddings.parquet", written)
    if opened.manifest.code_length:
        sys.stderr.write("note: local codes stay in the index: who reads the file ranks by its vectors alone\n")
    if as_json:
        last = next(reversed(files.values()))
        print_json(
            TileEmbeddingsResult(
                files=list(files),
                stac=None if stac is None else str(stac),
                n_tiles=last.n_tiles,
                n_without_place=last.n_without_place,
                dim=opened.store.dim,
                missing=list(missing),
            )
        )
    for line in missing:
        sys.stderr.write(f"{line}\n")
    raise typer.Exit(1 if missing else 0)


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
