"""From a config to objects: the only place where a name in a YAML becomes a class."""

from __future__ import annotations

import dataclasses
import hashlib
import itertools
import json
import os
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import cast

import torch
from open_clip.tokenizer import SimpleTokenizer
from safetensors import SafetensorError
from safetensors.torch import load_file
from torch import nn

from rsitr.config import ModelConfig, TrainConfig, parse
from rsitr.data import CaptionDataset, CaptionedImage, load_dataset, require_images
from rsitr.data.duplicates import hash_images
from rsitr.data.merge import merge_training
from rsitr.data.pictures import require_readable
from rsitr.errors import ConfigError, DataError, ModelError
from rsitr.evaluation.pairs import encode_pairs, measure_pairs
from rsitr.evaluation.protocol import EncodedSplit, SplitResult, measure
from rsitr.models.checkpoint import CheckpointConfig, fingerprint_files, save_checkpoint
from rsitr.models.compact import CompactConfig, CompactDualEncoder
from rsitr.models.convert import CONVERTERS
from rsitr.models.encoder import DualModule, TorchEncoder
from rsitr.models.fusion import FusionConfig, FusionModel, PairScorer
from rsitr.models.fusion.start import start_fusion
from rsitr.models.openclip import OpenClipDualEncoder, create_open_clip
from rsitr.models.zoo import PACKAGED, load_model
from rsitr.rerank import Reranker
from rsitr.training.ebaker import EbakerRecipe
from rsitr.training.eliminated import ELIMINATED_FOLDER, write_eliminated
from rsitr.training.loop import Trainer
from rsitr.training.mtgfe_run import build_mtgfe_trainer
from rsitr.training.ranks import ALONE, Ranks
from rsitr.training.rows import RowTable
from rsitr.training.state import Position
from rsitr.training.validation import FeatureCache, Validator
from rsitr.types import Mixture

__all__ = ["DATA_ROOTS", "Run", "build_model", "build_run", "find_data_root", "load_sets"]

DATA_ROOTS = ("data", "../shared/data")


def find_data_root(given: Path | None) -> Path | None:
    """The folder of data sets: as given, else $RSITR_DATA, else `data` or `../shared/data` where they exist."""
    if given is not None:
        return given
    named = os.environ.get("RSITR_DATA")
    if named:
        return Path(named)
    return next((Path(root) for root in DATA_ROOTS if Path(root).is_dir()), None)


def load_sets(config: TrainConfig, *, specs: Sequence[str], root: Path | None) -> list[CaptionDataset]:
    """The config's data sets, each from `specs` (`NAME:FOLDER`) or from the folder of its name under `root`.

    Raises:
        DataError: one is not there.
        ConfigError: a spec names a set that the config doesn't train on.
    """
    given = {spec.partition(":")[0]: spec for spec in specs}
    unknown = given.keys() - set(config.data.sets)
    if unknown:
        raise ConfigError(f"{config.name} trains on {', '.join(config.data.sets)}, not on {', '.join(sorted(unknown))}")
    sets = []
    for name in config.data.sets:
        if name not in given and root is None:
            raise DataError(f"where is data set {name}? give --data {name}:FOLDER, or --data-root with folders by name")
        sets.append(load_dataset(given.get(name) or f"{name}:{cast('Path', root) / name}"))
    return sets


def build_model(config: ModelConfig, *, root: Path | None) -> DualModule:
    """The model to train, from its initial weights.

    Raises:
        ConfigError: the settings name nothing that exists.
        ModelError: the initial weights are missing or others than expected.
    """
    if config.kind == "open_clip":
        return cast("DualModule", _build_open_clip(config))
    settings = parse(CompactConfig, config.settings, where="model.settings")
    model = CompactDualEncoder(settings)
    if config.init is not None:
        path = _find_initial_weights(config.init, root=root)
        _check_sha256(path, expected=config.init_sha256)
        try:
            model.image.trunk.load_state_dict(CONVERTERS[settings.trunk](load_file(path)))
        except (SafetensorError, OSError, KeyError, RuntimeError) as error:
            reason = str(error).splitlines()[0]
            raise ModelError(f"{path} does not hold the weights of trunk {settings.trunk} ({reason})") from error
    return cast("DualModule", model)


