"""The default model's recipe, in small: it learns, can be interrupted anywhere, and ends as if it had not been."""

from __future__ import annotations

import dataclasses
import importlib.util
import json
import re
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from PIL import Image

from rsitr.config import DataConfig, LookoutPhase, LookoutTrainConfig, ModelConfig, Phase, TrainConfig, load_config
from rsitr.data import CaptionedImage
from rsitr.errors import ConfigError, ModelError
from rsitr.models import load_checkpoint, load_model
from rsitr.training import cache
from rsitr.training.cache import cache_pixels
from rsitr.training.interruption import Interrupted
from rsitr.training.ranks import Ranks
from rsitr.training.rows import RowTable, read_picture
from rsitr.training.runs import RECIPES, Run, build_run
from rsitr.training.sensors import OtherSensor
from rsitr.training.wording import Wording, read_names
from tiny import write_tiny_data, write_tiny_lookout

SIZES: dict[str, Any] = {
    "trunk": "lite0",
    "text_layers": 1,
    "image_size_px": 64,
    "grid": 2,
    "context_length": 8,
    "drop_path": 0.1,
    "pool_dropout": 0.1,
}
PHASE: dict[str, Any] = {
    "batch_size": 4,
    "lr": 1e-3,
    "trunk_lr": 1e-3,
    "warmup_steps": 2,
    "weight_decay": 0.05,
    "clip_norm": 5.0,
    "average": 0.9,
}
GROWING = LookoutPhase(
    sizes_px=(32, 48), repeats={"ucm": 2}, text_lr=1e-4, named=0.5, class_weight=0.4, local_weight=0.1
)
Make = Callable[..., Run]


def tiny_config(init: Path | str | None, **changes: Any) -> TrainConfig:
    defaults: dict[str, Any] = {
        "name": "tiny",
        "recipe": "lookout",
        "data": DataConfig(sets=("ucm",), rows="images"),
        "model": ModelConfig(kind="lookout", settings=SIZES, init=None if init is None else str(init)),
        "precision": "mixed_gpu",
        "tune": False,
        "phases": (
            Phase(epochs=1, **PHASE, lookout=GROWING),
            Phase(epochs=1, **PHASE, lookout=LookoutPhase(sizes_px=(32,))),
        ),
    }
    return TrainConfig(**(defaults | changes))


