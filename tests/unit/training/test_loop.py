"""The training loop: it learns, it can be interrupted anywhere, and it ends as if it had not been."""

from __future__ import annotations

import dataclasses
import json
import os
import signal
import threading
from collections.abc import Callable
from dataclasses import asdict
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from safetensors import safe_open

from rsitr.config import DataConfig, EbaConfig, KerConfig, LossConfig, ModelConfig, Phase, TrainConfig
from rsitr.errors import ConfigError
from rsitr.models.compact import TRUNKS
from rsitr.training.interruption import Interrupted
from rsitr.training.loop import Trainer
from rsitr.training.runs import Run, build_run
from rsitr.training.state import Position
from tiny import SIZES, TinyTrunk, tiny_config, write_tiny_data

STEPS = 6  # of an epoch: 40 rows in batches of 6
Make = Callable[..., Run]


@pytest.fixture
def make(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Make:
    """A run of the tiny config on the tiny data in the folder `name`."""
    monkeypatch.setitem(TRUNKS, "mobilenetv2", TinyTrunk)
    root = write_tiny_data(tmp_path / "data")

    def make(config: TrainConfig | None = None, *, name: str = "run", stop_at: int | None = None) -> Run:
        def report(position: Position, _steps: int, _loss: float) -> None:
            if stop_at is not None and position.total_step >= stop_at:
                run.trainer._stop.made = True

        run = build_run(
            config or tiny_config(),
            root=root,
            folder=tmp_path / name,
            device="cpu",
            provenance={"commit": "none"},
            report=report,
        )
        return run

    return make


def hook(run: Run, **hooks: Any) -> None:
    """Call these in the course of the training in place of what a run calls."""
    run.trainer.hooks = dataclasses.replace(run.trainer.hooks, **hooks)


def assert_same(one: Run, other: Run) -> None:
    """Bit for bit, except the clock."""
    for first, second in zip(
        (one.trainer.model, one.trainer.recipe), (other.trainer.model, other.trainer.recipe), strict=True
    ):
        state = second.state_dict()
        assert state
        for name, value in first.state_dict().items():
            assert torch.equal(value, state[name]), name
    for first_state, second_state in zip(
        one.trainer.optimizer.state_dict()["state"].values(),
        other.trainer.optimizer.state_dict()["state"].values(),
        strict=True,
    ):
        assert all(torch.equal(value, second_state[name]) for name, value in first_state.items())
    banks, other_banks = one.trainer.recipe.bank_state(), other.trainer.recipe.bank_state()
    for name in ("global", "local"):
        torch.testing.assert_close(
            banks[name]["values"],  # type: ignore[index]
            other_banks[name]["values"],  # type: ignore[index]
            rtol=0,
            atol=0,
            equal_nan=True,
        )
    assert banks["global_threshold"] == other_banks["global_threshold"]
    assert banks["local_threshold"] == other_banks["local_threshold"]
    positions = [asdict(run.trainer.position) | {"seconds": 0} for run in (one, other)]
    assert positions[0] == positions[1]


SETTINGS: dict[str, dict[str, Any]] = {
    "joint": {},
    "split": {
        "eba": EbaConfig(drop_ratio=0.3, drop_epoch=1, scheme="split"),
        "ker": KerConfig(layers=1, strategy="random", vocabulary="keywords"),
        "data": DataConfig(sets=("ucm",), rows="images", captions_per_image=2),
        "phases": tuple(phase.replace(batch_size=4, epochs=2, average=0.9) for phase in tiny_config().phases),
    },
}


@pytest.mark.parametrize("setting", SETTINGS)
def test_an_interrupted_run_ends_as_one_that_was_not(make: Make, setting: str) -> None:
    config = tiny_config(**SETTINGS[setting])
    whole = make(config, name="whole")
    whole.trainer.run(resume=True)
    total = whole.trainer.position.total_step
    epoch = total // 4
    # In the frozen phase, at the very end of an epoch, on the last step of the phase, and in the unfrozen one.
    for stop in (1, epoch, epoch + 2, 2 * epoch, 2 * epoch + 1, total - 1):
        cut = make(config, name="cut", stop_at=stop)
        with pytest.raises(Interrupted):
            cut.trainer.run(resume=True)
        assert cut.trainer.position.total_step == stop
    last = make(config, name="cut")
    last.trainer.run(resume=True)
    assert_same(whole, last)
    assert whole.trainer.recipe.global_threshold is not None
    reports = [sorted(path.name for path in (run.folder / "eliminated").iterdir()) for run in (whole, last)]
    assert reports[0] == reports[1]
    assert "epoch-02.csv" in reports[0]
    assert ("epoch-02-local.csv" in reports[0]) is (setting == "split")
    best = [(run.folder / "best" / "model.safetensors").read_bytes() for run in (whole, last)]
    assert best[0] == best[1]


def test_training_again_gives_the_same_and_another_seed_another(make: Make) -> None:
    config = tiny_config().replace(phases=(tiny_config().phases[0].replace(epochs=1),))
    runs = [make(config.replace(seed=seed), name=name) for name, seed in (("a", 0), ("b", 0), ("c", 1))]
    for run in runs:
        run.trainer.run(resume=False)
    assert_same(runs[0], runs[1])
    weights = [run.trainer.model.state_dict()["text.projection.weight"] for run in runs]
    assert not torch.equal(weights[0], weights[2])


def test_a_phase_may_be_validated_now_and_then(make: Make) -> None:
    phase = tiny_config().phases[0].replace(epochs=5, validate_every=2)
    run = make(tiny_config().replace(phases=(phase,), data=tiny_config().data.replace(batches="by_set")))
    position = run.trainer.run(resume=False)
    assert ["mR" in entry for entry in position.history] == [False, True, False, True, True]
    assert position.best_epoch in (1, 3, 4)


def test_a_finished_run_has_nothing_left_to_do(make: Make) -> None:
    """Its saved optimizer is the last phase's; the state must be recognised as its own all the same."""
    run = make()
    run.trainer.run(resume=True)
    again = make()
    position = again.trainer.run(resume=True)
    assert position.phase == 2
    assert position.total_step == 4 * STEPS
    assert_same(run, again)


def test_phases_follow_one_another(make: Make) -> None:
    run = make()
    frozen = [value.clone() for value in run.trainer.model.image.trunk.parameters()]  # type: ignore[union-attr,operator]
    rates: list[tuple[int, list[float]]] = []
    report = run.trainer.hooks.report

    def note(position: Position, steps: int, loss: float) -> None:
        assert steps == STEPS
        trunk = list(run.trainer.model.image.trunk.parameters())  # type: ignore[union-attr,operator]
        moved = any(not torch.equal(a, b) for a, b in zip(trunk, frozen, strict=True))
        assert moved is (position.phase == 1)
        assert all(parameter.requires_grad is (position.phase == 1) for parameter in trunk)
        rates.append((position.phase, [group["lr"] for group in run.trainer.optimizer.param_groups]))
        report(position, steps, loss)

    hook(run, report=note)
    run.trainer.run(resume=False)
    assert [phase for phase, _ in rates] == [0] * 12 + [1] * 12
    first, second = ([lr[0] for phase, lr in rates if phase == number] for number in (0, 1))
    assert first == second  # each phase has a schedule of its own
    assert first[:3] == pytest.approx([5e-4, 1e-3, 1e-3])
    assert first[-1] < 1e-4
    assert (len(rates[0][1]), len(rates[-1][1])) == (2, 4)  # with and without decay; the same for the trunk


def test_the_average_of_the_weights_is_what_is_validated_and_kept(make: Make) -> None:
    """After n steps from w_1 the average is sum of w_k, weighted as the decay min(0.5, (1 + k) / (10 + k)) says."""
    config = tiny_config().replace(phases=(tiny_config().phases[0].replace(epochs=1, average=0.5),))
    run = make(config)
    name = "text.projection.weight"
    seen: list[torch.Tensor] = []
    validated: list[torch.Tensor] = []
    report, validate = run.trainer.hooks.report, run.trainer.validate

    def note(position: Position, steps: int, loss: float) -> None:
        seen.append(run.trainer.model.state_dict()[name].clone())
        report(position, steps, loss)

    def check(frozen: bool) -> dict[str, float]:
        validated.append(run.trainer.model.state_dict()[name].clone())
        return validate(frozen)

    hook(run, report=note)
    run.trainer.validate = check
    run.trainer.run(resume=False)
    expected = seen[0]
    for step, weight in enumerate(seen[1:], start=1):
        decay = min(0.5, (1 + step) / (10 + step))
        expected = decay * expected + (1 - decay) * weight
    torch.testing.assert_close(validated[0], expected)
    torch.testing.assert_close(run.trainer.model.state_dict()[name], expected)
    assert not torch.equal(seen[-1], expected)


def test_a_phase_hands_on_the_weights_of_its_best_epoch(make: Make) -> None:
    phase = tiny_config().phases[0].replace(epochs=3)
    run = make(tiny_config().replace(phases=(phase, phase.replace(epochs=1))))
    name = "text.projection.weight"
    ends: list[torch.Tensor] = []
    starts: list[torch.Tensor] = []
    ratings = iter((1.0, 3.0, 2.0, 0.5))
    start_phase = run.trainer._start_phase

    def validate(frozen: bool) -> dict[str, float]:
        ends.append(run.trainer.model.state_dict()[name].clone())
        return {"mR": next(ratings)}

    def begin() -> None:
        starts.append(run.trainer.model.state_dict()[name].clone())
        start_phase()

    run.trainer.validate, run.trainer._start_phase = validate, begin  # type: ignore[method-assign]
    hook(run, on_best=lambda _position: None)
    run.trainer.run(resume=False)
    assert torch.equal(starts[-1], ends[1])
    assert not torch.equal(ends[1], ends[2])
    assert run.trainer.position.best_epoch == 3
    assert torch.equal(run.trainer.model.state_dict()[name], ends[3])


def test_an_epoch_may_end_early_and_its_schedule_with_it(make: Make) -> None:
    short = tiny_config().phases[0].replace(max_steps=4)
    config = tiny_config().replace(phases=(short,))
    run = make(config, name="whole")
    steps: list[tuple[int, int, float]] = []
    hook(
        run,
        report=lambda position, of, _loss: steps.append(
            (position.step, of, run.trainer.optimizer.param_groups[0]["lr"])
        ),
    )
    run.trainer.run(resume=False)
    assert [step[:2] for step in steps] == [(number, 4) for number in (1, 2, 3, 4)] * 2
    assert steps[-1][2] < 1e-4
    for stop in (2, 4, 7):
        with pytest.raises(Interrupted):
            make(config, name="cut", stop_at=stop).trainer.run(resume=True)
    cut = make(config, name="cut")
    cut.trainer.run(resume=True)
    assert_same(run, cut)
    enough = make(config.replace(phases=(short.replace(max_steps=STEPS + 1),)), name="enough")
    assert enough.trainer.run(resume=False).total_step == 2 * STEPS


def test_the_loss_goes_down_on_something_that_can_be_learned(tmp_path: Path, make: Make) -> None:
    """Cached features that say which colours a picture has, instead of those of an untrained trunk."""
    phase = Phase(epochs=12, batch_size=8, lr=3e-3, warmup_steps=5, weight_decay=0.01, clip_norm=5.0)
    config = tiny_config(
        phases=(phase,),
        data=DataConfig(sets=("ucm",), rows="images"),
        model=ModelConfig(kind="compact", settings=SIZES),
        loss=LossConfig(repeats="positive", scale=10.0),
        eba=EbaConfig(drop_ratio=0.0),
    )
    run = make(config)
    patches = np.random.default_rng(0).normal(size=(len(run.table.images), 4, 12)).astype(np.float16)
    run.trainer.batches.patches = lambda: [patches]
    run.trainer.validate = lambda _frozen: {"mR": 0.0}
    hook(run, on_best=lambda _position: None)
    history = run.trainer.run(resume=False).history
    losses = [entry["loss"] for entry in history]
    assert len(losses) == 12
    assert np.mean(losses[-3:]) < 0.75 * losses[0]
    log = [json.loads(line) for line in (run.folder / "log.jsonl").read_text().splitlines()]
    train = [entry for entry in log if entry["kind"] == "train"]
    assert {"step", "loss", "global", "local", "mlm", "scale", "lr", "dropped", "threshold", "seconds"} <= set(train[0])
    assert [entry["step"] for entry in log if entry["kind"] == "val"] == list(range(1, 13))
    assert list((run.folder / "tensorboard").glob("events*"))


def test_nothing_of_the_training_is_in_the_exported_model(make: Make) -> None:
    run = make()
    run.trainer.run(resume=False)
    with safe_open(run.folder / "best" / "model.safetensors", framework="pt") as file:
        names = set(file.keys())
    assert names == set(run.trainer.model.state_dict())
    assert not [name for name in names if "reason" in name or "scale" in name or "head" in name]
    recipe = set(run.trainer.recipe.state_dict())
    assert any(name.startswith("reasoner.") for name in recipe)
    assert not recipe & names


def test_the_checkpoint_says_how_it_came_about(make: Make) -> None:
    run = make()
    position = run.trainer.run(resume=False)
    config = json.loads((run.folder / "best" / "config.json").read_text())
    assert (config["kind"], config["name"]) == ("compact", "tiny")
    training = config["training"]
    assert training["ids_sha256"] == run.table.ids_sha256
    assert training["n_images"] == 8
    assert training["n_rows"] == 40
    assert training["data_sha256"] == {"ucm": run.sets[0].sha256}
    assert training["epoch"] == position.best_epoch
    assert training["commit"] == "none"
    assert training["config"]["phases"][1]["trunk_lr"] == 1e-3
    assert training["validation"].keys() == {"mR_ucm", "mR"}
    assert training["validation"]["mR"] >= position.best  # the mixture was tuned, global similarity alone among others
    assert config["inference"]["mixture"]["norm"] == "rms"
    trained = {image.image_id for image in run.table.images}
    assert not trained & {image.image_id for image in run.sets[0].split("val")}


def test_best_is_what_validation_says(make: Make) -> None:
    run = make(tiny_config().replace(phases=(tiny_config().phases[0].replace(epochs=4),)))
    values = iter([3.0, 7.0, 5.0, 7.0])
    run.trainer.validate = lambda _frozen: {"mR": next(values)}
    exported: list[int] = []
    hook(run, on_best=lambda position: exported.append(position.epoch))
    position = run.trainer.run(resume=False)
    assert exported == [0, 1]
    assert (position.best, position.best_epoch) == (7.0, 1)
    assert [entry["mR"] for entry in position.history] == [3.0, 7.0, 5.0, 7.0]


def test_starting_over_forgets_what_was_there(make: Make) -> None:
    with pytest.raises(Interrupted):
        make(stop_at=2 * STEPS + 2).trainer.run(resume=True)
    folder = make().folder
    (folder / "eliminated" / "epoch-77.csv").write_text("of the run before")
    logged = len((folder / "log.jsonl").read_text().splitlines())
    over = make(tiny_config().replace(seed=3), stop_at=1)
    with pytest.raises(Interrupted):
        over.trainer.run(resume=False)
    assert over.trainer.position.total_step == 1
    assert not (folder / "eliminated").exists()
    assert len((folder / "log.jsonl").read_text().splitlines()) == 1 < logged
    again = make(tiny_config().replace(seed=3))
    again.trainer.run(resume=True)
    fresh = make(tiny_config().replace(seed=3), name="fresh")
    fresh.trainer.run(resume=True)
    assert_same(again, fresh)


def cut_off(path: Path) -> None:
    path.write_bytes(path.read_bytes()[:1000])


def empty(path: Path) -> None:
    path.write_bytes(b"")


def junk(path: Path) -> None:
    path.write_text("{}")


@pytest.mark.parametrize("damage", [cut_off, empty, junk])
def test_a_damaged_state_is_one_clear_line(make: Make, damage: Callable[[Path], None]) -> None:
    run = make(stop_at=1)
    with pytest.raises(Interrupted):
        run.trainer.run(resume=True)
    damage(run.folder / "state.pt")
    with pytest.raises(ConfigError, match=r"state\.pt is damaged .*--fresh starts over") as raised:
        make().trainer.run(resume=True)
    assert "\n" not in str(raised.value)


OTHERS: dict[str, Callable[[], TrainConfig]] = {
    "model": lambda: tiny_config(model=ModelConfig(kind="compact", settings=SIZES | {"dim": 32})),
    "reasoner": lambda: tiny_config(ker=KerConfig(layers=2, vocabulary="keywords")),
    "phases": lambda: tiny_config(phases=tiny_config().phases[1:]),
    "seed": lambda: tiny_config(seed=1),
    "loss": lambda: tiny_config(loss=LossConfig(scale=5.0, repeats="positive", learn_scale=True)),
    "epochs": lambda: tiny_config(phases=tuple(phase.replace(epochs=3) for phase in tiny_config().phases)),
}


@pytest.mark.parametrize("other", OTHERS)
def test_the_state_of_another_config_is_refused(make: Make, other: str) -> None:
    with pytest.raises(Interrupted):
        make(stop_at=1).trainer.run(resume=True)
    with pytest.raises(ConfigError, match="of another config or data; give another --out, or --fresh"):
        make(OTHERS[other]()).trainer.run(resume=True)


def test_the_state_of_other_captions_is_refused(make: Make, tmp_path: Path) -> None:
    """As many of them, of the same pictures."""
    with pytest.raises(Interrupted):
        make(stop_at=1).trainer.run(resume=True)
    write_tiny_data(tmp_path / "data", seed=1)
    with pytest.raises(ConfigError, match="of another config or data"):
        make().trainer.run(resume=True)


def test_more_workers_go_on_with_the_same_state(make: Make) -> None:
    with pytest.raises(Interrupted):
        make(stop_at=1).trainer.run(resume=True)
    config = tiny_config(data=DataConfig(sets=("ucm",), symmetries=True, workers=1))
    assert make(config).trainer.run(resume=True).phase == 2


def test_an_optimizer_of_other_parameters_is_refused(make: Make) -> None:
    """As many of them, in another order: the optimizer knows its parameters by number alone."""
    run = make(stop_at=1)
    with pytest.raises(Interrupted):
        run.trainer.run(resume=True)
    file = run.folder / "state.pt"
    state = torch.load(file, weights_only=True)
    moments = state["optimizer"]["state"]
    shapes = {number: moment["exp_avg"].shape for number, moment in moments.items()}
    one, other = 0, next(number for number, shape in shapes.items() if shape != shapes[0])
    moments[one], moments[other] = moments[other], moments[one]
    torch.save(state, file)
    with pytest.raises(ConfigError, match="of another config or data; give another --out, or --fresh"):
        make().trainer.run(resume=True)


def test_a_state_without_the_losses_of_its_epoch_can_be_resumed(make: Make) -> None:
    """As an earlier version saved it."""
    run = make(stop_at=2)
    with pytest.raises(Interrupted):
        run.trainer.run(resume=True)
    file = run.folder / "state.pt"
    state = torch.load(file, weights_only=True)
    del state["position"]["losses"]
    torch.save(state, file)
    assert make().trainer.run(resume=True).phase == 2


def test_a_batch_larger_than_an_epoch_is_refused(make: Make) -> None:
    config = tiny_config(phases=(Phase(batch_size=41),))
    with pytest.raises(ConfigError, match="batch_size 41 is more than an epoch's 40 rows"):
        make(config)
    one = tiny_config(data=DataConfig(sets=("ucm",), rows="images"), phases=(Phase(batch_size=9),))
    with pytest.raises(ConfigError, match="batch_size 9 is more than an epoch's 8 rows"):
        make(one)


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_a_signal_ends_the_run_after_the_step(make: Make, number: int) -> None:
    run = make()
    hook(run, report=lambda position, *_: os.kill(os.getpid(), number) if position.step == 3 else None)
    before = signal.getsignal(number)
    with pytest.raises(Interrupted):
        run.trainer.run(resume=True)
    assert signal.getsignal(number) is before
    assert run.trainer.position.total_step == 3
    state = torch.load(run.folder / "state.pt", weights_only=True)
    assert state["position"]["step"] == 3


def test_a_second_signal_ends_it_at_once(make: Make) -> None:
    run = make()

    def impatient(_position: Position, _steps: int, _loss: float) -> None:
        os.kill(os.getpid(), signal.SIGINT)
        os.kill(os.getpid(), signal.SIGINT)

    hook(run, report=impatient)
    with pytest.raises(KeyboardInterrupt):
        run.trainer.run(resume=True)


def test_a_run_in_a_thread_leaves_signals_alone(make: Make) -> None:
    run = make(tiny_config().replace(phases=(tiny_config().phases[0].replace(epochs=1),)))
    thread = threading.Thread(target=run.trainer.run, kwargs={"resume": False})
    thread.start()
    thread.join(60)
    assert run.trainer.position.phase == 1


def test_a_state_is_saved_from_time_to_time(make: Make) -> None:
    run = make()
    run.trainer.save_every_s = 0.0
    saved: list[int] = []
    save = run.trainer.save

    def count() -> None:
        saved.append(run.trainer.position.total_step)
        save()

    run.trainer.save = count  # type: ignore[method-assign]
    hook(run, report=lambda *_: None)
    run.trainer.run(resume=False)
    assert set(range(1, 4 * STEPS + 1)) <= set(saved)
    assert not list(run.folder.glob(".*.part"))


def test_a_trunk_that_is_frozen_again_is_cached_again(make: Make) -> None:
    """Features of the initial trunk would be stale, and a resumed run would not have them."""
    frozen, unfrozen = (phase.replace(epochs=1) for phase in tiny_config().phases)
    config = tiny_config(phases=(frozen, unfrozen, frozen))
    whole = make(config, name="whole")
    whole.trainer.run(resume=False)
    with pytest.raises(Interrupted):
        make(config, name="cut", stop_at=2 * STEPS + 1).trainer.run(resume=True)
    cut = make(config, name="cut")
    cut.trainer.run(resume=True)
    assert_same(whole, cut)


def test_a_frozen_trunk_needs_cached_features(make: Make) -> None:
    run = make()
    run.trainer.batches.patches = None
    with pytest.raises(ConfigError, match="trains on cached features"):
        run.trainer.run(resume=False)


def test_a_trainer_starts_in_its_first_phase(make: Make) -> None:
    assert isinstance(make().trainer, Trainer)
    assert make().trainer.position == Position()
