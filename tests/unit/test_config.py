"""Configs: what a person gets wrong in a YAML is one clear line; what is packaged can be built."""

from __future__ import annotations

import math
import re
import typing
from pathlib import Path

import pytest

from adapting import tiny_architectures, write_base
from fusions import BERT_SIZES, VIT_SIZES, write_bert
from generators import write_karpathy_dataset, write_nwpu_dataset
from rsitr import config as config_module
from rsitr.config import (
    CONFIG_FOLDER,
    DataConfig,
    EbaConfig,
    KerConfig,
    LookoutPhase,
    LookoutTrainConfig,
    LossConfig,
    ModelConfig,
    MtgfeConfig,
    Phase,
    Settings,
    TrainConfig,
    describe_config,
    list_configs,
    load_config,
    override,
    parse,
    read_settings,
)
from rsitr.errors import ConfigError
from rsitr.models.fusion import FusionConfig
from rsitr.training.runs import build_run
from rsitr.types import Mixture
from tiny import SIZES, tiny_config, tiny_yaml

MINIMAL = """
name: mine
recipe: ebaker
data: {sets: [ucm]}
model: {kind: compact}
phases: [{epochs: 1}]
"""


def write(folder: Path, content: str) -> Path:
    path = folder / "mine.yaml"
    path.write_text(content, encoding="utf-8")
    return path


def test_what_is_left_out_is_the_papers(tmp_path: Path) -> None:
    found = load_config(str(write(tmp_path, MINIMAL)))
    assert found == TrainConfig(
        name="mine",
        recipe="ebaker",
        data=DataConfig(sets=("ucm",)),
        model=ModelConfig(kind="compact"),
        phases=(Phase(epochs=1),),
    )
    assert (found.loss.scale, found.ker.weight, found.ker.layers, found.ker.top_k) == (20.0, 0.5, 4, 512)
    assert (found.eba.drop_ratio, found.eba.drop_epoch, found.eba.scheme) == (0.01, 4, "joint")
    phase = Phase()
    assert (phase.epochs, phase.batch_size, phase.lr, phase.weight_decay) == (7, 100, 1.5e-5, 0.7)
    assert (phase.warmup_steps, phase.clip_norm, found.data.crop_scale) == (200, 50.0, 0.9)