@pytest.fixture(scope="module")
def place(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("lookout")


@pytest.fixture(scope="module")
def root(place: Path) -> Path:
    """Twelve pictures of three classes, eight of which are trained on."""
    root = write_tiny_data(place / "data")
    file = root / "ucm" / "dataset_ucm.json"
    content = json.loads(file.read_text(encoding="utf-8"))
    for number, image in enumerate(content["images"]):
        image["class"] = ("river", "bareland", "atoll")[number % 3]
    file.write_text(json.dumps(content), encoding="utf-8")
    return root


@pytest.fixture(scope="module")
def init(place: Path) -> Path:
    return write_tiny_lookout(place / "init")


@pytest.fixture(scope="module")
def make(place: Path, root: Path, init: Path) -> Make:

    def make(config: TrainConfig | None = None, *, name: str = "run", stop_at: int | None = None) -> Run:
        def report(position: Any, _steps: int, _loss: float) -> None:
            if position.total_step == stop_at:
                run.trainer._stop.made = True

        run = build_run(
            config or tiny_config(init),
            root=root,
            folder=place / name,
            device="cpu",
            provenance={"commit": "none"},
            report=report,
        )
        return run

    return make


@pytest.fixture(scope="module")
def whole(make: Make) -> Run:
    """A run to its end."""
    run = make(name="whole")
    run.trainer.run(resume=True)
    return run


def test_an_interrupted_run_ends_as_one_that_was_not(make: Make, whole: Run) -> None:
    assert whole.trainer.position.total_step == 6  # twice eight pictures, then eight, in fours
    for stop in (3, 5):  # in the middle of an epoch of each phase
        cut = make(name="cut", stop_at=stop)
        with pytest.raises(Interrupted):
            cut.trainer.run(resume=True)
        assert cut.trainer.position.total_step == stop
    last = make(name="cut")
    last.trainer.run(resume=True)
    for one, other in ((whole.trainer.model, last.trainer.model), (whole.trainer.recipe, last.trainer.recipe)):
        state = other.state_dict()
        assert all(torch.equal(value, state[name]) for name, value in one.state_dict().items())
    for name, value in whole.trainer.weights.best.items():
        assert torch.equal(value, last.trainer.weights.best[name]), name
    positions = [dataclasses.asdict(run.trainer.position) | {"seconds": 0} for run in (whole, last)]
    assert positions[0] == positions[1]
    files = [(run.folder / "best" / "model.safetensors").read_bytes() for run in (whole, last)]
    assert files[0] == files[1]


def test_what_it_writes_is_a_model_that_can_be_searched_with(whole: Run) -> None:
    run, position = whole, whole.trainer.position
    checkpoint = load_checkpoint(run.folder / "best")
    assert (checkpoint.config.kind, checkpoint.config.inference["mixture"]["beta"]) == ("lookout", 0.0)
    assert {name.split(".")[0] for name in checkpoint.weights} == {"image", "text"}
    training = checkpoint.config.training
    assert (training["n_images"], training["ids_sha256"]) == (8, run.table.ids_sha256)
    model = load_model(str(run.folder / "best"), device="cpu")
    assert model.encode_texts(["lakes"]).global_emb.shape == (1, 384)
    picture = read_picture(run.table.images[0]).permute(1, 2, 0).numpy()
    expected = run.trainer.weights.best["image.project_average.weight"]
    found = checkpoint.weights["image.project_average.weight"]
    assert torch.allclose(found, expected, atol=1e-3)
    assert np.isfinite(model.encode_images([picture]).global_emb).all()
    assert ["mR" in entry for entry in position.history] == [True] * 2
    (results,) = run.measure_validation([(model.mixture, None)])
    assert results["ucm"].metrics.mR > 0


def test_the_average_begins_with_the_phase(make: Make) -> None:
    trainer = make().trainer
    weight = trainer.model.image.project_average.weight
    before, phase = weight.detach().clone(), trainer.phases[0]
    pixels = torch.randint(0, 256, (4, 3, 64, 64), dtype=torch.uint8)
    trainer._step(phase, (pixels, torch.tensor([0, 5, 10, 15])), total=8)
    average = trainer.weights.average["image.project_average.weight"]
    assert not torch.equal(weight, before)
    torch.testing.assert_close(average, before.lerp(weight.detach(), 1 - 2 / 11))  # a young average forgets quickly
    assert trainer.optimizer.param_groups[0]["lr"] == pytest.approx(PHASE["lr"] / 2)  # one of two steps of warming up


def test_in_chunks_a_step_is_the_same(make: Make, init: Path) -> None:
    """Without dropout, which draws chunk by chunk."""
    settings = SIZES | {"drop_path": 0.0, "pool_dropout": 0.0, "dropout": 0.0}
    model = ModelConfig(kind="lookout", settings=settings, init=str(init))
    found = []
    for chunk_size in (None, 3):
        trainer = make(tiny_config(init, model=model, chunk_size=chunk_size)).trainer
        pixels = torch.from_numpy(np.array(trainer.inputs.pixels()[:4]))
        result = trainer._step(trainer.phases[0], (pixels, torch.tensor([0, 5, 10, 15])), total=8)
        gradients = {name: weight.grad for name, weight in trainer.model.named_parameters() if weight.grad is not None}
        found.append((result.loss.total.item(), gradients))
    (whole, gradients), (parts, others) = found
    assert parts == pytest.approx(whole, rel=1e-5)
    assert gradients.keys() == others.keys()
    for name, value in gradients.items():
        torch.testing.assert_close(others[name], value, rtol=1e-3, atol=1e-5, msg=name)


def test_a_rate_goes_with_each_part(make: Make) -> None:
    run = make()
    peaks = {id(weight): group["peak_lr"] for group in run.trainer.optimizer.param_groups for weight in group["params"]}
    model, recipe = run.trainer.model, run.trainer.recipe
    assert {peaks[id(weight)] for weight in model.image.trunk.parameters()} == {1e-3}
    assert {peaks[id(weight)] for weight in model.text.blocks.parameters()} == {1e-4}
    assert {peaks[id(weight)] for weight in (*recipe.parameters(), model.text.project.weight)} == {1e-3}
    assert id(model.text.norm.weight) not in peaks  # the embeddings stay as they came
    assert len(peaks) == sum(weight.requires_grad for weight in (*model.parameters(), *recipe.parameters()))


def test_pictures_grow_and_a_set_is_shown_as_often_as_it_says(make: Make) -> None:
    run = make()
    course, phase = run.trainer.course, run.config.phases[0]
    assert [course.size_px(phase, share) for share in (0.0, 0.49, 0.5, 0.99, 1.0)] == [32, 32, 48, 48, 48]
    rows = run.table.epoch_rows(epoch=0, seed=0, per_image=1, repeats=course.repeats(phase))
    assert np.bincount(run.table.row_image[rows]).tolist() == [2] * 8


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"data": DataConfig(sets=("ucm",))}, r"set data\.rows: images"),
        ({"phases": (Phase(**PHASE | {"trunk_lr": None}),)}, "phase 1: .* set trunk_lr"),
        ({"phases": (Phase(**PHASE, image_size_px=64),)}, r"phase 1: .* set lookout\.sizes_px"),
        ({"phases": (Phase(**PHASE, lookout=LookoutPhase(repeats={"rsicd": 2})),)}, "repeats names rsicd"),
    ],
)
def test_what_makes_no_sense_is_refused_before_it_starts(make: Make, changes: dict[str, Any], message: str) -> None:
    with pytest.raises(ConfigError, match=message):
        make(tiny_config(None, **changes))