def _build_open_clip(config: ModelConfig) -> OpenClipDualEncoder:
    architecture = config.settings.get("architecture")
    if not isinstance(architecture, str) or len(config.settings) > 1:
        raise ConfigError(
            "model.settings of kind open_clip are the architecture and nothing else, e.g. "
            f"{{architecture: ViT-B-32-quickgelu}}, not {config.settings}"
        )
    if config.init is None:
        return OpenClipDualEncoder.from_architecture(architecture)
    if config.init_sha256 is not None:
        if not Path(config.init).is_file():
            raise ConfigError(
                f"model.init_sha256 is about a file, and model.init {config.init!r} is none; leave it out"
            )
        _check_sha256(Path(config.init), expected=config.init_sha256)
    return OpenClipDualEncoder.of(create_open_clip(f"{architecture}:{config.init}"))


def _find_initial_weights(name: str, *, root: Path | None) -> Path:
    places = [Path(name).expanduser()] if root is None else [Path(name).expanduser(), root / "init" / name]
    for path in places:
        if path.is_file():
            return path
    raise ModelError(
        f"initial weights {name} are not there (looked for {' and '.join(map(str, places))}); the model card says "
        "where to get them"
    )


def _check_sha256(path: Path, *, expected: str | None) -> None:
    found = fingerprint_files(path)
    if expected is not None and found != expected:
        raise ModelError(f"{path} has SHA-256 {found}, the config expects {expected}: it is another file")


def _check_phases(config: TrainConfig, *, size_px: int) -> None:
    """Raise ConfigError where a phase sets something that this kind of model would not heed."""
    for number, phase in enumerate(config.phases, start=1):
        if config.model.kind == "open_clip" and phase.trunk_lr is not None:
            raise ConfigError(f"phase {number}: trunk_lr is for the compact model's trunk; leave it out")
        if phase.image_size_px in (None, size_px):
            continue
        if config.model.kind == "open_clip":
            raise ConfigError(f"phase {number}: image_size_px must be the model's own {size_px}; leave it out")
        if phase.trunk_lr is None:
            raise ConfigError(
                f"phase {number}: image_size_px has no effect without trunk_lr, on cached features; leave it out"
            )


Asked = tuple[Mixture, Reranker | None]
"""A way to measure vectors: how similarities are mixed, and what sorts again."""


@dataclass(frozen=True)
class Run:
    """A training run ready to start; its best weights go to `folder / "best"`.

    `measure_validation` measures every validation split, by name, with the model as it is at that moment, in each of
    the ways asked. A fusion model scores pairs: it has no vectors to mix or to sort again, and refuses to.
    """

    config: TrainConfig
    trainer: Trainer
    table: RowTable
    sets: Sequence[CaptionDataset]
    folder: Path
    measure_validation: Callable[[Sequence[Asked]], list[dict[str, SplitResult]]]


@dataclass(frozen=True, kw_only=True)
class _Pictures:
    """What a run looks at: training pictures, and those of the validation splits by the name of their data set."""

    sets: Sequence[CaptionDataset]
    training: list[CaptionedImage]
    validation: dict[str, list[CaptionedImage]]

    @property
    def everything(self) -> list[CaptionedImage]:
        """The training pictures, then those of the validation splits."""
        return [*self.training, *(image for images in self.validation.values() for image in images)]


@dataclass(frozen=True, kw_only=True)
class _Place:
    """Where a run takes place, and whom it tells; see `build_run`."""

    folder: Path
    cache_folder: Path
    device: str
    provenance: dict[str, str]
    ranks: Ranks
    on_cache: Callable[[int, int], None]
    on_note: Callable[[str], None]
    report: Callable[[Position, int, float], None]


