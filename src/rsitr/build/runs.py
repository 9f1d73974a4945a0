"""Training runs: model, recipe, data, validation and export, put together as a config says."""

from __future__ import annotations

import dataclasses
import hashlib
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import cast

import torch
from open_clip.tokenizer import SimpleTokenizer

from rsitr.build.models import build_model, check_phases, model_settings
from rsitr.config import TrainConfig, parse
from rsitr.data import CaptionDataset, CaptionedImage
from rsitr.data.collection import Collection, load_collection, look_through
from rsitr.data.keywords import collect_keywords, read_keywords
from rsitr.errors import ConfigError
from rsitr.evaluation.pairs import encode_pairs, measure_pairs
from rsitr.evaluation.protocol import EncodedSplit, SplitResult, measure
from rsitr.models.checkpoint import CheckpointConfig, save_checkpoint
from rsitr.models.encoder import DualModule, TorchEncoder
from rsitr.models.fusion import FusionConfig, FusionModel, PairScorer
from rsitr.models.fusion.start import start_fusion
from rsitr.models.zoo import PACKAGED, load_model
from rsitr.rerank import METHODS, Reranker
from rsitr.training.ebaker import EbakerRecipe
from rsitr.training.eliminated import ELIMINATED_FOLDER, write_eliminated
from rsitr.training.loop import Trainer
from rsitr.training.mtgfe_run import build_mtgfe_trainer
from rsitr.training.ranks import ALONE, Ranks
from rsitr.training.rows import RowTable
from rsitr.training.state import Position
from rsitr.training.validation import FeatureCache, Validator
from rsitr.types import Mixture

__all__ = ["Run", "build_run"]

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
        on_note: what there is to say about the data and the model before training.
        report: progress of training.

    Raises:
        ConfigError, DataError, ModelError: something the run needs is missing or wrong; nothing has been written.
    """
    if config.recipe not in ("ebaker", "mtgfe"):
        raise ConfigError(f"recipe is {config.recipe!r}; it may be ebaker, mtgfe")
    if config.rerank not in (None, *METHODS):
        raise ConfigError(f"rerank is {config.rerank!r}; it may be {', '.join(METHODS)}, or null")
    pictures = load_collection(config.data.sets, given=specs, root=root, user=config.name, splits=config.data.splits)
    for note in pictures.notes:
        on_note(note)
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
        return _build_mtgfe(config, look_through(pictures, duplicates=config.data.duplicates, progress=on_hash), place)
    # Before every picture is looked at, which takes a while: what is wrong with the model shows at once.
    model = build_model(config.model, root=root, on_note=on_note)
    check_phases(config, size_px=model.image_size_px)
    return _build_ebaker(
        config, look_through(pictures, duplicates=config.data.duplicates, progress=on_hash), place, model=model
    )


def _build_ebaker(config: TrainConfig, pictures: Collection, place: _Place, *, model: DualModule) -> Run:
    table = RowTable.of(pictures.training)
    keywords = _choose_keywords(config, pictures)
    recipe = EbakerRecipe(
        table=table,
        keywords=keywords,
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
                model=model_settings(model, config=config.model),
                inference={
                    "mixture": dataclasses.asdict(result.mixture),
                    "local_tokens": config.model.local_tokens,
                    "resize": encoder.resize,
                    "interpolation": encoder.interpolation,
                    **({"rerank": validator.reranked(config.rerank, result.mixture)} if config.rerank else {}),
                },
                training={
                    "config": config.model_dump(),
                    "epoch": position.epoch,
                    "seconds": round(position.seconds, 1),
                    "n_images": len(pictures.training),
                    "n_rows": len(table),
                    "ids_sha256": table.ids_sha256,
                    "data_sha256": pictures.data_sha256,
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
        amp=config.precision == "mixed",
        ranks=place.ranks,
    )

    trainer.identity = _identity(config, table, keywords=keywords)
    frozen = config.model.kind == "compact" and all(phase.trunk_lr is None for phase in config.phases)
    return Run(
        config=config,
        trainer=trainer,
        table=table,
        sets=pictures.sets,
        folder=place.folder,
        measure_validation=lambda asked: _measure_vectors(validator.encode(frozen=frozen), asked, device=place.device),
    )


def _choose_keywords(config: TrainConfig, pictures: Collection) -> list[str]:
    """The words that keyword reasoning masks: none with another strategy."""
    if config.ker.strategy != "keyword":
        return []
    if config.keywords.file is not None:
        return read_keywords(Path(config.keywords.file).expanduser())
    return collect_keywords(pictures.captions_by_set, top_k=config.ker.top_k, rule=config.keywords.rule)


def _identity(config: TrainConfig, table: RowTable, *, keywords: Sequence[str] = ()) -> str:
    """Digest of all that a run's result depends on; with how many workers its pictures are read is no part of that."""
    listed = f" {' '.join(keywords)}" if config.keywords.file is not None else ""  # the file may change meanwhile
    return hashlib.sha256(f"{config.identity()} {table.rows_sha256}{listed}".encode()).hexdigest()


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


def _build_mtgfe(config: TrainConfig, pictures: Collection, place: _Place) -> Run:
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
            "config": config.model_dump(),
            "data_sha256": pictures.data_sha256,
            **place.provenance,
        },
        encoder=None if dual is None else load_model(dual, device=place.device),
        amp=config.precision == "mixed",
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
