from __future__ import annotations

from itertools import pairwise

import pytest
import torch
from torch import nn

from rsitr.training.optim import build_optimizer, learning_rate


def test_biases_and_1d_parameters_have_no_decay() -> None:
    first = nn.Sequential(nn.Linear(3, 4), nn.LayerNorm(4))
    scale, trunk = nn.Parameter(torch.tensor(2.0)), nn.Conv2d(1, 1, 3)
    optimizer = build_optimizer(
        [([*first.parameters(), scale], 1e-3), (trunk.parameters(), 1e-5)], weight_decay=0.7, beta2=0.98
    )
    found = {
        id(parameter): (group["weight_decay"], group["peak_lr"], group["betas"])
        for group in optimizer.param_groups
        for parameter in group["params"]
    }
    assert len(found) == 7
    assert found[id(first[0].weight)] == (0.7, 1e-3, (0.9, 0.98))
    for parameter in (first[0].bias, first[1].weight, first[1].bias, scale):
        assert found[id(parameter)] == (0.0, 1e-3, (0.9, 0.98))
    assert found[id(trunk.weight)] == (0.7, 1e-5, (0.9, 0.98))
    assert found[id(trunk.bias)] == (0.0, 1e-5, (0.9, 0.98))


def test_decay_shrinks_matrices_and_nothing_else() -> None:
    layer = nn.Linear(3, 3)
    before = {name: value.detach().clone() for name, value in layer.named_parameters()}
    optimizer = build_optimizer([(layer.parameters(), 0.1)], weight_decay=0.5, beta2=0.99)
    for parameter in layer.parameters():
        parameter.grad = torch.zeros_like(parameter)
    optimizer.step()
    torch.testing.assert_close(layer.weight.detach(), before["weight"] * (1 - 0.1 * 0.5))
    assert torch.equal(layer.bias.detach(), before["bias"])


def test_adam_scales_decay_like_a_gradient() -> None:
    """With nothing but decay, Adam's first step is the learning rate whatever the weight; AdamW's is in proportion."""
    layer = nn.Linear(3, 3)
    before = layer.weight.detach().clone()
    optimizer = build_optimizer([(layer.parameters(), 0.01)], name="adam", weight_decay=0.5, beta2=0.99)
    for parameter in layer.parameters():
        parameter.grad = torch.zeros_like(parameter)
    optimizer.step()
    torch.testing.assert_close(layer.weight.detach(), before - 0.01 * before.sign(), rtol=1e-4, atol=1e-6)


def test_the_rate_grows_then_falls_to_0() -> None:
    rates = [learning_rate(step, peak=2.0, warmup_steps=10, total_steps=50) for step in range(51)]
    assert rates[:10] == pytest.approx([0.2 * (step + 1) for step in range(10)])
    assert rates[10] == pytest.approx(2.0)
    assert rates[30] == pytest.approx(1.0)  # half of the way
    assert rates[50] == pytest.approx(0.0)
    assert all(later < earlier for earlier, later in pairwise(rates[10:]))


def test_without_warm_up_it_starts_at_the_peak() -> None:
    assert learning_rate(0, peak=3.0, warmup_steps=0, total_steps=5) == 3.0


@pytest.mark.parametrize("step", [4, 5, 99])
def test_a_warm_up_longer_than_the_run_never_leaves_the_ramp_or_the_floor(step: int) -> None:
    rate = learning_rate(step, peak=1.0, warmup_steps=5, total_steps=3)
    assert 0 <= rate <= 1
