"""What an ablation compares: cells, each a change of a base config and a way to measure what was trained."""

from __future__ import annotations

import dataclasses
import hashlib
import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal, Self

from pydantic import Field, model_validator

from rsitr.config import Listed, Settings, TrainConfig, override, parse, read_yaml, require
from rsitr.errors import ConfigError
from rsitr.rerank import parse_rerank
from rsitr.types import Mixture

__all__ = [
    "Cell",
    "Grid",
    "Measure",
    "Training",
    "config_digest",
    "list_grids",
    "load_grid",
    "plan_trainings",
    "training_of",
]

GRID_FOLDER = Path(__file__).parent / "grids"


class Measure(Settings):
    """How a trained model is measured; what is None is as the base config has it, without re-ranking."""

    alpha: float | None = None
    """Of :class:`rsitr.types.Mixture`, and so are the next two."""
    beta: float | None = None
    norm: Literal["l2", "rms"] | None = None
    rerank: str | None = None
    """As :func:`rsitr.rerank.parse_rerank` reads it."""

    @model_validator(mode="after")
    def _check(self) -> Self:
        if self.rerank is not None:
            try:
                parse_rerank(self.rerank)
            except ConfigError as error:
                raise ValueError(error) from error
        return self

    def resolve(self, mixture: Mixture) -> Measure:
        """With nothing left to the base config, whose mixture this is."""
        given = {name: getattr(self, name) for name in ("alpha", "beta", "norm")}
        filled = {name: getattr(mixture, name) if value is None else value for name, value in given.items()}
        return self.replace(**filled)

    @property
    def mixture(self) -> Mixture:
        """Of a resolved measure."""
        if self.alpha is None or self.beta is None or self.norm is None:
            raise ValueError(f"{self} is not resolved: call resolve with the config's mixture first")
        return Mixture(alpha=self.alpha, beta=self.beta, norm=self.norm)


class Cell(Settings):
    """One row of the table."""

    name: str
    """Of the row."""
    train: dict[str, Any] = Field(default_factory=dict)
    """Settings that differ from the base config, `section.setting: value`."""
    measure: Measure = Measure()
    """How the trained model is measured."""
    x: float | None = None
    """Place on the figure's axis, where the grid has one."""
    paper_mR: float | None = None
    """What the paper reports, in percent (on test; the measurement here is on validation)."""


class Grid(Settings):
    """An ablation."""

    name: str
    """Of its file."""
    title: str
    """Of its table."""
    source: str
    """Where the comparison is from."""
    cells: Listed[Cell]
    """The rows, in order."""
    axis: str | None = None
    """Label of the horizontal axis, for a grid whose cells have an `x`; null for one that compares names."""
    log: bool = False
    """The axis is logarithmic."""
    reference: str | None = None
    """Name of the cell that differences are taken to; the first when null."""
    base: str = "compact-ablation"
    """Name of the config that the cells change, where none is given."""
    paper_setting: str = "RSICD test, with ViT-B/32"
    """Data and model of the paper's values."""

    @model_validator(mode="after")
    def _check(self) -> Self:
        names = [cell.name for cell in self.cells]
        require(len(set(names)) == len(names), "two cells have one name")
        require(
            self.reference in (None, *names),
            f"the reference {self.reference!r} is no cell; there are {', '.join(names)}",
        )
        require(
            self.axis is None or all(cell.x is not None for cell in self.cells),
            "a grid with an axis needs an x in every cell",
        )
        return self

    @property
    def reference_cell(self) -> Cell:
        """The cell that differences are taken to."""
        return next((cell for cell in self.cells if cell.name == self.reference), self.cells[0])


@dataclass(frozen=True, kw_only=True)
class Training:
    """One run: what is trained, and everything that has to be measured of it.

    Attributes:
        config: with its seed.
        changes: to the base config.
        measures: resolved, each once.
    """

    config: TrainConfig
    changes: Mapping[str, Any]
    measures: tuple[Measure, ...]

    @property
    def key(self) -> str:
        """Name of the run: tells the config, whatever grid or cell asked for it."""
        return f"{config_digest(self.config)}-seed{self.config.seed}"


def list_grids() -> list[str]:
    """Names of the packaged grids."""
    return sorted(path.stem for path in GRID_FOLDER.glob("*.yaml"))


def load_grid(name: str) -> Grid:
    """Read a packaged grid by name, or a YAML file by path.

    Raises:
        ConfigError: it does not exist, is not YAML, or a key or value is wrong.
    """
    path = GRID_FOLDER / f"{name}.yaml"
    if name not in list_grids():
        path = Path(name).expanduser()
    if not path.is_file():
        raise ConfigError(f"there is no ablation {name!r}: use {', '.join(list_grids())}, or the path of a YAML file")
    raw = read_yaml(path)
    if isinstance(raw, dict):
        raw = {"name": path.stem, **raw}
    return parse(Grid, raw, where=path.name)


def plan_trainings(grids: Sequence[Grid], *, base: TrainConfig, n_seeds: int) -> tuple[Training, ...]:
    """The runs that these grids need; what several cells ask for is trained once.

    All cells of a seed come before the next seed's, so that an interrupted ablation has compared something.

    Raises:
        ConfigError: there is no seed, or a cell's settings don't fit the base.
    """
    if n_seeds < 1:
        raise ConfigError(f"an ablation needs at least one seed, not {n_seeds}")
    planned: dict[str, Training] = {}
    for offset in range(n_seeds):
        for grid in grids:
            for cell in grid.cells:
                training = training_of(cell, grid=grid, base=base, seed=base.seed + offset)
                known = planned.get(training.key, training)
                measures = dict.fromkeys((*known.measures, *training.measures))
                planned[training.key] = dataclasses.replace(known, measures=tuple(measures))
    return tuple(planned.values())


def training_of(cell: Cell, *, grid: Grid, base: TrainConfig, seed: int) -> Training:
    """The run of a cell with a seed, measured as the cell says."""
    try:
        config = override(base, {**cell.train, "seed": seed, "tune": False, "rerank": None})
    except ConfigError as error:
        raise ConfigError(f"{grid.name}, cell {cell.name!r}: {error}") from error
    return Training(config=config, changes=cell.train, measures=(cell.measure.resolve(config.mixture),))


def config_digest(config: TrainConfig) -> str:
    """Twelve hex digits that tell configs apart, whatever their seeds.

    Settings that are as they are by default don't count, so that a new one leaves finished runs what they are.
    """
    content = json.dumps(_settings(config.replace(seed=0)), sort_keys=True)
    return hashlib.sha256(content.encode()).hexdigest()[:12]


def _settings(value: Any) -> Any:
    if isinstance(value, tuple):
        return [_settings(part) for part in value]
    if isinstance(value, Settings):
        defaults = {name: field.default for name, field in type(value).model_fields.items()}
    elif dataclasses.is_dataclass(value):
        defaults = {field.name: field.default for field in dataclasses.fields(value)}
    else:
        return value
    parts = ((name, getattr(value, name)) for name in defaults)
    return {name: _settings(part) for name, part in parts if part != defaults[name]}
