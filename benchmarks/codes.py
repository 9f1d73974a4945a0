"""Question: how many bytes a tile buy how much mR: whole vectors, compressed ones, and codes of local features?

    python benchmarks/codes.py [--data ../shared/data/rsicd] [--model lookout] [--alpha 0.6] [--out codes]

Keeps the val split of RSICD in a store as a search has it (LanceDB, with local codes), and scores every caption with
every picture by what the store gives back: the vectors in 32, 16 and 8 bits a number; their product-quantised codes
(IVF_PQ of one partition, nothing refined); and alpha of the global and 1 - alpha of the local similarity, exactly and
by local codes of several ranks, fitted to pictures of the train split as `rsitr index --local-codes` fits them.
Prints a table of bytes a tile and mR, and writes `--out`.csv and `--out`.png. Local similarity is no part of the
packaged models' own mixture, since it gains nothing with them; the rows say how much. Status 1 if product-quantised
vectors of a fourth of a byte a number lose more than 5 mR, or the local code of the highest rank more than 0.5 of what
it approximates.
"""

from __future__ import annotations

import argparse
import csv
import sys
import tempfile
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path

import numpy as np
import torch

from rsitr.data import load_dataset
from rsitr.evaluation.protocol import EncodedSplit, encode_split, measure_scores, read_image
from rsitr.index import LanceStore
from rsitr.models import load_model
from rsitr.search import LocalCoder
from rsitr.search.codes import FIT_TILES, fit_coder
from rsitr.similarity import score_pairs
from rsitr.types import FloatArray, Mixture, SceneEntry, Tile

RANKS = (4, 8, 16, 32)
SUB_VECTORS = (2, 4, 8, 16)
"""Numbers of a vector to a byte of its product-quantised code."""
MOST_LOST_PQ, MOST_LOST_CODE = 5.0, 0.5
Row = tuple[str, float, float]


def keep(folder: Path, split: EncodedSplit, coder: LocalCoder | None) -> LanceStore:
    """A split's pictures as tiles of a store, in their order."""
    n, dim = split.images.global_emb.shape
    store = LanceStore(folder, dim=dim, code_length=coder.length if coder else 0)
    tiles = [Tile(f"{number:06d}", "val", (number, 0, 224, 224)) for number in range(n)]
    codes = coder.encode(split.images) if coder else None
    store.put([SceneEntry("val", 1, 1, (n, 224), n, 0)], tiles, split.images.global_emb, codes=codes)
    return store


def quantised_scores(folder: Path, queries: FloatArray, *, n: int, sub_vectors: int | None) -> FloatArray:
    """Cosines of queries (m, dim) and all n tiles by LanceDB's codes: a byte a number, or product-quantised."""
    import lancedb
    from lancedb.index import IvfPq, IvfSq

    table = lancedb.connect(folder).open_table("tiles")
    one = {"distance_type": "cosine", "num_partitions": 1}
    config = IvfSq(**one) if sub_vectors is None else IvfPq(**one, num_sub_vectors=sub_vectors)
    table.create_index("vector", config=config, replace=True)
    scores = np.full((len(queries), n), -1.0, np.float32)
    for query, row in zip(queries, scores, strict=True):
        found = table.search(query, vector_column_name="vector").distance_type("cosine").limit(n).nprobes(1)
        answer = found.select(["tile", "_distance"]).to_arrow()
        row[[int(tile) for tile in answer["tile"].to_pylist()]] = 1.0 - answer["_distance"].to_numpy()
    return scores


