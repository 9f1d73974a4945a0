"""The config of a training run, of its sections, and what of it a run is known by."""

from __future__ import annotations

import functools
import json
import re
from typing import Annotated, Any, Literal, Self, cast

from pydantic import Field, model_validator

from rsitr.config.parsing import Listed, Settings, from_keys, require
from rsitr.config.sections import (
    AdapterConfig,
    DataConfig,
    EbaConfig,
    KerConfig,
    KeywordsConfig,
    LookoutPhase,
    LookoutTrainConfig,
    LossConfig,
    ModelConfig,
    MtgfeConfig,
    Phase,
)
from rsitr.types import GLOBAL_ONLY, Mixture

__all__ = ["TrainConfig"]

NO_PART_OF_A_RUN: Any = {"data": {"workers"}, "chunk_size": True, "activation_checkpointing": True}
"""Settings that no result depends on but for rounding and, as with the number of processes, the draws of dropout."""

LATER = ("data.splits", "loss.align", "keywords", "precision", "options", "adapter", "lookout")
"""Settings, `section.setting`, that came after 0.1: by default they leave a run known by what it was known by then. So
does a phase's `lookout`."""

TRAINS = {"mtgfe": "fusion", "lookout": "lookout"}
"""The one kind of model that a recipe trains, which no other of the package's does."""

OTHERS = {
    "ebaker": ("mtgfe", "model.init_text", "options", "lookout"),
    "lookout": (
        *("loss", "ker", "keywords", "eba", "mtgfe", "adapter", "options"),
        *("data.crop_scale", "data.symmetries", "data.workers", "data.captions_per_image"),
        *("model.init_text", "model.init_sha256"),
    ),
    "mtgfe": (
        *(
            "loss",
            "ker",
            "keywords",
            "eba",
            "mixture",
            "rerank",
            "data.batches",
            "model.local_tokens",
            "model.init_sha256",
            "chunk_size",
            "adapter",
        ),
        *("options", "lookout"),
    ),
}
"""What belongs to another recipe, by the recipe that would not heed it."""


class TrainConfig(Settings):
    """A training run: YAML in the package's `configs/`, or a file of one's own."""

    name: str
    """What the trained model is called, and its folder under `runs/`."""
    recipe: str
    """The method: `ebaker`, `lookout`, `mtgfe`, or one of your own; see :mod:`rsitr.training.recipes`."""
    data: DataConfig
    """Where pairs come from."""
    model: ModelConfig
    """What is trained."""
    phases: Listed[Phase]
    """Stretches of training, one after another."""
    adapter: AdapterConfig = AdapterConfig()
    """Of `ebaker`: small matrices that are trained in place of the model."""
    loss: LossConfig = LossConfig()
    """Of `ebaker`: its alignment terms."""
    ker: KerConfig = KerConfig()
    """Of `ebaker`: keyword explicit reasoning."""
    keywords: KeywordsConfig = KeywordsConfig()
    """Of `ebaker`: the words that keyword reasoning masks."""
    eba: EbaConfig = EbaConfig()
    """Of `ebaker`: eliminate before align."""
    mtgfe: MtgfeConfig = MtgfeConfig()
    """Of `mtgfe`: its tasks."""
    lookout: LookoutTrainConfig = LookoutTrainConfig()
    """Of `lookout`: what is drawn for a picture."""
    options: dict[str, Any] = Field(default={})
    """Of a recipe of your own: its settings, as that recipe has them."""
    seed: int = Field(default=0, ge=0)
    """Of everything random."""
    precision: Literal["mixed", "mixed_gpu", "fp32"] = "mixed"
    """`mixed`, forward passes in bf16 where the device computes in it, `mixed_gpu`, on GPUs alone, or `fp32`
    everywhere, which takes longer."""
    chunk_size: int | None = Field(default=None, ge=1)
    """Of `ebaker` and `lookout`: so many pictures and texts pass the encoders at once, twice in a step, while the loss
    is that of the whole batch: gradient caching (Gao et al. 2021), for batches beyond the memory; null encodes a batch
    at once."""
    activation_checkpointing: bool = False
    """Activations inside the blocks of the model are computed again for the way back rather than kept: less memory, at
    the price of a second pass through them."""
    mixture: Annotated[Mixture, from_keys(Mixture)] = GLOBAL_ONLY
    """Of `ebaker` and `lookout`: the mixture of similarities by which epochs are compared on validation, and which the
    trained model is given."""
    tune: bool = True
    """After training, choose the model's mixture on validation instead, where it has one."""
    rerank: str | None = None
    """Of `ebaker` and `lookout`: name of a training-free re-ranking (METHODS 2) whose settings are chosen on
    validation, with that mixture, and recorded in the trained model; null records none. Epochs are compared without
    it."""

    @model_validator(mode="after")
    def _check(self) -> Self:
        plain = re.fullmatch(r"[A-Za-z0-9][A-Za-z0-9._-]*", self.name)
        require(
            plain is not None, f"name must be letters, digits and . _ -, since it names a folder, not {self.name!r}"
        )
        require(
            self.recipe not in OTHERS
            or TRAINS.get(self.recipe) == (self.model.kind if self.model.kind in TRAINS.values() else None),
            f"recipe {self.recipe} cannot train a model of kind {self.model.kind}: "
            + ", ".join(f"{recipe} goes with {kind}" for recipe, kind in TRAINS.items()),
        )
        idle = [name for name in OTHERS.get(self.recipe, ()) if self._is_set(name)]
        if self.recipe in OTHERS and self.recipe != "lookout":
            numbered = enumerate(self.phases)
            idle += [f"phases[{number}].lookout" for number, phase in numbered if phase.lookout != LookoutPhase()]
        require(not idle, f"{', '.join(idle)}: recipe {self.recipe} does not heed that, leave it out")
        return self

    def _is_set(self, name: str) -> bool:
        """Is a setting, `section.setting`, other than it is by default?"""
        holder, (*sections, setting) = cast("Settings", self), name.split(".")
        for section in sections:
            holder = getattr(holder, section)
        return bool(getattr(holder, setting) != type(holder).model_fields[setting].get_default())

    def identity(self) -> str:
        """All that a run's result depends on, as text: equal for equal runs, whatever version they began with."""
        settings = self.model_dump(exclude=NO_PART_OF_A_RUN)
        for name in LATER:
            if not self._is_set(name):
                *sections, setting = name.split(".")
                del functools.reduce(dict.__getitem__, sections, settings)[setting]
        for phase, dumped in zip(self.phases, settings["phases"], strict=True):
            if phase.lookout == LookoutPhase():
                del dumped["lookout"]
        return json.dumps(settings, sort_keys=True)
