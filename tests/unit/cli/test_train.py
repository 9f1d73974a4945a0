"""`rsitr train` and `rsitr evaluate` of what it trained, end to end on small data."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path

import pytest

from generators import write_karpathy_dataset
from rsitr.cli.app import main
from rsitr.config import CONFIG_FOLDER, list_configs
from rsitr.models.compact import TRUNKS
from tiny import TinyTrunk, tiny_yaml, write_tiny_data

Run = Callable[..., tuple[int, str, str]]


@pytest.fixture
def run(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], tmp_path: Path) -> Run:
    """Run `rsitr ...` in a folder of its own with a trunk of one layer; status, stdout, stderr."""
    monkeypatch.setitem(TRUNKS, "mobilenetv2", TinyTrunk)
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("COLUMNS", "160")  # tables as wide as they like, whatever the terminal
    monkeypatch.delenv("RSITR_DATA", raising=False)

    def run(*arguments: object) -> tuple[int, str, str]:
        monkeypatch.setattr(sys, "argv", ["rsitr", *map(str, arguments)])
        with pytest.raises(SystemExit) as exit_:
            main()
        shown = capsys.readouterr()
        return int(exit_.value.code or 0), shown.out, shown.err

    return run


def test_from_a_config_to_a_measured_model(run: Run, tmp_path: Path) -> None:
    write_tiny_data(tmp_path / "data")
    config = tiny_yaml(tmp_path / "tiny.yaml")
    status, _, err = run("train", config, "--data-root", "data")
    assert status == 0, err
    folder = tmp_path / "runs" / "tiny"
    assert "8 images, 40 rows" in err
    for expected in ("epoch 1: loss", "epoch 2: loss", "mR_ucm", "best: epoch", "runs/tiny/best"):
        assert expected in err
    training = json.loads((folder / "best" / "config.json").read_text())["training"]
    assert training["command"].startswith("rsitr train ")
    assert {"commit", "version", "ids_sha256", "data_sha256", "seconds"} <= training.keys()
    assert {path.name for path in folder.iterdir()} >= {"best", "log.jsonl", "state.pt", "tensorboard", "patches.npy"}
    assert not list(folder.glob(".*"))

    report = tmp_path / "report.json"
    status, out, err = run(
        "evaluate", folder / "best", "--data", f"ucm:{tmp_path / 'data' / 'ucm'}", "--json", report, "--device", "cpu"
    )
    assert (status, err) == (0, "")
    found = json.loads(report.read_text())
    assert found["model"] == str(folder / "best")
    assert found["n_images"] == 4
    assert f"mR {found['mR']:.2f}" in out

    status, _, err = run("train", config, "--data-root", "data")  # finished: there is nothing left to do
    assert status == 0, err
    assert "best: epoch" in err


def test_a_setting_is_changed_on_the_command_line_and_makes_another_run(run: Run, tmp_path: Path) -> None:
    write_tiny_data(tmp_path / "data")
    config = tiny_yaml(tmp_path / "tiny.yaml")
    asked = ["train", config, "--data-root", "data", "--set", "phases=[{epochs: 1, batch_size: 5}]", "--seed", 4]
    status, _, err = run(*asked, "--set", "loss.scale=10")
    assert status == 0, err
    assert "epoch 1: loss" in err
    assert "epoch 2: loss" not in err
    recorded = json.loads((tmp_path / "runs" / "tiny" / "best" / "config.json").read_text())["training"]["config"]
    assert (recorded["seed"], recorded["loss"]["scale"], len(recorded["phases"])) == (4, 10.0, 1)
    status, _, err = run(*asked, "--set", "loss.scale=11")
    assert status == 2
    assert "of another config or data" in err


def test_other_splits_are_trained_on_when_they_are_named(run: Run, tmp_path: Path) -> None:
    splits = ("train", "restval", "val")
    write_karpathy_dataset(tmp_path / "data" / "ucm", name="ucm", n_images=12, splits=splits, size_px=40)
    config = tiny_yaml(tmp_path / "tiny.yaml")
    asked = ["train", config, "--data-root", "data", "--set", "phases=[{epochs: 1, batch_size: 4}]"]
    status, _, err = run(*asked, "--out", "plain")
    assert status == 0, err
    assert "ucm: 4 images of the split restval are not used; --splits train,restval trains on them" in err
    assert "4 images, 20 rows" in err
    status, _, err = run(*asked, "--splits", "train, restval")
    assert status == 0, err
    assert "not used" not in err
    assert "8 images, 40 rows" in err
    recorded = json.loads((tmp_path / "runs" / "tiny" / "best" / "config.json").read_text())["training"]["config"]
    assert recorded["data"]["splits"] == ["train", "restval"]


def test_configs_are_listed_and_printed(run: Run) -> None:
    status, out, err = run("configs")
    assert (status, err) == (0, "")
    assert all(name in out for name in list_configs())
    assert "EBAKER (2024) as published" in out
    status, out, _ = run("configs", "mtgfe-ucm")
    assert (status, out) == (0, (CONFIG_FOLDER / "mtgfe-ucm.yaml").read_text())
    status, out, err = run("configs", "nothing")
    assert (status, out) == (2, "")
    assert "there is no config 'nothing': use " in err


def test_a_run_goes_where_it_is_told(run: Run, tmp_path: Path) -> None:
    root = write_tiny_data(tmp_path / "data")
    config = tiny_yaml(tmp_path / "tiny.yaml")
    status, _, err = run("train", config, "--data", f"ucm:{root / 'ucm'}", "--out", "deep/[mine]", "--device", "cpu")
    assert status == 0, err
    assert "deep/[mine]/best" in err  # brackets are text, not markup
    assert (tmp_path / "deep" / "[mine]" / "best" / "model.safetensors").is_file()


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["nothing"], "there is no config 'nothing': use "),
        (["broken.yaml", "--data-root", "data"], "broken.yaml: unknown key 'nome'"),
        (["tiny.yaml", "--set", "loss.scal=3"], "--set: tiny: loss: unknown key 'scal'; it may have scale"),
        (["tiny.yaml", "--set", "loss.scale=1e1"], "(YAML wants a point in it: 1.0e-3)"),
        (["tiny.yaml", "--set", "loss"], "--set: a setting is given as NAME=VALUE"),
        (["tiny.yaml", "--set", "seed=3", "--seed", "4"], "two seeds are given"),
        (["tiny.yaml", "--set", "data.splits=[train]", "--splits", "train"], "splits are given twice"),
        (["tiny.yaml", "--splits", "train,val"], "the split val is for measuring"),
        (["tiny.yaml"], "where is data set ucm? give --data ucm:FOLDER"),
        (["tiny.yaml", "--data-root", "nowhere"], "there is no folder"),
        (["tiny.yaml", "--data", "ucm:nowhere"], "there is no folder"),
        (["tiny.yaml", "--data", "ucm"], "'ucm' does not name a data set"),
        (["tiny.yaml", "--data", "rsicd:pictures/ucm"], "tiny trains on ucm, not on rsicd"),
        (["tiny.yaml", "--data-root", "data", "--device", "tpu"], "device 'tpu' cannot be used"),
        (["tiny.yaml", "--data-root", "data", "--out", "tiny.yaml"], "is a file; name another --out"),
        (["tiny.yaml", "--data-root", "data", "--out", "tiny.yaml/run"], "is a file; name another --out"),
        (["lacking.yaml", "--data-root", "data"], "initial weights trunk.safetensors are not there"),
    ],
)
def test_what_cannot_be_trained_ends_with_status_2_one_line_and_no_folder(
    run: Run, tmp_path: Path, arguments: list[str], message: str
) -> None:
    write_tiny_data(tmp_path / "pictures")
    if "data" in arguments:  # otherwise there is no folder of that name, which would be found without being named
        (tmp_path / "pictures").rename(tmp_path / "data")
    tiny_yaml(tmp_path / "tiny.yaml")
    tiny_yaml(tmp_path / "lacking.yaml", init="trunk.safetensors")
    broken = tiny_yaml(tmp_path / "broken.yaml")
    broken.write_text(broken.read_text().replace("name:", "nome:"))
    before = sorted(path.name for path in tmp_path.iterdir())
    status, out, err = run("train", *arguments)
    assert (status, out) == (2, "")
    assert err.startswith("rsitr: ")
    assert err.count("\n") == 1
    assert message in err
    assert sorted(path.name for path in tmp_path.iterdir()) == before


def test_a_folder_that_takes_no_file_is_found_before_the_work(
    run: Run, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(os, "access", lambda _path, _mode: False)
    status, _, err = run("train", tiny_yaml(tmp_path / "tiny.yaml"), "--out", "x")
    assert status == 2
    assert "no permission to write in" in err


SLOW = """
import sys, time
sys.path.insert(0, sys.argv.pop(1))
from rsitr.cli.app import main
from rsitr.models.compact import TRUNKS
from tiny import TinyTrunk

