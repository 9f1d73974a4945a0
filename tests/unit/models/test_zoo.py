from __future__ import annotations

from dataclasses import asdict
from pathlib import Path

import pytest

from rsitr.errors import ConfigError, ModelError
from rsitr.models import CheckpointConfig, load_model, save_checkpoint, zoo
from rsitr.models.compact import TRUNKS
from tiny import TinyTrunk, tiny_model


@pytest.fixture
def packaged(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A package with one model, `small`."""
    monkeypatch.setitem(TRUNKS, "mobilenetv2", TinyTrunk)
    monkeypatch.setattr(zoo, "PACKAGED", tmp_path / "weights")
    model = tiny_model()
    config = CheckpointConfig(kind="compact", name="small", model=asdict(model.config))
    save_checkpoint(tmp_path / "weights" / "small", config=config, weights=dict(model.state_dict()))
    return tmp_path


def test_a_packaged_model_goes_by_its_name(packaged: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(packaged)
    (packaged / "small").mkdir()  # a folder that happens to be called so does not hide it
    model = load_model("small", device="cpu")
    assert (model.name, model.dim) == ("small", 16)
    assert zoo.describe_models() == "small"


def test_a_checkpoint_folder_goes_by_its_path(packaged: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (packaged / "weights" / "small").rename(packaged / "mine")
    monkeypatch.chdir(packaged)
    monkeypatch.setenv("HOME", str(packaged))
    for name in ("mine", "./mine", str(packaged / "mine"), "~/mine"):
        assert load_model(name, device="cpu").name == name
    assert zoo.describe_models() == "a trained model"


@pytest.mark.parametrize("name", ["compakt", "ViT-Z-99:openai", "runs/nothing", "no/such:thing"])
@pytest.mark.usefixtures("packaged")
def test_an_unknown_model_is_told_what_there_is(name: str) -> None:
    with pytest.raises(ModelError, match=rf"no model '{name}': use small, a checkpoint folder, an open_clip") as raised:
        load_model(name)
    assert "\n" not in str(raised.value)


def test_a_folder_that_is_no_checkpoint_says_so(tmp_path: Path) -> None:
    with pytest.raises(ModelError, match=r"is no checkpoint, it has no config\.json"):
        load_model(str(tmp_path))


def test_a_device_that_is_not_there_is_no_matter_of_the_model(packaged: Path) -> None:
    with pytest.raises(ConfigError, match="device 'tpu' cannot be used"):
        load_model("small", device="tpu")
