"""Training configs: frozen, documented dataclasses read from YAML. An unknown key is an error.

The first line of every packaged config is the command that runs it.
"""

from __future__ import annotations

import dataclasses
import json
import re
import types
import typing
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Literal, TypeVar

import yaml

from rsitr.errors import ConfigError
from rsitr.rerank import METHODS
from rsitr.training.phase import Phase
from rsitr.training.tasks import MtgfeConfig
from rsitr.types import GLOBAL_ONLY, Mixture

__all__ = [
    "CONFIG_FOLDER",
    "DataConfig",
    "EbaConfig",
    "KerConfig",
    "LossConfig",
    "ModelConfig",
    "TrainConfig",
    "describe_config",
    "find_config",
    "list_configs",
    "load_config",
    "override",
    "parse",
    "read_settings",
    "read_yaml",
]

CONFIG_FOLDER = Path(__file__).parent / "configs"
MOST_SCALE = 100.0
"""CLIP's bound of the inverse temperature, which a learned one keeps, too."""
PAPERS_TASKS = MtgfeConfig()
T = TypeVar("T")


def _require(holds: bool, message: str) -> None:
    if not holds:
        raise ConfigError(message)


@dataclass(frozen=True, kw_only=True)
class DataConfig:
    """Where pairs come from.

    Attributes:
        sets: names of data sets; each is looked for as a folder of that name under the data root, unless `--data`
            says where it is.
        rows: `all`, every (image, caption) row once per epoch (METHODS 1.9), or `images`, every image once per epoch
            with the next `captions_per_image` of its captions (our addition: an image pass serves several captions).
        captions_per_image: with rows `images`.
        batches: `mixed`, or each of one data set, `by_set`, so that what is to be told apart is all of one kind (our
            addition).
        crop_scale: RandomResizedCrop takes at least this share of the area (open_clip's training transform: 0.9).
        symmetries: also turn and mirror the pictures: seen from above, there is no up. Our addition.
        duplicates: `keep` every training picture, or `drop` those that occur twice over all sets or are in a validation
            or test split of any of them, found by perceptual hash (METHODS 1.10; `rsitr data merge` lists them).
        workers: loader processes; 0 loads in the training process.
    """

    sets: tuple[str, ...]
    rows: Literal["all", "images"] = "all"
    captions_per_image: int = 1
    batches: Literal["mixed", "by_set"] = "mixed"
    crop_scale: float = 0.9
    symmetries: bool = False
    duplicates: Literal["keep", "drop"] = "keep"
    workers: int = 0

    def __post_init__(self) -> None:
        _require(len(set(self.sets)) == len(self.sets), "sets names a data set twice")
        _require(self.captions_per_image >= 1, f"captions_per_image must be at least 1, not {self.captions_per_image}")
        _require(self.captions_per_image == 1 or self.rows == "images", "captions_per_image is for rows: images")
        _require(0 < self.crop_scale <= 1, f"crop_scale must be above 0 and at most 1, not {self.crop_scale}")
        _require(self.workers >= 0, f"workers must be at least 0, not {self.workers}")


@dataclass(frozen=True, kw_only=True)
class ModelConfig:
    """What is trained.

    Attributes:
        kind: `compact`, from ImageNet weights of its trunk, `open_clip`, or `fusion`.
        settings: for compact the fields of :class:`rsitr.models.CompactConfig`; for open_clip `architecture`; for
            fusion the fields of :class:`rsitr.models.fusion.FusionConfig`.
        init: for compact the trunk's weights, a file under DATA_ROOT/init, or null for random; for open_clip the tag
            or file of the pretrained weights, or null for random; for fusion what its image side starts from: a ViT's
            folder or hub id, or a compact checkpoint. Or, for any kind, the folder of a model of that kind that was
            trained: all that fits is taken, and the log says what.
        init_text: for fusion what its text side and, if it is a BERT, its fusion encoder start from.
        init_sha256: of the file `init`, checked before use, or null; not for fusion, whose parts have fingerprints.
        local_tokens: text tokens that count as local (METHODS 1.1).
    """

    kind: Literal["compact", "open_clip", "fusion"]
    settings: dict[str, Any] = field(default_factory=dict)
    init: str | None = None
    init_text: str | None = None
    init_sha256: str | None = None
    local_tokens: Literal["valid", "valid_sos", "all"] = "valid"