def test_it_trains_in_one_process(root: Path, tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match="start it without torchrun"):
        build_run(
            tiny_config(None),
            root=root,
            folder=tmp_path / "run",
            device="cpu",
            provenance={},
            ranks=Ranks(rank=0, size=2),
        )


@pytest.mark.parametrize(("recipe", "kind"), [("ebaker", "lookout"), ("mtgfe", "lookout"), ("lookout", "compact")])
def test_a_recipe_trains_its_own_kind(recipe: str, kind: str) -> None:
    with pytest.raises(ConfigError, match=f"recipe {recipe} cannot train a model of kind {kind}: .*lookout goes with"):
        tiny_config(None, recipe=recipe, model=ModelConfig(kind=kind))


def test_the_packaged_config_is_registered_and_has_these_values() -> None:
    config = load_config("lookout")
    assert config.recipe in RECIPES
    assert config.lookout == LookoutTrainConfig()  # what the config spells out is what one's own begins with
    first, second = config.phases
    assert (first.lookout.sizes_px, first.lookout.named, second.lookout.named) == ((128, 160, 176, 192), 0.05, 0.0)
    assert (first.epochs, first.batch_size, first.beta2, first.average) == (14, 256, 0.98, 0.998)


def test_the_reference_of_the_documentation_has_its_settings() -> None:
    spec = importlib.util.spec_from_file_location("hooks", Path(__file__).parents[3] / "docs" / "hooks.py")
    assert spec is not None
    assert spec.loader is not None
    hooks = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(hooks)
    sections = dict(re.findall(r"^## `([\w.]+)`\n(.*?)(?=^## |\Z)", hooks.describe_config(), re.DOTALL | re.MULTILINE))
    for section, place in ((LookoutTrainConfig, "lookout"), (LookoutPhase, "phases.lookout")):
        for key, field in section.model_fields.items():
            assert f"| `{key}` | {' '.join((field.description or '?').split())} |" in sections[place]


def image(name: str, *captions: str, label: str | None = None) -> CaptionedImage:
    return CaptionedImage(f"set/{name}", Path(f"{name}.png"), captions, "train", label)


@pytest.fixture
def wording() -> Wording:
    pictures = [
        image("0", "A river .", "a river", "trees", label="river"),
        image("1", "trees", label="bareland"),
        image("2", "an atoll", label="atoll"),
        image("3", "a river", "something"),
    ]
    return Wording.of(RowTable.of(pictures))


def test_captions_are_one_whatever_their_capitals_and_stops(wording: Wording) -> None:
    assert wording.texts[:4] == ("A river .", "trees", "an atoll", "something")
    assert wording.owned.tolist() == [[0, 1], [1, -1], [2, -1], [0, 3]]
    assert wording.classes.tolist() == [2, 1, 0, -1]  # in the order of the labels
    assert set(wording.named) == {1, 2}  # nobody has names for atolls


def test_what_fits_is_a_pictures_caption_or_a_name_of_its_class(wording: Wording) -> None:
    bare = wording.texts.index("a satellite image of exposed earth")
    found = wording.fits(np.arange(4), np.array([0, 1, 3, bare]))
    assert found.tolist() == [
        [True, True, False, False],
        [False, True, False, True],
        [False, False, False, False],
        [True, False, True, False],
    ]


