"""The training loop: phases, validation, checkpoints, exact resume.

Every random choice is a function of (seed, epoch, row or step), so the state to resume from is the position, the
weights, the optimizer and the banks; a run that was interrupted ends as one that was not.
"""

from __future__ import annotations

import pickle
import shutil
import signal
import threading
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import AbstractContextManager, contextmanager, nullcontext
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any, cast

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn
from torch.utils.data import DataLoader

from rsitr.errors import ConfigError
from rsitr.models.compact import CompactImageEncoder
from rsitr.models.dual import Features
from rsitr.models.precision import has_bf16
from rsitr.training.eliminated import ELIMINATED_FOLDER
from rsitr.training.journal import BOARD_FOLDER, LOG_FILE, Journal
from rsitr.training.optim import build_optimizer, learning_rate
from rsitr.training.phase import Phase
from rsitr.training.ranks import ALONE, Ranks
from rsitr.training.recipe import Recipe, RecipeModule, StepOutcome, TrainedModel
from rsitr.training.rows import EpochBatches, PictureRows, RowTable

__all__ = ["Interrupted", "Position", "Trainer"]

STATE_FILE = "state.pt"


class Interrupted(Exception):  # noqa: N818  # not an error: the run was asked to stop and can go on
    """The run was interrupted; its state is saved."""


@dataclass
class Position:
    """How far a run is.

    Attributes:
        phase: index of the current phase; their number when the run is finished.
        epoch: epochs done over all phases.
        step, phase_step, total_step: steps done in this epoch, in this phase, in all.
        seconds: of training and validation, over all resumptions.
        best, best_epoch: the highest validation mR of this phase and its epoch, counted from 0 over all phases. A phase
            hands on the weights of its best epoch; the last one's are what the run is for.
        history: per epoch its number, mean loss and validation results.
        losses: of this epoch's steps so far.
    """

    phase: int = 0
    epoch: int = 0
    step: int = 0
    phase_step: int = 0
    total_step: int = 0
    seconds: float = 0.0
    best: float = -1.0
    best_epoch: int = -1
    history: list[dict[str, float]] = field(default_factory=list)
    losses: list[float] = field(default_factory=list)