def build_run(
    config: TrainConfig,
    *,
    specs: Sequence[str] = (),
    root: Path | None = None,
    folder: Path,
    device: str,
    provenance: dict[str, str],
    ranks: Ranks = ALONE,
    cache_folder: Path | None = None,
    on_cache: Callable[[int, int], None] = lambda _done, _total: None,
    on_hash: Callable[[int, int], None] = lambda _done, _total: None,
    on_note: Callable[[str], None] = lambda _note: None,
    report: Callable[[Position, int, float], None] = lambda _position, _steps, _loss: None,
) -> Run:
    """Assemble a run.

    Args:
        config: what to train.
        specs: data sets as `NAME:FOLDER`; others are looked for under `root`.
        root: folder of data sets and of `init/`.
        folder: of the run.
        device: where to train.
        provenance: goes into the checkpoint as it is (commit, command).
        ranks: the processes that train together.
        cache_folder: of the frozen trunk's features, which runs may share; the run's own when None.
        on_cache: progress of the feature cache: done, total.
        on_hash: progress of the look at every picture, which finds what is damaged or there twice: done, total.
        on_note: what there is to say about the model before training.
        report: progress of training.

    Raises:
        ConfigError, DataError, ModelError: something the run needs is missing or wrong; nothing has been written.
    """
    pictures = _find_pictures(config, specs=specs, root=root)
    place = _Place(
        folder=folder,
        cache_folder=cache_folder or folder,
        device=device,
        provenance=provenance,
        ranks=ranks,
        on_cache=on_cache,
        on_note=on_note,
        report=report,
    )
    torch.manual_seed(config.seed)
    if config.recipe == "mtgfe":
        return _build_mtgfe(config, _look_through(pictures, config, on_hash=on_hash), place)
    # Before every picture is looked at, which takes a while: what is wrong with the model shows at once.
    model = build_model(config.model, root=root)
    _check_phases(config, size_px=model.image_size_px)
    return _build_ebaker(config, _look_through(pictures, config, on_hash=on_hash), place, model=model)


def _find_pictures(config: TrainConfig, *, specs: Sequence[str], root: Path | None) -> _Pictures:
    """The pictures of the config's data sets, all of which are there; what is held out anywhere is not trained on."""
    sets = load_sets(config, specs=specs, root=root)
    held_out = {image.path for dataset in sets for image in dataset.images if image.split != "train"}
    found = _Pictures(
        sets=sets,
        training=[image for dataset in sets for image in dataset.split("train") if image.path not in held_out],
        validation={dataset.name: list(dataset.split("val")) for dataset in sets},
    )
    require_images(found.everything)
    return found


def _look_through(pictures: _Pictures, config: TrainConfig, *, on_hash: Callable[[int, int], None]) -> _Pictures:
    """The pictures, of which each can be read; without those that are there twice, where the config says so."""
    if config.data.duplicates == "drop":
        unique = _without_duplicates(pictures.training, sets=pictures.sets, on_hash=on_hash)
        return dataclasses.replace(pictures, training=unique)
    everything, done = pictures.everything, itertools.count(1)
    require_readable(everything, on_picture=lambda: on_hash(next(done), len(everything)))
    return pictures


