from __future__ import annotations

import contextlib
import json
from collections.abc import Callable
from dataclasses import asdict, replace
from pathlib import Path

import numpy as np
import pytest
import safetensors.torch
import torch

from rsitr.errors import ModelError, RsitrError
from rsitr.files import fingerprint_files
from rsitr.models import CheckpointConfig, load_checkpoint, load_model, save_checkpoint
from rsitr.models.checkpoint import CONFIG_FILE, WEIGHTS_FILE
from rsitr.models.compact import TRUNKS
from rsitr.types import Mixture
from tiny import TinyTrunk, tiny_encoder, tiny_model

INFERENCE = {
    "mixture": {"alpha": 1.0, "beta": 0.4, "norm": "rms"},
    "local_tokens": "valid_sos",
    "resize": "crop",
    "interpolation": "bicubic",
}


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A checkpoint of the tiny model."""
    monkeypatch.setitem(TRUNKS, "mobilenetv2", TinyTrunk)
    model = tiny_model()
    config = CheckpointConfig(kind="compact", name="tiny", model=asdict(model.config), inference=INFERENCE)
    save_checkpoint(tmp_path / "tiny", config=config, weights=dict(model.state_dict()))
    return tmp_path / "tiny"


def edit(folder: Path, change: Callable[[dict], object]) -> None:
    content = json.loads((folder / CONFIG_FILE).read_text())
    change(content)
    (folder / CONFIG_FILE).write_text(json.dumps(content))


def as_stored(value: torch.Tensor) -> torch.Tensor:
    """What a checkpoint keeps of a weight: matrices in fp16, vectors as they are."""
    return value.half().float() if value.ndim > 1 else value


def test_matrices_come_back_as_fp16_holds_them_and_vectors_exactly(folder: Path) -> None:
    weights = load_checkpoint(folder).weights
    before = tiny_model().state_dict()
    assert weights.keys() == before.keys()
    for name, value in before.items():
        assert weights[name].dtype == torch.float32
        assert torch.equal(weights[name], as_stored(value))


def test_a_checkpoint_is_half_the_size(folder: Path) -> None:
    numbers = sum(value.numel() for value in tiny_model().state_dict().values())
    assert 2 * numbers <= (folder / WEIGHTS_FILE).stat().st_size < 2.2 * numbers


def test_counters_stay_whole_numbers(tmp_path: Path) -> None:
    """fp16 ends at 65,504 and leaves out odd numbers from 2,049 on; a batch norm counts its batches."""
    bn = torch.nn.BatchNorm1d(2)
    bn.num_batches_tracked.fill_(100_001)
    save_checkpoint(tmp_path, config=CheckpointConfig(kind="x", name="x", model={}), weights=bn.state_dict())
    found = load_checkpoint(tmp_path).weights["num_batches_tracked"]
    assert (found.item(), found.dtype) == (100_001, torch.int64)


def test_the_model_of_a_checkpoint_encodes_as_before(folder: Path) -> None:
    model = tiny_model()
    model.load_state_dict({name: as_stored(value) for name, value in model.state_dict().items()})
    before = tiny_encoder(model, local_tokens="valid_sos", resize="crop", interpolation="bicubic")
    after = load_model(str(folder), device="cpu")
    picture = np.random.default_rng(0).integers(0, 256, (40, 60, 3), dtype=np.uint8)
    np.testing.assert_array_equal(after.encode_images([picture]).global_emb, before.encode_images([picture]).global_emb)
    texts = after.encode_texts(["a farm"])
    np.testing.assert_array_equal(texts.global_emb, before.encode_texts(["a farm"]).global_emb)
    assert texts.token_mask.tolist() == [[True, True, True, False]]
    assert after.mixture == Mixture(alpha=1.0, beta=0.4, norm="rms")
    assert after.name == str(folder)


def test_others_may_read_it_and_nothing_is_left_over(folder: Path) -> None:
    assert {path.name for path in folder.iterdir()} == {CONFIG_FILE, WEIGHTS_FILE}
    assert (folder / WEIGHTS_FILE).stat().st_mode & 0o044 == 0o044


def test_the_fingerprint_follows_weights_and_settings(folder: Path) -> None:
    before = load_checkpoint(folder).fingerprint
    assert before == load_checkpoint(folder).fingerprint == load_model(str(folder), device="cpu").fingerprint
    edit(folder, lambda content: content["inference"].update(resize="squash"))
    settings = load_checkpoint(folder).fingerprint
    assert settings == fingerprint_files(folder / CONFIG_FILE, folder / WEIGHTS_FILE)
    edit(folder, lambda content: content.update(weights_sha256=""))
    unnamed = load_checkpoint(folder).fingerprint
    change_weights(folder)
    assert len({before, settings, unnamed, load_checkpoint(folder).fingerprint}) == 4


def test_a_checkpoint_from_before_the_digest_loads(folder: Path) -> None:
    weights = load_checkpoint(folder).weights
    edit(folder, lambda content: content.pop("weights_sha256"))
    assert all(torch.equal(value, weights[name]) for name, value in load_checkpoint(folder).weights.items())


@pytest.mark.parametrize("digest", [True, False])
@pytest.mark.parametrize("replaced", [0, 1, 2])
def test_an_interrupted_save_mixes_nothing(
    folder: Path, replaced: int, digest: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Killed after so many of its two files were put in place of the old ones, which may be of an older version."""
    if not digest:
        edit(folder, lambda content: content.pop("weights_sha256"))
    old = load_checkpoint(folder)
    weights = {name: value + 1 for name, value in old.weights.items()}
    put, left = Path.replace, iter(range(replaced))

    def replace_or_die(part: Path, target: Path) -> Path:
        if next(left, None) is None:
            raise KeyboardInterrupt
        return put(part, target)

    with monkeypatch.context() as patch, contextlib.suppress(KeyboardInterrupt):
        patch.setattr(Path, "replace", replace_or_die)
        save_checkpoint(folder, config=replace(old.config, name="new"), weights=weights)
    if replaced == 1:
        with pytest.raises(ModelError, match=r"is not what config\.json was saved with: .*rename \.model\.safet"):
            load_checkpoint(folder)
        (folder / f".{WEIGHTS_FILE}.part").replace(folder / WEIGHTS_FILE)
    found = load_checkpoint(folder)
    is_new = replaced > 0
    assert found.config.name == ("new" if is_new else "tiny")
    for name, value in (weights if is_new else old.weights).items():
        assert torch.equal(found.weights[name], as_stored(value))