@dataclass(frozen=True, kw_only=True)
class LossConfig:
    """The alignment terms (METHODS 1.9).

    Attributes:
        scale: inverse temperature of the cosines; exp(2.996) in the released code.
        learn_scale: train it (CLIP's way), starting from `scale`.
        local_weight: weight of the local term; 0 leaves it out.
        local_norm: `l2` or `rms` (METHODS 1.4).
        repeats: what pairs of an image and a caption written for it, or of one image twice, are to each other when both
            occur in a batch: `negative` (released code), `positive` or `ignore` (our additions).
        soft_weight: share of the target that goes to the pictures whose captions are like a text, and back, by tf-idf
            cosine (our addition); 0 leaves all of it to the pairs.
        soft_temperature: of the softmax over those cosines.
    """

    scale: float = 20.0
    learn_scale: bool = False
    local_weight: float = 1.0
    local_norm: Literal["l2", "rms"] = "l2"
    repeats: Literal["negative", "positive", "ignore"] = "negative"
    soft_weight: float = 0.0
    soft_temperature: float = 0.1

    def __post_init__(self) -> None:
        _require(0 < self.scale <= MOST_SCALE, f"scale must be above 0 and at most {MOST_SCALE:g}, not {self.scale}")
        _require(self.local_weight >= 0, f"local_weight must be at least 0, not {self.local_weight}")
        _require(0 <= self.soft_weight <= 1, f"soft_weight must be between 0 and 1, not {self.soft_weight}")
        _require(self.soft_temperature > 0, f"soft_temperature must be above 0, not {self.soft_temperature}")
        _require(
            not (self.soft_weight and self.repeats == "ignore"),
            "soft_weight gives repeats a share of the target, so that they cannot be ignored: set repeats: positive",
        )


@dataclass(frozen=True, kw_only=True)
class KerConfig:
    """Keyword explicit reasoning (METHODS 1.2, 1.6).

    Attributes:
        weight: lambda; 0 leaves it out.
        strategy: which words are masked.
        mask_position: where a keyword's tokens are.
        top_k: keywords per data set.
        layers: transformer blocks of the head, 4 in the paper, 2 in the released code.
        vocabulary: the head predicts `full`, all 49,408 ids, or only those that occur in `keywords`.
        padding: `full`, the head sees all positions of the context (METHODS 1.6), or, for less work, those up to the
            longest caption of the `batch` (our addition).
    """

    weight: float = 0.5
    strategy: Literal["random", "attribute", "keyword"] = "keyword"
    mask_position: Literal["word", "released"] = "word"
    top_k: int = 512
    layers: int = 4
    vocabulary: Literal["full", "keywords"] = "full"
    padding: Literal["full", "batch"] = "batch"

    def __post_init__(self) -> None:
        _require(self.weight >= 0, f"weight must be at least 0, not {self.weight}")
        _require(self.top_k >= 1, f"top_k must be at least 1, not {self.top_k}")
        _require(self.layers >= 0, f"layers must be at least 0, not {self.layers}")


@dataclass(frozen=True, kw_only=True)
class EbaConfig:
    """Eliminate before align (METHODS 1.7, 1.8).

    Attributes:
        drop_ratio: share of the pairs below the threshold; 0 disables elimination.
        drop_epoch: that many epochs are full, counted over all phases.
        scheme: `joint`, one bank and mask, or `split`, local similarities have their own.
    """

    drop_ratio: float = 0.01
    drop_epoch: int = 4
    scheme: Literal["joint", "split"] = "joint"

    def __post_init__(self) -> None:
        _require(0 <= self.drop_ratio < 1, f"drop_ratio must be at least 0 and below 1, not {self.drop_ratio}")
        _require(self.drop_epoch >= 1, f"drop_epoch must be at least 1, not {self.drop_epoch}; drop_ratio 0 drops none")


