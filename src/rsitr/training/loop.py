"""The training loop: phases, validation, checkpoints, exact resume.

Every random choice is a function of (seed, epoch, row or step), so the state to resume from is the position, the
weights, the optimizer and the banks; a run that was interrupted ends as one that was not.
"""

from __future__ import annotations

import shutil
import time
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, nullcontext
from dataclasses import replace
from typing import Any, cast

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn

from rsitr.config import Phase, TrainConfig
from rsitr.errors import ConfigError
from rsitr.models.compact import CompactImageEncoder
from rsitr.models.dual import Features
from rsitr.models.precision import has_bf16
from rsitr.training.batches import BatchReader
from rsitr.training.checkpointing import checkpoint_blocks
from rsitr.training.chunks import encode_in_chunks
from rsitr.training.course import Course, Hooks, Inputs
from rsitr.training.eliminated import ELIMINATED_FOLDER
from rsitr.training.interruption import Interrupted, StopRequest
from rsitr.training.journal import BOARD_FOLDER, LOG_FILE, Journal
from rsitr.training.optim import Groups, build_optimizer
from rsitr.training.place import Place
from rsitr.training.recipe import Recipe, RecipeModule, StepOutcome, TrainedModel
from rsitr.training.rows import EpochBatches, RowTable
from rsitr.training.state import STATE_FILE, Position, read_state, write_state
from rsitr.training.weights import TrainedWeights

__all__ = ["Trainer"]