def test_who_reads_while_another_saves_gets_no_mixture(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Weights are loaded, then put in place are those that the config speaks of already."""
    path, read = folder / WEIGHTS_FILE, safetensors.torch.load_file
    new = tiny_model()
    torch.nn.init.zeros_(new.image.embed.weight)
    save_checkpoint(folder / "new", config=load_checkpoint(folder).config, weights=dict(new.state_dict()))
    (folder / "new" / CONFIG_FILE).replace(folder / CONFIG_FILE)

    def load(file: Path) -> dict[str, torch.Tensor]:
        found = read(file)
        (folder / "new" / WEIGHTS_FILE).replace(path)
        return found

    with monkeypatch.context() as patch:
        patch.setattr("safetensors.torch.load_file", load)
        with pytest.raises(ModelError, match="then try again"):
            load_checkpoint(folder)
    assert not load_checkpoint(folder).weights["image.embed.weight"].any()


def test_a_fingerprint_is_sha256_over_all_files(tmp_path: Path) -> None:
    import hashlib

    (tmp_path / "a").write_bytes(b"one")
    (tmp_path / "b").write_bytes(b"two")
    assert fingerprint_files(tmp_path / "a", tmp_path / "b") == hashlib.sha256(b"onetwo").hexdigest()


def change_weights(folder: Path) -> None:
    weights = bytearray((folder / WEIGHTS_FILE).read_bytes())
    weights[-1] ^= 1
    (folder / WEIGHTS_FILE).write_bytes(weights)


def lack_config(folder: Path) -> None:
    (folder / CONFIG_FILE).unlink()


def lack_weights(folder: Path) -> None:
    (folder / WEIGHTS_FILE).unlink()


def break_json(folder: Path) -> None:
    (folder / CONFIG_FILE).write_text("{no json")


def wrong_encoding(folder: Path) -> None:
    (folder / CONFIG_FILE).write_bytes(b'{"format": "\xff"}')


def list_json(folder: Path) -> None:
    (folder / CONFIG_FILE).write_text("[1]")


def lack_format(folder: Path) -> None:
    edit(folder, lambda content: content.pop("format"))


def newer_format(folder: Path) -> None:
    """With keys that this version doesn't know: the version is what the person has to hear of."""
    edit(folder, lambda content: content.update(format=2, extra=1))


def extra_key(folder: Path) -> None:
    edit(folder, lambda content: content.update(extra=1))


def truncate(folder: Path) -> None:
    file = folder / WEIGHTS_FILE
    file.write_bytes(file.read_bytes()[:-100])


def empty_weights(folder: Path) -> None:
    (folder / WEIGHTS_FILE).write_bytes(b"")


def unknown_kind(folder: Path) -> None:
    edit(folder, lambda content: content.update(kind="bert"))


def unknown_size(folder: Path) -> None:
    edit(folder, lambda content: content["model"].update(depth=3))


def impossible_size(folder: Path) -> None:
    edit(folder, lambda content: content["model"].update(text_heads=3))


def text_as_size(folder: Path) -> None:
    edit(folder, lambda content: content["model"].update(dim="16"))


def misfit(folder: Path) -> None:
    edit(folder, lambda content: content["model"].update(dim=32))


def unknown_inference(folder: Path) -> None:
    edit(folder, lambda content: content["inference"].update(sharpen=True))


def unknown_resize(folder: Path) -> None:
    edit(folder, lambda content: content["inference"].update(resize="pad"))


def unknown_mixture(folder: Path) -> None:
    edit(folder, lambda content: content["inference"]["mixture"].update(gamma=1))


def rerank_as_number(folder: Path) -> None:
    edit(folder, lambda content: content["inference"].update(rerank=20))


def inference_as_text(folder: Path) -> None:
    edit(folder, lambda content: content.update(inference="fast"))


def other_architecture(folder: Path) -> None:
    edit(folder, lambda content: content.update(kind="open_clip", model={"architecture": "ViT-Z-99"}))


def no_architecture(folder: Path) -> None:
    edit(folder, lambda content: content.update(kind="open_clip", model={}))


@pytest.mark.parametrize(
    ("damage", "message"),
    [
        (lack_config, r"is no checkpoint, it has no config\.json"),
        (lack_weights, r"has no model\.safetensors; copy the whole"),
        (break_json, "cannot be read as JSON"),
        (wrong_encoding, "cannot be read as JSON"),
        (list_json, "names no format"),
        (lack_format, "names no format"),
        (newer_format, "has format 2, this rsitr reads format 1; update rsitr"),
        (extra_key, "is not a checkpoint's config .*extra"),
        (truncate, "cannot be read as safetensors"),
        (empty_weights, "cannot be read as safetensors"),
        (change_weights, r"is not what config\.json was saved with"),
        (unknown_kind, "of kind 'bert'"),
        (unknown_size, "does not fit this rsitr: .*depth"),
        (impossible_size, "does not fit this rsitr: .*text_heads"),
        (text_as_size, "does not fit this rsitr: dim must be a whole number"),
        (misfit, r"not those of this compact model \(.* is \(.*\) in place of \(.*\)"),
        (unknown_inference, "unknown inference setting 'sharpen'"),
        (unknown_resize, "resize is 'pad'; it may be squash, crop"),
        (unknown_mixture, "gamma"),
        (rerank_as_number, "inference setting rerank is 20; it is a text such as sar:k=20"),
        (inference_as_text, "does not fit this rsitr"),
        (other_architecture, "no architecture 'ViT-Z-99'"),
        (no_architecture, "architecture"),
    ],
)
def test_a_damaged_checkpoint_is_one_clear_line(folder: Path, damage: Callable[[Path], None], message: str) -> None:
    damage(folder)
    with pytest.raises(ModelError, match=message) as raised:
        load_model(str(folder), device="cpu")
    assert "\n" not in str(raised.value)


def test_an_unknown_norm_is_found_when_it_is_used(folder: Path) -> None:
    from rsitr.similarity import score_pairs

    edit(folder, lambda content: content["inference"]["mixture"].update(norm="l7"))
    model = load_model(str(folder), device="cpu")
    texts, images = model.encode_texts(["a"]), model.encode_images([np.zeros((32, 32, 3), dtype=np.uint8)])
    with pytest.raises(RsitrError, match="'l7'"):
        score_pairs(texts=texts, images=images, mixture=model.mixture)
