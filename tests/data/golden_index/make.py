"""Makes what lies here, with the release that README.md names: `python make.py FOLDER`, with `tests` on the path."""

from __future__ import annotations

import json
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np

from fakes import COLOURS, ColourEncoder
from rasters import write_raster, write_utm
from rsitr.geo import find_sources
from rsitr.index import Settings, ingest, sample_pictures
from rsitr.search import Index, Mark, fit_coder
from rsitr.types import EncodedImages, ImageArray, Mixture


def strip(*names: str, size_px: int = 64) -> Any:
    """Squares of colours beside each other, (3, size_px, n * size_px)."""
    squares = [np.tile(np.array(COLOURS[name], np.uint8)[:, None, None], (1, size_px, size_px)) for name in names]
    return np.concatenate(squares, axis=2)


class Interrupted(ColourEncoder):
    """Is killed, as it were, at its second batch."""

    def encode_images(self, images: Sequence[ImageArray], *, batch_size: int = 64) -> EncodedImages:
        if self.batches:
            raise KeyboardInterrupt
        return super().encode_images(images, batch_size=batch_size)


def main(folder: Path) -> None:
    """Scenes, an index of them, one with codes and a detector, and one whose making was interrupted."""
    scenes = folder / "scenes"
    write_utm(scenes / "strip_20160816.tif", strip("red", "green", "blue"), tags={"SENSOR": "NAIP"}, compress="deflate")
    values = np.linspace(0, 3000, 64 * 64).astype(np.uint16).reshape(1, 64, 64)
    write_utm(scenes / "deep" / "values_20200101.tif", values, compress="deflate")
    write_raster(scenes / "photo.png", strip("yellow"), driver="PNG")
    encoder = ColourEncoder(image_size_px=64)
    encoder.mixture = Mixture(alpha=0.6, beta=0.4, norm="rms")

    ingest([scenes], into=folder / "plain", encoder=encoder, settings=Settings(tile_px=64))
    pictures = sample_pictures(find_sources([scenes]), settings=Settings(tile_px=64), image_size_px=64, count=16)
    coder = fit_coder(encoder, pictures, rank=8)
    ingest([scenes], into=folder / "coded", encoder=encoder, coder=coder, settings=Settings(tile_px=64, scales=(1, 2)))
    coded = Index.open(folder / "coded", encoder=encoder)
    query = coded.search("red", k=3).query
    marks = [Mark("strip_20160816.tif:0,0,64,64", True), Mark("photo.png:0,0,64,64", False)]
    coded.learn("reds", query=query, marks=marks)
    try:
        killed = Interrupted(image_size_px=64)
        ingest([scenes], into=folder / "interrupted", encoder=killed, settings=Settings(tile_px=64), batch_size=2)
    except KeyboardInterrupt:
        pass

    expected = {}
    for name in ("plain", "coded"):
        index = Index.open(folder / name, encoder=encoder)
        found = {text: [[hit.tile.tile, hit.score] for hit in index.search(text, k=5)] for text in ("green", "yellow")}
        expected[name] = {"n_tiles": len(index), "hits": found}
    expected["reds"] = [[hit.tile.tile, hit.relevance] for hit in coded.detect("reds", k=5).hits]
    (folder / "plain" / "reference-captions.safetensors").unlink()  # the other index has the same
    for manifest in folder.glob("*/rsitr-index.json"):
        text = manifest.read_text(encoding="utf-8").replace(scenes.resolve().as_posix(), "/nowhere/scenes")
        manifest.write_text(text, encoding="utf-8")
    (folder / "expected.json").write_text(json.dumps(expected, indent=1) + "\n", encoding="utf-8")


if __name__ == "__main__":
    main(Path(sys.argv[1]))
