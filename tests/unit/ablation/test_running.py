from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from fusions import compact_fusion_settings
from generators import edit_json
from rsitr.ablation import Cell, Grid, Measure, Progress, RunRecord, Training, load_records, plan_trainings
from rsitr.ablation import run_trainings as run_all
from rsitr.ablation.record import read_record
from rsitr.config import EbaConfig, KerConfig, LossConfig, ModelConfig, MtgfeConfig, Phase, TrainConfig
from rsitr.errors import ConfigError
from rsitr.evaluation.fusion import evaluate_fusion
from rsitr.models.compact import TRUNKS
from rsitr.training.runs import build_run
from rsitr.training.state import Position
from rsitr.types import Mixture
from tiny import SIZES, TinyTrunk, tiny_config, write_tiny_data

GRID = Grid(
    name="mine",
    title="Mine",
    source="us",
    cells=(
        Cell(name="all"),
        Cell(name="reranked", measure=Measure(rerank="sar:k=3")),
        Cell(name="without KER", train={"ker.weight": 0.0}),
    ),
)
PROVENANCE = {"command": "rsitr ablate mine", "version": "0", "commit": "c0ffee"}
Run = Callable[..., dict[str, RunRecord]]


def without_times(record: RunRecord) -> dict[Measure, dict[str, Any]]:
    """What does not depend on how busy the machine was."""
    return {
        asked: {name: {key: part for key, part in found.items() if key != "time_s"} for name, found in results.items()}
        for asked, results in record.measured.items()
    }


@pytest.fixture
def base(monkeypatch: pytest.MonkeyPatch) -> TrainConfig:
    monkeypatch.setitem(TRUNKS, "mobilenetv2", TinyTrunk)
    return tiny_config(
        model=ModelConfig(kind="compact", settings=SIZES),
        loss=LossConfig(local_norm="rms"),
        mixture=Mixture(alpha=0.6, beta=0.4, norm="rms"),
        phases=(Phase(epochs=2, batch_size=8, lr=1e-3, warmup_steps=2),),
    )


@pytest.fixture
def root(tmp_path: Path) -> Path:
    return write_tiny_data(tmp_path / "data")


@pytest.fixture
def run(root: Path, tmp_path: Path) -> Run:
    def run(trainings: tuple[Training, ...], **settings: Any) -> dict[str, RunRecord]:
        defaults: dict[str, Any] = {
            "into": tmp_path / "out",
            "root": root,
            "device": "cpu",
            "provenance": PROVENANCE,
        }
        return run_all(trainings, **(defaults | settings))

    return run


def test_every_run_is_trained_once_and_measured_in_every_way(base: TrainConfig, run: Run, tmp_path: Path) -> None:
    trainings = plan_trainings([GRID], base=base, n_seeds=2)
    started: list[str] = []
    finished: list[tuple[str, RunRecord]] = []
    cached: list[int] = []
    progress = Progress(
        started=lambda training: started.append(training.key),
        finished=lambda training, record: finished.append((training.key, record)),
        cached=lambda done, _total: cached.append(done),
    )
    records = run(trainings, progress=progress)
    keys = [training.key for training in trainings]
    assert started == keys == list(records)
    assert dict(finished) == records
    assert cached == [12, 12]  # pictures, once for all runs with one trunk: a random one is each seed's own
    assert [len(records[key].measured) for key in keys] == [2, 1, 2, 1]
    assert records == load_records(trainings, into=tmp_path / "out")

    assert run(trainings, progress=Progress(started=lambda _training: pytest.fail("trained again"))) == records


def test_a_record_says_what_a_run_by_itself_says(base: TrainConfig, run: Run, root: Path, tmp_path: Path) -> None:
    trainings = plan_trainings([GRID], base=base, n_seeds=1)
    records = run(trainings)
    for training in trainings:
        alone = build_run(
            training.config, root=root, folder=tmp_path / training.key, device="cpu", provenance=PROVENANCE
        )
        position = alone.trainer.run(resume=False)
        plain = training.measures[0]
        assert records[training.key].measured[plain]["ucm"]["mR"] == position.best
    full, reranked = records[trainings[0].key].measured.values()
    ways = ("image_to_text", "text_to_image")
    assert [full["ucm"][way] for way in ways] != [reranked["ucm"][way] for way in ways]


def test_the_record_tells_how_it_came_about(base: TrainConfig, run: Run, tmp_path: Path) -> None:
    (training,) = plan_trainings([Grid(name="g", title="t", source="s", cells=GRID.cells[2:])], base=base, n_seeds=1)
    run((training,))
    content = json.loads((tmp_path / "out" / "runs" / f"{training.key}.json").read_text())
    assert content["command"] == "rsitr ablate mine"
    assert content["changes"] == {"ker.weight": 0.0}
    assert content["config"]["ker"]["weight"] == 0.0
    assert content["data_sha256"].keys() == {"ucm"}
    assert content["seconds"] > 0


