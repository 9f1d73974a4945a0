from __future__ import annotations

import hashlib
import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from safetensors.torch import load_file, save_file

from generators import edit_json, write_karpathy_dataset
from rsitr.config import DataConfig, KeywordsConfig, ModelConfig, Phase, TrainConfig, load_config
from rsitr.data import load_dataset
from rsitr.data.keywords import count_words
from rsitr.errors import ConfigError, DataError, ModelError
from rsitr.evaluation.protocol import encode_split, measure
from rsitr.models import CompactDualEncoder, zoo
from rsitr.models.compact import TRUNKS
from rsitr.models.convert import convert_mobilenetv2
from rsitr.models.kinds import build_model
from rsitr.training.rows import RowTable
from rsitr.training.runs import Run, build_run
from rsitr.types import Mixture
from tiny import SIZES, TinyTrunk, tiny_config, write_tiny_data


def build(config: TrainConfig, root: Path | None, **settings: Any) -> Run:
    defaults: dict[str, Any] = {"folder": Path("run"), "device": "cpu", "provenance": {}}
    return build_run(config, root=root, **(defaults | settings))


@pytest.fixture
def _tiny(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(TRUNKS, "mobilenetv2", TinyTrunk)


@pytest.fixture
def root(tmp_path: Path) -> Path:
    return write_tiny_data(tmp_path / "data")


@pytest.mark.usefixtures("_tiny")
def test_training_sees_no_image_of_another_split(tmp_path: Path) -> None:
    """Not by its name, and not by another name that leads to the same file: `00003` is a val, `00004` a test image."""
    folder = tmp_path / "ucm"
    annotations = write_karpathy_dataset(folder, name="ucm", n_images=12)
    for image, alias in ((0, "00003.tif"), (1, "00004.png")):
        edit_json(annotations, image=image, filename=alias)
    run = build(tiny_config(), tmp_path)
    trained = {image.image_id for image in run.table.images}
    assert trained == {f"ucm/{number:05d}.jpg" for number in (5, 6, 9, 10)}
    sets = load_dataset(f"ucm:{folder}")
    assert sets.splits == {"train": 6, "val": 3, "test": 3}
    for split in ("val", "test"):
        assert not {image.path for image in run.table.images} & {image.path for image in sets.split(split)}
    rows = run.table.images[run.table.row_image[0]], run.table.images[run.table.row_image[-1]]
    assert {image.split for image in rows} == {"train"}
    ids = "\n".join(sorted(trained)).encode()
    assert run.table.ids_sha256 == hashlib.sha256(ids).hexdigest()


@pytest.mark.usefixtures("_tiny")
def test_a_data_set_may_lie_anywhere(root: Path, tmp_path: Path) -> None:
    (root / "ucm").rename(tmp_path / "elsewhere")
    run = build(tiny_config(), None, specs=[f"ucm:{tmp_path / 'elsewhere'}"])
    assert len(run.table.images) == 8


@pytest.mark.usefixtures("_tiny")
def test_validation_from_cached_features_is_validation_from_pictures(root: Path, tmp_path: Path) -> None:
    run = build(tiny_config(model=ModelConfig(kind="compact", settings=SIZES)), root, folder=tmp_path / "run")
    frozen, unfrozen = run.trainer.validate(True), run.trainer.validate(False)
    assert frozen.keys() == unfrozen.keys() == {"mR_ucm", "mR"}
    validator = run.trainer.validate
    encoded = validator.encoded["ucm"]  # type: ignore[attr-defined]
    direct = encode_split(validator.encoder, run.sets[0].split("val"))  # type: ignore[attr-defined]
    run.trainer.validate(True)
    cached = validator.encoded["ucm"]  # type: ignore[attr-defined]
    np.testing.assert_array_equal(encoded.images.global_emb, direct.images.global_emb)
    np.testing.assert_allclose(cached.images.global_emb, direct.images.global_emb, atol=5e-3)
    np.testing.assert_array_equal(cached.texts.global_emb, direct.texts.global_emb)
    assert unfrozen["mR"] == measure(direct, mixture=Mixture(alpha=1.0, beta=0.0)).metrics.mR


@pytest.mark.usefixtures("_tiny")
def test_validation_is_the_mean_over_the_sets(root: Path, tmp_path: Path) -> None:
    write_karpathy_dataset(root / "sydney", name="sydney", n_images=9, splits=("train", "train", "val"), seed=5)
    config = tiny_config(data=DataConfig(sets=("ucm", "sydney")))
    run = build(config, root, folder=tmp_path / "run")
    results = run.trainer.validate(True)
    assert results["mR"] == pytest.approx((results["mR_ucm"] + results["mR_sydney"]) / 2)
    assert results == pytest.approx(run.trainer.validate(False), abs=40)
    assert len(run.table.images) == 8 + 6


@pytest.mark.usefixtures("_tiny")
def test_the_mixture_is_chosen_on_validation(root: Path, tmp_path: Path) -> None:
    for tune in (True, False):
        config = tiny_config().replace(tune=tune, phases=(tiny_config().phases[0].replace(epochs=1),))
        run = build(config, root, folder=tmp_path / str(tune))
        run.trainer.run(resume=False)
        found = json.loads((tmp_path / str(tune) / "best" / "config.json").read_text())
        mixture = Mixture(**found["inference"]["mixture"])
        validator = run.trainer.validate
        of_all = [validator._measure(Mixture(alpha=1.0, beta=beta / 10, norm="rms")) for beta in range(0, 21, 2)]  # type: ignore[attr-defined]
        best = max(entry.results["mR"] for entry in of_all)
        assert found["training"]["validation"]["mR"] == (best if tune else of_all[0].results["mR"])
        assert tune or mixture.beta == 0


def wrong_set(root: Path) -> tuple[TrainConfig, dict[str, Any]]:
    return tiny_config(), {"root": root, "specs": [f"rsicd:{root / 'ucm'}"]}


def no_root(_root: Path) -> tuple[TrainConfig, dict[str, Any]]:
    return tiny_config(), {"root": None}


def missing_folder(root: Path) -> tuple[TrainConfig, dict[str, Any]]:
    return tiny_config(), {"root": root / "nowhere"}


def unknown_set(root: Path) -> tuple[TrainConfig, dict[str, Any]]:
    return tiny_config(data=DataConfig(sets=("coco",))), {"root": root}


def missing_picture(root: Path) -> tuple[TrainConfig, dict[str, Any]]:
    next((root / "ucm" / "images").iterdir()).unlink()
    return tiny_config(), {"root": root}


def broken_picture(root: Path) -> tuple[TrainConfig, dict[str, Any]]:
    (root / "ucm" / "images" / "00003.jpg").write_bytes(b"\xff\xd8\xff\xe0cut")
    return tiny_config(), {"root": root}


def no_validation(root: Path) -> tuple[TrainConfig, dict[str, Any]]:
    for number in range(12):
        edit_json(root / "ucm" / "dataset_ucm.json", image=number, split="train")
    return tiny_config(), {"root": root}


def heads(root: Path) -> tuple[TrainConfig, dict[str, Any]]:
    return tiny_config(model=ModelConfig(kind="compact", settings=SIZES | {"text_heads": 3})), {"root": root}


def unknown_setting(root: Path) -> tuple[TrainConfig, dict[str, Any]]:
    return tiny_config(model=ModelConfig(kind="compact", settings={"depth": 3})), {"root": root}


def wrong_type(root: Path) -> tuple[TrainConfig, dict[str, Any]]:
    return tiny_config(model=ModelConfig(kind="compact", settings={"dim": "big"})), {"root": root}


def frozen_size(root: Path) -> tuple[TrainConfig, dict[str, Any]]:
    return tiny_config(phases=(Phase(batch_size=4, image_size_px=64),)), {"root": root}


def wide(root: Path) -> tuple[TrainConfig, dict[str, Any]]:
    return tiny_config(model=ModelConfig(kind="compact", settings=SIZES | {"dim": 200})), {"root": root}


@pytest.mark.usefixtures("_tiny")
@pytest.mark.parametrize(
    ("case", "error", "message"),
    [
        (wrong_set, ConfigError, "tiny trains on ucm, not on rsicd"),
        (no_root, DataError, "where is data set ucm. give --data ucm:FOLDER"),
        (missing_folder, DataError, "there is no folder .*nowhere"),
        (unknown_set, DataError, "unknown data set 'coco'"),
        (missing_picture, DataError, "1 of 12 pictures are missing"),
        (
            broken_picture,
            DataError,
            r"1 of 12 pictures cannot be read, the first is .*00003\.jpg: .*`rsitr data check`",
        ),
        (no_validation, DataError, "ucm has no split 'val'"),
        (heads, ConfigError, "model.settings: text_width 16 cannot be split into text_heads 3"),
        (unknown_setting, ConfigError, "model.settings: unknown key 'depth'; it may have trunk"),
        (wrong_type, ConfigError, "model.settings: dim must be int, not 'big'"),
        (frozen_size, ConfigError, "phase 1: image_size_px has no effect without trunk_lr"),
        (wide, ConfigError, "multiple of it, not 200"),
    ],
)
def test_what_a_run_lacks_is_said_before_anything_is_written(
    root: Path, tmp_path: Path, case: Any, error: type[Exception], message: str
) -> None:
    config, settings = case(root)
    with pytest.raises(error, match=message) as raised:
        build(config, settings.pop("root"), folder=tmp_path / "run", **settings)
    assert "\n" not in str(raised.value)
    assert not (tmp_path / "run").exists()


def mobilenet_weights(root: Path) -> Path:
    """A file of random weights named as the real one's; batch norms as fresh ones."""
    trunk = TRUNKS["mobilenetv2"]()
    out: dict[str, torch.Tensor] = {}
    for name, value in trunk.state_dict().items():
        module, kind = name.rsplit(".", 1)
        if kind != "weight" or module == "input":
            continue
        conv, bn = source_names(module)
        out[f"{conv}.weight"] = value.half().contiguous()
        channels = len(value)
        for part, filling in (("weight", 1.0), ("bias", 0.1), ("running_mean", 0.0), ("running_var", 1.0)):
            out[f"{bn}.{part}"] = torch.full((channels,), filling, dtype=torch.float16)
    (root / "init").mkdir(parents=True)
    save_file(out, root / "init" / "trunk.safetensors")
    return root / "init" / "trunk.safetensors"


def source_names(module: str) -> tuple[str, str]:
    if module in ("stem", "head"):
        return ("c0", "b0") if module == "stem" else ("c1", "b1")
    _, unit, part = module.split(".")
    place = ("expand", "spatial", "project").index(part)
    return f"u.{unit}.c.{place}", f"u.{unit}.bn.{place}"


def test_initial_weights_are_converted_and_checked(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    file = mobilenet_weights(tmp_path)
    digest = hashlib.sha256(file.read_bytes()).hexdigest()
    config = ModelConfig(kind="compact", settings=SIZES, init="trunk.safetensors", init_sha256=digest)
    model = build_model(config, root=tmp_path)
    assert isinstance(model, CompactDualEncoder)
    expected = convert_mobilenetv2(load_file(file))
    for name, value in model.image.trunk.state_dict().items():
        assert torch.equal(value, expected[name])
    monkeypatch.chdir(file.parent)
    assert build_model(config.replace(init=str(file)), root=None) is not None
    with pytest.raises(ModelError, match=f"has SHA-256 {digest}, the config expects 00"):
        build_model(config.replace(init_sha256="00"), root=tmp_path)
    with pytest.raises(ModelError, match=r"initial weights none\.safetensors are not there .*init/none"):
        build_model(config.replace(init="none.safetensors"), root=tmp_path)
    with pytest.raises(ModelError, match="does not hold the weights of trunk resnet50v2"):
        build_model(config.replace(settings=SIZES | {"trunk": "resnet50v2"}), root=tmp_path)
    file.write_bytes(b"junk")
    with pytest.raises(ModelError, match="does not hold the weights of trunk mobilenetv2"):
        build_model(config.replace(init_sha256=None), root=tmp_path)


@pytest.mark.parametrize(
    ("config", "error", "message"),
    [
        ({"settings": {}}, ConfigError, "settings of kind open_clip are the architecture and nothing else"),
        ({"settings": {"architecture": 5}}, ConfigError, "the architecture and nothing else"),
        ({"settings": {"architecture": "RN50", "dim": 5}}, ConfigError, "the architecture and nothing else"),
        ({"settings": {"architecture": "ViT-Z"}}, ModelError, "no architecture 'ViT-Z'"),
        ({"settings": {"architecture": "RN50"}, "init": "nope"}, ModelError, "'nope' is neither a file nor a tag"),
        (
            {"settings": {"architecture": "RN50"}, "init": "openai", "init_sha256": "ab"},
            ConfigError,
            "init_sha256 is about a file",
        ),
    ],
)
def test_an_open_clip_model_that_cannot_be_built_is_one_line(
    config: dict[str, Any], error: type[Exception], message: str
) -> None:
    with pytest.raises(error, match=message):
        build_model(ModelConfig(kind="open_clip", **config), root=None)


@pytest.fixture
def _open_clip(tmp_path: Path) -> Any:
    """A tiny open_clip architecture, `tiny-clip`."""
    import open_clip
    from open_clip import factory

    before = list(factory._MODEL_CONFIG_PATHS)
    vision = {"image_size": 32, "layers": 1, "width": 16, "head_width": 8, "patch_size": 16}
    text = {"context_length": 77, "vocab_size": 49408, "width": 16, "heads": 2, "layers": 1}
    (tmp_path / "clips").mkdir()
    (tmp_path / "clips" / "tiny-clip.json").write_text(
        json.dumps({"embed_dim": 16, "vision_cfg": vision, "text_cfg": text, "quick_gelu": False})
    )
    open_clip.add_model_config(tmp_path / "clips")
    yield
    factory._MODEL_CONFIG_PATHS[:] = before
    factory._rescan_model_configs()


@pytest.mark.usefixtures("_open_clip")
@pytest.mark.parametrize("local_tokens", ["valid", "all"])
def test_an_open_clip_model_is_trained_and_comes_back(root: Path, tmp_path: Path, local_tokens: Any) -> None:
    phase = Phase(epochs=1, batch_size=8, lr=1e-4, warmup_steps=2)
    model = ModelConfig(kind="open_clip", settings={"architecture": "tiny-clip"}, local_tokens=local_tokens)
    config = tiny_config(model=model, phases=(phase,))
    run = build(config, root, folder=tmp_path / "run")
    before = {name: value.clone() for name, value in run.trainer.model.state_dict().items()}
    position = run.trainer.run(resume=False)
    assert position.total_step == 5
    after = run.trainer.model.state_dict()
    assert sum(not torch.equal(before[name], after[name]) for name in before) > 0.9 * len(before)
    again = zoo.load_model(str(tmp_path / "run" / "best"), device="cpu")
    assert (again.local_tokens, again.resize, again.interpolation) == (local_tokens, "crop", "bicubic")
    saved = json.loads((tmp_path / "run" / "best" / "config.json").read_text())
    assert saved["model"] == {"architecture": "tiny-clip", "quick_gelu": False}
    warm = model.replace(init=str(tmp_path / "run" / "best"))
    started = build(config.replace(model=warm), root, folder=tmp_path / "warm").trainer.model.state_dict()
    expected = again.model.state_dict()
    assert all(torch.equal(value, expected[name]) for name, value in started.items())
    edit = tmp_path / "run" / "best" / "config.json"
    edit.write_text(edit.read_text().replace('"quick_gelu": false', '"quick_gelu": true'))
    quick = build(config.replace(model=warm), root, folder=tmp_path / "quick").trainer.model
    assert quick.quick_gelu is True  # as it was trained, though the architecture is one with GELU
    for phases, message in (
        ((phase.replace(trunk_lr=1e-4),), "trunk_lr is for the compact model's trunk"),
        ((phase.replace(image_size_px=64),), "image_size_px must be the model's own 32"),
    ):
        with pytest.raises(ConfigError, match=message):
            build(config.replace(phases=phases), root)


@pytest.mark.usefixtures("_tiny")
def test_a_run_starts_from_what_another_run_trained(root: Path, tmp_path: Path) -> None:
    """On another data set, and with another head."""
    model = ModelConfig(kind="compact", settings=SIZES)
    first = build(tiny_config(model=model, phases=tiny_config().phases[:1]), root, folder=tmp_path / "first")
    first.trainer.run(resume=False)
    write_karpathy_dataset(root / "sydney", name="sydney", n_images=9, splits=("train", "train", "val"), seed=5)
    best = str(tmp_path / "first" / "best")
    expected = zoo.load_model(best, device="cpu").model.state_dict()
    notes: list[str] = []
    warm = model.replace(init=best)
    other = tiny_config(data=DataConfig(sets=("sydney",)), model=warm)
    run = build(other, root, folder=tmp_path / "second", on_note=notes.append)
    assert all(torch.equal(value, expected[name]) for name, value in run.trainer.model.state_dict().items())
    assert notes == [f"weights: {len(expected)} of {len(expected)} from {best}"]
    wider = tiny_config(data=DataConfig(sets=("sydney",)), model=warm.replace(settings=SIZES | {"dim": 32}))
    build(wider, root, folder=tmp_path / "third", on_note=notes.append)
    assert "initialised, since it lacks them or has them in another size: " in notes[-1]
    with pytest.raises(ConfigError, match=r"init_sha256 is about a file, and model\.init .* a folder"):
        build_model(warm.replace(init_sha256="0" * 64), root=None)


@pytest.mark.real_data
def test_no_training_image_of_the_default_model_is_held_out(real_data: Path) -> None:
    config = load_config("compact-rsicd-ucm")
    sets = [load_dataset(f"{name}:{real_data / name}") for name in config.data.sets]
    assert all("val" in data_set.splits for data_set in sets)
    trained = [image for data_set in sets for image in data_set.split("train")]
    ids, files = {image.image_id for image in trained}, {image.path for image in trained}
    assert len(ids) == len(trained) == 8734 + 1680
    for split in {split for data_set in sets for split in data_set.splits} - {"train"}:
        held_out = [image for data_set in sets for image in data_set.images if image.split == split]
        assert held_out
        assert not ids & {image.image_id for image in held_out}
        assert not files & {image.path for image in held_out}
    packaged = json.loads((zoo.PACKAGED / "compact" / "config.json").read_text(encoding="utf-8"))["training"]
    assert packaged["ids_sha256"] == RowTable.of(trained).ids_sha256
    assert packaged["n_images"] == len(trained)
    assert packaged["data_sha256"] == {data_set.name: data_set.sha256 for data_set in sets}


@pytest.mark.usefixtures("_tiny")
@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"recipe": "magic"}, "unknown recipe 'magic': choose one of ebaker, lookout, mtgfe"),
        ({"rerank": "magic"}, "rerank is 'magic'; it may be sar, "),
    ],
)
def test_a_name_that_nothing_has_is_said_before_data_is_looked_for(change: dict[str, Any], message: str) -> None:
    with pytest.raises(ConfigError, match=message):
        build(tiny_config(**change), None)


