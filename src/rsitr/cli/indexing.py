"""What `rsitr index` does once its options are read: indexing, a look ahead, an archive that has moved."""

from __future__ import annotations

import sys
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING

from rsitr.cli.naming import say
from rsitr.cli.output import format_duration, make_table, print_json, progress_bar, screen
from rsitr.defaults import DEFAULT_MODEL
from rsitr.errors import ConfigError, SceneError
from rsitr.extras import has_package, need

if TYPE_CHECKING:
    from rich.console import Console

    from rsitr.index import Cluster, Failure, IngestReport, Settings
    from rsitr.index.surveying import Survey
    from rsitr.search import Find, LocalCoder
    from rsitr.types import Encoder, SceneEntry

__all__ = ["IndexOptions", "run_index", "run_relink"]

_SCENES_SHOWN = 40
_FINDS_SHOWN = 100
_SAMPLED = 50  # scenes, evenly spread, are looked at before the work


@dataclass(frozen=True, kw_only=True)
class IndexOptions:
    """The options of `rsitr index`, as its help explains them.

    Attributes:
        settings: of tiles and bands, those that were given.
    """

    into: Path
    model: str | None = None
    device: str | None = None
    fast: bool = True
    onnx: Path | None = None
    compiled: bool = False
    batch_size: int = 64
    settings: Settings | None = None
    local_codes: int | None = None
    store: str | None = None
    engine: str = "local"
    root: Path | None = None
    sync: bool = False
    dry_run: bool = False
    as_json: bool = False


def run_index(scenes: Sequence[str | Path], options: IndexOptions, *, encoder: Encoder | None = None) -> int:
    """What the command does; returns its exit status. A given `encoder` takes the place of the named model."""
    from rsitr.geo import find_sources, is_url
    from rsitr.index import STORES, IngestProgress, Settings, ingest, recorded_encodings, recorded_model

    # Wrong input is found before a model is loaded, which takes seconds.
    into, recorded = options.into, recorded_model(options.into)
    if options.store is not None:
        _ = STORES[options.store]
    may_be_gone = options.sync and recorded is not None
    find_sources([scene for scene in scenes if not is_url(str(scene))], may_be_gone=may_be_gone)
    if not options.fast and (options.onnx is not None or options.compiled):
        raise ConfigError("--fp32 leaves every faster way out: give it alone, or --onnx and --compile without it")
    settings = options.settings or Settings()
    cluster = None if options.engine == "local" else _find_cluster(options, encoder=encoder)
    load: Callable[[], Encoder] = partial(_load_encoder, options, recorded=recorded_encodings(into))
    if encoder is None and (recorded is None or options.model not in {None, recorded}):
        encoder = load()  # an index to be made needs it in any case, another model than the index's is to be refused
    if options.dry_run:
        return _foretell(scenes, options, encoder=encoder or load(), settings=settings)
    coder = _find_coder(options, scenes=scenes, settings=settings, encoder=encoder, is_new=recorded is None)
    _warn_of_tiles(scenes, options, settings=settings, encoder=encoder)
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
            settings=settings,
            root=options.root,
            sync=options.sync,
            coder=coder,
            engine=options.store,
            batch_size=options.batch_size,
            cluster=cluster,
            progress=show,
        )
    out = screen(options.as_json)
    _print_report(report, into, out=out)
    finds, damaged = _find(report, into)
    _print_finds(finds, out=out)
    for line in damaged:
        sys.stderr.write(f"{line}\n")
    if options.as_json:
        _print_json(report, into, finds=finds or ())
    if not report.indexed and not report.unchanged and not report.removed:
        raise SceneError(f"none of the {len(report.failures)} files could be used; nothing was written to {into}")
    return 1 if report.failures or damaged else 0