def test_every_value_reaches_its_field(tmp_path: Path) -> None:
    found = load_config(
        str(
            write(
                tmp_path,
                """
name: a-b_c.1
recipe: ebaker
seed: 3
tune: false
mixture: {alpha: 0, beta: 2, norm: rms}
data: {sets: [rsicd, ucm], rows: images, crop_scale: 1, symmetries: true, duplicates: drop, workers: 2}
model: {kind: open_clip, settings: {architecture: RN50}, init: openai, init_sha256: null, local_tokens: all}
loss: {scale: 14, learn_scale: true, local_weight: 0, local_norm: rms, repeats: ignore}
ker: {weight: 1, strategy: random, mask_position: word, top_k: 16, layers: 2, vocabulary: keywords}
eba: {drop_ratio: 0, drop_epoch: 2, scheme: split}
phases:
  - {epochs: 2, batch_size: 4, lr: 1, trunk_lr: null, image_size_px: 64, weight_decay: 0, warmup_steps: 0,
     clip_norm: 1, optimizer: adam, beta2: 0.9}
  - {}
""",
            )
        )
    )
    assert found.data == DataConfig(
        sets=("rsicd", "ucm"), rows="images", crop_scale=1.0, symmetries=True, duplicates="drop", workers=2
    )
    assert found.model.settings == {"architecture": "RN50"}
    assert (found.model.init, found.model.init_sha256, found.model.local_tokens) == ("openai", None, "all")
    assert found.loss == LossConfig(scale=14.0, learn_scale=True, local_weight=0.0, local_norm="rms", repeats="ignore")
    assert isinstance(found.loss.scale, float)
    assert found.ker == KerConfig(weight=1.0, strategy="random", top_k=16, layers=2, vocabulary="keywords")
    assert found.eba == EbaConfig(drop_ratio=0.0, drop_epoch=2, scheme="split")
    first = Phase(
        epochs=2,
        batch_size=4,
        lr=1.0,
        image_size_px=64,
        optimizer="adam",
        weight_decay=0.0,
        warmup_steps=0,
        clip_norm=1.0,
        beta2=0.9,
    )
    assert found.phases == (first, Phase())
    assert (found.seed, found.tune, found.mixture) == (3, False, Mixture(alpha=0.0, beta=2.0, norm="rms"))


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (("name: mine", "nome: mine"), r"mine\.yaml: unknown key 'nome'; it may have name, recipe, data"),
        (("name: mine", ""), r"mine\.yaml: 'name' is missing"),
        (
            ("{sets: [ucm]}", "{sets: [ucm], row: one}"),
            r"mine\.yaml: data: unknown key 'row'; it may have sets, splits, rows",
        ),
        (("{sets: [ucm]}", "{}"), r"mine\.yaml: data: 'sets' is missing"),
        (("{sets: [ucm]}", "ucm"), r"mine\.yaml: data: expected keys and values, found 'ucm'"),
        (("{sets: [ucm]}", "{sets: ucm}"), r"mine\.yaml: data: sets must be a list of at least one, not 'ucm'"),
        (("{sets: [ucm]}", "{sets: []}"), "sets must be a list of at least one"),
        (("{sets: [ucm]}", "{sets: [ucm, 3]}"), r"data: sets\[1\] must be str, not 3"),
        (("{sets: [ucm]}", "{sets: [ucm, ucm]}"), "data: sets names a data set twice"),
        (("{sets: [ucm]}", "{sets: [ucm], rows: some}"), "data: rows is 'some'; it may be all, images"),
        (("{sets: [ucm]}", "{sets: [ucm], rows: [all]}"), r"data: rows is \['all'\]; it may be all, images"),
        (("{sets: [ucm]}", "{sets: [ucm], workers: two}"), "data: workers must be int, not 'two'"),
        (("{sets: [ucm]}", "{sets: [ucm], workers: 1.5}"), r"data: workers must be int, not 1\.5"),
        (("{sets: [ucm]}", "{sets: [ucm], workers: true}"), "data: workers must be int, not True"),
        (("{sets: [ucm]}", "{sets: [ucm], workers: -1}"), "data: workers must be at least 0, not -1"),
        (("{sets: [ucm]}", "{sets: [ucm], symmetries: 1}"), "data: symmetries must be bool, not 1"),
        (("{sets: [ucm]}", "{sets: [ucm], crop_scale: yes}"), "data: crop_scale must be float, not True"),
        (("{sets: [ucm]}", "{sets: [ucm], crop_scale: 0}"), "crop_scale must be above 0 and at most 1, not 0"),
        (("{sets: [ucm]}", "{sets: [ucm], crop_scale: null}"), "crop_scale must be float, not None"),
        (("recipe: ebaker", "recipe: 3"), "recipe must be str, not 3"),
        (("{kind: compact}", "{kind: compact, settings: [1]}"), r"model: settings must be keys and values, not \[1\]"),
        (("{kind: compact}", "{kind: compact, init: 3}"), "model: init must be str, not 3"),
        (("[{epochs: 1}]", "{epochs: 1}"), "phases must be a list of at least one"),
        (("[{epochs: 1}]", "[{epochs: 1}, {epoch: 1}]"), r"phases\[1\]: unknown key 'epoch'"),
        (("[{epochs: 1}]", "[{epochs: 0}]"), r"phases\[0\]: epochs must be at least 1, not 0"),
        (("[{epochs: 1}]", "[{lr: 1e-3}]"), r"lr must be float, not '1e-3' \(YAML wants a point in it: 1\.0e-3\)"),
        (("[{epochs: 1}]", "[{lr: .nan}]"), "lr must be above 0, not nan"),
        (("name: mine", "name: ../mine"), r"mine\.yaml: name must be letters, digits and . _ -.*not '\.\./mine'"),
        (("name: mine", "name: mine\nseed: -1"), "seed must be at least 0"),
    ],
)
def test_a_mistake_is_one_line_that_says_where(tmp_path: Path, change: tuple[str, str], message: str) -> None:
    assert change[0] in MINIMAL
    with pytest.raises(ConfigError, match=message) as raised:
        load_config(str(write(tmp_path, MINIMAL.replace(*change))))
    assert "\n" not in str(raised.value)


