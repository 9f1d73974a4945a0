"""What a training run writes of a dual encoder: how it is to be used, and how its weights came about."""

from __future__ import annotations

import dataclasses
from dataclasses import dataclass

from rsitr.config import TrainConfig
from rsitr.data.collection import Collection
from rsitr.models import CheckpointConfig, TorchEncoder
from rsitr.models.kinds import model_settings
from rsitr.training.place import Place
from rsitr.training.rows import RowTable
from rsitr.training.state import Position
from rsitr.training.validation import Validator

__all__ = ["Exporter"]


@dataclass(frozen=True, kw_only=True)
class Exporter:
    """Describes the model of a run for its checkpoint.

    Attributes:
        config: of the run.
        encoder: the model in training.
        validator: what has measured it.
        pictures: of all splits.
        table: training rows.
        place: its provenance.
        local: whether the local similarity has been trained: without it there is but one mixture to choose.
    """

    config: TrainConfig
    encoder: TorchEncoder
    validator: Validator
    pictures: Collection
    table: RowTable
    place: Place
    local: bool

    def describe(self, position: Position) -> CheckpointConfig:
        """The checkpoint's config, for the model as it was measured last."""
        config, encoder, validator = self.config, self.encoder, self.validator
        result = validator.tuned(local=self.local) if config.tune else validator.latest
        return CheckpointConfig(
            kind=config.model.kind,
            name=config.name,
            model=model_settings(encoder.model, config=config.model),
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
                "n_images": len(self.pictures.training),
                "n_rows": len(self.table),
                "ids_sha256": self.table.ids_sha256,
                "data_sha256": self.pictures.data_sha256,
                "validation": result.results,
                **self.place.provenance,
            },
        )