class Trainer:
    """Trains a model with a recipe.

    Args:
        model: a dual encoder or a fusion model.
        recipe: losses and what belongs to them.
        table: training rows.
        phases: one after another.
        by_set: each batch is of one data set.
        per_image: every image once per epoch with so many of its captions, instead of all rows.
        crop_scale, symmetries, workers: see :class:`rsitr.config.DataConfig`.
        seed: of everything random.
        folder: of the run: state, logs.
        validate: called after each epoch with whether the trunk is frozen; returns named results, `mR` among them.
        patches: cached trunk features (n_images, N, C), one array or several of differently augmented pictures, called
            for when a phase freezes the trunk.
        views: pictures of a row that a step sees, each augmented on its own; of cached features, different arrays.
        augment: further augmentation of a training picture, uint8 (3, S, S); cached features have had theirs.
        on_best: called when validation improved.
        on_epoch_end: called after an epoch with its number, before the thresholds move on.
        report: called after each step with the position, steps of the epoch, and the loss.
        device: where to train.
        ranks: the processes that train together, each on its share of every batch; the first one validates, saves and
            reports. The recipe must be of the same ranks.
        amp: mixed precision; bf16 on a CPU that has it and on a GPU.
        save_every_s: seconds between saved states.
    """

    def __init__(
        self,
        *,
        model: nn.Module,
        recipe: Recipe,
        table: RowTable,
        phases: Sequence[Phase],
        per_image: int | None,
        crop_scale: float,
        symmetries: bool,
        workers: int,
        seed: int,
        folder: Path,
        validate: Callable[[bool], dict[str, float]],
        patches: Callable[[], Sequence[NDArray[np.float16]]] | None = None,
        views: int = 1,
        augment: Callable[[Tensor], Tensor] | None = None,
        on_best: Callable[[Position], None] = lambda _position: None,
        on_epoch_end: Callable[[Position], None] = lambda _position: None,
        report: Callable[[Position, int, float], None] = lambda _position, _steps, _loss: None,
        device: str = "cpu",
        ranks: Ranks = ALONE,
        amp: bool = True,
        by_set: bool = False,
        save_every_s: float = 300.0,
    ) -> None:
        self.model, self.table, self.phases = cast("TrainedModel", model), table, tuple(phases)
        self.recipe = cast("RecipeModule", recipe)
        self.views, self.augment = views, augment
        self.per_image, self.crop_scale, self.symmetries = per_image, crop_scale, symmetries
        self.by_set = by_set
        self.workers, self.seed, self.folder = workers, seed, folder
        self.validate, self.on_best, self.on_epoch_end, self.report = validate, on_best, on_epoch_end, report
        self.device = torch.device(device)
        self.model.to(self.device)
        self.recipe.to(self.device)
        self.ranks = ranks
        self.autocast_dtype = torch.bfloat16 if amp and has_bf16(self.device) else None
        self.save_every_s = save_every_s
        self.position = Position()
        self.average: dict[str, Tensor] = {}
        self.best: dict[str, Tensor] = {}
        self._patches = patches
        self._stop = False
        rows = len(table) if per_image is None else per_image * len(table.images)
        for phase in self.phases:
            if phase.batch_size > rows:
                raise ConfigError(f"batch_size {phase.batch_size} is more than an epoch's {rows:,} rows: no full batch")
            if phase.batch_size % (per_image or 1):
                raise ConfigError(f"batch_size {phase.batch_size} must be a multiple of captions_per_image {per_image}")
            if phase.batch_size % (ranks.size * (per_image or 1)):
                raise ConfigError(f"batch_size {phase.batch_size} cannot be shared by {ranks.size} processes")
        if ranks.size > 1 and any(isinstance(module, nn.BatchNorm1d | nn.BatchNorm2d) for module in model.modules()):
            raise ConfigError("the model has batch norms, which see one process's share of a batch: train it in one")
        ranks.agree(self.model, self.recipe)
        self._start_phase()

    def run(self, *, resume: bool) -> Position:
        """Train to the end, from the saved state if there is one and `resume` is set; without it, that is removed.

        Raises:
            Interrupted: the process was asked to stop (SIGINT, SIGTERM); the state is saved.
            ConfigError: the saved state is damaged, or of another model or config.
        """
        if not resume and self.ranks.is_first:
            self._forget()
        self.ranks.wait()
        if resume and (self.folder / STATE_FILE).is_file():
            self._load()
        with self._journal() as journal, self._graceful():
            while self.position.phase < len(self.phases):
                phase = self.phases[self.position.phase]
                first = sum(earlier.epochs for earlier in self.phases[: self.position.phase])
                while self.position.epoch < first + phase.epochs:
                    self._run_epoch(phase, journal)
                self.position.phase += 1
                self._take(self.best)
                self.average = {}
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
            "model": self.model.state_dict(),
            "recipe": self.recipe.state_dict(),
            "average": self.average,
            "best": self.best,
            "optimizer": self.optimizer.state_dict(),
            "banks": self.recipe.bank_state(),
            "position": self.position.__dict__,
        }
        part = self.folder / f".{STATE_FILE}.part"
        torch.save(state, part)
        part.replace(self.folder / STATE_FILE)

    def _load(self) -> None:
        path = self.folder / STATE_FILE
        try:
            state: dict[str, Any] = torch.load(path, map_location=self.device, weights_only=True)
        except (RuntimeError, OSError, EOFError, ValueError, pickle.UnpicklingError) as error:
            raise ConfigError(f"{path} is damaged and cannot be resumed from; --fresh starts over") from error
        try:
            self.position = Position(**state["position"])
            self._start_phase()
            self.model.load_state_dict(state["model"])
            self.recipe.load_state_dict(state["recipe"])
            self.average, self.best = state["average"], state["best"]
            self.optimizer.load_state_dict(state["optimizer"])
            self.recipe.load_bank_state(state["banks"])
        except (RuntimeError, ValueError, KeyError, TypeError) as error:
            raise ConfigError(f"{path} is of another config; give another --out, or --fresh to start over") from error

    def _forget(self) -> None:
        """Remove what an earlier run in this folder noted of itself; its best weights stay until there are better."""
        for name in (STATE_FILE, LOG_FILE):
            (self.folder / name).unlink(missing_ok=True)
        for name in (BOARD_FOLDER, ELIMINATED_FOLDER):
            shutil.rmtree(self.folder / name, ignore_errors=True)

    def _start_phase(self) -> None:
        """The optimizer of the current phase, or of the last when all are done; a frozen trunk is no part of it."""
        phase = self.phases[min(self.position.phase, len(self.phases) - 1)]
        trunk = list(self._trunk.parameters()) if self._trunk is not None else []
        in_trunk = {id(parameter) for parameter in trunk}
        for parameter in trunk:
            parameter.requires_grad_(phase.trunk_lr is not None)
        rest = [
            parameter
            for parameter in (*self.model.parameters(), *self.recipe.parameters())
            if parameter.requires_grad and id(parameter) not in in_trunk
        ]
        groups = [(rest, phase.lr)]
        if trunk and phase.trunk_lr is not None:
            groups.append((trunk, phase.trunk_lr))
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
        rows = self.table.epoch_rows(epoch=position.epoch, seed=self.seed, per_image=self.per_image)
        if self.by_set:
            rows = self.table.by_set(rows, batch_size=phase.batch_size, epoch=position.epoch, seed=self.seed)
        steps = len(rows) // phase.batch_size
        if phase.max_steps is not None and phase.max_steps < steps:
            steps = phase.max_steps
            rows = rows[: steps * phase.batch_size]
        if position.step == 0:
            self.recipe.start_epoch()
        self.model.train()
        saved = started = time.monotonic()
        for batch in self._batches(rows, phase, start=position.step):
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
                self.report(position, steps, position.losses[-1])
            stop = self.ranks.any(self._stop, device=self.device)
            if stop or now - saved > self.save_every_s:
                self.save()
                saved = now
            if stop:
                raise Interrupted
        if journal is not None:
            self.on_epoch_end(position)
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
        with self._averaged():
            results = self.validate(self._is_cached(phase))
            if results["mR"] > position.best:
                position.best, position.best_epoch = results["mR"], position.epoch
                self.best = {name: value.detach().clone() for name, value in self._trained()}
                self.on_best(position)
        return results

    def _step(self, phase: Phase, batch: tuple[Tensor, Tensor], *, total: int) -> StepOutcome:
        position = self.position
        inputs, row_tensor = batch
        for group in self.optimizer.param_groups:
            group["lr"] = learning_rate(
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
            images = self._image_features(inputs, cached=self._is_cached(phase))
            result = self.recipe.step(self.model, images=images, rows=rows, epoch=position.epoch, device=self.device)
        self.optimizer.zero_grad(set_to_none=True)
        result.loss.total.backward()  # type: ignore[no-untyped-call]
        parameters = [parameter for group in self.optimizer.param_groups for parameter in group["params"]]
        self.ranks.add_gradients(parameters)
        nn.utils.clip_grad_norm_(parameters, phase.clip_norm)
        self.optimizer.step()
        if phase.average is not None:
            self._update_average(phase.average)
        return result

    def _image_features(self, inputs: Tensor, *, cached: bool) -> Features:
        """Features of a batch's pictures, view by view, one per row: a picture passes once for all its rows."""
        encode = self.model.image if cached else self.model.image_features
        features: Features = encode(inputs.float() if cached else inputs.float() / 255)  # type: ignore[operator]
        if self.per_image in (None, 1):
            return features
        return replace(
            features,
            global_emb=features.global_emb.repeat_interleave(self.per_image, dim=0),
            tokens=features.tokens.repeat_interleave(self.per_image, dim=0),
        )

    def _update_average(self, decay: float) -> None:
        """Move the average towards the weights; a young one forgets its start quickly (decay (1 + n) / (10 + n))."""
        steps = self.position.phase_step
        decay = min(decay, (1 + steps) / (10 + steps))
        with torch.no_grad():
            for name, value in self._trained():
                if name in self.average:
                    self.average[name].lerp_(value, 1 - decay)
                else:
                    self.average[name] = value.detach().clone()

    @contextmanager
    def _averaged(self) -> Iterator[None]:
        """The averaged weights, where there are any, for the time of a validation."""
        if not self.average:
            yield
            return
        weights = {name: value.clone() for name, value in self.model.state_dict().items()}
        self._take(self.average)
        try:
            yield
        finally:
            self.model.load_state_dict(weights)

    def _trained(self) -> Iterator[tuple[str, nn.Parameter]]:
        """The weights that this phase trains; what is frozen stays to the last bit, and so do its cached features."""
        return ((name, value) for name, value in self.model.named_parameters() if value.requires_grad)

    def _take(self, weights: dict[str, Tensor]) -> None:
        self.model.load_state_dict({**self.model.state_dict(), **weights})

    def _batches(self, rows: NDArray[np.int64], phase: Phase, *, start: int) -> Iterator[tuple[Tensor, Tensor]]:
        """Pictures of this rank's share, view by view, and the row indices (B,) of the whole batch."""
        batches = EpochBatches(rows, batch_size=phase.batch_size, start=start)
        own = self.ranks.own(phase.batch_size)
        passed = slice(own.start, own.stop, self.per_image or 1)
        if self._is_cached(phase):
            yield from self._cached_batches(batches, passed=passed)
            return
        pictures = PictureRows(
            self.table,
            size_px=phase.image_size_px or self.model.image_size_px,
            crop_scale=self.crop_scale,
            symmetries=self.symmetries,
            seed=self.seed,
            epoch=self.position.epoch,
            views=self.views,
            augment=self.augment,
        )
        loader = DataLoader(
            pictures,
            batch_sampler=[batch[passed] for batch in batches],
            num_workers=self.workers,
            pin_memory=self.device.type == "cuda",
        )
        for (inputs, _), batch in zip(loader, batches, strict=True):
            yield inputs.transpose(0, 1).flatten(0, 1), torch.tensor(batch)

    def _cached_batches(self, batches: EpochBatches, *, passed: slice) -> Iterator[tuple[Tensor, Tensor]]:
        if self._patches is None:
            raise ConfigError("a phase without trunk_lr trains on cached features, which only the compact model has")
        if not self.ranks.is_first:
            self.ranks.wait()  # the first one computes what is not there yet
        arrays = self._patches()
        if self.ranks.is_first:
            self.ranks.wait()
        if len(arrays) < self.views and not (self.symmetries and len(arrays) == 1):
            raise ConfigError(f"a step needs {self.views} views of a picture, and {len(arrays)} are cached: cache more")
        for number, rows in enumerate(batches, start=batches.start):
            rng = np.random.default_rng((self.seed, self.position.epoch, number))
            images = self.table.row_image[np.array(rows[passed])]
            # Of a single array the views are the same pictures, turned differently.
            chosen = rng.permutation(len(arrays))[: self.views] if len(arrays) > 1 else (0,) * self.views
            views = [self._turned(torch.from_numpy(np.array(arrays[place][images])), rng=rng) for place in chosen]
            yield torch.cat(views), torch.tensor(rows)

    def _turned(self, batch: Tensor, *, rng: np.random.Generator) -> Tensor:
        """Cached features (B, N, C) turned or mirrored, where symmetries are wanted.

        Turning the feature map is not turning the picture, but near enough to help while it is all there is.
        """
        if not self.symmetries:
            return batch
        turn, grid = int(rng.integers(8)), int(batch.shape[1] ** 0.5)
        square = torch.rot90(batch.view(len(batch), grid, grid, -1), turn % 4, (1, 2))
        return (square.flip(1) if turn > 3 else square).flatten(1, 2)

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

    @contextmanager
    def _graceful(self) -> Iterator[None]:
        """SIGINT and SIGTERM end the run after the current step, with its state saved; the second one at once."""
        if threading.current_thread() is not threading.main_thread():
            yield
            return

        def ask(_signal: int, _frame: object) -> None:
            if self._stop:
                raise KeyboardInterrupt
            self._stop = True

        before = {number: signal.signal(number, ask) for number in (signal.SIGINT, signal.SIGTERM)}
        try:
            yield
        finally:
            for number, handler in before.items():
                signal.signal(number, handler)