@pytest.mark.parametrize(("precision", "expected"), [("mixed", torch.bfloat16), ("fp32", None)])
def test_the_precision_of_a_training_is_chosen(
    root: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, precision: str, expected: torch.dtype | None
) -> None:
    monkeypatch.setattr("rsitr.training.loop.has_bf16", lambda _device: True)
    config = tiny_config(precision=precision)
    run = build_run(config, root=root, folder=tmp_path / "run", device="cpu", provenance={})
    assert run.trainer.autocast_dtype == expected
    plain = tiny_config()
    assert (config.identity() == plain.identity()) == (precision == "mixed"), "fp32 is another run"


def test_a_keyword_file_takes_the_place_of_counted_words(root: Path, tmp_path: Path) -> None:
    word = next(iter(count_words([load_dataset(f"ucm:{root / 'ucm'}").split("train")[0].captions])))
    (tmp_path / "words.txt").write_text(f"{word.upper()}\nnowhere\n")
    config = tiny_config(keywords=KeywordsConfig(file=str(tmp_path / "words.txt")))
    run = build_run(config, root=root, folder=tmp_path / "run", device="cpu", provenance={})
    assert run.trainer.recipe.keywords == [word, "nowhere"]
    before = run.trainer.identity
    (tmp_path / "words.txt").write_text(f"{word}\n")
    assert build_run(config, root=root, folder=tmp_path / "b", device="cpu", provenance={}).trainer.identity != before
    published = tiny_config(keywords=KeywordsConfig(rule="published"))
    run = build_run(published, root=root, folder=tmp_path / "c", device="cpu", provenance={})
    pictures = [image.captions for one in run.sets for image in one.split("train")]
    assert set(run.trainer.recipe.keywords) == set(count_words(pictures, rule="published"))
    with pytest.raises(ConfigError, match="a keyword file needs no rule"):
        KeywordsConfig(rule="published", file="words.txt")