@pytest.mark.parametrize(
    ("kind", "change"),
    [
        (Phase, {"batch_size": 1}),
        (Phase, {"lr": 0.0}),
        (Phase, {"trunk_lr": -1.0}),
        (Phase, {"image_size_px": 16}),
        (Phase, {"weight_decay": -0.1}),
        (Phase, {"warmup_steps": -1}),
        (Phase, {"max_steps": 0}),
        (Phase, {"clip_norm": 0.0}),
        (Phase, {"beta2": 1.0}),
        (LossConfig, {"scale": 0.0}),
        (LossConfig, {"scale": 101.0}),
        (LossConfig, {"local_weight": -1.0}),
        (KerConfig, {"weight": -0.5}),
        (KerConfig, {"top_k": 0}),
        (KerConfig, {"layers": -1}),
        (EbaConfig, {"drop_ratio": 1.0}),
        (EbaConfig, {"drop_ratio": -0.01}),
        (EbaConfig, {"drop_epoch": 0}),
        (LookoutTrainConfig, {"captions": 0}),
        (LookoutTrainConfig, {"zoom": 0.0}),
        (LookoutTrainConfig, {"sensor": 1.1}),
        (LookoutPhase, {"sizes_px": (128, 150)}),
        (LookoutPhase, {"repeats": {"ucm": 0}}),
        (LookoutPhase, {"named": 1.5}),
        (LookoutPhase, {"alike": -0.1}),
    ],
)
def test_values_that_make_no_sense_are_refused(kind: type, change: dict[str, float]) -> None:
    with pytest.raises(ConfigError, match=f"{next(iter(change))} must be"):
        kind(**change)


@pytest.mark.parametrize("content", ["a: [1", "\tname: x", "a: b: c", "2020-13-45"])
def test_what_is_not_yaml_or_no_config_is_one_line(tmp_path: Path, content: str) -> None:
    with pytest.raises(ConfigError, match=r"is not YAML|expected keys and values") as raised:
        load_config(str(write(tmp_path, content)))
    assert "\n" not in str(raised.value)


def test_an_empty_file_is_no_config(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match="expected keys and values, found None"):
        load_config(str(write(tmp_path, "")))


def test_wrong_encoding_is_one_line(tmp_path: Path) -> None:
    (tmp_path / "mine.yaml").write_bytes(b"name: \xff\xfe")
    with pytest.raises(ConfigError, match="is not YAML"):
        load_config(str(tmp_path / "mine.yaml"))


def test_an_unknown_name_is_told_what_there_is(tmp_path: Path) -> None:
    for name in ("ebakre", str(tmp_path / "none.yaml"), str(tmp_path)):
        with pytest.raises(ConfigError, match=r"there is no config .*: use .*compact-rsicd-ucm"):
            load_config(name)


def test_packaged_configs_go_by_name() -> None:
    assert "compact-rsicd-ucm" in list_configs()
    assert load_config("compact-rsicd-ucm").data.sets == ("rsicd", "ucm")


def test_nothing_but_configs_is_packaged_as_such() -> None:
    assert {path.stem for path in CONFIG_FOLDER.iterdir()} == set(list_configs())


@pytest.mark.parametrize("name", list_configs())
def test_a_packaged_config_says_how_to_run_it(name: str) -> None:
    first = (CONFIG_FOLDER / f"{name}.yaml").read_text(encoding="utf-8").splitlines()[0]
    assert re.match(rf"# rsitr train {re.escape(name)}\b", first)
    assert load_config(name).name == name


