"""The demo itself: draw, write, index, search, judge; through the same code that a user's scenes go through."""

from __future__ import annotations

import shutil
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from rsitr.demo.drawing.layout import UNIT_PX
from rsitr.demo.drawing.scene import DemoScene, draw_example, draw_scene
from rsitr.demo.judging import JudgedAnswer, JudgedHit, Summary, describe_place, judge, summarise_answers
from rsitr.demo.queries import QUERIES, DemoQuery
from rsitr.demo.raster import SENSOR, is_drawn, write_scene
from rsitr.errors import SceneError, StoreError
from rsitr.geo import Window, cut_windows
from rsitr.index import IngestProgress, Settings, ingest, open_index, recorded_model
from rsitr.search import Index, SearchResult
from rsitr.types import Encoder, ImageArray

__all__ = ["EXAMPLES", "HITS", "Exploration", "MapLabel", "explore"]

HITS = 5
"""Hits per query."""

EXAMPLES = (
    "storage tanks", "parking lot", "baseball fields", "dense residential area", "tennis courts", "industrial area",
    "airport apron with aeroplanes",
)  # fmt: skip
"""Districts that can be drawn alone, as the example of a search by picture."""


@dataclass(frozen=True)
class MapLabel:
    """The number of a query on the map, at its best hit.

    Attributes:
        number: of the query, from 1.
        right: whether the hit is right.
        window_px: the hit's window in the scene.
        x, y: where the number stands, in scene pixels; queries with the same best hit stand side by side.
    """

    number: int
    right: bool
    window_px: Window
    x: float
    y: float


@dataclass(frozen=True, eq=False)
class Exploration:
    """Everything that the demo found.

    Attributes:
        scene: what was drawn.
        index: the index of it.
        model: name of the model.
        answers: one per query.
        summary: how many were right.
        time_s: seconds for each step: draw, index, search.
    """

    scene: DemoScene
    index: Index
    model: str
    answers: tuple[JudgedAnswer, ...]
    summary: Summary
    time_s: dict[str, float]

    def label_best(self) -> list[MapLabel]:
        """Where to write each query's number on a map of the best hits."""
        best = [(i + 1, answer.hits[0]) for i, answer in enumerate(self.answers) if answer.hits]
        labels: list[MapLabel] = []
        for number, judged in best:
            window = judged.hit.tile.window_px
            same = [n for n, other in best if other.hit.tile.window_px == window]
            row, column = divmod(same.index(number), 3)
            in_row, rows = min(3, len(same) - 3 * row), -(-len(same) // 3)
            labels.append(
                MapLabel(
                    number=number,
                    right=judged.right,
                    window_px=window,
                    x=window[0] + window[2] * (0.5 + 0.36 * (column - (in_row - 1) / 2)),
                    y=window[1] + window[3] * (0.5 + 0.26 * (row - (rows - 1) / 2)),
                )
            )
        return labels


def explore(
    *,
    folder: Path,
    seed: int,
    encoder: Encoder,
    size_px: int = 3072,
    progress: Callable[[IngestProgress], None] | None = None,
) -> Exploration:
    """Draw a scene into `folder`/scene.tif, index it into `folder`/index, and ask every query that it can answer.

    Args:
        folder: where scene and index are written; those of an earlier demo are replaced.
        seed: what the scene is drawn from.
        encoder: the model.
        size_px: side of the scene.
        progress: called while the index is made.

    Raises:
        SceneError: seed or size is impossible, or scene.tif is in the way or cannot be written.
        StoreError: an index that is not from a demo is in the way.
    """
    path, index_path = folder / "scene.tif", folder / "index"
    _clear(scene=path, index=index_path)
    started = time.monotonic()
    scene = draw_scene(seed=seed, size_px=size_px)
    write_scene(scene.pixels, path, seed=seed)
    drawn = time.monotonic()
    report = ingest([path], into=index_path, encoder=encoder, settings=Settings(tile_px=UNIT_PX), progress=progress)
    if report.failures:
        raise SceneError(f"{path}: the drawn scene could not be indexed: {report.failures[0].reason}")
    indexed = time.monotonic()
    index = Index.open(index_path, encoder=encoder)
    answers = tuple(_ask(scene, index))
    searched = time.monotonic()
    return Exploration(
        scene=scene,
        index=index,
        model=encoder.name,
        answers=answers,
        summary=summarise_answers(answers, k=HITS),
        time_s={"draw": drawn - started, "index": indexed - drawn, "search": searched - indexed},
    )


def _clear(*, scene: Path, index: Path) -> None:
    """Remove the index of an earlier demo. What is not a demo's stays as it is, and is named."""
    hint = "is in the way and not from a demo; choose another folder with --out"
    if scene.exists() and not is_drawn(scene):
        raise SceneError(f"{scene} {hint}")
    try:
        model = recorded_model(index)
    except StoreError as error:
        raise StoreError(f"{index} {hint}") from error
    if model is None:
        return
    if any(entry.sensor != SENSOR for entry in open_index(index).store.scenes()):
        raise StoreError(f"{index} {hint}")
    shutil.rmtree(index)


def _ask(scene: DemoScene, index: Index) -> list[JudgedAnswer]:
    """Every query whose answer is in the scene: in words, and one by picture."""
    present = {district.label for district in scene.districts}
    answers = [
        _judge_result(scene, index.search(query.text, k=HITS), query=query, example=None)
        for query in QUERIES
        if query.answers & present
    ]
    examples = [label for label in EXAMPLES if label in present]
    if examples:
        label = examples[scene.seed % len(examples)]
        # Drawn apart, from another seed: the example is no part of the scene that is searched.
        example = draw_example(label, seed=scene.seed + 1)
        query = DemoQuery(text=None, answers=frozenset({label}))
        answers.append(_judge_result(scene, index.search(image=example, k=HITS), query=query, example=example))
    return answers


def _judge_result(
    scene: DemoScene, result: SearchResult, *, query: DemoQuery, example: ImageArray | None
) -> JudgedAnswer:
    height, width, _ = scene.pixels.shape
    tiles = cut_windows(width, height, tile_px=UNIT_PX)
    return JudgedAnswer(
        query=query,
        example=example,
        hits=tuple(
            JudgedHit(
                hit=hit,
                there=describe_place(hit.tile.window_px, districts=scene.districts),
                right=judge(hit.tile.window_px, query.answers, districts=scene.districts),
            )
            for hit in result
        ),
        n_right_tiles=sum(judge(tile, query.answers, districts=scene.districts) for tile in tiles),
        n_tiles=len(tiles),
    )