@dataclass(frozen=True, kw_only=True)
class TrainConfig:
    """A training run.

    Attributes:
        name: what the trained model is called, and its folder under `runs/`.
        recipe: the method.
        data, model, loss, ker, eba, mtgfe: see there; `loss`, `ker` and `eba` are EBAKER's, and so are `mixture`
            and `rerank`.
        phases: run one after another.
        seed: of everything random.
        mixture: of similarities, by which epochs are compared on validation, and which the trained model is given.
        tune: after training, choose the model's mixture on validation instead, where it has one.
        rerank: name of a training-free re-ranking (METHODS 2) whose settings are chosen on validation, with that
            mixture, and recorded in the trained model; null records none. Epochs are compared without it.
    """

    name: str
    recipe: Literal["ebaker", "mtgfe"]
    data: DataConfig
    model: ModelConfig
    phases: tuple[Phase, ...]
    loss: LossConfig = LossConfig()
    ker: KerConfig = KerConfig()
    eba: EbaConfig = EbaConfig()
    mtgfe: MtgfeConfig = PAPERS_TASKS
    seed: int = 0
    mixture: Mixture = GLOBAL_ONLY
    tune: bool = True
    rerank: str | None = None

    def __post_init__(self) -> None:
        plain = re.fullmatch(r"[A-Za-z0-9][A-Za-z0-9._-]*", self.name)
        _require(
            plain is not None, f"name must be letters, digits and . _ -, since it names a folder, not {self.name!r}"
        )
        _require(
            (self.recipe == "mtgfe") is (self.model.kind == "fusion"),
            f"recipe {self.recipe} cannot train a model of kind {self.model.kind}: mtgfe goes with fusion",
        )
        _require(self.seed >= 0, f"seed must be at least 0, not {self.seed}")
        _require(self.rerank in (None, *METHODS), f"rerank is {self.rerank!r}; it may be {', '.join(METHODS)}, or null")
        idle = self._find_idle()
        _require(not idle, f"{', '.join(idle)}: recipe {self.recipe} does not heed that, leave it out")

    def _find_idle(self) -> list[str]:
        """What is set and would change nothing, since it belongs to the other recipe."""
        settings: dict[str, tuple[object, object]]
        if self.recipe == "ebaker":
            settings = {"mtgfe": (self.mtgfe, PAPERS_TASKS), "model.init_text": (self.model.init_text, None)}
        else:
            settings = {
                "loss": (self.loss, LossConfig()),
                "ker": (self.ker, KerConfig()),
                "eba": (self.eba, EbaConfig()),
                "mixture": (self.mixture, GLOBAL_ONLY),
                "rerank": (self.rerank, None),
                "data.batches": (self.data.batches, "mixed"),
                "model.local_tokens": (self.model.local_tokens, "valid"),
                "model.init_sha256": (self.model.init_sha256, None),
            }
        return [name for name, (value, default) in settings.items() if value != default]


def list_configs() -> list[str]:
    """Names of the packaged configs."""
    return sorted(path.stem for path in CONFIG_FOLDER.glob("*.yaml"))


def find_config(name: str) -> Path:
    """The file of a packaged config by name, or of one by path.

    Raises:
        ConfigError: it does not exist.
    """
    path = CONFIG_FOLDER / f"{name}.yaml"
    if not path.is_file():
        path = Path(name).expanduser()
    if not path.is_file():
        raise ConfigError(f"there is no config {name!r}: use {', '.join(list_configs())}, or the path of a YAML file")
    return path


def load_config(name: str) -> TrainConfig:
    """Read a packaged config by name, or a YAML file by path.

    Raises:
        ConfigError: it does not exist, is not YAML, or a key or value is wrong.
    """
    path = find_config(name)
    return parse(TrainConfig, read_yaml(path), where=path.name)


def describe_config(name: str) -> str:
    """What a packaged config is for: the first paragraph of the comments that it begins with, in one line.

    Raises:
        ConfigError: it does not exist.
    """
    said: list[str] = []
    for line in find_config(name).read_text(encoding="utf-8").splitlines()[1:]:  # the first line is its command
        text = line.removeprefix("#").strip()
        if not line.startswith("#") or (said and not text):
            break
        said += [text] if text else []
    return " ".join(said)


def override(config: TrainConfig, changes: Mapping[str, Any], *, where: str | None = None) -> TrainConfig:
    """A config with some settings changed, named as in its YAML with points: `{"loss.local_weight": 0.0}`.

    Of a list a part goes by its number, from 0 on: `{"phases.0.lr": 0.001}`.

    Args:
        config: what is changed.
        changes: the new values, as YAML would give them.
        where: named by what is raised; the config's own name when None.

    Raises:
        ConfigError: there is no such setting, or it may not have that value.
    """
    where = where or config.name
    raw: dict[str, Any] = json.loads(json.dumps(dataclasses.asdict(config)))  # tuples as the lists that YAML has
    for name, value in changes.items():
        *sections, setting = name.split(".")
        place: Any = raw
        for section in sections:
            place = _enter(place, section)
        if isinstance(place, list) and setting.isdigit() and int(setting) < len(place):
            place[int(setting)] = value
        elif isinstance(place, dict):
            place[setting] = value
        else:
            raise ConfigError(f"{where} has no section {'.'.join(sections)!r} to set {setting!r} in")
    return parse(TrainConfig, raw, where=where)


