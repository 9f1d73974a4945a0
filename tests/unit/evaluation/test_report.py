from __future__ import annotations

import csv
import io
from pathlib import Path
from typing import Any

import numpy as np
import pytest

import rsitr
from rsitr.data import load_dataset
from rsitr.errors import ConfigError, DataError, ModelError
from rsitr.evaluation import evaluate, retrieval_metrics
from rsitr.evaluation.protocol import encode_split, score_split
from rsitr.evaluation.report import override
from rsitr.models import TorchEncoder
from rsitr.models.compact import TRUNKS
from rsitr.types import Mixture
from tiny import TinyTrunk, tiny_encoder, tiny_model, write_tiny_data

KEYS = {
    "model",
    "data",
    "split",
    "n_images",
    "n_texts",
    "image_to_text",
    "text_to_image",
    "mR",
    "mR_best",
    "mR_worst",
    "mR_ceiling",
    "time_s",
    "settings",
    "data_sha256",
}


@pytest.fixture
def encoder(monkeypatch: pytest.MonkeyPatch) -> TorchEncoder:
    monkeypatch.setitem(TRUNKS, "mobilenetv2", TinyTrunk)
    return tiny_encoder(tiny_model(), mixture=Mixture(alpha=1.0, beta=0.5, norm="rms"))


@pytest.fixture
def data(tmp_path: Path) -> str:
    return f"ucm:{write_tiny_data(tmp_path) / 'ucm'}"


def test_a_report_says_all_there_is_to_say(encoder: TorchEncoder, data: str) -> None:
    done: list[tuple[int, int]] = []
    report = evaluate(encoder, data=data, device="cpu", progress=lambda *numbers: done.append(numbers))
    found = report.as_dict()
    assert found.keys() == KEYS
    assert (found["model"], found["data"], found["split"]) == ("tiny", data, "val")
    assert (found["n_images"], found["n_texts"]) == (4, 20)
    assert found["data_sha256"] == load_dataset(data).sha256
    assert found["mR"] == report.mR == report.result.metrics.mR
    settings = found["settings"]
    assert settings["mixture"] == {"alpha": 1.0, "beta": 0.5, "norm": "rms"}
    assert (settings["fingerprint"], settings["device"], settings["rerank"]) == ("0" * 64, "cpu", None)
    assert done == [(4, 4)]


def test_the_model_may_be_asked_for_another_mixture(encoder: TorchEncoder, data: str) -> None:
    mixture = Mixture(alpha=0.0, beta=1.0)
    found = evaluate(encoder, data=data, mixture=mixture, device="cpu")
    split = encode_split(encoder, load_dataset(data).split("val"))
    scores = score_split(split, mixture=mixture).numpy()[split.caption_text]
    assert found.mR == retrieval_metrics(scores, text_image=split.text_image).mR
    assert found.settings["mixture"]["beta"] == 1.0


def test_a_split_is_read_by_name_and_test_only_so(
    encoder: TorchEncoder, data: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    from rsitr.evaluation import protocol

    read: list[str] = []
    open_picture = protocol.read_image

    def note(image: Any) -> Any:
        read.append(image.split)
        return open_picture(image)

    monkeypatch.setattr(protocol, "read_image", note)
    evaluate(encoder, data=data, device="cpu")
    assert set(read) == {"val"}
    assert evaluate(encoder, data=data, split="train", device="cpu").split == "train"
    with pytest.raises(DataError, match=r"ucm has no split 'test'; the splits there are: train \(8 images\), val"):
        evaluate(encoder, data=data, split="test")


def test_every_query_has_its_rank(encoder: TorchEncoder, data: str) -> None:
    report = evaluate(encoder, data=data, device="cpu")
    rows = list(csv.DictReader(io.StringIO(report.per_query_csv())))
    images = load_dataset(data).split("val")
    assert [row["query"] for row in rows[:4]] == [image.image_id for image in images]
    assert [row["query"] for row in rows[4:]] == [caption for image in images for caption in image.captions]
    assert [row["direction"] for row in rows] == ["image_to_text"] * 4 + ["text_to_image"] * 20
    split = encode_split(encoder, images)
    scores = score_split(split, mixture=encoder.mixture).numpy()[split.caption_text]
    for number, row in enumerate(rows[4:]):
        own = scores[number, split.text_image[number]]
        better, equal = int((scores[number] > own).sum()), int((scores[number] == own).sum())
        assert (int(row["better"]), int(row["equal"]), int(row["relevant"])) == (better, equal, 1)
        assert (int(row["rank_best"]), int(row["rank_worst"])) == (better + 1, better + equal)
        assert float(row["rank_mean"]) == pytest.approx(better + (equal + 1) / 2)
    hits = np.mean([float(row["rank_best"]) <= 1 for row in rows[4:]])
    assert 100 * hits >= report.result.metrics.text_to_image["R@1"]


def test_bootstrap_intervals_are_there_on_request(encoder: TorchEncoder, data: str) -> None:
    report = evaluate(encoder, data=data, bootstrap=50, device="cpu")
    found = report.as_dict()
    assert found.keys() == KEYS | {"intervals"}
    interval = found["intervals"]["mR"]
    assert interval["low"] <= report.mR <= interval["high"]
    assert found["intervals"]["image_to_text"].keys() == {"R@1", "R@5", "R@10"}
    again = evaluate(encoder, data=data, bootstrap=50, device="cpu").as_dict()
    assert again["intervals"] == found["intervals"]


def test_a_reranking_is_named(encoder: TorchEncoder, data: str) -> None:
    report = evaluate(encoder, data=data, rerank="sar:k=3", device="cpu")
    assert report.settings["rerank"] == "sar:k=3"
    assert report.result.rerank_s > 0


@pytest.mark.parametrize(
    ("settings", "error", "message"),
    [
        ({"batch_size": 0}, ConfigError, "batch size 0"),
        ({"bootstrap": -1}, ConfigError, "bootstrap -1"),
        ({"device": "tpu"}, ConfigError, "device 'tpu' cannot be used"),
        ({"rerank": "magic"}, ConfigError, "magic"),
        ({"data": "coco:x"}, DataError, "unknown data set 'coco'"),
        ({"split": "exam"}, DataError, "no split 'exam'"),
        ({"model": "compakt"}, ModelError, "there is no model 'compakt'"),
    ],
)
def test_what_cannot_be_done_is_one_line(
    encoder: TorchEncoder, data: str, settings: dict[str, Any], error: type[Exception], message: str
) -> None:
    arguments: dict[str, Any] = {"model": encoder, "data": data} | settings
    with pytest.raises(error, match=message) as raised:
        evaluate(arguments.pop("model"), **arguments)
    assert "\n" not in str(raised.value)


def test_parts_of_a_mixture_are_replaced() -> None:
    mixture = Mixture(alpha=1.0, beta=0.5, norm="rms")
    assert override(mixture, alpha=None, beta=None, norm=None) == mixture
    assert override(mixture, alpha=None, beta=0.0, norm="l2") == Mixture(alpha=1.0, beta=0.0, norm="l2")


def test_it_is_there_under_the_packages_name() -> None:
    assert rsitr.evaluate is evaluate