def _foretell(scenes: Sequence[str | Path], options: IndexOptions, *, encoder: Encoder, settings: Settings) -> int:
    """What would be done, from what the files say of themselves and how long a trial batch takes to encode."""
    from rsitr.cli.info import format_size
    from rsitr.geo import find_sources
    from rsitr.index import open_index, recorded_model, survey

    known, root = {}, options.root
    if recorded_model(options.into) is not None:
        there = open_index(options.into, root=options.root)
        there.manifest.check_settings(settings, folder=options.into)
        known = {entry.scene: (entry.size_bytes, entry.mtime_ns) for entry in there.store.scenes()}
        settings, root = there.manifest.settings, there.root
    found = survey(
        find_sources(scenes, may_be_gone=options.sync),
        settings=settings,
        image_size_px=encoder.image_size_px,
        root=root,
        known=known,
    )
    out = screen(options.as_json)
    _print_scenes(found.scenes, title=f"Would be indexed into {say(options.into)}", out=out)
    _print_failures(found.failures, out=out)
    for note in found.notes:
        out.print(f"note: {note}")
    code_length = 0 if options.local_codes is None else options.local_codes * (options.local_codes + 1) // 2
    size_bytes = found.size_bytes(dim=encoder.dim, code_length=code_length)
    size = format_size(size_bytes)
    time_s = found.n_tiles * _time_tile(encoder, batch_size=options.batch_size)
    unchanged = f"; {len(found.unchanged):,} scenes unchanged" if found.unchanged else ""
    failed = f"; {len(found.failures):,} files could not be used" if found.failures else ""
    out.print(
        f"{len(found.scenes):,} scenes would be indexed: up to {found.n_tiles:,} tiles, about "
        f"{format_duration(time_s)} and {size}{unchanged}{failed}. Nothing was written."
    )
    if options.as_json:
        _print_json_ahead(found, options.into, time_s=time_s, size_bytes=size_bytes)
    if not found.scenes and not found.unchanged:
        raise SceneError(f"none of the {len(found.failures)} files could be used")
    return 1 if found.failures else 0


def _print_json_ahead(found: Survey, into: Path, *, time_s: float, size_bytes: int) -> None:
    from rsitr.cli.results_search import IndexResult, tell_entry

    print_json(
        IndexResult(
            index=say(into),
            dry_run=True,
            scenes=[tell_entry(entry) for entry in found.scenes],
            unchanged=list(found.unchanged),
            removed=[],
            failures=[{"scene": failure.scene, "reason": failure.reason} for failure in found.failures],
            notes=[*found.notes],
            n_tiles=found.n_tiles,
            n_left_out=0,
            n_resumed=0,
            time_s=round(time_s, 3),
            size_bytes=size_bytes,
            finds=[],
        )
    )


def _print_json(report: IngestReport, into: Path, *, finds: Sequence[Find]) -> None:
    from rsitr.cli.results_search import IndexResult, tell_entry
    from rsitr.formats import round_score

    told = [
        {"detector": one.detector, "relevance": round_score(one.hit.relevance), "tile": one.hit.tile.tile}
        for one in finds
    ]
    print_json(
        IndexResult(
            index=say(into),
            scenes=[tell_entry(entry) for entry in report.indexed],
            unchanged=list(report.unchanged),
            removed=list(report.removed),
            failures=[{"scene": failure.scene, "reason": failure.reason} for failure in report.failures],
            notes=list(report.notes),
            n_tiles=report.n_tiles,
            n_left_out=report.n_left_out,
            n_resumed=report.n_resumed,
            time_s=round(report.time_s, 3),
            finds=told,
        )
    )


def _time_tile(encoder: Encoder, *, batch_size: int) -> float:
    """Seconds that a tile takes to encode, from two batches, of which the first is for warming up."""
    import time

    import numpy as np

    side = encoder.image_size_px
    pictures = list(np.random.default_rng(0).integers(0, 256, (min(batch_size, 32), side, side, 3), dtype=np.uint8))
    encoder.encode_images(pictures, batch_size=batch_size)
    start = time.perf_counter()
    encoder.encode_images(pictures, batch_size=batch_size)
    return (time.perf_counter() - start) / len(pictures)