def _enter(place: Any, section: str) -> Any:
    """The part of parsed YAML that has this name, or number; None where there is none."""
    if isinstance(place, list):
        return place[int(section)] if section.isdigit() and int(section) < len(place) else None
    return place.get(section) if isinstance(place, dict) else None


def read_settings(given: Iterable[str]) -> dict[str, Any]:
    """Settings as a person types them, `loss.scale=10.0`, for :func:`override`; values are YAML.

    Raises:
        ConfigError: one has no `=`, no name, or a value that is not YAML.
    """
    settings: dict[str, Any] = {}
    for entry in given:
        name, sign, text = entry.partition("=")
        if not sign or not name.strip():
            raise ConfigError(f"a setting is given as NAME=VALUE, e.g. loss.scale=10.0, not {entry!r}")
        try:
            settings[name.strip()] = yaml.safe_load(text)
        except (yaml.YAMLError, ValueError) as error:
            raise ConfigError(f"the value of {entry!r} is not YAML: {' '.join(str(error).split())}") from error
    return settings


def read_yaml(path: Path) -> Any:
    """What a YAML file says, as plain values.

    Raises:
        ConfigError: it cannot be read, or is not YAML.
    """
    try:
        return yaml.safe_load(path.read_text(encoding="utf-8"))
    except (yaml.YAMLError, ValueError) as error:  # a wrong encoding or an impossible date is a ValueError
        raise ConfigError(f"{path} is not YAML: {' '.join(str(error).split())}") from error
    except OSError as error:
        raise ConfigError(f"{path} cannot be read: {error.strerror or error}") from error


def parse(kind: type[T], raw: Any, *, where: str) -> T:
    """Build a config dataclass from parsed YAML, checking keys and types.

    Raises:
        ConfigError: naming the place, what is there, and what may be.
    """
    if not isinstance(raw, dict):
        raise ConfigError(f"{where}: expected keys and values, found {raw!r}")
    hints = typing.get_type_hints(kind)
    fields = {entry.name: entry for entry in dataclasses.fields(kind)}  # type: ignore[arg-type]
    for key in raw:
        if key not in fields:
            raise ConfigError(f"{where}: unknown key {key!r}; it may have {', '.join(fields)}")
    for key, entry in fields.items():
        required = entry.default is dataclasses.MISSING and entry.default_factory is dataclasses.MISSING
        if required and key not in raw:
            raise ConfigError(f"{where}: {key!r} is missing")
    values = {key: _convert(hints[key], value, where=f"{where}: {key}") for key, value in raw.items()}
    try:
        return kind(**values)
    except ConfigError as error:
        raise ConfigError(f"{where}: {error}") from error


def _convert(hint: Any, value: Any, *, where: str) -> Any:  # noqa: PLR0911  # one return per kind of type
    origin, arguments = typing.get_origin(hint), typing.get_args(hint)
    if origin is Literal:
        if value not in arguments:
            raise ConfigError(f"{where} is {value!r}; it may be {', '.join(map(str, arguments))}")
        return value
    if origin in (typing.Union, types.UnionType):
        if value is None:
            return None
        return _convert(next(part for part in arguments if part is not type(None)), value, where=where)
    if origin is tuple:
        if not isinstance(value, list) or not value:
            raise ConfigError(f"{where} must be a list of at least one, not {value!r}")
        return tuple(_convert(arguments[0], part, where=f"{where}[{index}]") for index, part in enumerate(value))
    if origin is dict:
        if not isinstance(value, dict):
            raise ConfigError(f"{where} must be keys and values, not {value!r}")
        return dict(value)
    if dataclasses.is_dataclass(hint):
        return parse(typing.cast("type[Any]", hint), value, where=where)
    if hint is float and isinstance(value, int) and not isinstance(value, bool):
        return float(value)
    if not isinstance(value, hint) or (isinstance(value, bool) and hint is not bool):
        hint_text = " (YAML wants a point in it: 1.0e-3)" if hint is float and isinstance(value, str) else ""
        raise ConfigError(f"{where} must be {hint.__name__}, not {value!r}{hint_text}")
    return value