def rows_of(split: EncodedSplit, fit: list[np.ndarray], model: object, *, alpha: float, place: Path) -> Iterator[Row]:
    """What is kept of a tile, its bytes, and the mR of it."""
    texts, (n, dim) = split.texts.global_emb, split.images.global_emb.shape
    names = [f"{number:06d}" for number in range(n)]
    store = keep(place / "plain", split, None)

    def measured(scores: FloatArray | torch.Tensor) -> float:
        tensor = torch.as_tensor(scores)
        metrics, _ = measure_scores(tensor, caption_text=split.caption_text, text_image=split.text_image, rerank=None)
        return metrics.mR

    vectors = store.vectors(names)
    yield "vector, 32 bits", 4.0 * dim, measured(texts @ vectors.T)
    yield "vector, 16 bits", 2.0 * dim, measured(texts @ vectors.astype(np.float16).astype(np.float32).T)
    scores = quantised_scores(place / "plain", texts, n=n, sub_vectors=None)
    yield "vector, 8 bits", 1.0 * dim, measured(scores)
    for numbers in SUB_VECTORS:
        scores = quantised_scores(place / "plain", texts, n=n, sub_vectors=dim // numbers)
        yield f"product-quantised, {numbers} numbers a byte", dim / numbers, measured(scores)
    mixture = Mixture(alpha=alpha, beta=1 - alpha, norm="rms")
    exact = score_pairs(texts=split.texts, images=split.images, mixture=mixture, device="cpu")
    size = 4.0 * dim + 2.0 * split.images.tokens.shape[1] * split.images.tokens.shape[2]
    yield f"vector and all local features, {alpha:g} : {1 - alpha:g}", size, measured(exact)
    for rank in RANKS:
        coder = fit_coder(model, fit, rank=rank)  # type: ignore[arg-type]
        coded = keep(place / f"rank{rank}", split, coder)
        codes = coded.codes(names)
        assert codes is not None
        local = coder.score(split.texts, codes=codes)
        yield (
            f"vector and local code of rank {rank}",
            4.0 * dim + 2.0 * coder.length,
            measured(alpha * (texts @ coded.vectors(names).T) + (1 - alpha) * local),
        )


def draw(rows: list[Row], path: Path) -> None:
    """The table as a picture."""
    from matplotlib.figure import Figure

    figure = Figure(figsize=(8, 5), layout="constrained")
    axes = figure.subplots()
    for mark, label, wanted in (
        ("o", "whole vectors", "bits"),
        ("s", "product-quantised", "product"),
        ("^", "with local codes", "code"),
        ("*", "with all local features", "all local"),
    ):
        some = [row for row in rows if wanted in row[0]]
        axes.plot([row[1] for row in some], [row[2] for row in some], mark, label=label)
    axes.set(xscale="log", xlabel="bytes a tile", ylabel="mR, RSICD val")
    axes.grid(alpha=0.3)
    axes.legend()
    figure.savefig(path, dpi=120)


def main() -> None:
    """Run it."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--data", type=Path, default=Path("../shared/data/rsicd"))
    parser.add_argument("--model", default="lookout")
    parser.add_argument("--alpha", type=float, default=0.6)
    parser.add_argument("--pictures", type=int, help="so many of the split [default: all]")
    parser.add_argument("--out", type=Path, default=Path("codes"))
    options = parser.parse_args()
    data = load_dataset(f"rsicd:{options.data}")
    model = load_model(options.model, device="cpu")
    split = encode_split(model, data.split("val")[: options.pictures])
    train = data.split("train")
    fit = [read_image(image) for image in train[:: max(1, len(train) // FIT_TILES)][:FIT_TILES]]
    rows = []
    with tempfile.TemporaryDirectory() as name:
        for row in rows_of(split, fit, model, alpha=options.alpha, place=Path(name)):
            rows.append(row)
            print(f"{row[0]:<42} {row[1]:8,.0f} bytes a tile   mR {row[2]:.2f}", flush=True)
    with options.out.with_suffix(".csv").open("w", newline="", encoding="utf-8") as file:
        writer = csv.writer(file)
        writer.writerow(["kept", "bytes_a_tile", "mR"])
        writer.writerows(rows)
    with suppress(ImportError):
        draw(rows, options.out.with_suffix(".png"))
    found = {kept: mR for kept, _, mR in rows}
    lost_pq = found["vector, 32 bits"] - found["product-quantised, 4 numbers a byte"]
    exact = next(mR for kept, mR in found.items() if "all local" in kept)
    lost_code = exact - found[f"vector and local code of rank {RANKS[-1]}"]
    print(f"lost: {lost_pq:.2f} by product quantisation, {lost_code:.2f} by the local code")
    sys.exit(0 if lost_pq <= MOST_LOST_PQ and lost_code <= MOST_LOST_CODE else 1)


if __name__ == "__main__":
    main()