def _warn_of_tiles(
    scenes: Sequence[str | Path], options: IndexOptions, *, settings: Settings, encoder: Encoder | None
) -> None:
    """Say before the work, which may be long, where tiles of the size asked for would be too small to be read."""
    from rsitr.geo import find_sources
    from rsitr.index import survey
    from rsitr.index.manifest import read_manifest

    if settings.tile_m is None and settings.tile_px is None:
        return
    size_px = encoder.image_size_px if encoder else read_manifest(options.into).model.image_size_px
    sources = find_sources([scene for scene in scenes if Path(scene).exists()], may_be_gone=True)
    some = sources[:: max(1, -(-len(sources) // _SAMPLED))]
    for note in survey(some, settings=settings, image_size_px=size_px).tile_notes:
        sys.stderr.write(f"warning: {note}\n")


def _load_encoder(options: IndexOptions, *, recorded: Sequence[str]) -> Encoder:
    """The model, encoding as the index was encoded at first; else, where it is new, by the fastest way.

    A model with graphs is run by ONNX Runtime without a trial: on a CPU nothing that torch offers is faster
    (`benchmarks/engines.py`), and its numbers are single precision.
    """
    from rsitr.index.manifest import encoding_of
    from rsitr.models.portable import IMAGE_PATH
    from rsitr.models.zoo import load_encoder, load_model

    name = _name_model(options)
    if options.engine != "local":
        on_cluster: Encoder = load_encoder(name, device="cpu")
        _say_encoding(encoding_of(on_cluster), name, options, recorded=recorded)
        return on_cluster
    asks_torch = options.onnx is not None or options.compiled or (recorded and IMAGE_PATH not in recorded)
    load = load_model if asks_torch and has_package("torch") else partial(load_encoder, bulk=True)
    loaded: Encoder = load(name, device=options.device)
    how = _accelerate(loaded, options, recorded=recorded) or encoding_of(loaded)
    if how is not None:
        _say_encoding(encoding_of(loaded), name, options, recorded=recorded, how=how)
    return loaded


def _say_encoding(
    path: str | None, name: str, options: IndexOptions, *, recorded: Sequence[str], how: str | None = None
) -> None:
    if path is None:
        return
    sys.stderr.write(f"encoding with {name}, {how or path}\n")
    if recorded and path not in recorded:
        needed = "" if options.onnx else " (ONNX Runtime needs --onnx)"
        sys.stderr.write(
            f"so far this index was encoded with {', '.join(recorded)}"
            + (f", which cannot be done here{needed}" if options.fast else "")
            + "; it records both\n"
        )


def _name_model(options: IndexOptions) -> str:
    from rsitr.index import recorded_model

    return options.model or recorded_model(options.into) or DEFAULT_MODEL


def _find_cluster(options: IndexOptions, *, encoder: Encoder | None) -> Cluster:
    """Where to encode, and with what: there it is loaded by its name, or from the same folder."""
    from rsitr.index import Cluster
    from rsitr.index.cluster import parse_engine
    from rsitr.models.zoo import load_encoder

    address = parse_engine(options.engine)
    need("ray", what=f"--engine {options.engine}")
    local = {"--device": options.device not in {None, "cpu"}, "--onnx": options.onnx, "--compile": options.compiled}
    for option, is_given in local.items():
        if is_given:
            raise ConfigError(f"{option} is for the local engine: a cluster encodes on CPUs, by the model's own way")
    if encoder is not None:
        return Cluster(load=partial(_lend, encoder), address=address)
    name = _name_model(options)
    folder = Path(name).expanduser()
    return Cluster(
        load=partial(load_encoder, str(folder.resolve()) if folder.is_dir() else name, device="cpu"), address=address
    )


def _lend(encoder: Encoder) -> Encoder:
    return encoder


def _accelerate(loaded: Encoder, options: IndexOptions, *, recorded: Sequence[str]) -> str | None:
    """Let a model that torch runs take its way; says which. None for one that has a single way."""
    if not hasattr(loaded, "set_image_model"):
        return None
    from rsitr.models.encoder import TorchEncoder
    from rsitr.models.fast import accelerate, keep_path

    if not isinstance(loaded, TorchEncoder):
        return None
    if not options.fast:
        return loaded.image_path
    if any(keep_path(loaded, path, onnx=options.onnx) for path in recorded):
        return f"{loaded.image_path}, as this index is"
    return accelerate(loaded, onnx=options.onnx, compiled=options.compiled).describe()


def _find_coder(
    options: IndexOptions,
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

    into, rank = options.into, options.local_codes
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


def run_relink(into: Path, *, root: Path | None, as_json: bool = False) -> int:
    """Record where an archive that has moved lies now; returns the exit status."""
    from rsitr.index import relink_index

    if root is None:
        raise ConfigError("nothing to index: name scenes or folders, or with --root DIR where a moved archive lies now")
    missing = relink_index(into, root)
    if as_json:
        print_json({"index": say(into), "root": str(root.resolve()), "n_missing": missing})
    gone = f"; {missing:,} are not there" if missing else ""
    screen(as_json).print(f"{say(into)}: its scenes lie in {root.resolve()}{gone}")
    return 1 if missing else 0


def _find(report: IngestReport, into: Path) -> tuple[Sequence[Find] | None, list[str]]:
    """What the index's detectors find in the scenes that are new or were changed, and what is wrong with others.

    None where there is nothing to look for, or nothing to look at.
    """
    from rsitr.index import open_index
    from rsitr.search.detectors import find_in_scenes, list_detectors

    damaged: list[str] = []
    if not report.indexed or not list_detectors(into):
        return None, damaged
    scenes = {entry.scene for entry in report.indexed}
    return find_in_scenes(open_index(into), scenes, damaged=damaged.append), damaged


def _print_finds(finds: Sequence[Find] | None, *, out: Console) -> None:
    if finds is None:
        return
    table = make_table("detector", "relevance", "date", "tile", title="New finds", numbers=("relevance",))
    for find in finds[:_FINDS_SHOWN]:
        day = find.hit.tile.date.isoformat() if find.hit.tile.date else "unknown"
        table.add_row(find.detector, f"{find.hit.relevance or 0.0:.2f}", day, find.hit.tile.tile)
    if finds:
        out.print(table)
    more = f", {len(finds) - _FINDS_SHOWN:,} of them not shown" if len(finds) > _FINDS_SHOWN else ""
    out.print(f"{len(finds):,} new finds by detectors{more}.")


def _print_scenes(scenes: Sequence[SceneEntry], *, title: str, out: Console) -> None:
    from rsitr.formats import format_number

    if not scenes:
        return
    columns = ("scene", "tiles", "left out", "date", "m per pixel", "place")
    table = make_table(*columns, title=title, numbers=("tiles", "left out", "m per pixel"))
    for entry in scenes[:_SCENES_SHOWN]:
        table.add_row(
            entry.scene,
            f"{entry.n_tiles:,}",
            f"{entry.n_left_out:,}" if entry.n_left_out else "",
            entry.date.isoformat() if entry.date else "unknown",
            "" if entry.gsd_m is None else format_number(entry.gsd_m),
            (entry.crs or "yes") if entry.footprint else "unknown",
        )
    out.print(table)
    if len(scenes) > _SCENES_SHOWN:
        out.print(f"... and {len(scenes) - _SCENES_SHOWN:,} more scenes")


def _print_failures(failures: Sequence[Failure], *, out: Console) -> None:
    if failures:
        table = make_table("file", "why", title="Could not be used")
        for failure in failures:
            table.add_row(failure.scene, failure.reason)
        out.print(table)


def _print_report(report: IngestReport, into: Path, *, out: Console) -> None:
    _print_scenes(report.indexed, title=f"Indexed into {say(into)}", out=out)
    _print_failures(report.failures, out=out)
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
