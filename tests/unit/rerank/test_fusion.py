"""Re-ranking with a fusion model: its plan, its candidates, and what becomes of the rest."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

from fusions import paper_fusion, scorer_of
from rsitr.errors import ConfigError
from rsitr.rerank.fusion import FusionReranker, place_above, top_candidates
from rsitr.rerank.plan import FusionPlan, parse_fusion, parse_method

TEXTS = ["a red square", "one block", "the ground", "a green field ."]


def test_plans_are_read_as_they_are_written() -> None:
    plan = parse_fusion("fusion:runs/x/best,top=5,weight=2.5")
    assert plan == FusionPlan("runs/x/best", top=5, weight=2.5)
    assert parse_fusion(str(plan)) == plan
    assert parse_fusion("fusion:runs/x") == FusionPlan("runs/x", top=128, weight=0.0)
    assert parse_method("fusion:runs/x") == parse_fusion("fusion:runs/x")
    assert str(parse_method("sar:k=3")) == "sar:k=3"


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("fusion:", "names no checkpoint"),
        ("fusion:x,depth=3", "cannot read 'depth=3'"),
        ("fusion:x,top=3,top=4", "once"),
        ("fusion:x,top=many", "must be a number, got 'many'"),
        ("fusion:x,top=0", "top must be at least 1"),
        ("fusion:x,weight=-1", "weight must be at least 0"),
        ("fusion:x,weight=nan", "weight must be at least 0"),
        ("magic", "unknown re-ranking method"),
    ],
)
def test_plans_that_make_no_sense(text: str, message: str) -> None:
    with pytest.raises(ConfigError, match=message):
        parse_method(text)


def test_the_rest_keeps_its_order_below() -> None:
    torch.manual_seed(0)
    base = torch.randn(6, 40)
    candidates = top_candidates(base, top=7)
    assert torch.equal(candidates, base.topk(7).indices)
    values = torch.randn(6, 7) * 100
    placed = place_above(base, candidates=candidates, values=values)
    order = placed.argsort(dim=1, descending=True)
    assert torch.equal(order[:, :7], candidates.gather(1, values.argsort(dim=1, descending=True)))
    assert torch.equal(order[:, 7:], base.argsort(dim=1, descending=True)[:, 7:])


@pytest.fixture
def setting(tmp_path: Path) -> dict[str, Any]:
    """Four texts and five images."""
    model = paper_fusion()
    for parameter in model.fusion.parameters():
        parameter.data.add_(0.3 * torch.randn_like(parameter))
    scorer = scorer_of(model.eval(), tmp_path)
    rng = np.random.default_rng(0)
    images = scorer.encode_images([rng.integers(0, 256, size=(32, 32, 3), dtype=np.uint8) for _ in range(5)])
    return {"scorer": scorer, "texts": scorer.encode_texts(TEXTS), "images": images}


@pytest.mark.parametrize("direction", ["text_to_image", "image_to_text"])
def test_candidates_are_ranked_by_the_fusion_model(setting: dict[str, Any], direction: Any) -> None:
    full = setting["scorer"].score_all(setting["texts"], setting["images"])
    first = torch.rand(4, 5)
    everything = FusionReranker(FusionPlan("x", top=100), **setting)(first, direction=direction)
    torch.testing.assert_close(everything, full.double(), atol=1e-5, rtol=1e-5)

    some = FusionReranker(FusionPlan("x", top=2), **setting)(first, direction=direction)
    lists, base, read = (some, first, full) if direction == "text_to_image" else (some.T, first.T, full.T)
    for new, old, value in zip(lists, base, read, strict=True):
        second = old.sort(descending=True).values[1]
        chosen = (old >= second).nonzero().flatten()
        torch.testing.assert_close(new[chosen], value[chosen].double(), atol=1e-5, rtol=1e-5)
        rest = (old < second).nonzero().flatten()
        assert new[rest].max() < new[chosen].min()
        assert torch.equal(new[rest].argsort(stable=True), old[rest].argsort(stable=True))


def test_the_first_stage_has_a_say_where_it_is_given_a_weight(setting: dict[str, Any]) -> None:
    first = torch.rand(4, 5)
    plain, mixed = (
        FusionReranker(FusionPlan("x", top=5, weight=weight), **setting)(first, direction="text_to_image")
        for weight in (0.0, 3.0)
    )
    torch.testing.assert_close(mixed, plain + 3.0 * first, atol=1e-5, rtol=1e-5)
