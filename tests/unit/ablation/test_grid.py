from __future__ import annotations

import re
from pathlib import Path
from typing import Any

import pytest

from rsitr.ablation import Cell, Grid, Measure, list_grids, load_grid, plan_trainings
from rsitr.ablation.grid import GRID_FOLDER, _settings, config_digest
from rsitr.config import KerConfig, load_config, override
from rsitr.errors import ConfigError
from rsitr.types import Mixture
from tiny import tiny_config

TRAININGS = {
    "table2": 8,
    "table3": 1,
    "table4": 3,
    "table5": 10,
    "table6": 6,
    "figure5-epoch": 7,
    "figure5-ratio": 5,
    "schemes": 3,
    "sar": 1,
}
"""Of EBAKER's and ours on its model; MTGFE's has a base of its own."""


def grid(*cells: Cell, **settings: Any) -> Grid:
    return Grid(**({"name": "mine", "title": "Mine", "source": "us", "cells": cells} | settings))


def test_all_of_the_papers_ablations_are_there() -> None:
    assert set(list_grids()) == {*TRAININGS, "mtgfe-tasks"}
    assert len(load_grid("table3").cells) == 11


@pytest.mark.parametrize("base", ["compact-ablation", "ebaker-vit-b-32", "iebaker-vit-b-32"])
@pytest.mark.parametrize("name", sorted(TRAININGS))
def test_a_packaged_grid_says_how_to_run_it_and_fits_every_base(name: str, base: str) -> None:
    first = (GRID_FOLDER / f"{name}.yaml").read_text(encoding="utf-8").splitlines()[0]
    assert re.match(rf"# rsitr ablate {re.escape(name)}\b", first)
    trainings = plan_trainings([load_grid(name)], base=load_config(base), n_seeds=2)
    assert len(trainings) == 2 * TRAININGS[name]
    assert {training.config.seed for training in trainings} == {0, 1}
    for training in trainings:
        if training.config.eba.scheme == "split":  # which the recipe refuses without a local term
            assert training.config.loss.local_weight > 0
        if training.config.loss.local_weight == 0:  # what was not trained is not measured either
            assert {measure.beta for measure in training.measures} == {0.0}


def test_mtgfes_tasks_go_on_and_off_on_a_base_of_their_own() -> None:
    found = load_grid("mtgfe-tasks")
    base = load_config(found.base)
    trainings = plan_trainings([found], base=base, n_seeds=2)
    assert len(trainings) == 8
    tasks = [(bool(entry.config.mtgfe.mlm_weight), bool(entry.config.mtgfe.mvjrc_weight)) for entry in trainings[:4]]
    assert tasks == [(False, False), (True, False), (False, True), (True, True)]
    assert trainings[3].config == base.replace(tune=False)


def test_table_2_switches_each_module_on_and_off() -> None:
    base = load_config("ebaker-vit-b-32")
    seen = {}
    for cell in load_grid("table2").cells:
        config = override(base, cell.train)
        seen[cell.name] = (config.loss.local_weight > 0, config.ker.weight > 0, config.eba.drop_ratio > 0)
    assert len(set(seen.values())) == 8
    for name, switches in seen.items():
        assert switches == tuple(part in name for part in ("+local", "+KER", "+EBA"))
    assert override(base, {}) == base


def test_a_setting_is_changed_and_nothing_else() -> None:
    base = tiny_config()
    changed = override(base, {"ker.weight": 0.25, "mixture.norm": "rms", "seed": 7})
    expected = base.replace(ker=base.ker.replace(weight=0.25), mixture=Mixture(alpha=1.0, beta=0.0, norm="rms"), seed=7)
    assert changed == expected
    assert base == tiny_config()


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"ker.wieght": 1.0}, "tiny: ker: unknown key 'wieght'"),
        ({"ker.weight": "much"}, "ker: weight must be float, not 'much'"),
        ({"kre.weight": 1.0}, "tiny has no section 'kre' to set 'weight' in"),
        ({"seed.weight": 1.0}, "tiny has no section 'seed'"),
        ({"ker.weight": -1.0}, "weight must be at least 0"),
    ],
)
def test_a_setting_there_is_not_is_refused(changes: dict[str, Any], message: str) -> None:
    with pytest.raises(ConfigError, match=re.escape(message)):
        override(tiny_config(), changes)
    bad = grid(Cell(name="odd", train=changes))
    with pytest.raises(ConfigError, match=re.escape("mine, cell 'odd': ")):
        plan_trainings([bad], base=tiny_config(), n_seeds=1)


