from __future__ import annotations

import pytest
import torch

from rsitr.data.augmentation import OPERATIONS, RandAugment
from rsitr.errors import ConfigError

PICTURE = torch.randint(0, 200, (3, 24, 24), generator=torch.Generator().manual_seed(0), dtype=torch.uint8)


def test_the_papers_nine_operations() -> None:
    assert list(OPERATIONS) == [
        *("identity", "autocontrast", "equalize", "brightness", "sharpness"),
        *("shear_y", "translate_x", "translate_y", "rotate"),
    ]


@pytest.mark.parametrize("name", OPERATIONS)
def test_an_operation_keeps_the_kind_of_picture(name: str) -> None:
    for amount in (-0.7, 0.7):
        changed = OPERATIONS[name](PICTURE, amount)
        assert changed.shape == PICTURE.shape
        assert changed.dtype == torch.uint8
        assert torch.equal(changed, PICTURE) is (name == "identity")


def test_directions() -> None:
    assert OPERATIONS["brightness"](PICTURE, 0.7).float().mean() > PICTURE.float().mean()
    assert torch.equal(OPERATIONS["translate_x"](PICTURE, 1.0)[:, :, 1:], PICTURE[:, :, :-1])
    assert torch.equal(OPERATIONS["translate_y"](PICTURE, -1.0)[:, :-1], PICTURE[:, 1:])


def test_draws_follow_the_seed() -> None:
    augment = RandAugment()
    views = []
    for seed in (0, 0, 1, 2, 3):
        torch.manual_seed(seed)
        views.append(augment(PICTURE))
    assert torch.equal(views[0], views[1])
    assert any(not torch.equal(views[0], other) for other in views[2:])


@pytest.mark.parametrize(("count", "magnitude"), [(0, 7), (2, 11), (2, -1)])
def test_settings_out_of_range(count: int, magnitude: int) -> None:
    with pytest.raises(ConfigError, match="RandAugment takes"):
        RandAugment(count=count, magnitude=magnitude)
