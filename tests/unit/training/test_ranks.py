"""Several ranks with a share of the batch each do what one does with all of it: two real processes, over gloo."""

from __future__ import annotations

import json
import os
import socket
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
import torch

import sharing
from rsitr.config import load_config
from rsitr.errors import ConfigError
from rsitr.models.compact import TRUNKS
from rsitr.training.ranks import ALONE, Ranks, join_ranks
from rsitr.training.runs import build_run
from tiny import TinyTrunk, tiny_yaml, write_tiny_data

SIZE = 2


def free_ports(count: int) -> list[str]:
    """Ports that nobody listens on."""
    sockets = [socket.socket() for _ in range(count)]
    for each in sockets:
        each.bind(("127.0.0.1", 0))
    ports = [str(each.getsockname()[1]) for each in sockets]
    for each in sockets:
        each.close()
    return ports


def start(rank: int, *arguments: object, ports: list[str], folder: Path) -> subprocess.Popen[str]:
    """One process as torchrun starts it."""
    environment = os.environ | {
        "WORLD_SIZE": str(SIZE),
        "RANK": str(rank),
        "LOCAL_RANK": str(rank),
        "MASTER_ADDR": "127.0.0.1",
        "MASTER_PORT": ports[0],
        "NEXT_PORT": ports[1],
        "OMP_NUM_THREADS": "1",
    }
    command = [sys.executable, sharing.__file__, *map(str, arguments)]
    return subprocess.Popen(command, env=environment, cwd=folder, text=True, stderr=subprocess.PIPE)


def assert_steps_are_the_same(found: dict[str, Any], expected: dict[str, Any]) -> None:
    """But for rounding, of which an entry near 0 may be mostly made."""
    for step, right in zip(found["steps"], expected["steps"], strict=True):
        assert step.keys() == right.keys()
        for name, value in right.items():
            assert (step[name] - value).float().norm() <= 1e-4 * value.float().norm() + 1e-6, name
    for name in ("global", "local", "thresholds"):
        torch.testing.assert_close(found[name], expected[name], rtol=1e-4, atol=1e-5, equal_nan=True)


def test_two_ranks_learn_what_one_does_with_all_of_the_batch(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(TRUNKS, "mobilenetv2", TinyTrunk)
    write_tiny_data(tmp_path / "data")
    config = tiny_yaml(tmp_path / "tiny.yaml")
    config.write_text(config.read_text().replace("batch_size: 5", "batch_size: 6"))
    ports = free_ports(2)
    processes = [start(rank, tmp_path, config, ports=ports, folder=tmp_path) for rank in range(SIZE)]
    alone = {scheme: sharing.take_steps(ALONE, scheme=scheme) for scheme in ("joint", "split")}
    whole = build_run(
        load_config(str(config)), root=tmp_path / "data", folder=tmp_path / "alone", device="cpu", provenance={}
    )
    expected = whole.trainer.run(resume=False)
    said = [process.communicate(timeout=900)[1] for process in processes]
    assert [process.returncode for process in processes] == [0] * SIZE, said

    both = [torch.load(tmp_path / f"rank-{rank}.pt", weights_only=True) for rank in range(SIZE)]
    for scheme, right in alone.items():
        assert right["thresholds"].count_nonzero() == (1 if scheme == "joint" else 2)
        assert any(int(step["dropped"]) for step in right["steps"])
        for found in both:
            assert_steps_are_the_same(found[scheme], right)
        for one, other in zip(*(found[scheme]["steps"] for found in both), strict=True):
            gradients = one.keys() - {"loss"}
            assert all(torch.equal(one[name], other[name]) for name in gradients)  # or their weights would drift apart

    weights = [torch.load(tmp_path / f"weights-{rank}.pt", weights_only=True) for rank in range(SIZE)]
    assert all(torch.equal(value, weights[1][name]) for name, value in weights[0].items())

    # The first rank reports, validates and saves; the other is silent.
    assert "best: epoch" in said[0]
    assert "epoch" not in said[1]
    state = torch.load(tmp_path / "run" / "state.pt", weights_only=True)["position"]
    assert (state["phase"], state["total_step"]) == (2, expected.total_step)
    for entry, right in zip(state["history"], expected.history, strict=True):
        assert entry["loss"] == pytest.approx(right["loss"], rel=5e-3)
    assert (tmp_path / "run" / "best" / "model.safetensors").is_file()
    log = [json.loads(line) for line in (tmp_path / "run" / "log.jsonl").read_text().splitlines()]
    assert [entry["kind"] for entry in log].count("val") == len(expected.history)


def test_a_batch_that_cannot_be_shared_is_refused(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(TRUNKS, "mobilenetv2", TinyTrunk)
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