def _build_ebaker(config: TrainConfig, pictures: _Pictures, place: _Place, *, model: DualModule) -> Run:
    table = RowTable.of(pictures.training)
    recipe = EbakerRecipe(
        table=table,
        captions_by_set={
            dataset.name: [caption for image in dataset.split("train") for caption in image.captions]
            for dataset in pictures.sets
        },
        dim=model.token_dim,
        context_length=model.context_length,
        scale=config.loss.scale,
        learn_scale=config.loss.learn_scale,
        local_weight=config.loss.local_weight,
        local_norm=config.loss.local_norm,
        local_tokens=config.model.local_tokens,
        repeats=config.loss.repeats,
        soft_weight=config.loss.soft_weight,
        soft_temperature=config.loss.soft_temperature,
        ker_weight=config.ker.weight,
        ker_strategy=config.ker.strategy,
        ker_position=config.ker.mask_position,
        ker_top_k=config.ker.top_k,
        ker_layers=config.ker.layers,
        ker_vocabulary=config.ker.vocabulary,
        ker_padding=config.ker.padding,
        drop_ratio=config.eba.drop_ratio,
        drop_epoch=config.eba.drop_epoch,
        scheme=config.eba.scheme,
        seed=config.seed,
        ranks=place.ranks,
    )
    encoder = TorchEncoder(
        model,
        tokenizer=SimpleTokenizer(context_length=model.context_length),
        name=config.name,
        fingerprint="in training",
        mixture=config.mixture,
        local_tokens=config.model.local_tokens,
        resize="crop" if config.model.kind == "open_clip" else "squash",
        interpolation="bicubic" if config.model.kind == "open_clip" else "bilinear",
        device=place.device,
    )
    cache = FeatureCache(model, pictures.everything, folder=place.cache_folder, on_cache=place.on_cache)
    validator = Validator(encoder, pictures.validation, cache=cache, n_training=len(pictures.training))

    def export(position: Position) -> None:
        result = validator.tuned(local=config.loss.local_weight > 0) if config.tune else validator.latest
        save_checkpoint(
            place.folder / "best",
            config=CheckpointConfig(
                kind=config.model.kind,
                name=config.name,
                model=_model_settings(model, config=config.model),
                inference={
                    "mixture": dataclasses.asdict(result.mixture),
                    "local_tokens": config.model.local_tokens,
                    "resize": encoder.resize,
                    "interpolation": encoder.interpolation,
                    **({"rerank": validator.reranked(config.rerank, result.mixture)} if config.rerank else {}),
                },
                training={
                    "config": dataclasses.asdict(config),
                    "epoch": position.epoch,
                    "seconds": round(position.seconds, 1),
                    "n_images": len(pictures.training),
                    "n_rows": len(table),
                    "ids_sha256": table.ids_sha256,
                    "data_sha256": {dataset.name: dataset.sha256 for dataset in pictures.sets},
                    "validation": result.results,
                    **place.provenance,
                },
            ),
            weights=dict(model.state_dict()),
        )

    def report_eliminated(position: Position) -> None:
        write_eliminated(recipe, epoch=position.epoch, folder=place.folder / ELIMINATED_FOLDER)

    trainer = Trainer(
        model=model,
        recipe=recipe,
        table=table,
        phases=config.phases,
        per_image=config.data.captions_per_image if config.data.rows == "images" else None,
        by_set=config.data.batches == "by_set",
        crop_scale=config.data.crop_scale,
        symmetries=config.data.symmetries,
        workers=config.data.workers,
        seed=config.seed,
        folder=place.folder,
        validate=validator,
        patches=(lambda: [cache()]) if config.model.kind == "compact" else None,
        on_best=export,
        on_epoch_end=report_eliminated,
        report=place.report,
        device=place.device,
        ranks=place.ranks,
    )

    trainer.identity = _identity(config, table)
    frozen = config.model.kind == "compact" and all(phase.trunk_lr is None for phase in config.phases)
    return Run(
        config=config,
        trainer=trainer,
        table=table,
        sets=pictures.sets,
        folder=place.folder,
        measure_validation=lambda asked: _measure_vectors(validator.encode(frozen=frozen), asked, device=place.device),
    )


def _identity(config: TrainConfig, table: RowTable) -> str:
    """Digest of all that a run's result depends on; with how many workers its pictures are read is no part of that."""
    settings = dataclasses.asdict(config)
    del settings["data"]["workers"]
    return hashlib.sha256(f"{json.dumps(settings, sort_keys=True)} {table.rows_sha256}".encode()).hexdigest()


