"""The guide to parts of one's own: each of its examples runs, and does what the guide says."""

from __future__ import annotations

import re
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from PIL import Image

from fakes import ColourEncoder
from rasters import write_utm
from rsitr import Index, evaluate, ingest, load_dataset, load_model
from rsitr.cli.indexing import IndexOptions, run_index
from rsitr.data.sources import DATASETS
from rsitr.errors import StoreError
from rsitr.index import STORES, Settings, open_index
from rsitr.losses import LOSSES, info_nce
from rsitr.models.compact import TRUNKS
from rsitr.models.zoo import MODELS
from rsitr.registry import Registry
from rsitr.rerank import METHODS, parse_rerank
from rsitr.training.runs import train
from tiny import TinyTrunk, tiny_config

GUIDE = (Path(__file__).parents[2] / "docs" / "guides" / "extending.md").read_text(encoding="utf-8")
EXAMPLES = dict(re.findall(r"^## ([^\n]+)\n.*?```python\n(.*?)```", GUIDE, re.DOTALL | re.MULTILINE))


@pytest.fixture(autouse=True)
def _registries() -> Iterator[None]:
    """What an example registers is known in its own test alone."""
    every: tuple[Registry[Any], ...] = (DATASETS, LOSSES, METHODS, MODELS, STORES)
    before = [dict(one._things) for one in every]
    yield
    for one, things in zip(every, before, strict=True):
        one._things.clear()
        one._things.update(things)


def run(title: str) -> dict[str, Any]:
    names: dict[str, Any] = {"__name__": "my_parts"}
    exec(EXAMPLES[title], names)
    return names