def test_texts_are_drawn_among_a_pictures_own_and_names_of_its_class(wording: Wording) -> None:
    rng = np.random.default_rng(0)
    images = np.tile(np.arange(4), 200)
    drawn = wording.draw(images, count=2, named=0.25, rng=rng).reshape(-1, 4, 2)
    assert {tuple(sorted(pair)) for pair in drawn[:, 3].tolist()} == {(0, 3)}  # both, since it has two
    assert set(drawn[:, 2].ravel().tolist()) == {2}  # its only one twice; nobody has names for its class
    names = np.isin(drawn[:, 1, 1], wording.named[1])
    assert 0.15 < names.mean() < 0.35
    assert set(drawn[:, 1, 1][~names].tolist()) == set(drawn[:, 1, 0].tolist()) == {1}
    assert set(drawn[:, 0].ravel().tolist()) <= {0, 1, *wording.named[2].tolist()}


def test_no_name_holds_a_word_that_new_words_are_measured_with(real_data: Path) -> None:
    new = json.loads((real_data / "newwords.json").read_text(encoding="utf-8"))
    table = RowTable.of([image(str(number), "a", label=label) for number, label in enumerate(read_names())])
    texts = " | ".join(Wording.of(table).texts[1:]).lower()
    assert len(new) > 15
    assert [word for word in new if re.search(rf"\b{re.escape(word)}s?\b", texts)] == []


def test_pixels_are_decoded_once_and_squashed(root: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(cache, "BATCH", 2)
    names = sorted((root / "ucm" / "images").iterdir())
    pictures = [CaptionedImage(f"ucm/{path.name}", path, ("a",), "train") for path in names]
    done: list[int] = []

    def note(count: int) -> None:
        done.append(count)
        if count == 42:
            raise KeyboardInterrupt

    many = [dataclasses.replace(one, image_id=f"{one.image_id}/{turn}") for turn in range(5) for one in pictures]
    with pytest.raises(KeyboardInterrupt):
        cache_pixels(many, size_px=32, folder=tmp_path, progress=note)
    done.clear()
    found = cache_pixels(many, size_px=32, folder=tmp_path, progress=done.append)
    assert done[0] == 42  # what was noted before the interruption is not decoded again
    assert (found.shape, found.dtype) == ((60, 3, 32, 32), np.uint8)
    with Image.open(names[7]) as opened:
        expected = np.asarray(opened.convert("RGB").resize((32, 32), Image.Resampling.BICUBIC))
    assert np.array_equal(found[7], expected.transpose(2, 0, 1))
    done.clear()
    cache_pixels(many, size_px=32, folder=tmp_path, progress=done.append)
    assert done == []
    assert cache_pixels(pictures, size_px=48, folder=tmp_path).shape == (12, 3, 48, 48)  # another key


def test_another_sensor_sees_pictures_of_the_side_that_is_asked_for() -> None:
    pictures = torch.rand(6, 3, 64, 64)
    sensor = OtherSensor(zoom=0.7, sensor=0.4)
    for size_px in (32, 48, 64):
        torch.manual_seed(1)
        seen = sensor(pictures, size_px)
        torch.manual_seed(1)
        assert torch.equal(seen, sensor(pictures, size_px))
        assert seen.shape == (6, 3, size_px, size_px)
        assert 0 <= float(seen.min()) < float(seen.max()) <= 1
    plain = OtherSensor(zoom=1.0, sensor=0.0)
    grey = torch.full((4, 3, 64, 64), 0.5)
    assert float(plain(grey, 64).std(dim=(2, 3)).max()) < 1e-5  # whatever is turned, one colour stays one


def test_a_training_goes_on_from_another_lookout(make: Make, tmp_path: Path, root: Path, init: Path) -> None:
    notes: list[str] = []
    build_run(
        tiny_config(init), root=root, folder=tmp_path / "run", device="cpu", provenance={},
        on_note=notes.append,
    )  # fmt: skip
    assert any(re.search(r"weights: (\d+) of \1 from .*init", note) for note in notes)
    with pytest.raises(ModelError, match="is no trained model of kind lookout: name the folder of one, or packages"):
        make(tiny_config("elsewhere"))
