"""Several ranks with a share of the batch each do what one does with all of it: two real processes, over gloo."""

from __future__ import annotations

import json
import shutil
import socket
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest
import torch

import sharing
from rsitr.config import load_config
from rsitr.errors import ConfigError
from rsitr.losses import LOSSES
from rsitr.models.compact import TRUNKS
from rsitr.training.ranks import ALONE, Ranks, join_ranks
from rsitr.training.runs import build_run
from rsitr.training.state import Position
from tiny import TinyTrunk, tiny_yaml, write_tiny_data

SIZE = 2


def free_ports(count: int) -> list[int]:
    """Ports that nobody listens on."""
    sockets = [socket.socket() for _ in range(count)]
    for each in sockets:
        each.bind(("127.0.0.1", 0))
    ports = [int(each.getsockname()[1]) for each in sockets]
    for each in sockets:
        each.close()
    return ports


@dataclass
class Together:
    """What two processes left in a folder, and what the first two said."""

    folder: Path
    said: list[str]
    alone: dict[str, dict[str, Any]]
    expected: Position

    def load(self, name: str, *, size: int = SIZE) -> list[dict[str, Any]]:
        """What each process saved under a name."""
        return [torch.load(self.folder / f"{name}-{rank}.pt", weights_only=True) for rank in range(size)]