class Trainer:
    """Trains a model with a recipe.

    Args:
        model: a dual encoder or a fusion model.
        recipe: losses and what belongs to them.
        table: training rows.
        config: its `phases`, `data`, `precision`, `chunk_size`, `activation_checkpointing` and `seed`.
        place: where to train: the folder for state and logs, the device, and the processes that train together, each on
            its share of every batch; the first one validates, saves and reports. The recipe must be of the same ranks.
        validate: called after each epoch with whether the trunk is frozen; returns named results, `mR` among them.
        inputs: how pictures reach the model.
        course: how its phases are gone through.
        hooks: what is called.
        identity: digest of what is trained on what; the state of another run is refused.
        save_every_s: seconds between saved states.

    Raises:
        ConfigError: a batch size that does not go with the rows or the processes, or processes that differ in config
            or data.
    """

    def __init__(
        self,
        *,
        model: nn.Module,
        recipe: Recipe,
        table: RowTable,
        config: TrainConfig,
        place: Place,
        validate: Callable[[bool], dict[str, float]],
        inputs: Inputs = Inputs(),
        course: Course = Course(),
        hooks: Hooks = Hooks(),
        identity: str = "",
        save_every_s: float = 300.0,
    ) -> None:
        self.model, self.table, self.phases = cast("TrainedModel", model), table, tuple(config.phases)
        self.recipe = cast("RecipeModule", recipe)
        self.data, self.seed, self.chunk_size = config.data, config.seed, config.chunk_size
        self.folder, self.ranks, self.device = place.folder, place.ranks, torch.device(place.device)
        self.validate, self.inputs, self.course, self.hooks = validate, inputs, course, hooks
        self.model.to(self.device)
        self.recipe.to(self.device)
        wanted = config.precision == "mixed" or (config.precision == "mixed_gpu" and self.device.type == "cuda")
        mixed = wanted and has_bf16(self.device)
        self.autocast_dtype = torch.bfloat16 if mixed else None
        self.save_every_s = save_every_s
        self.identity = identity
        self.position = Position()
        self.weights = TrainedWeights(model)
        # What a training leaves alone from the start, such as a model under adapters, no phase takes up.
        trunk = self._trunk.parameters() if self._trunk is not None else ()
        self._trunk_weights = [parameter for parameter in trunk if parameter.requires_grad]
        self.batches = BatchReader(
            table=table,
            data=config.data,
            seed=config.seed,
            patches=inputs.patches,
            views=inputs.views,
            augment=inputs.augment,
            pixels=inputs.pixels,
            ranks=place.ranks,
            pin_memory=self.device.type == "cuda",
        )
        self._stop = StopRequest()
        self._require_full_batches()
        self._require_no_batch_norms()
        if config.activation_checkpointing and not checkpoint_blocks(self.model, self.recipe):
            raise ConfigError("the model has no blocks to compute again: leave out activation_checkpointing")
        if not place.ranks.same(identity, device=self.device):
            raise ConfigError("the processes have not the same config and data: they must be alike on all machines")
        place.ranks.agree(self.model, self.recipe)
        self._start_phase()

    def _require_full_batches(self) -> None:
        per_image, n_ranks = self.data.per_image, self.ranks.size
        rows = len(self.table) if per_image is None else per_image * len(self.table.images)
        for phase in self.phases:
            if phase.batch_size > rows:
                raise ConfigError(f"batch_size {phase.batch_size} is more than an epoch's {rows:,} rows: no full batch")
            if phase.batch_size % (per_image or 1):
                raise ConfigError(f"batch_size {phase.batch_size} must be a multiple of captions_per_image {per_image}")
            if phase.batch_size % (n_ranks * (per_image or 1)):
                raise ConfigError(f"batch_size {phase.batch_size} cannot be shared by {n_ranks} processes")

    def _require_no_batch_norms(self) -> None:
        """What counts over a batch must see all of it, and once."""
        if not any(isinstance(part, nn.BatchNorm1d | nn.BatchNorm2d) for part in self.model.modules()):
            return
        if self.ranks.size > 1:
            raise ConfigError("the model has batch norms, which see one process's share of a batch: train it in one")
        if self.chunk_size is not None:
            raise ConfigError("the model has batch norms, which would see one chunk of a batch: leave out chunk_size")

    def run(self, *, resume: bool) -> Position:
        """Train to the end, from the saved state if there is one and `resume` is set; without it, that is removed.

        Raises:
            Interrupted: the process was asked to stop (SIGINT, SIGTERM); the state is saved.
            ConfigError: the saved state is damaged, or of another model, config or data, or not all processes have it.
        """
        if not resume and self.ranks.is_first:
            self._forget()
        self.ranks.wait()
        found = resume and (self.folder / STATE_FILE).is_file()
        if self.ranks.any(found, device=self.device):
            if self.ranks.any(not found, device=self.device):
                raise ConfigError(
                    f"{self.folder} has a state on some machines only: --out must be the same folder on all"
                )
            self._load()
        with self._journal() as journal, self._stop.heard():
            while self.position.phase < len(self.phases):
                phase = self.phases[self.position.phase]
                first = sum(earlier.epochs for earlier in self.phases[: self.position.phase])
                while self.position.epoch < first + phase.epochs:
                    self._run_epoch(phase, journal)
                self.position.phase += 1
                self.weights.end_phase()
                self.ranks.agree(self.model)  # only the first one has validated
                if self.position.phase < len(self.phases):
                    self.position.phase_step = 0
                    self.position.best = -1.0
                    self._start_phase()
                self.save()
        return self.position

    def save(self) -> None:
        """Save the state: it appears whole or not at all."""
        if not self.ranks.is_first:
            return
        state = {
            "identity": self.identity,
            "model": self.model.state_dict(),
            "recipe": self.recipe.state_dict(),
            "average": self.weights.average,
            "best": self.weights.best,
            "optimizer": self.optimizer.state_dict(),
            "banks": self.recipe.bank_state(),
            "position": self.position.__dict__,
        }
        write_state(state, self.folder)

    def _load(self) -> None:
        state = read_state(self.folder, device=self.device)
        try:
            if state.get("identity", self.identity) != self.identity:
                raise ValueError("the state of another run")
            self.position = Position(**state["position"])
            self._start_phase()
            self.model.load_state_dict(state["model"])
            self.recipe.load_state_dict(state["recipe"])
            self.weights.average, self.weights.best = state["average"], state["best"]
            self._load_optimizer(state["optimizer"])
            self.recipe.load_bank_state(state["banks"])
        except (RuntimeError, ValueError, KeyError, TypeError) as error:
            raise ConfigError(
                f"{self.folder / STATE_FILE} is of another config or data; give another --out, or --fresh to start over"
            ) from error

    def _load_optimizer(self, state: dict[str, Any]) -> None:
        """Raise ValueError where the moments are of other parameters: the optimizer itself knows them by number."""
        self.optimizer.load_state_dict(state)
        for parameter, moments in self.optimizer.state.items():
            for moment in moments.values():
                if moment.ndim and moment.shape != parameter.shape:
                    raise ValueError(f"a moment of shape {tuple(moment.shape)} for {tuple(parameter.shape)}")

    def _forget(self) -> None:
        """Remove what an earlier run in this folder noted of itself; its best weights stay until there are better."""
        for name in (STATE_FILE, LOG_FILE):
            (self.folder / name).unlink(missing_ok=True)
        for name in (BOARD_FOLDER, ELIMINATED_FOLDER):
            shutil.rmtree(self.folder / name, ignore_errors=True)

    def _start_phase(self) -> None:
        """The optimizer of the current phase, or of the last when all are done; a frozen trunk is no part of it."""
        phase = self.phases[min(self.position.phase, len(self.phases) - 1)]
        trunk = self._trunk_weights
        in_trunk = {id(parameter) for parameter in trunk}
        for parameter in trunk:
            parameter.requires_grad_(phase.trunk_lr is not None)
        rest = [
            parameter
            for parameter in (*self.model.parameters(), *self.recipe.parameters())
            if parameter.requires_grad and id(parameter) not in in_trunk
        ]
        groups: Groups = [(rest, phase.lr)]
        if trunk and phase.trunk_lr is not None:
            groups = [(rest, phase.lr), (trunk, phase.trunk_lr)]
        if self.course.groups is not None:
            groups = self.course.groups(phase)
        if self.course.averages_start and phase.average is not None:
            self.weights.start_average()
        self.optimizer = build_optimizer(
            groups, name=phase.optimizer, weight_decay=phase.weight_decay, beta2=phase.beta2
        )

    @property
    def _trunk(self) -> nn.Module | None:
        image = getattr(self.model, "image", None)
        return image.trunk if isinstance(image, CompactImageEncoder) else None

    def _is_cached(self, phase: Phase) -> bool:
        return phase.trunk_lr is None and self._trunk is not None

    def _journal(self) -> AbstractContextManager[Journal | None]:
        return Journal(self.folder) if self.ranks.is_first else nullcontext()

    def _run_epoch(self, phase: Phase, journal: Journal | None) -> None:
        position = self.position
        rows = self.table.epoch_rows(
            epoch=position.epoch, seed=self.seed, per_image=self.data.per_image, repeats=self.course.repeats(phase)
        )
        if self.data.batches == "by_set":
            rows = self.table.by_set(rows, batch_size=phase.batch_size, epoch=position.epoch, seed=self.seed)
        steps = len(rows) // phase.batch_size
        if phase.max_steps is not None and phase.max_steps < steps:
            steps = phase.max_steps
            rows = rows[: steps * phase.batch_size]
        if position.step == 0:
            self.recipe.start_epoch()
        self.model.train()
        saved = started = time.monotonic()
        for batch in self._batches(rows, phase):
            result = self._step(phase, batch, total=steps * phase.epochs)
            position.losses.append(float(result.loss.total.detach()))
            position.step += 1
            position.phase_step += 1
            position.total_step += 1
            now = time.monotonic()
            position.seconds += now - started
            started = now
            if journal is not None:
                self._note(journal, result)
                self.hooks.report(position, steps, position.losses[-1])
            stop = self.ranks.any(self._stop.made, device=self.device)
            if stop or now - saved > self.save_every_s:
                self.save()
                saved = now
            if stop:
                raise Interrupted
        if journal is not None:
            self.hooks.on_epoch_end(position)
        self.recipe.end_epoch(position.epoch)
        done = position.epoch + 1 - sum(earlier.epochs for earlier in self.phases[: position.phase])
        due = done % phase.validate_every == 0 or done == phase.epochs
        results = self._validate(phase) if journal is not None and due else {}
        self.ranks.wait()
        position.seconds += time.monotonic() - started
        loss = float(np.mean(position.losses or [np.nan]))
        position.history.append({"epoch": position.epoch, "loss": loss, **results})
        if journal is not None and due:
            journal.write("val", position.total_step, results)
        position.epoch += 1
        position.step = 0
        position.losses = []
        self.save()

    def _validate(self, phase: Phase) -> dict[str, float]:
        position = self.position
        with self.weights.averaged():
            results = self.validate(self._is_cached(phase))
            if results["mR"] > position.best:
                position.best, position.best_epoch = results["mR"], position.epoch
                self.weights.keep_best()
                self.hooks.on_best(position)
        return results

    def _step(self, phase: Phase, batch: tuple[Tensor, Tensor], *, total: int) -> StepOutcome:
        position = self.position
        inputs, row_tensor = batch
        for group in self.optimizer.param_groups:
            group["lr"] = self.course.rate(
                position.phase_step, peak=group["peak_lr"], warmup_steps=phase.warmup_steps, total_steps=total
            )
        # What is left of chance inside the model (dropout) follows from the step, too, and is another on each rank.
        chance = (self.seed, position.total_step, *([self.ranks.rank] if self.ranks.size > 1 else []))
        torch.manual_seed(int(np.random.default_rng(chance).integers(2**62)))
        rows = row_tensor.numpy()
        inputs = inputs.to(self.device, non_blocking=True)
        with torch.autocast(
            self.device.type, dtype=self.autocast_dtype or torch.bfloat16, enabled=self.autocast_dtype is not None
        ):
            size_px = self._size_px(phase, share=position.phase_step / total)
            images = self._image_features(inputs, cached=self._is_cached(phase), size_px=size_px)
            result = self.recipe.step(self.model, images=images, rows=rows, epoch=position.epoch, device=self.device)
        self.optimizer.zero_grad(set_to_none=True)
        result.loss.total.backward()  # type: ignore[no-untyped-call]
        parameters = [parameter for group in self.optimizer.param_groups for parameter in group["params"]]
        self.ranks.add_gradients(parameters)
        nn.utils.clip_grad_norm_(parameters, phase.clip_norm)
        self.optimizer.step()
        if phase.average is not None:
            # An average that begins with the phase is a step older.
            self.weights.update_average(phase.average, step=position.phase_step + self.course.averages_start)
        return result

    def _size_px(self, phase: Phase, *, share: float) -> int:
        return self.course.size_px(phase, share) or self.model.image_size_px

    def _image_features(self, inputs: Tensor, *, cached: bool, size_px: int) -> Features:
        """Features of a batch's pictures, view by view, one per row: a picture passes once for all its rows."""
        if self.inputs.draw is not None and not cached:  # of the whole batch, in whatever chunks it is encoded
            inputs = self.inputs.draw(inputs.float() / 255, size_px)

        def look(chunk: Tensor) -> Features:
            if cached:
                return self.model.image(chunk.float())  # type: ignore[operator, no-any-return]
            return self.model.image_features(chunk if chunk.is_floating_point() else chunk.float() / 255)

        features = encode_in_chunks(look, inputs, chunk_size=self.chunk_size)
        if self.data.per_image in (None, 1):
            return features
        return replace(
            features,
            global_emb=features.global_emb.repeat_interleave(self.data.per_image, dim=0),
            tokens=features.tokens.repeat_interleave(self.data.per_image, dim=0),
        )

    def _batches(self, rows: NDArray[np.int64], phase: Phase) -> Iterator[tuple[Tensor, Tensor]]:
        """What is left of the epoch."""
        position = self.position
        batches = EpochBatches(rows, batch_size=phase.batch_size, start=position.step)
        if self._is_cached(phase):
            return self.batches.cached(batches, epoch=position.epoch)
        if self.inputs.pixels is not None:
            return self.batches.stored(batches)
        return self.batches.decoded(batches, epoch=position.epoch, size_px=self._size_px(phase, share=0.0))

    def _note(self, journal: Journal, result: StepOutcome) -> None:
        if self.position.total_step % 10 and self.position.step != 1:
            return
        journal.write(
            "train",
            self.position.total_step,
            {
                "loss": result.loss.total.item(),
                **self.recipe.notes(result),
                "lr": self.optimizer.param_groups[0]["lr"],
                "seconds": round(self.position.seconds, 1),
            },
        )
