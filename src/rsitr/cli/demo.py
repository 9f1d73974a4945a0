"""`rsitr demo`: draw a scene, index it, search it, and report what was found; needs nothing but the package."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING

import typer

from rsitr.cli.output import AsJson, make_table, print_json, progress_bar, screen
from rsitr.defaults import DEFAULT_MODEL
from rsitr.errors import ConfigError
from rsitr.files import require_writable, write_file

if TYPE_CHECKING:
    from rsitr.demo import Exploration
    from rsitr.index import IngestProgress
    from rsitr.types import Encoder

__all__ = ["demo", "run_demo", "shown_progress"]


def demo(
    *,
    out: Path = typer.Option(Path("demo-output"), metavar="DIR", help="Folder for scene, index and report."),
    seed: int = typer.Option(0, min=0, metavar="N", help="What the scene is drawn from: another seed, another scene."),
    model: str = typer.Option(
        DEFAULT_MODEL, metavar="MODEL", help="One of `rsitr models`, a checkpoint folder, open_clip's NAME:TAG."
    ),
    device: str | None = typer.Option(None, metavar="DEVICE", help="Where the model runs, e.g. cpu or cuda."),
    as_json: AsJson = False,
) -> None:
    """See it work: draws an aerial scene, indexes it, searches it, and writes a report with pictures.

    The scene is synthetic, drawn by this program, so that it can say of every hit whether it is right. Written are
    report.html, demo.png, hits.geojson, truth.geojson, scene.tif and the index; those of an earlier demo are replaced.
    """
    raise typer.Exit(run_demo(out=out, seed=seed, model=model, device=device, as_json=as_json))


def run_demo(
    *,
    out: Path,
    seed: int = 0,
    model: str = DEFAULT_MODEL,
    device: str | None = None,
    encoder: Encoder | None = None,
    size_px: int = 3072,
    as_json: bool = False,
) -> int:
    """What the command does; returns its exit status. A given `encoder` takes the place of `model` and `device`."""
    # A model that is not there is found before anything is written.
    if encoder is None:
        from rsitr.models.zoo import load_encoder

        encoder = load_encoder(model, device=device)
    from rsitr.demo import explore, format_hits, format_truth, render_report, write_figure

    _make_folder(out)
    with shown_progress() as show:
        found = explore(folder=out, seed=seed, encoder=encoder, size_px=size_px, progress=show)
    write_file(out / "hits.geojson", format_hits(found))
    write_file(out / "truth.geojson", format_truth(found.scene))
    write_file(out / "report.html", render_report(found))
    write_figure(found, out / "demo.png")
    if as_json:
        _print_json(found, out)
    else:
        _print(found, out)
    return 0


@contextmanager
def shown_progress() -> Iterator[Callable[[IngestProgress], None]]:
    """Show on stderr how far drawing and indexing are."""
    with progress_bar(time_left=False) as bar:
        task = bar.add_task("drawing a scene", total=None)

        def show(now: IngestProgress) -> None:
            bar.update(
                task, total=now.n_scenes, completed=now.scenes_done, description=f"{now.n_tiles:,} tiles indexed"
            )

        yield show


def _make_folder(out: Path) -> None:
    try:
        out.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise ConfigError(
            f"{out}: cannot make this folder ({error.strerror or error}); choose another --out"
        ) from error
    require_writable(out / "report.html")


def _print_json(found: Exploration, out: Path) -> None:
    from dataclasses import asdict

    from rsitr.cli.results_search import DemoResult

    queries = [
        {
            "title": answer.title,
            "hits": [
                {
                    "rank": judged.hit.rank,
                    "score": round(judged.hit.score, 6),
                    "right": judged.right,
                    "there": list(judged.there),
                    "tile": judged.hit.tile.tile,
                }
                for judged in answer.hits
            ],
        }
        for answer in found.answers
    ]
    print_json(
        DemoResult(
            folder=str(out),
            report=str(out / "report.html"),
            seed=found.scene.seed,
            model=found.model,
            n_tiles=len(found.index),
            queries=queries,
            summary=asdict(found.summary),
        )
    )


def _print(found: Exploration, out: Path) -> None:
    from rsitr.formats import format_place

    target = screen()
    target.print(
        f"A synthetic scene (seed {found.scene.seed}), drawn by this program and indexed by "
        f"{found.model}: {len(found.index):,} tiles."
    )
    for number, answer in enumerate(found.answers, start=1):
        columns = ("rank", "score", "", "what is really there", "place")
        table = make_table(*columns, title=f"{number}. {answer.title}", numbers=("rank", "score"))
        for judged in answer.hits:
            hit = judged.hit
            mark = "right" if judged.right else "wrong"
            table.add_row(str(hit.rank), f"{hit.score:.3f}", mark, ", ".join(judged.there), format_place(hit.tile.bbox))
        target.print(table)
    summary = found.summary
    target.print(
        f"The best hit is right for {summary.first} of {summary.n_queries} queries; a right one is among the best "
        f"{summary.k} for {summary.within_k}. Guessing would be right for {summary.first_by_chance:.1f} and "
        f"{summary.within_k_by_chance:.1f}."
    )
    target.print(f"Report with pictures: {out / 'report.html'}")
