"""MTGFE: from a config and its data to a run, and from a batch of rows to a loss (METHODS 3.2 to 3.5)."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn

from rsitr.config import MtgfeConfig, TrainConfig, parse
from rsitr.data import CaptionedImage
from rsitr.data.augmentation import RandAugment
from rsitr.data.collection import Collection
from rsitr.data.masking import mask_at_random
from rsitr.errors import ConfigError
from rsitr.evaluation.pairs import encode_pairs, measure_pairs
from rsitr.evaluation.protocol import SplitResult
from rsitr.losses import Negatives, draw_negatives, itm_loss, mvjrc_loss, output_deviation
from rsitr.models.checkpoint import PACKAGED
from rsitr.models.compact import CompactImageEncoder
from rsitr.models.dual import Features
from rsitr.models.fusion import (
    FusionConfig,
    FusionModel,
    MlmHead,
    PairScorer,
    Predictor,
    Projector,
    TextStates,
    Vocabulary,
    image_sequence,
    match_score,
    save_fusion,
    synchronise_norms,
)
from rsitr.models.fusion.start import start_fusion
from rsitr.models.layers import Projected
from rsitr.models.zoo import load_model
from rsitr.training.course import Hooks, Inputs
from rsitr.training.loop import Trainer
from rsitr.training.place import Place
from rsitr.training.ranks import ALONE, Ranks
from rsitr.training.rows import RowTable
from rsitr.training.runs import Asked, Run, identify
from rsitr.training.state import Position
from rsitr.training.validation import MtgfeValidator
from rsitr.training.views import CachedViews, DualVectors, dual_vectors, pick_evenly

__all__ = ["MtgfeLoss", "MtgfeRecipe", "MtgfeStep", "build", "known_ids"]


def build(config: TrainConfig, pictures: Collection, place: Place) -> Run:
    """A run of MTGFE, ready to start; its best weights go to `folder / "best"`.

    Raises:
        ConfigError, DataError, ModelError: something the run needs is missing or wrong; nothing has been written.
    """
    pictures = place.look_through(pictures, config=config)
    settings, ranks = config.mtgfe, place.ranks
    table = RowTable.of(pictures.training)
    sizes = parse(FusionConfig, config.model.settings, where="model.settings")
    start = start_fusion(sizes, image_init=config.model.init, text_init=config.model.init_text, packaged=PACKAGED)
    for note in start.notes:
        place.on_note(note)
    if ranks.size > 1 and settings.mvjrc_weight and torch.device(place.device).type == "cpu":
        raise ConfigError("MVJRC's batch norms count over all processes on GPUs alone: start it without torchrun")
    model = start.model.to(place.device)
    has_trunk = isinstance(model.image, CompactImageEncoder)
    _check_phases(config, size_px=model.image_size_px, has_trunk=has_trunk)
    if settings.sides == "frozen":
        for side in (model.image, model.text):
            side.requires_grad_(False)
    picked = {split: pick_evenly(images, settings.validation_images) for split, images in pictures.validation.items()}
    held_out = [image for images in picked.values() for image in images]
    cache = CachedViews(model, table, held_out, settings, place.cache_folder, place.on_cache) if has_trunk else None
    dual = None
    if settings.dual is not None:
        if not ranks.is_first:
            ranks.wait()  # the first one computes what is not there yet
        encoder = load_model(settings.dual, device=place.device)
        dual = dual_vectors(encoder, table, folder=place.cache_folder, progress=place.on_cache, views=cache)
        if ranks.is_first:
            ranks.wait()
    recipe = MtgfeRecipe(
        table=table,
        vocabulary=start.vocabulary,
        width=model.config.width,
        settings=settings,
        seed=config.seed,
        mlm_head=start.mlm_head,
        dual=dual,
        ranks=ranks,
    )
    scorer = PairScorer(
        model, vocabulary=start.vocabulary, name=config.name, fingerprint="in training", device=place.device
    )
    validator = MtgfeValidator(scorer, picked, cache=cache)

    def export(position: Position) -> None:
        training = {
            "config": config.model_dump(),
            "data_sha256": pictures.data_sha256,
            **place.provenance,
            "epoch": position.epoch,
            "seconds": round(position.seconds, 1),
            "n_images": len(table.images),
            "n_rows": len(table),
            "ids_sha256": table.ids_sha256,
            "validation": {**validator.latest, "n_images": len(held_out)},
        }
        save_fusion(place.folder / "best", model, name=config.name, vocabulary=start.vocabulary, training=training)

    count, magnitude = settings.augment_count, settings.augment_magnitude
    trainer = Trainer(
        model=model,
        recipe=recipe,
        table=table,
        config=config,
        place=place,
        validate=validator,
        inputs=Inputs(
            patches=None if cache is None else cache.training,
            views=settings.views,
            augment=RandAugment(count=count, magnitude=magnitude) if count else None,
        ),
        hooks=Hooks(on_best=export, report=place.report),
        identity=identify(config, table),
    )
    return Run(
        config=config,
        trainer=trainer,
        table=table,
        sets=pictures.sets,
        folder=place.folder,
        measure_validation=lambda asked: _measure_pairs(scorer, pictures.validation, asked),
    )


def _check_phases(config: TrainConfig, *, size_px: int, has_trunk: bool) -> None:
    for number, phase in enumerate(config.phases, start=1):
        if phase.trunk_lr is not None and not has_trunk:
            raise ConfigError(f"phase {number}: trunk_lr is for a compact image side; leave it out")
        if phase.image_size_px not in (None, size_px):
            raise ConfigError(f"phase {number}: image_size_px must be the model's own {size_px}; leave it out")
        if config.mtgfe.sides == "frozen" and phase.trunk_lr is not None:
            raise ConfigError("mtgfe.sides: frozen leaves nothing of a side to train; leave out trunk_lr")


def _measure_pairs(
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


@dataclass(frozen=True, slots=True)
class MtgfeLoss:
    """The total and its parts, each a scalar before its weight; those of tasks that are off are 0.

    Of several ranks each has its own; the total's gradient is divided, so that the ranks' sum is the mean's.
    """

    total: Tensor
    itm: Tensor
    mlm: Tensor
    mvjrc: Tensor


@dataclass(frozen=True, slots=True)
class MtgfeStep:
    """One step.

    Attributes:
        loss: and its parts.
        accuracy: of ITM on this step's pairs, half of it on those that match.
        deviation: of MVJRC's normalised outputs; None where the task is off.
        n_negatives: pairs drawn.
    """

    loss: MtgfeLoss
    accuracy: float
    deviation: float | None
    n_negatives: int


class MtgfeRecipe(nn.Module):
    """Everything of MTGFE's training that is not the model: heads for MLM and MVJRC, masks, negatives.

    Args:
        table: training rows.
        vocabulary: of the text side.
        width: of the joint representation.
        settings: of the tasks.
        seed: of masks and negatives.
        mlm_head: BERT's weights for masked words; None initialises them.
        dual: for negatives `dual`.
        ranks: the processes that train together. Each has its share of a batch to itself: negatives come from there,
            and only MVJRC's batch norms count over all ranks.

    Raises:
        ConfigError: there is nothing to mask in these captions.
    """

    def __init__(
        self,
        *,
        table: RowTable,
        vocabulary: Vocabulary,
        width: int,
        settings: MtgfeConfig,
        seed: int,
        mlm_head: Mapping[str, Tensor] | None = None,
        dual: DualVectors | None = None,
        ranks: Ranks = ALONE,
    ) -> None:
        super().__init__()
        self.ranks = ranks
        self.table, self.vocabulary, self.settings, self.seed, self.dual = table, vocabulary, settings, seed, dual
        self.ids = vocabulary.encode(table.captions)  # once: a step takes its rows of it
        self.mlm: MlmHead | None = None
        if settings.mlm_weight:
            every = settings.mlm_vocabulary == "full"
            self.mlm = MlmHead(
                width=width,
                vocabulary_size=vocabulary.size,
                known=None if every else known_ids(vocabulary, self.ids),
            )
            if mlm_head is not None and every:
                self.mlm.load_state_dict(dict(mlm_head))
        self.projector: nn.Module | None = None
        self.predictor: nn.Module | None = None
        if settings.mvjrc_weight:
            self.projector = synchronise_norms(Projector(width=width, hidden=settings.projection_width))
            self.predictor = synchronise_norms(
                Predictor(hidden=settings.projection_width, bottleneck=settings.prediction_width)
            )

    def step(
        self, model: FusionModel, *, images: Features, rows: NDArray[np.int64], epoch: int, device: torch.device
    ) -> MtgfeStep:
        """Loss of one batch.

        Args:
            model: the fusion model.
            images: features of the pictures of this rank's B rows, (views * B, ...), the first view of all rows first.
                All tasks read the first view, MVJRC the second, too.
            rows: row indices of the whole batch.
            epoch: for masks and negatives.
            device: of the model.
        """
        rows = rows[self.ranks.own(len(rows))]
        size = len(rows)
        ids = self.ids[self.table.row_caption[rows]]
        ids = ids[:, : np.flatnonzero(ids.any(axis=0))[-1] + 1]  # as long as the longest of these
        rng = np.random.default_rng((self.seed, epoch, int(rows[0])))
        texts = model.text_states(torch.from_numpy(ids).to(device))
        started = model.fusion.start_text(texts.tokens, mask=texts.mask)
        projected = model.fusion.project_image(image_sequence(images))
        negatives = self._draw(model, TextStates(started, texts.mask), projected, rows=rows, rng=rng)
        # All passes through the fusion encoder in one: matching pairs, the others, second views, masked captions.
        first = torch.arange(size, device=device)
        text_of, image_of = [first, negatives.texts], [first, negatives.images]
        if self.projector is not None:
            text_of.append(first)
            image_of.append(first + size)
        read, mask = started[torch.cat(text_of)], texts.mask[torch.cat(text_of)]
        labels: Tensor | None = None
        if self.mlm is not None:
            masked, labels = self._mask(model, ids, rng=rng, device=device)
            read, mask = torch.cat([read, masked.tokens]), torch.cat([mask, masked.mask])
            image_of.append(first)
        chosen = torch.cat(image_of)
        u = model.fusion.finish(
            read, mask=mask, image=[Projected(layer.key[chosen], layer.value[chosen]) for layer in projected]
        )
        n_pairs = size + len(negatives.texts)
        logits = model.match(u[:n_pairs])
        with torch.autocast(device.type, enabled=False):
            second = u[n_pairs : n_pairs + size] if self.projector is not None else None
            return self._losses(u.float(), logits, size=size, second=second, labels=labels)

    def _losses(
        self, u: Tensor, logits: Tensor, *, size: int, second: Tensor | None, labels: Tensor | None
    ) -> MtgfeStep:
        itm = itm_loss(positive=logits[:size], negative=logits[size:])
        mlm = mvjrc = itm.new_zeros(())
        deviation = None
        if self.mlm is not None and labels is not None and bool((labels >= 0).any()):
            scores, classes = self.mlm(u[-size:], labels=labels)
            mlm = nn.functional.cross_entropy(scores, classes)
        elif self.mlm is not None and self.ranks.size > 1:
            # Nothing is masked in this share: its gradients are zeros, which the other ranks wait for.
            mlm = 0.0 * torch.stack([parameter.sum() for parameter in self.mlm.parameters()]).sum()
        if self.projector is not None and self.predictor is not None and second is not None:
            z1, z2 = self.projector(u[:size, 0]), self.projector(second[:, 0].float())
            p1, p2 = self.predictor(z1), self.predictor(z2)
            mvjrc = mvjrc_loss(prediction_1=p1, projection_1=z1, prediction_2=p2, projection_2=z2)
            deviation = output_deviation(z1).item()
        weights = self.settings
        total = weights.itm_weight * itm + weights.mlm_weight * mlm + weights.mvjrc_weight * mvjrc
        right = match_score(logits.detach()) > 0
        negative_right = (~right[size:]).float().mean().item() if len(right) > size else 1.0
        return MtgfeStep(
            loss=MtgfeLoss(total=self.ranks.share(total), itm=itm, mlm=mlm, mvjrc=mvjrc),
            accuracy=(right[:size].float().mean().item() + negative_right) / 2,
            deviation=deviation,
            n_negatives=len(right) - size,
        )

    def notes(self, outcome: MtgfeStep) -> dict[str, float | int | None]:
        """For the log; `deviation_spread` is what the deviation is where outputs have not collapsed."""
        loss = outcome.loss
        spread = None if outcome.deviation is None else self.settings.projection_width**-0.5
        return {
            "itm": loss.itm.item(),
            "mlm": loss.mlm.item(),
            "mvjrc": loss.mvjrc.item(),
            "itm_accuracy": outcome.accuracy,
            "negatives": outcome.n_negatives,
            "deviation": outcome.deviation,
            "deviation_spread": spread,
        }

    def start_epoch(self) -> None:
        """Nothing is kept from epoch to epoch."""

    def end_epoch(self, epoch: int) -> None:
        """Nothing is kept from epoch to epoch."""

    def bank_state(self) -> dict[str, object]:
        """Empty: parameters and buffers are all there is."""
        return {}

    def load_bank_state(self, state: dict[str, object]) -> None:
        """Nothing to load."""

    def _mask(
        self, model: FusionModel, ids: NDArray[np.int64], *, rng: np.random.Generator, device: torch.device
    ) -> tuple[TextStates, Tensor]:
        masked = mask_at_random(
            ids,
            inside=self.vocabulary.maskable(ids),
            mask_id=self.vocabulary.mask_id,
            vocabulary_size=self.vocabulary.size,
            disturb=self.settings.masking == "bert",
            rng=rng,
        )
        states = model.text_states(torch.from_numpy(masked.ids).to(device))
        started = model.fusion.start_text(states.tokens, mask=states.mask)
        return TextStates(started, states.mask), torch.from_numpy(masked.labels).to(device)

    def _draw(
        self,
        model: FusionModel,
        started: TextStates,
        projected: list[Projected],
        *,
        rows: NDArray[np.int64],
        rng: np.random.Generator,
    ) -> Negatives:
        belongs = self.table.belongs(rows).to(started.tokens.device)
        logits: Tensor | None = None
        if self.settings.negatives == "itm":
            # Not 0, whose logarithm would forbid the pair.
            logits = _match_probabilities(model, started, projected, n_images=len(rows)).clamp(min=1e-9).log()
        elif self.dual is not None:
            texts = self.dual.captions[torch.from_numpy(self.table.row_caption[rows])]
            images = self.dual.images[torch.from_numpy(self.table.row_image[rows])]
            logits = texts @ images.T / self.settings.dual_temperature
        generator = torch.Generator().manual_seed(int(rng.integers(2**62)))
        return draw_negatives(belongs, generator=generator, logits=logits)


@torch.no_grad()
def _match_probabilities(
    model: FusionModel, started: TextStates, projected: list[Projected], *, n_images: int
) -> Tensor:
    """(n_text, n_image) probabilities of a match, without dropout."""
    training = model.fusion.training
    model.fusion.eval()
    columns = []
    for place in range(n_images):
        one = [Projected(layer.key[place : place + 1], layer.value[place : place + 1]) for layer in projected]
        u = model.fusion.finish(started.tokens, mask=started.mask, image=one)
        columns.append(torch.sigmoid(match_score(model.match(u))))
    model.fusion.train(training)
    # Older versions of torch (2.6 does) would go on with the weights that autocast cast here, through which no gradient
    # flows. Its cache is emptied rather than switched off: each pass above would cast all weights again.
    torch.clear_autocast_cache()
    return torch.stack(columns, dim=1)


def known_ids(vocabulary: Vocabulary, ids: NDArray[np.int64]) -> list[int]:
    """Every id of a word among these, (n, M), in order."""
    return [int(value) for value in np.unique(ids[vocabulary.maskable(ids)])]
