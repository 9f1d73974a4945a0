"""`rsitr ablate` end to end on small data."""

from __future__ import annotations

import sys
from collections.abc import Callable
from pathlib import Path

import pytest

from rsitr.ablation import running
from rsitr.cli.app import main
from rsitr.models.compact import TRUNKS
from rsitr.training.loop import Interrupted
from tiny import TinyTrunk, tiny_yaml, write_tiny_data

Run = Callable[..., tuple[int, str, str]]
GRID = """title: Parts
source: us
cells:
  - {name: all}
  - {name: sorted, measure: {rerank: "sar:k=3"}}
  - {name: without KER, train: {ker.weight: 0.0}}
"""


@pytest.fixture
def run(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], tmp_path: Path) -> Run:
    """Run `rsitr ablate ...` in a folder of its own; status, stdout, stderr."""
    monkeypatch.setitem(TRUNKS, "mobilenetv2", TinyTrunk)
    monkeypatch.chdir(tmp_path)
    monkeypatch.delenv("RSITR_DATA", raising=False)
    write_tiny_data(tmp_path / "data")
    tiny_yaml(tmp_path / "tiny.yaml")
    (tmp_path / "parts.yaml").write_text(GRID)

    def run(*arguments: object) -> tuple[int, str, str]:
        monkeypatch.setattr(sys, "argv", ["rsitr", "ablate", *map(str, arguments)])
        with pytest.raises(SystemExit) as exit_:
            main()
        shown = capsys.readouterr()
        return int(exit_.value.code or 0), shown.out, shown.err

    return run


def test_from_a_grid_to_its_table_and_figure(run: Run, tmp_path: Path) -> None:
    arguments = ("parts.yaml", "--base", "tiny.yaml", "--seeds", 2, "--device", "cpu")
    status, out, err = run(*arguments)
    assert status == 0, err
    folder = tmp_path / "runs" / "ablations" / "tiny"
    assert "tiny: 4 runs, 0 of them done" in err
    assert "run 1 of 4: seed 0, as it is" in err
    assert "run 4 of 4: seed 1, ker.weight 0.0" in err
    table = (folder / "parts.md").read_text()
    assert out == table
    assert "- command: `rsitr ablate parts.yaml --base tiny.yaml" in table
    for name in ("all", "sorted", "without KER"):
        assert f"| {name} | " in table
    assert (folder / "parts.csv").read_text().count("\n") == 4
    assert (folder / "parts.png").stat().st_size > 5000
    assert len(list((folder / "runs").glob("*.json"))) == 4

    status, again, err = run(*arguments)
    assert (status, again) == (0, out)
    assert "4 runs, 4 of them done" in err
    assert "run 1 of" not in err


def test_an_interrupted_ablation_says_how_to_go_on(run: Run, monkeypatch: pytest.MonkeyPatch) -> None:
    def stop(_run: object) -> None:
        raise Interrupted

    monkeypatch.setattr(running, "_train", stop)
    status, out, err = run("parts.yaml", "--base", "tiny.yaml", "--into", "here", "--device", "cpu")
    assert (status, out) == (130, "")
    assert "interrupted; the same command goes on from here" in err


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["table9", "--base", "tiny.yaml"], "there is no ablation 'table9': use "),
        (["parts.yaml", "--base", "nothing"], "there is no config 'nothing'"),
        (["parts.yaml", "--base", "tiny.yaml", "--into", "tiny.yaml"], "is a file; name another --into"),
        (["parts.yaml", "--base", "tiny.yaml", "--data-root", "nowhere"], "there is no folder"),
        (["parts.yaml", "--base", "tiny.yaml", "--device", "tpu"], "device 'tpu' cannot be used"),
    ],
)
def test_what_cannot_be_done_ends_with_status_2_and_one_line(
    run: Run, tmp_path: Path, arguments: list[str], message: str
) -> None:
    status, out, err = run(*arguments)
    assert (status, out) == (2, "")
    assert message in err.splitlines()[-1]
    assert not (tmp_path / "runs").exists()