def test_what_several_cells_train_is_trained_once() -> None:
    grids = [load_grid(name) for name in ("table2", "sar", "table3")]
    base = load_config("compact-ablation")
    trainings = plan_trainings(grids, base=base, n_seeds=2)
    assert [training.config.seed for training in trainings] == [0] * 8 + [1] * 8
    assert len({training.key for training in trainings}) == 16
    full = next(training for training in trainings if not training.changes)
    assert full.config == base.replace(tune=False)
    assert len(full.measures) == 1 + 5 + 10  # 0.6 : 0.4 without re-ranking is in all three
    assert all(measure.norm == base.mixture.norm for measure in full.measures)


def test_a_measure_takes_the_rest_from_the_config() -> None:
    resolved = Measure(alpha=0.5, rerank="sar:k=5").resolve(Mixture(alpha=1.0, beta=0.2, norm="rms"))
    assert resolved == Measure(alpha=0.5, beta=0.2, norm="rms", rerank="sar:k=5")
    assert resolved.mixture == Mixture(alpha=0.5, beta=0.2, norm="rms")
    with pytest.raises(ValueError, match="is not resolved"):
        _ = Measure(alpha=0.5).mixture


def test_the_key_of_a_run_tells_its_config_and_seed() -> None:
    cells = (Cell(name="a"), Cell(name="b", train={"ker.weight": 0.1}), Cell(name="c", measure=Measure(beta=1.0)))
    keys = [training.key for training in plan_trainings([grid(*cells)], base=tiny_config(), n_seeds=2)]
    assert len(set(keys)) == 4
    assert [key.rpartition("-seed")[2] for key in keys] == ["0", "0", "1", "1"]
    assert keys[0].partition("-")[0] == keys[2].partition("-")[0] != keys[1].partition("-")[0]


def test_a_setting_that_is_as_by_default_leaves_the_key_as_it_is() -> None:
    """So that a setting which a later version adds does not make finished runs unknown."""
    base = tiny_config()
    assert base.ker.top_k == KerConfig().top_k
    assert _settings(base)["ker"] == {"layers": 1, "vocabulary": "keywords"}
    assert "tune" not in _settings(base)
    assert config_digest(override(base, {"ker.top_k": KerConfig().top_k})) == config_digest(base)
    assert config_digest(override(base, {"ker.top_k": 16})) != config_digest(base)
    assert config_digest(override(base, {"seed": 16})) == config_digest(base)


def test_a_grid_of_ones_own(tmp_path: Path) -> None:
    path = tmp_path / "mine.yaml"
    path.write_text("title: T\nsource: us\ncells:\n  - {name: one}\n  - {name: two, train: {ker.weight: 0.1}}\n")
    found = load_grid(str(path))
    assert found == grid(Cell(name="one"), Cell(name="two", train={"ker.weight": 0.1}), title="T")
    assert found.reference_cell.name == "one"
    assert grid(*found.cells, reference="two").reference_cell.name == "two"


@pytest.mark.parametrize(
    ("content", "message"),
    [
        ("title: T", "mine.yaml: 'source' is missing"),
        ("- list", "mine.yaml: expected keys and values"),
        ("title: T\nsource: us\ncells: []", "cells must be a list of at least one"),
        ("title: T\nsource: us\ncells: [{name: a}, {name: a}]", "two cells have one name"),
        ("title: T\nsource: us\nreference: b\ncells: [{name: a}]", "the reference 'b' is no cell; there are a"),
        ("title: T\nsource: us\naxis: lambda\ncells: [{name: a}]", "needs an x in every cell"),
        ("title: T\nsource: us\ncells: [{name: a, measure: {rerank: magic}}]", "magic"),
        ("title: [", "is not YAML"),
    ],
)
def test_a_grid_that_makes_no_sense_is_refused(tmp_path: Path, content: str, message: str) -> None:
    path = tmp_path / "mine.yaml"
    path.write_text(content)
    with pytest.raises(ConfigError, match=re.escape(message)):
        load_grid(str(path))


def test_an_unknown_name_is_told_what_there_is() -> None:
    with pytest.raises(ConfigError, match=r"there is no ablation 'table9': use .*table2"):
        load_grid("table9")


def test_no_seed_is_no_ablation() -> None:
    with pytest.raises(ConfigError, match="at least one seed, not 0"):
        plan_trainings([grid(Cell(name="a"))], base=tiny_config(), n_seeds=0)