@pytest.mark.parametrize("name", list_configs())
def test_a_packaged_config_is_built(name: str, tmp_path: Path) -> None:
    """With small data, and with random weights where it names initial ones."""
    config = load_config(name)
    for seed, data_set in enumerate(config.data.sets):
        if data_set == "nwpu":
            write_nwpu_dataset(tmp_path / data_set, classes=("pond",), splits=("train", "val"), size_px=32, seed=seed)
            continue
        write_karpathy_dataset(
            tmp_path / data_set, name=data_set, n_images=4, splits=("train", "val"), size_px=32, seed=seed
        )
    phases = tuple(phase.replace(batch_size=2) for phase in config.phases)
    model = config.model.replace(init=None, init_sha256=None)
    if config.model.kind == "fusion":
        sizes = parse(FusionConfig, config.model.settings, where=name)
        model = model.replace(init_text=None)
        if sizes.text == "bert":
            write_bert(tmp_path / "bert")
            small = BERT_SIZES | VIT_SIZES | {"context_length": 16}
            model = model.replace(settings=small, init_text=str(tmp_path / "bert"))
    with tiny_architectures(tmp_path / "architectures"):
        if config.adapter.kind != "none":  # they stand on a whole model
            write_base(tmp_path / "base.safetensors")
            base = str(tmp_path / "base.safetensors")
            model = model.replace(settings={"architecture": "lora-vit"}, init=base)
        run = build_run(
            config.replace(phases=phases, model=model),
            root=tmp_path,
            folder=tmp_path / "run",
            device="cpu",
            provenance={},
        )
    assert len(run.table.images) == 2 * len(config.data.sets)
    if config.recipe == "mtgfe":
        assert run.trainer.recipe.settings == config.mtgfe
        return
    if config.recipe == "lookout":
        assert run.trainer.recipe.config.lookout == config.lookout
        assert not run.folder.exists()
        return
    assert run.trainer.recipe.config.eba == config.eba
    assert (run.trainer.recipe.reasoner is not None) is (config.ker.weight > 0)
    assert not run.folder.exists()  # nothing is written before it runs


@pytest.mark.parametrize(("name", "scheme"), [("ebaker-vit-b-32", "joint"), ("iebaker-vit-b-32", "split")])
def test_the_papers_recipe_is_as_published(name: str, scheme: str) -> None:
    """METHODS 1.10, value by value."""
    config = load_config(name)
    assert (config.data.sets, config.data.rows, config.data.duplicates) == (("rsicd", "rsitmd", "nwpu"), "all", "drop")
    assert (config.data.crop_scale, config.data.symmetries) == (0.9, False)
    assert config.model.settings == {"architecture": "ViT-B-32-quickgelu"}
    assert (config.model.init, config.model.local_tokens) == ("openai", "all")
    assert config.loss.scale == pytest.approx(math.exp(2.996), rel=1e-6)
    assert (config.loss.learn_scale, config.loss.local_weight, config.loss.local_norm) == (False, 1.0, "l2")
    assert config.loss.repeats == "negative"
    assert config.ker == KerConfig(
        weight=0.5, strategy="keyword", top_k=512, layers=4, vocabulary="full", padding="full"
    )
    assert config.eba == EbaConfig(drop_ratio=0.01, drop_epoch=4, scheme=scheme)  # type: ignore[arg-type]
    assert (config.mixture, config.tune) == (Mixture(alpha=0.6, beta=0.4, norm="l2"), False)
    assert config.phases == (
        Phase(
            epochs=7, batch_size=100, optimizer="adamw", lr=1.5e-5, weight_decay=0.7, warmup_steps=200, clip_norm=50.0
        ),
    )


def test_a_config_of_ones_own_is_built_too(tmp_path: Path) -> None:
    config = load_config(str(tiny_yaml(tmp_path / "tiny.yaml")))
    assert config.model.settings == SIZES


