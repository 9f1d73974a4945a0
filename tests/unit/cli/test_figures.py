from __future__ import annotations

import sys
from collections.abc import Callable
from dataclasses import asdict
from pathlib import Path

import pytest
from PIL import Image

from rsitr.cli.app import main
from rsitr.models import CheckpointConfig, save_checkpoint
from rsitr.models.compact import TRUNKS
from tiny import TinyTrunk, tiny_model, write_tiny_data

Run = Callable[..., tuple[int, str, str]]


@pytest.fixture
def run(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], tmp_path: Path) -> Run:
    """Run `rsitr figures ...` beside the model `tiny` and the data set `data/ucm`; status, stdout, stderr."""
    monkeypatch.setitem(TRUNKS, "mobilenetv2", TinyTrunk)
    monkeypatch.chdir(tmp_path)
    model = tiny_model()
    config = CheckpointConfig(kind="compact", name="tiny", model=asdict(model.config))
    save_checkpoint(tmp_path / "tiny", config=config, weights=dict(model.state_dict()))
    write_tiny_data(tmp_path / "data")

    def run(*arguments: object) -> tuple[int, str, str]:
        monkeypatch.setattr(sys, "argv", ["rsitr", "figures", *map(str, arguments)])
        with pytest.raises(SystemExit) as exit_:
            main()
        shown = capsys.readouterr()
        return int(exit_.value.code or 0), shown.out, shown.err

    return run


def test_a_folder_of_figures(run: Run, tmp_path: Path) -> None:
    status, out, err = run(
        "tiny", "--data", "ucm:data/ucm", "--into", "deep/figures", "--queries", 4, "--device", "cpu"
    )
    assert (status, err) == (0, "")
    folder = tmp_path / "deep" / "figures"
    words = {f"words-{number}.png" for number in (1, 2, 3)}
    expected = {"retrieval.html", "text-to-image.png", "image-to-text.png", "similarities.png"} | words
    assert {path.name for path in folder.iterdir()} == expected
    assert "deep/figures" in out
    for path in folder.glob("*.png"):
        with Image.open(path) as opened:
            assert min(opened.size) > 150
    page = (folder / "retrieval.html").read_text(encoding="utf-8")
    assert "Retrieval: tiny on ucm val" in page
    assert "rsitr figures tiny --data ucm:data/ucm" in page


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["tiny", "--queries", "5"], "5 queries cannot be drawn from 4 pictures"),
        (["tiny", "--split", "nowhere"], "ucm has no split 'nowhere'"),
        (["nothing"], "there is no model 'nothing'"),
        (["tiny", "--into", "tiny/config.json"], "is a file; name another --into"),
    ],
)
def test_what_cannot_be_drawn_ends_with_status_2_and_one_line(run: Run, arguments: list[str], message: str) -> None:
    defaults = ["--data", "ucm:data/ucm", "--device", "cpu", *([] if "--into" in arguments else ["--into", "out"])]
    status, out, err = run(*arguments, *defaults)
    assert (status, out) == (2, "")
    assert message in err
    assert err.count("\n") == 1