def _measure_vectors(
    encoded: dict[str, EncodedSplit], asked: Sequence[Asked], *, device: str
) -> list[dict[str, SplitResult]]:
    return [
        {name: measure(split, mixture=mixture, device=device, rerank=rerank) for name, split in encoded.items()}
        for mixture, rerank in asked
    ]


def _measure_fusion(
    scorer: PairScorer, validation: dict[str, list[CaptionedImage]], asked: Sequence[Asked]
) -> list[dict[str, SplitResult]]:
    """Every pair of the validation splits; one result answers all that is asked, since there is nothing to mix.

    Raises:
        ConfigError: a re-ranking is asked for.
    """
    for _, rerank in asked:
        if rerank is not None:
            raise ConfigError(f"a fusion model scores pairs, which {rerank} does not sort again: measure it as it is")
    results = {name: measure_pairs(scorer, encode_pairs(scorer, images)) for name, images in validation.items()}
    return [results for _ in asked]


def _build_mtgfe(config: TrainConfig, pictures: _Pictures, place: _Place) -> Run:
    table = RowTable.of(pictures.training)
    sizes = parse(FusionConfig, config.model.settings, where="model.settings")
    start = start_fusion(sizes, image_init=config.model.init, text_init=config.model.init_text, packaged=PACKAGED)
    for note in start.notes:
        place.on_note(note)
    dual = config.mtgfe.dual
    trainer = build_mtgfe_trainer(
        start,
        name=config.name,
        table=table,
        validation=pictures.validation,
        settings=config.mtgfe,
        phases=config.phases,
        per_image=config.data.captions_per_image if config.data.rows == "images" else None,
        crop_scale=config.data.crop_scale,
        symmetries=config.data.symmetries,
        workers=config.data.workers,
        seed=config.seed,
        folder=place.folder,
        cache_folder=place.cache_folder,
        device=place.device,
        record={
            "config": dataclasses.asdict(config),
            "data_sha256": {dataset.name: dataset.sha256 for dataset in pictures.sets},
            **place.provenance,
        },
        encoder=None if dual is None else load_model(dual, device=place.device),
        ranks=place.ranks,
        on_cache=place.on_cache,
        report=place.report,
    )
    trainer.identity = _identity(config, table)
    scorer = PairScorer(
        cast("FusionModel", trainer.model),
        vocabulary=start.vocabulary,
        name=config.name,
        fingerprint="in training",
        device=place.device,
    )
    return Run(
        config=config,
        trainer=trainer,
        table=table,
        sets=pictures.sets,
        folder=place.folder,
        measure_validation=lambda asked: _measure_fusion(scorer, pictures.validation, asked),
    )


def _without_duplicates(
    training: Sequence[CaptionedImage], *, sets: Sequence[CaptionDataset], on_hash: Callable[[int, int], None]
) -> list[CaptionedImage]:
    """The training pictures that occur once, and in no held-out split of any of the sets."""
    total, done = sum(len(dataset.images) for dataset in sets), itertools.count(1)
    hashed = hash_images(sets, on_picture=lambda: on_hash(next(done), total))
    if hashed.unreadable:
        first = hashed.unreadable[0]
        raise DataError(
            f"{len(hashed.unreadable):,} pictures cannot be read, the first is {first.image.path}: {first.fault}; "
            "`rsitr data check` lists them"
        )
    kept = {entry.image.image_id for entry in merge_training(hashed).kept}
    return [image for image in training if image.image_id in kept]


def _model_settings(model: nn.Module, *, config: ModelConfig) -> dict[str, object]:
    """What the model has to be built from again."""
    if isinstance(model, OpenClipDualEncoder):
        # The activation may have come with the weights' tag, which a checkpoint does not know.
        return {**config.settings, "quick_gelu": model.quick_gelu}
    return dataclasses.asdict(cast("CompactDualEncoder", model).config)
