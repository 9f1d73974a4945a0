"""`rsitr index`: cut scenes into tiles, encode them, and store them to be searched."""

from __future__ import annotations

import sys
from collections.abc import Callable, Sequence
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, TypeVar

import typer

from rsitr.cli.output import console, format_duration, make_table, progress_bar
from rsitr.defaults import DEFAULT_MODEL
from rsitr.errors import ConfigError, SceneError

if TYPE_CHECKING:
    from rsitr.index import IngestReport, Settings
    from rsitr.search import LocalCoder
    from rsitr.types import Encoder

__all__ = ["index", "run_index", "run_relink"]

Number = TypeVar("Number", int, float)

_SCENES_SHOWN = 40
_FINDS_SHOWN = 100


def index(
    scenes: list[str] | None = typer.Argument(
        None,
        metavar="SCENE_OR_FOLDER...",
        help="Images, folders full of them, addresses (https://, s3://), STAC items and collections.",
    ),
    *,
    into: Path = typer.Option(..., metavar="INDEX", help="Folder of the index; made if it is not there."),
    model: str | None = typer.Option(
        None,
        metavar="MODEL",
        help="What encodes the tiles: lookout, compact, a checkpoint folder, an open_clip name. "
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
    root: Path | None = typer.Option(
        None,
        metavar="DIR",
        help="Folder that scene paths are relative to; without scenes: where a moved archive lies now. "
        "[default: their common folder]",
    ),
    sync: bool = typer.Option(False, "--sync", help="Also remove scenes that are no longer in the folders named."),
) -> None:
    """Make scenes searchable: GeoTIFF and whatever else GDAL reads, and plain pictures.

    An index that exists grows: scenes that are new or have changed are indexed, the others left as they are; an
    interrupted run continues when it is started again. Status 1 if a file could not be used, 2 if none could.
    """
    if not scenes:
        raise typer.Exit(run_relink(into, root=root))
    try:
        status = run_index(
            scenes,
            into=into,
            model=model,
            device=device,
            fast=fast,
            onnx=onnx,
            compiled=compiled,
            batch_size=batch_size,
            tile_px=tile_px,
            tile_m=tile_m,
            overlap=overlap,
            scales=_parse_numbers("scales", scales, float),
            bands=_parse_numbers("bands", bands, int),
            page=page,
            local_codes=local_codes,
            root=root,
            sync=sync,
        )
    except KeyboardInterrupt:  # typer would end without a word
        sys.stderr.write("rsitr: interrupted; what was encoded is kept, and the same command goes on from there\n")
        status = 130
    raise typer.Exit(status)


def run_index(
    scenes: Sequence[str | Path],
    *,
    into: Path,
    model: str | None = None,
    device: str | None = None,
    fast: bool = True,
    onnx: Path | None = None,
    compiled: bool = False,
    batch_size: int = 64,
    tile_px: int | None = None,
    tile_m: float | None = None,
    overlap: float | None = None,
    scales: Sequence[float] | None = None,
    bands: Sequence[int] | None = None,
    page: int | None = None,
    local_codes: int | None = None,
    root: Path | None = None,
    sync: bool = False,
    encoder: Encoder | None = None,
) -> int:
    """What the command does; returns its exit status. A given `encoder` takes the place of `model` and `device`."""
    from rsitr.geo import find_sources, is_url
    from rsitr.index import IngestProgress, ingest, recorded_encodings, recorded_model
    from rsitr.index.manifest import make_settings

    # Wrong input is found before a model is loaded, which takes seconds.
    recorded = recorded_model(into)
    find_sources([scene for scene in scenes if not is_url(str(scene))], may_be_gone=sync and recorded is not None)
    if not fast and (onnx is not None or compiled):
        raise ConfigError("--fp32 leaves every faster way out: give it alone, or --onnx and --compile without it")
    settings = make_settings(tile_px=tile_px, tile_m=tile_m, overlap=overlap, scales=scales, bands=bands, page=page)
    load: Callable[[], Encoder] = partial(
        _load_encoder,
        model or recorded or DEFAULT_MODEL,
        device=device,
        fast=fast,
        onnx=onnx,
        compiled=compiled,
        recorded=recorded_encodings(into),
    )
    if encoder is None and (recorded is None or model not in {None, recorded}):
        encoder = load()  # an index to be made needs it in any case, another model than the index's is to be refused
    coder = _find_coder(into, local_codes, scenes=scenes, settings=settings, encoder=encoder, is_new=recorded is None)
    with progress_bar(time_left=False) as bar:
        task = bar.add_task("reading scenes", total=None)

        def show(now: IngestProgress) -> None:
            speed = f"{now.n_tiles:,} tiles, {now.tiles_per_s:.1f}/s"
            left = "" if now.left_s is None else f", {format_duration(now.left_s)} left"
            bar.update(task, total=now.n_scenes, completed=now.scenes_done, description=speed + left)

        report = ingest(
            scenes,
            into=into,
            encoder=encoder or load,
            tile_px=tile_px,
            tile_m=tile_m,
            overlap=overlap,
            scales=scales,
            bands=bands,
            page=page,
            root=root,
            sync=sync,
            coder=coder,
            batch_size=batch_size,
            progress=show,
        )
    _print_report(report, into)
    damaged = _print_finds(report, into)
    if not report.indexed and not report.unchanged and not report.removed:
        raise SceneError(f"none of the {len(report.failures)} files could be used; nothing was written to {into}")
    return 1 if report.failures or damaged else 0


def _load_encoder(
    name: str, *, device: str | None, fast: bool, onnx: Path | None, compiled: bool, recorded: Sequence[str]
) -> Encoder:
    """The model, encoding as the index was encoded at first; else, where it is new, by the fastest way."""
    from rsitr.models.encoder import TorchEncoder
    from rsitr.models.fast import accelerate, keep_path
    from rsitr.models.zoo import load_model

    loaded: Encoder = load_model(name, device=device)
    if not isinstance(loaded, TorchEncoder):
        return loaded
    if not fast:
        how = loaded.image_path
    elif any(keep_path(loaded, path, onnx=onnx) for path in recorded):
        how = f"{loaded.image_path}, as this index is"
    else:
        how = accelerate(loaded, onnx=onnx, compiled=compiled).describe()
    sys.stderr.write(f"encoding with {name}, {how}\n")
    if recorded and loaded.image_path not in recorded:
        sys.stderr.write(
            f"so far this index was encoded with {', '.join(recorded)}"
            + (", which cannot be done here" + ("" if onnx else " (ONNX Runtime needs --onnx)") if fast else "")
            + "; it records both\n"
        )
    return loaded


def _find_coder(
    into: Path,
    rank: int | None,
    *,
    scenes: Sequence[str | Path],
    settings: Settings,
    encoder: Encoder | None,
    is_new: bool,
) -> LocalCoder | None:
    """What makes the tiles' codes: fitted for a new index, and from then on what it was made with."""
    from rsitr.errors import StoreError
    from rsitr.geo import find_sources
    from rsitr.index import CODE_FILE, sample_pictures

    if rank is None and (is_new or not (into / CODE_FILE).is_file()):
        return None
    from rsitr.search.codes import FIT_TILES, fit_coder, load_coder

    if rank is not None and is_new and encoder is not None:
        size_px = encoder.image_size_px
        pictures = sample_pictures(find_sources(scenes), settings=settings, image_size_px=size_px, count=FIT_TILES)
        return fit_coder(encoder, pictures, rank=rank)
    found = load_coder(into)
    if rank is not None and (found is None or found.rank != rank):
        kept = "no local codes" if found is None else f"local codes of rank {found.rank}"
        raise StoreError(
            f"{into}: this index keeps {kept}, not of rank {rank}; leave the option out, or make a new one"
        )
    return found


def run_relink(into: Path, *, root: Path | None) -> int:
    """Record where an archive that has moved lies now; returns the exit status."""
    from rsitr.index import relink_index

    if root is None:
        raise ConfigError("nothing to index: name scenes or folders, or with --root DIR where a moved archive lies now")
    missing = relink_index(into, root)
    console().print(f"{into}: its scenes lie in {root.resolve()}" + (f"; {missing:,} are not there" if missing else ""))
    return 1 if missing else 0


def _parse_numbers(option: str, text: str | None, kind: Callable[[str], Number]) -> list[Number] | None:
    try:
        return None if text is None else [kind(part) for part in text.split(",")]
    except ValueError as error:
        raise ConfigError(f"--{option} takes numbers with commas between them, e.g. 1,2,4, not {text!r}") from error


def _print_finds(report: IngestReport, into: Path) -> list[str]:
    """What the index's detectors find in the scenes that are new or were changed; returns what is wrong with others."""
    from rsitr.index import open_index
    from rsitr.search.detectors import find_in_scenes, list_detectors

    damaged: list[str] = []
    if not report.indexed or not list_detectors(into):
        return damaged
    finds = find_in_scenes(open_index(into), {entry.scene for entry in report.indexed}, damaged=damaged.append)
    table = make_table("detector", "relevance", "date", "tile", title="New finds", numbers=("relevance",))
    for find in finds[:_FINDS_SHOWN]:
        day = find.hit.tile.date.isoformat() if find.hit.tile.date else "unknown"
        table.add_row(find.detector, f"{find.hit.relevance or 0.0:.2f}", day, find.hit.tile.tile)
    if finds:
        console().print(table)
    more = f", {len(finds) - _FINDS_SHOWN:,} of them not shown" if len(finds) > _FINDS_SHOWN else ""
    console().print(f"{len(finds):,} new finds by detectors{more}.")
    for line in damaged:
        sys.stderr.write(f"{line}\n")
    return damaged


def _print_report(report: IngestReport, into: Path) -> None:
    from rsitr.formats import format_number

    out = console()
    if report.indexed:
        columns = ("scene", "tiles", "left out", "date", "m per pixel", "place")
        numbers = ("tiles", "left out", "m per pixel")
        table = make_table(*columns, title=f"Indexed into {into}", numbers=numbers)
        for entry in report.indexed[:_SCENES_SHOWN]:
            table.add_row(
                entry.scene,
                f"{entry.n_tiles:,}",
                f"{entry.n_left_out:,}" if entry.n_left_out else "",
                entry.date.isoformat() if entry.date else "unknown",
                "" if entry.gsd_m is None else format_number(entry.gsd_m),
                (entry.crs or "yes") if entry.footprint else "unknown",
            )
        out.print(table)
        if len(report.indexed) > _SCENES_SHOWN:
            out.print(f"... and {len(report.indexed) - _SCENES_SHOWN:,} more scenes")
    if report.failures:
        table = make_table("file", "why", title="Could not be used")
        for failure in report.failures:
            table.add_row(failure.scene, failure.reason)
        out.print(table)
    for note in report.notes:
        out.print(f"note: {note}")
    counts = [
        f"{len(report.indexed):,} scenes indexed ({report.n_tiles:,} tiles, {report.time_s:.1f} s)",
        f"{report.n_left_out:,} tiles left out (mostly nodata)" if report.n_left_out else "",
        f"{report.n_resumed:,} tiles were encoded before an interruption" if report.n_resumed else "",
        f"{len(report.unchanged):,} scenes unchanged" if report.unchanged else "",
        f"{len(report.removed):,} scenes removed" if report.removed else "",
        f"{len(report.failures):,} files could not be used" if report.failures else "",
    ]
    out.print("; ".join(count for count in counts if count) + ".")
