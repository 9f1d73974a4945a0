"""`rsitr index`: cut scenes into tiles, encode them, and store them to be searched."""

from __future__ import annotations

import sys
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Annotated, TypeVar

import typer

from rsitr.cli.importing import ImportRequest, run_import
from rsitr.cli.indexing import IndexOptions, run_index, run_relink
from rsitr.cli.naming import find_place
from rsitr.cli.output import AsJson
from rsitr.errors import ConfigError

__all__ = ["index"]

Number = TypeVar("Number", int, float)


def index(
    scenes: list[str] | None = typer.Argument(
        None,
        metavar="SCENE_OR_FOLDER...",
        help="Images, folders full of them, addresses (https://, s3://), STAC items and collections.",
    ),
    *,
    into: Path = typer.Option(
        ...,
        metavar="INDEX",
        help="Folder of the index, or s3://bucket/prefix, milvus://host:19530/collection; made if it is not there.",
        parser=find_place,
    ),
    model: str | None = typer.Option(
        None,
        metavar="MODEL",
        help="What encodes the tiles: one of `rsitr models`, a checkpoint folder, an open_clip name. "
        "[default: the index's own; lookout for a new one]",
    ),
    device: str | None = typer.Option(None, metavar="DEVICE", help="Where the model runs, e.g. cpu or cuda."),
    fast: bool = typer.Option(
        True, "--fast/--fp32", help="Encode the fastest way that keeps every vector's cosine with fp32 above 0.999."
    ),
    onnx: Path | None = typer.Option(
        None, metavar="FOLDER", help="Of `rsitr export --onnx`: ONNX Runtime is tried, too, and taken if it is fastest."
    ),
    compiled: bool = typer.Option(
        False, "--compile", help="Also try torch.compile: a minute at the start, for large archives on a GPU."
    ),
    batch_size: int = typer.Option(64, min=1, metavar="N", help="Tiles encoded at once."),
    tile_px: int | None = typer.Option(
        None,
        min=16,
        metavar="N",
        help="Side of a tile in pixels. [default: the model's picture, or more of finer pixels]",
    ),
    tile_m: float | None = typer.Option(
        None, metavar="M", help="Side of a tile in metres on the ground, instead of --tile-px."
    ),
    overlap: float | None = typer.Option(
        None, min=0.0, max=0.9, metavar="F", help="Part of its side that a tile shares with its neighbour. [default: 0]"
    ),
    scales: str | None = typer.Option(
        None, metavar="F,F,...", help="Cut tiles of so many times this size, e.g. 1,2,4. [default: 1]"
    ),
    bands: str | None = typer.Option(
        None, metavar="R,G,B", help="Bands to show, counted from 1; one is shown as grey. [default: as the file says]"
    ),
    page: int | None = typer.Option(
        None, min=1, metavar="N", help="Which image of files that hold several, counted from 1. [default: the first]"
    ),
    local_codes: int | None = typer.Option(
        None,
        min=1,
        metavar="R",
        help="Keep R(R+1)/2 half-precision numbers of each tile's local features, so that the second stage of ranking "
        "needs no pictures. [default: none]",
    ),
    store: str | None = typer.Option(
        None,
        metavar="NAME",
        help="What keeps the tiles of a new index: lance, or one of your own (--import). [default: as --into says]",
    ),
    engine: str = typer.Option(
        "local",
        metavar="ENGINE",
        help="What reads and encodes: local, ray (all cores of this machine, as a cluster of its own), or "
        "ray://HOST:PORT, a cluster that is there.",
    ),
    root: Path | None = typer.Option(
        None,
        metavar="DIR",
        help="Folder that scene paths are relative to; without scenes: where a moved archive lies now. "
        "[default: their common folder]",
    ),
    sync: bool = typer.Option(False, "--sync", help="Also remove scenes that are no longer in the folders named."),
    dry_run: bool = typer.Option(
        False, "--dry-run", help="Only tell what would be done: scenes, tiles, time and space. Nothing is written."
    ),
    as_json: AsJson = False,
    from_embeddings: Annotated[
        bool,
        typer.Option(
            "--from-embeddings",
            help="What is named are Parquet files of embeddings that were made elsewhere, or folders of them.",
        ),
    ] = False,
    vector_column: Annotated[
        str | None,
        typer.Option(
            metavar="NAME", help="Of the embeddings' vectors; A* is a column for each number. [default: found]"
        ),
    ] = None,
    geometry_column: Annotated[
        str | None, typer.Option(metavar="NAME", help="Of their outlines, as WKB or well-known text. [default: found]")
    ] = None,
    id_column: Annotated[str | None, typer.Option(metavar="NAME", help="Of their ids. [default: found]")] = None,
    date_column: Annotated[str | None, typer.Option(metavar="NAME", help="Of their days. [default: found]")] = None,
    scene_column: Annotated[
        str | None,
        typer.Option(metavar="NAME", help="Of what they were cut from. [default: found, else a file is a scene]"),
    ] = None,
    sensor_column: Annotated[
        str | None, typer.Option(metavar="NAME", help="Of their sensors. [default: found]")
    ] = None,
    gsd_column: Annotated[str | None, typer.Option(metavar="NAME", help="Of metres per pixel. [default: none]")] = None,
    model_name: Annotated[
        str | None,
        typer.Option(metavar="NAME", help="What made the embeddings, as people call it. [default: as the files say]"),
    ] = None,
) -> None:
    """Make scenes searchable: GeoTIFF and whatever else GDAL reads, and plain pictures; or embeddings made elsewhere.

    An index that exists grows: scenes that are new or have changed are indexed, the others left as they are; an
    interrupted run continues when it is started again. Status 1 if a file could not be used, 2 if none could.
    """
    from rsitr.index.manifest import make_settings

    columns = {
        "vector": vector_column,
        "geometry": geometry_column,
        "id": id_column,
        "date": date_column,
        "scene": scene_column,
        "sensor": sensor_column,
        "gsd": gsd_column,
    }
    named = {f"--{name}-column": value for name, value in columns.items()} | {"--model-name": model_name}
    if from_embeddings:
        of_scenes = {
            "--fp32": not fast, "--onnx": onnx, "--compile": compiled, "--tile-px": tile_px, "--overlap": overlap,
            "--scales": scales, "--bands": bands, "--page": page, "--local-codes": local_codes, "--store": store,
            "--sync": sync, "--engine": None if engine == "local" else engine,
        }  # fmt: skip
        _require_none(of_scenes, why="is for scenes, which embeddings were made of already")
        request = ImportRequest(
            files=tuple(scenes or ()),
            into=into,
            columns=columns,
            tile_m=tile_m,
            model=model,
            model_name=model_name,
            device=device,
            root=root,
            dry_run=dry_run,
            as_json=as_json,
        )
        raise typer.Exit(_stoppable(lambda: run_import(request), kept="the files that were done are kept"))
    _require_none(named, why="is for embeddings: give it with --from-embeddings")
    if not scenes:
        raise typer.Exit(run_relink(into, root=root, as_json=as_json))
    options = IndexOptions(
        into=into,
        model=model,
        device=device,
        fast=fast,
        onnx=onnx,
        compiled=compiled,
        batch_size=batch_size,
        settings=make_settings(
            tile_px=tile_px,
            tile_m=tile_m,
            overlap=overlap,
            scales=_parse_numbers("scales", scales, float),
            bands=_parse_numbers("bands", bands, int),
            page=page,
        ),
        local_codes=local_codes,
        store=store,
        engine=engine,
        root=root,
        sync=sync,
        dry_run=dry_run,
        as_json=as_json,
    )
    raise typer.Exit(_stoppable(lambda: run_index(scenes, options), kept="what was encoded is kept"))


def _stoppable(work: Callable[[], int], *, kept: str) -> int:
    """The status of some work that a person may interrupt, which typer would end without a word."""
    try:
        return work()
    except KeyboardInterrupt:
        sys.stderr.write(f"rsitr: interrupted; {kept}, and the same command goes on from there\n")
        return 130


def _require_none(options: Mapping[str, object], *, why: str) -> None:
    given = [name for name, value in options.items() if value is not None and value is not False]
    if given:
        raise ConfigError(f"{given[0]} {why}")


def _parse_numbers(option: str, text: str | None, kind: Callable[[str], Number]) -> list[Number] | None:
    try:
        return None if text is None else [kind(part) for part in text.split(",")]
    except ValueError as error:
        raise ConfigError(f"--{option} takes numbers with commas between them, e.g. 1,2,4, not {text!r}") from error