class SlowTrunk(TinyTrunk):
    def forward(self, images):
        time.sleep(0.2)
        return super().forward(images)

TRUNKS["mobilenetv2"] = SlowTrunk
sys.argv[0] = "rsitr"
main()
"""


def test_ctrl_c_keeps_what_was_done_and_the_same_command_goes_on(run: Run, tmp_path: Path) -> None:
    """With a loader process, which must outlive the signal until its last batch is used."""
    write_tiny_data(tmp_path / "data")
    config = tiny_yaml(tmp_path / "tiny.yaml", workers=1)
    arguments = ["train", config.name, "--data-root", "data", "--out", "run", "--device", "cpu"]
    process = subprocess.Popen(
        [sys.executable, "-c", SLOW, str(Path(__file__).resolve().parents[2]), *arguments],
        cwd=tmp_path,
        text=True,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        start_new_session=True,  # as in a terminal, where Ctrl-C reaches the loader's processes, too
    )
    log = tmp_path / "run" / "log.jsonl"
    deadline = time.monotonic() + 300
    while not (log.is_file() and entries(log)[-1:] and entries(log)[-1]["step"] > 8):  # the first unfrozen step
        assert process.poll() is None, process.communicate()
        assert time.monotonic() < deadline
        time.sleep(0.02)
    os.killpg(process.pid, signal.SIGINT)
    _, err = process.communicate(timeout=120)
    assert process.returncode == 130, err
    assert "interrupted; the same command goes on from run" in err
    assert "Traceback" not in err
    assert (tmp_path / "run" / "state.pt").is_file()

    config.write_text(config.read_text().replace("workers: 1", "workers: 0"))
    status, _, err = run(*arguments)
    assert status == 0, err
    assert "best: epoch" in err
    assert [entry["step"] for entry in entries(log) if entry["kind"] == "val"] == [8, 16]


def entries(log: Path) -> list[dict[str, int]]:
    """Whole lines only: the last one may be in the making."""
    return [json.loads(line) for line in log.read_text().split("\n")[:-1]]
