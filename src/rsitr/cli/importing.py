"""What `rsitr index --from-embeddings` does once its options are read."""

from __future__ import annotations

import sys
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

from rsitr.cli.naming import say
from rsitr.cli.output import console, make_table, print_json, progress_bar
from rsitr.errors import ConfigError, DataError

if TYPE_CHECKING:
    from rsitr.cli.results_search import IndexResult
    from rsitr.index import ImportOptions, ImportReport

__all__ = ["ImportRequest", "run_import"]

_FILES_SHOWN = 40


@dataclass(frozen=True, kw_only=True)
class ImportRequest:
    """The options of `rsitr index --from-embeddings`, as its help explains them.

    Attributes:
        columns: that were named, by what they hold.
    """

    files: tuple[str, ...]
    into: Path
    columns: Mapping[str, str | None]
    tile_m: float | None
    model: str | None
    model_name: str | None
    device: str | None
    root: Path | None
    dry_run: bool
    as_json: bool = False


def run_import(request: ImportRequest) -> int:
    """What the command does; returns its exit status."""
    from rsitr.index import ColumnChoice, ImportOptions, find_tables, import_embeddings

    if not request.files:
        raise ConfigError("--from-embeddings takes embeddings from files: name some, or folders of them")
    if request.model is not None and request.model_name is not None:
        raise ConfigError("--model names what made the embeddings and is at hand, --model-name what is not: give one")
    if request.tile_m is not None and not 0 < request.tile_m < 1e6:
        raise ConfigError(f"--tile-m is the side of a square in metres, more than 0, not {request.tile_m:g}")
    paths = find_tables(request.files)  # a typing error shows before the model loads
    options = ImportOptions(
        columns=ColumnChoice(**request.columns),
        side_m=request.tile_m,
        model_name=request.model_name,
        root=request.root,
    )
    if request.dry_run:
        return _foretell(paths, options, request)
    if request.model is not None:
        from rsitr.models.zoo import load_encoder

        options = replace(options, encoder=load_encoder(request.model, device=request.device))
    with progress_bar() as bar:
        task = bar.add_task("reading embeddings", total=None)
        report = import_embeddings(
            paths,
            into=request.into,
            options=options,
            progress=lambda done, total: bar.update(task, completed=done, total=total),
        )
    if request.as_json:
        print_json(_result(report, request))
    else:
        _print_report(report, request.into)
    if not report.imported and not report.unchanged:
        raise DataError(f"none of {len(report.failures)} files could be used; nothing was written to {request.into}")
    return 1 if report.failures or report.n_bad else 0


def _foretell(paths: list[Path], options: ImportOptions, request: ImportRequest) -> int:
    """What was found in each file; nothing is written."""
    from rsitr.index.embeddings import EmbeddingFile

    table = make_table(
        "file", "rows", "vectors", "place", "id", "date", "scene", title="Would be taken", numbers=("rows",)
    )
    failed: list[tuple[str, str]] = []
    seen: list[dict[str, Any]] = []
    for path in paths:
        try:
            file = EmbeddingFile(path, name=path.name, given=options.columns, side_m=options.side_m)
            try:
                found, width = file.columns, file.width
            finally:
                file.close()
        except DataError as error:
            failed.append((str(path), str(error)))
            continue
        vector = found.vector[0] if len(found.vector) == 1 else f"{found.vector[0]} to {found.vector[-1]}"
        place = ", ".join(found.placing)
        seen.append({"scene": str(path), "n_tiles": file.n_rows, "n_left_out": 0})
        table.add_row(
            str(path), f"{file.n_rows:,}", f"{vector} ({width} numbers)", place, *(
                name or "" for name in (found.id, found.date, found.scene)
            ),
        )  # fmt: skip
    if request.as_json:
        print_json(_describe(request, scenes=seen, failures=failed))
    else:
        console().print(table)
        _print_failures(failed)
        console().print("Nothing was written.")
    if len(failed) == len(paths):
        raise DataError(f"none of the {len(failed)} files could be used")
    return 1 if failed else 0


def _describe(
    request: ImportRequest,
    *,
    scenes: list[dict[str, Any]],
    failures: list[tuple[str, str]],
    unchanged: Sequence[str] = (),
    notes: Sequence[str] = (),
    time_s: float = 0.0,
) -> IndexResult:
    """What became of the files, as of scenes: each is one, or holds several."""
    from rsitr.cli.results_search import IndexResult

    return IndexResult(
        index=str(request.into),
        dry_run=request.dry_run,
        scenes=scenes,
        unchanged=list(unchanged),
        removed=[],
        failures=[{"scene": file, "reason": why} for file, why in failures],
        notes=list(notes),
        n_tiles=sum(one["n_tiles"] for one in scenes),
        n_left_out=sum(one["n_left_out"] for one in scenes),
        n_resumed=0,
        time_s=time_s,
        finds=[],
    )


def _result(report: ImportReport, request: ImportRequest) -> IndexResult:
    return _describe(
        request,
        scenes=[
            {"scene": name, "n_tiles": one.n_tiles, "n_left_out": one.n_bad} for name, one in report.imported.items()
        ],
        failures=[(failure.scene, failure.reason) for failure in report.failures],
        unchanged=report.unchanged,
        notes=report.notes,
        time_s=report.time_s,
    )


def _print_failures(failed: list[tuple[str, str]]) -> None:
    if failed:
        table = make_table("file", "why", title="Could not be used")
        for file, why in failed:
            table.add_row(file, why)
        console().print(table)


def _print_report(report: ImportReport, into: Path) -> None:
    if report.imported:
        table = make_table("file", "tiles", "left out", title=f"Taken into {say(into)}", numbers=("tiles", "left out"))
        for name, one in list(report.imported.items())[:_FILES_SHOWN]:
            table.add_row(name, f"{one.n_tiles:,}", f"{one.n_bad:,}" if one.n_bad else "")
        console().print(table)
        if len(report.imported) > _FILES_SHOWN:
            console().print(f"... and {len(report.imported) - _FILES_SHOWN:,} more files")
    _print_failures([(failure.scene, failure.reason) for failure in report.failures])
    for name, one in report.imported.items():
        if one.bad:
            sys.stderr.write(f"{name}: rows that could not be used: {one.bad}\n")
    for note in report.notes:
        console().print(f"note: {note}")
    counts = [
        f"{len(report.imported):,} files taken ({report.n_tiles:,} tiles, {report.time_s:.1f} s)",
        f"{report.n_bad:,} rows left out" if report.n_bad else "",
        f"{len(report.unchanged):,} files unchanged" if report.unchanged else "",
        f"{len(report.failures):,} files could not be used" if report.failures else "",
    ]
    console().print("; ".join(count for count in counts if count) + ".")