@pytest.fixture(autouse=True, scope="module")
def tiny_parts() -> Iterator[None]:
    """The names by which configs of these tests know a trunk and a loss."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setitem(TRUNKS, "mobilenetv2", TinyTrunk)
        patch.setitem(LOSSES._things, "triplet", sharing.triplet)
        yield


@pytest.fixture(scope="module")
def together(tmp_path_factory: pytest.TempPathFactory, tiny_parts: None) -> Together:
    """Two processes do all that they can, one alone the same meanwhile."""
    folder = tmp_path_factory.mktemp("together")
    write_tiny_data(folder / "data")
    config = tiny_yaml(folder / "tiny.yaml")
    config.write_text(config.read_text().replace("batch_size: 5", "batch_size: 6"))
    ports = free_ports(2)
    started = [
        sharing.start(
            sharing.work, folder, config, rank=rank, size=SIZE, port=ports[0], folder=folder, NEXT_PORT=str(ports[1])
        )
        for rank in range(SIZE)
    ]
    alone = {name: sharing.take_steps(ALONE, sharing.settings(name)) for name in sharing.SETTINGS}
    whole = build_run(
        load_config(str(config)), root=folder / "data", folder=folder / "alone", device="cpu", provenance={}
    )
    expected = whole.trainer.run(resume=False)
    said = [each.end() for each in started]
    return Together(folder=folder, said=said, alone=alone, expected=expected)


def test_two_ranks_learn_what_one_does_with_all_of_the_batch(together: Together) -> None:
    """Every loss with elimination, at once and in chunks."""
    both = together.load("rank")
    for setting, right in together.alone.items():
        split = sharing.settings(setting).eba.scheme == "split"
        assert right["thresholds"].count_nonzero() == (2 if split else 1)
        assert any(int(step["dropped"]) for step in right["steps"])
        for found in (way for each in both for way in each[setting]):  # at once, and in chunks
            sharing.assert_same_steps(found, right)
        for one, other in zip(*(found[setting][1]["steps"] for found in both), strict=True):
            gradients = one.keys() - {"loss"}
            assert all(torch.equal(one[name], other[name]) for name in gradients)  # or their weights would drift apart


def test_two_ranks_train_by_the_command_line(together: Together) -> None:
    weights = together.load("weights")
    assert all(torch.equal(value, weights[1][name]) for name, value in weights[0].items())

    # The first rank reports, validates and saves; the other is silent.
    assert "best: epoch" in together.said[0]
    assert "epoch" not in together.said[1]
    run = together.folder / "run"
    state = torch.load(run / "state.pt", weights_only=True)["position"]
    assert (state["phase"], state["total_step"]) == (2, together.expected.total_step)
    for entry, right in zip(state["history"], together.expected.history, strict=True):
        assert entry["loss"] == pytest.approx(right["loss"], rel=5e-3)
    assert (run / "best" / "model.safetensors").is_file()
    log = [json.loads(line) for line in (run / "log.jsonl").read_text().splitlines()]
    assert [entry["kind"] for entry in log].count("val") == len(together.expected.history)


def test_ranks_agree_on_what_is_dropped_or_are_refused(together: Together) -> None:
    halves = together.load("half")
    for half in halves:
        different, elsewhere = half["said"]
        assert "not the same config and data" in different
        assert "has a state on some machines only: --out must be the same folder on all" in elsewhere
    # Though the second rank saw other similarities, both dropped by the first one's.
    first, second = (half["unlike"] for half in halves)
    assert first["dropped"].any()
    for name, value in first.items():
        torch.testing.assert_close(second[name], value, rtol=0, atol=0, equal_nan=True)


def test_what_two_began_goes_on_with_three_or_one(together: Together) -> None:
    """And ends as one process alone would have trained it, but for rounding in single precision."""
    folder, (port,) = together.folder, free_ports(1)
    (half, _) = (each["shared"] for each in together.load("half"))
    shutil.copytree(folder / "shared", folder / "shared by one")
    started = [sharing.start(sharing.go_on, folder, rank=rank, size=3, port=port, folder=folder) for rank in range(3)]
    whole = sharing.train_shared(ALONE, folder=folder / "whole", root=folder / "data")
    alone = sharing.train_shared(ALONE, folder=folder / "shared by one", root=folder / "data")
    for each in started:
        each.end()
    three = together.load("third", size=3)
    assert half["losses"] == pytest.approx(whole["losses"][:1], rel=1e-5)
    assert whole["banks"]["global_threshold"] is not None
    for found in (alone, *(each["run"] for each in three)):
        assert_same_run(found, whole, start=half["weights"])
    for each in three:
        sharing.assert_same_steps(each["steps"], together.alone["split"])
        for name, value in each["run"]["weights"].items():
            assert torch.equal(value, three[0]["run"]["weights"][name]), name


def assert_same_run(found: dict[str, Any], right: dict[str, Any], *, start: dict[str, torch.Tensor]) -> None:
    """The epochs' losses, the banks and thresholds, the optimizer's steps, and the way that all weights went."""
    assert found["losses"] == pytest.approx(right["losses"], rel=1e-5)
    for name, value in right["banks"].items():
        values = (found["banks"][name], value)
        if isinstance(value, dict):
            values = (found["banks"][name]["values"], value["values"])
        torch.testing.assert_close(*values, rtol=1e-3, atol=1e-4, equal_nan=True)
    assert found["moments"].keys() == right["moments"].keys()
    steps = [{name: int(value) for name, value in run["moments"].items() if "step" in name} for run in (found, right)]
    assert steps[0] == steps[1]
    ways = [
        torch.cat([(run["weights"][name] - start[name])[sure].double() for name, sure in right["sure"].items()])
        for run in (found, right)
    ]
    assert len(ways[1]) > 10_000
    assert (ways[0] - ways[1]).norm() <= 1e-3 * ways[1].norm()


def test_a_batch_that_cannot_be_shared_is_refused(tmp_path: Path) -> None:
    config = load_config(str(tiny_yaml(tmp_path / "tiny.yaml")))
    root = write_tiny_data(tmp_path / "data")
    with pytest.raises(ConfigError, match="batch_size 5 cannot be shared by 2 processes"):
        build_run(config, root=root, folder=tmp_path, device="cpu", provenance={}, ranks=Ranks(rank=0, size=2))


def test_alone_nothing_is_exchanged() -> None:
    value = torch.tensor([1.0, 2.0], requires_grad=True)
    assert ALONE.gather(value) is value
    assert ALONE.share(value) is value
    assert ALONE.own(6) == slice(0, 6)
    assert ALONE.is_first
    assert ALONE.any(True, device=torch.device("cpu"))
    total = ALONE.total(value)
    assert torch.equal(total, value)
    assert not total.requires_grad
    ALONE.wait()
    with join_ranks("cuda:3") as found:
        assert found == (ALONE, "cuda:3")


def test_a_shared_value_keeps_its_value_and_divides_its_gradient() -> None:
    value = torch.tensor(3.0, requires_grad=True)
    shared = Ranks(rank=1, size=4).share(value)
    shared.backward()  # type: ignore[no-untyped-call]
    assert (shared.item(), value.grad) == (3.0, torch.tensor(0.25))


def test_devices_that_cannot_be_shared_are_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("WORLD_SIZE", "2")
    with join_ranks("cuda:0") as found:  # set by something else than torchrun
        assert found == (ALONE, "cuda:0")
    for name, value in {"RANK": "1", "LOCAL_RANK": "1", "MASTER_ADDR": "127.0.0.1", "MASTER_PORT": "1"}.items():
        monkeypatch.setenv(name, value)
    with pytest.raises(ConfigError, match="leave out its number"), join_ranks("cuda:0"):
        pass
    monkeypatch.setattr(torch.cuda, "device_count", lambda: 1)
    with pytest.raises(ConfigError, match="2 processes or more want a GPU each, and there are 1"), join_ranks("cuda"):
        pass