SECTIONS = [value for value in vars(config_module).values() if isinstance(value, type) and issubclass(value, Settings)]


@pytest.mark.parametrize("section", SECTIONS)
def test_every_setting_is_documented(section: type[Settings]) -> None:
    """A page of the documentation is made of it."""
    assert section.__doc__
    assert [name for name, field in section.model_fields.items() if not field.description] == []


FUSION = {"name": "f", "recipe": "mtgfe", "data": DataConfig(sets=("ucm",)), "phases": (Phase(),)}
EBAKER = {**FUSION, "recipe": "ebaker"}
LOOKOUT = {**FUSION, "recipe": "lookout"}
PHASES = (Phase(), Phase(lookout=LookoutPhase(named=0.1)))


@pytest.mark.parametrize(
    ("config", "kind", "model", "idle"),
    [
        (FUSION | {"rerank": "sar"}, "fusion", {}, "rerank"),
        (FUSION | {"eba": EbaConfig(drop_ratio=0.5)}, "fusion", {}, "eba"),
        (FUSION | {"data": DataConfig(sets=("ucm",), batches="by_set")}, "fusion", {}, "data.batches"),
        (FUSION, "fusion", {"local_tokens": "all"}, "model.local_tokens"),
        (FUSION, "fusion", {"init_sha256": "0" * 64}, "model.init_sha256"),
        (EBAKER | {"mtgfe": MtgfeConfig(mlm_weight=0.5)}, "compact", {}, "mtgfe"),
        (EBAKER, "compact", {"init_text": "bert"}, "model.init_text"),
        (EBAKER | {"lookout": LookoutTrainConfig(zoom=1.0)}, "compact", {}, "lookout"),
        (EBAKER | {"phases": PHASES}, "compact", {}, "phases[1].lookout"),
        (FUSION | {"phases": PHASES}, "fusion", {}, "phases[1].lookout"),
        (LOOKOUT | {"ker": KerConfig(weight=0.1)}, "lookout", {}, "ker"),
        (LOOKOUT | {"data": DataConfig(sets=("ucm",), symmetries=True)}, "lookout", {}, "data.symmetries"),
    ],
)
def test_what_a_recipe_would_not_heed_is_refused(
    config: dict[str, typing.Any], kind: str, model: dict[str, typing.Any], idle: str
) -> None:
    with pytest.raises(ConfigError, match=rf"^{re.escape(idle)}: recipe {config['recipe']} does not heed that"):
        TrainConfig(**config, model=ModelConfig(kind=kind, **model))  # type: ignore[arg-type]


def test_settings_are_typed_as_in_yaml() -> None:
    given = ["loss.scale=10.0", "model.init=", "data.sets=[rsicd, ucm]", "name=a=b"]
    found = {"loss.scale": 10.0, "model.init": None, "data.sets": ["rsicd", "ucm"], "name": "a=b"}
    assert read_settings(given) == found
    for entry, message in (
        ("loss.scale", "given as NAME=VALUE"),
        ("=3", "given as NAME=VALUE"),
        ("a=[1", "is not YAML"),
        ("a=2020-13-45", "is not YAML"),
    ):
        with pytest.raises(ConfigError, match=message) as raised:
            read_settings([entry])
        assert "\n" not in str(raised.value)


def test_a_phase_is_changed_by_its_number() -> None:
    config = tiny_config()
    changed = override(config, {"phases.1.lr": 0.5})
    assert changed.phases == (config.phases[0], config.phases[1].replace(lr=0.5))
    assert override(config, {"phases.1": {"epochs": 3}}).phases[1] == Phase(epochs=3)
    for name in ("phases.2.lr", "phases.first.lr", "phases.2", "phases.0.lr.more"):
        with pytest.raises(ConfigError, match="tiny has no section"):
            override(config, {name: 1.0})


@pytest.mark.parametrize("name", list_configs())
def test_a_packaged_config_says_what_it_is_for(name: str) -> None:
    said = describe_config(name)
    assert len(said.split()) > 5
    assert "#" not in said