def write_notes(folder: Path, *, n: int = 9) -> Path:
    folder.mkdir(parents=True)
    for number in range(n):
        colour = ("red", "green", "blue")[number % 3] if number % 3 != 2 else ("red", "green", "blue")[number // 3]
        value = {"red": (220, 20, 20), "green": (20, 220, 20), "blue": (20, 20, 220)}[colour]
        Image.new("RGB", (40, 40), value).save(folder / f"{number}.png")
        (folder / f"{number}.txt").write_text(f"a {colour} field\nthis is {colour} number {number}\n")
    return folder


def test_every_part_has_a_short_example() -> None:
    assert list(EXAMPLES) == ["A data set", "A loss", "A re-ranking", "A model", "An engine that keeps tiles"]
    for title, code in EXAMPLES.items():
        lines = [line for line in code.splitlines() if line.strip() and not line.startswith(("import", "from"))]
        assert len(lines) < 40, title


def test_a_data_set_of_ones_own(tmp_path: Path) -> None:
    run("A data set")
    dataset = load_dataset(f"notes:{write_notes(tmp_path / 'notes')}")
    assert dataset.splits == {"train": 6, "val": 3}
    assert dataset.split("val")[0].captions == ("a red field", "this is red number 2")


def test_a_loss_and_a_data_set_train_a_model(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(TRUNKS, "mobilenetv2", TinyTrunk)
    hinge = run("A loss")["hinge"]
    run("A data set")
    assert hinge(torch.eye(3)).item() == 0.0
    assert hinge(torch.zeros(3, 3)).item() > 0.0
    plain = tiny_config()
    config = tiny_config(
        data=plain.data.replace(sets=("notes",)),
        loss=plain.loss.replace(align="hinge"),
        phases=(plain.phases[0].replace(epochs=1, batch_size=4),),
    )
    assert config.identity() != config.replace(loss=plain.loss).identity()
    done = train(config, data=[f"notes:{write_notes(tmp_path / 'notes')}"], out=tmp_path / "run", device="cpu")
    assert done.best_epoch == 1
    assert "mR_notes" in done.history[0]
    assert load_model(str(done.model), device="cpu").dim == 16
    assert LOSSES["info_nce"] is info_nce


def test_a_re_ranking_and_a_model_are_measured(tmp_path: Path) -> None:
    for title in ("A data set", "A re-ranking", "A model"):
        run(title)
    notes = f"notes:{write_notes(tmp_path / 'notes')}"
    plain = evaluate("mean-colour", data=notes, device="cpu")
    assert plain.result.metrics.text_to_image["R@1"] == 100.0
    report = evaluate("mean-colour", data=notes, device="cpu", rerank="halve:k=2")
    assert report.settings["rerank"] == "halve:k=2"
    scores = torch.tensor([[0.9, 0.8], [0.9, 0.1]])
    assert parse_rerank("halve:k=2")(scores, direction="text_to_image").argmax(dim=1).tolist() == [1, 0]


def test_an_engine_of_ones_own_keeps_an_index(tmp_path: Path) -> None:
    run("An engine that keeps tiles")
    for name in "ab":
        write_utm(tmp_path / "scenes" / f"{name}.tif")
    encoder, settings = ColourEncoder(), Settings(tile_px=64)
    for engine in ("lance", "parquet"):
        report = ingest(
            [tmp_path / "scenes"], into=tmp_path / engine, encoder=encoder, settings=settings, engine=engine
        )
        assert len(report.indexed) == 2
    found = {name: Index.open(tmp_path / name, encoder=encoder) for name in ("lance", "parquet")}
    assert (tmp_path / "parquet" / "store").is_dir()
    assert not list((tmp_path / "parquet").glob("*.lance"))
    answers = {name: index.search("red", k=5, scene="a.tif") for name, index in found.items()}
    assert answers["parquet"].hits == answers["lance"].hits
    like = {name: index.search(like=answers["lance"].hits[0].tile.tile, k=3).hits for name, index in found.items()}
    assert like["parquet"] == like["lance"]
    with pytest.raises(StoreError, match="its tiles are kept by 'parquet', not by 'lance'"):
        ingest([tmp_path / "scenes"], into=tmp_path / "parquet", encoder=encoder, engine="lance")
    options = IndexOptions(into=tmp_path / "named", store="parquet")
    assert run_index([tmp_path / "scenes"], options, encoder=encoder) == 0
    assert (tmp_path / "named" / "store").is_dir()
    (tmp_path / "scenes" / "b.tif").unlink()
    again = ingest([tmp_path / "scenes"], into=tmp_path / "parquet", encoder=encoder, sync=True)
    assert (again.unchanged, again.removed) == (("a.tif",), ("b.tif",))
    assert len(open_index(tmp_path / "parquet").store) == 4
    del STORES._things["parquet"]
    with pytest.raises(StoreError, match="unknown engine 'parquet': choose one of lance"):
        open_index(tmp_path / "parquet")
    with pytest.raises(StoreError, match="unknown engine 'parquet'"):
        run_index([tmp_path / "scenes"], IndexOptions(into=tmp_path / "new", store="parquet"), encoder=encoder)
    assert not (tmp_path / "new").exists()


def test_the_command_line_imports_a_module_first(tmp_path: Path) -> None:
    (tmp_path / "my_parts.py").write_text("\n".join(EXAMPLES[name] for name in ("A data set", "A model")))
    write_notes(tmp_path / "notes")
    command = [sys.executable, "-m", "rsitr"]
    asked = ["evaluate", "mean-colour", "--data", "notes:notes", "--device", "cpu"]
    done = subprocess.run(
        [*command, "--import", "my_parts", *asked], cwd=tmp_path, capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stderr
    assert "mR" in done.stdout
    for missing, said in (((), "unknown data set 'notes'"), (("--import", "no_parts"), "cannot import 'no_parts'")):
        done = subprocess.run([*command, *missing, *asked], cwd=tmp_path, capture_output=True, text=True, check=False)
        assert done.returncode == 2
        assert said in done.stderr
        assert "Traceback" not in done.stderr


def test_pictures_of_a_guide_are_colours(tmp_path: Path) -> None:
    model = run("A model")["MeanColour"]()
    picture = np.zeros((8, 8, 3), np.uint8)
    picture[..., 0] = 200
    scores = model.encode_texts(["red", "blue"]).global_emb @ model.encode_images([picture]).global_emb.T
    assert scores[0, 0] > 0.99 > scores[1, 0]