@pytest.mark.parametrize("keep", [False, True])
def test_what_was_trained_stays_only_when_asked(base: TrainConfig, run: Run, tmp_path: Path, keep: bool) -> None:
    trainings = plan_trainings([GRID], base=base, n_seeds=1)[:1]
    run(trainings, keep_models=keep)
    folder = tmp_path / "out" / "runs" / trainings[0].key
    assert (folder / "log.jsonl").is_file()
    assert (folder / "state.pt").is_file() is (folder / "best" / "model.safetensors").is_file() is keep


def test_an_interrupted_run_goes_on_and_ends_the_same(base: TrainConfig, run: Run, tmp_path: Path) -> None:
    trainings = plan_trainings([GRID], base=base, n_seeds=1)
    whole = run(trainings, into=tmp_path / "whole")

    def stop(position: Position, _steps: int, _loss: float) -> None:
        if position.epoch == 1 and position.step == 3:
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        run(trainings, progress=Progress(stepped=stop))
    assert load_records(trainings, into=tmp_path / "out") == {}
    steps: list[int] = []
    records = run(trainings, progress=Progress(stepped=lambda position, _s, _l: steps.append(position.total_step)))
    assert steps == [*range(6, 11), *range(1, 11)]  # five steps an epoch; the second run starts at its beginning
    assert [without_times(record) for record in records.values()] == [without_times(one) for one in whole.values()]


def test_a_new_question_keeps_the_old_answers(base: TrainConfig, run: Run) -> None:
    def plan(*cells: Cell) -> tuple[Training, ...]:
        return plan_trainings([Grid(name="g", title="t", source="s", cells=cells)], base=base, n_seeds=1)

    (before,) = run(plan(GRID.cells[0]), keep_models=True).values()
    steps: list[int] = []
    progress = Progress(stepped=lambda position, _s, _l: steps.append(position.total_step))
    (after,) = run(plan(GRID.cells[1]), progress=progress).values()
    assert steps == []  # the state was kept: nothing is trained again
    assert len(after.measured) == 2
    assert without_times(before).items() <= without_times(after).items()


def test_runs_on_other_data_are_not_mixed(base: TrainConfig, run: Run, root: Path) -> None:
    trainings = plan_trainings([GRID], base=base, n_seeds=1)
    run(trainings[:1])
    edit_json(root / "ucm" / "dataset_ucm.json", image=0, note="changed")
    with pytest.raises(ConfigError, match="holds runs on other data than these; name another folder"):
        run(trainings)


def test_a_damaged_state_is_told_with_its_folder(base: TrainConfig, run: Run, tmp_path: Path) -> None:
    trainings = plan_trainings([GRID], base=base, n_seeds=1)[:1]
    folder = tmp_path / "out" / "runs" / trainings[0].key
    folder.mkdir(parents=True)
    (folder / "state.pt").write_bytes(b"cut")
    with pytest.raises(ConfigError, match=r"is damaged .*remove .*and run the same command again"):
        run(trainings)


@pytest.mark.parametrize("content", ["{cut", "{}", '{"format": 99}', '{"format": 1, "key": "k"}', "[]"])
def test_a_record_that_cannot_be_read_is_made_again(tmp_path: Path, content: str) -> None:
    (tmp_path / "runs").mkdir()
    (tmp_path / "runs" / "k.json").write_text(content)
    assert read_record(tmp_path, key="k") is None
    assert read_record(tmp_path, key="other") is None


def test_a_fusion_model_is_measured_by_its_pairs(
    base: TrainConfig, run: Run, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    for module in ("models.fusion.scorer", "training.loop", "training.views"):
        monkeypatch.setattr(f"rsitr.{module}.has_bf16", lambda _device: False)  # in which pairs change places
    fusion = tiny_config(
        recipe="mtgfe",
        model=ModelConfig(kind="fusion", settings=compact_fusion_settings()),
        mtgfe=MtgfeConfig(projection_width=16, prediction_width=8, mlm_vocabulary="captions"),
        loss=LossConfig(),
        ker=KerConfig(),
        eba=EbaConfig(),
        phases=(Phase(epochs=1, batch_size=8, lr=1e-3, warmup_steps=2),),
    )
    cells = (Cell(name="ITM", train={"mtgfe.mlm_weight": 0.0, "mtgfe.mvjrc_weight": 0.0}), Cell(name="all"))
    grid = Grid(name="tasks", title="Tasks", source="us", cells=cells)
    trainings = plan_trainings([grid], base=fusion, n_seeds=1)
    records = run(trainings, keep_models=True)
    for training in trainings:
        (measured,) = records[training.key].measured.values()
        folder = tmp_path / "out" / "runs" / training.key / "best"
        found = evaluate_fusion(str(folder), data=f"ucm:{tmp_path / 'data' / 'ucm'}")
        assert measured["ucm"]["mR"] == pytest.approx(found.result.metrics.mR, abs=0.01)
    reranked = Grid(name="g", title="t", source="s", cells=(Cell(name="sar", measure=Measure(rerank="sar:k=3")),))
    with pytest.raises(ConfigError, match="a fusion model scores pairs, which sar:k=3 does not sort again"):
        run(plan_trainings([reranked], base=fusion, n_seeds=1))
