"""The losses of MTGFE, and where its negatives come from."""

from __future__ import annotations

import math
from pathlib import Path

import numpy as np
import pytest
import torch

from rsitr.data import CaptionedImage
from rsitr.losses import distillation_loss, draw_negatives, itm_loss, mvjrc_loss, output_deviation
from rsitr.training.rows import RowTable


def crowded_table(seed: int) -> RowTable:
    """Images that share captions, within and across, as remote-sensing sets have them."""
    rng = np.random.default_rng(seed)
    return RowTable.of(
        [
            CaptionedImage(
                image_id=f"x/{number}",
                path=Path(f"{number}.png"),
                captions=tuple(f"caption {rng.integers(25)}" for _ in range(5)),
                split="train",
            )
            for number in range(30)
        ]
    )


@pytest.mark.parametrize("hard", [False, True])
def test_no_negative_shares_the_anchors_image_or_an_identical_caption(hard: bool) -> None:
    generator = torch.Generator().manual_seed(0)
    drawn = 0
    for seed in range(40):
        table = crowded_table(seed)
        for rows in np.split(np.random.default_rng(seed).permutation(len(table)), 6):
            belongs = table.belongs(rows)
            # With all the weight on what is forbidden, and next to none on the rest.
            logits = torch.where(belongs, 0.0, -70.0) if hard else None
            found = draw_negatives(belongs, generator=generator, logits=logits)
            for text, image in zip(found.texts.tolist(), found.images.tolist(), strict=True):
                text_row, image_row = rows[text], rows[image]
                assert table.row_image[text_row] != table.row_image[image_row]
                caption = table.captions[table.row_caption[text_row]]
                assert caption not in table.images[table.row_image[image_row]].captions
                assert table.row_caption[text_row] != table.row_caption[image_row]
                drawn += 1
    assert drawn > 10_000


def test_every_image_and_every_text_gets_a_negative_where_there_is_one() -> None:
    found = draw_negatives(torch.eye(6, dtype=torch.bool), generator=torch.Generator())
    assert found.images[:6].tolist() == found.texts[6:].tolist() == list(range(6))
    belongs = torch.eye(3, dtype=torch.bool)
    belongs[:, 0] = True  # every text was written for image 0
    found = draw_negatives(belongs, generator=torch.Generator())
    assert 0 not in found.images.tolist()
    assert found.images[:2].tolist() == [1, 2]
    assert found.texts[2:].tolist() == [0, 1, 2]
    assert len(draw_negatives(torch.ones(2, 2, dtype=torch.bool), generator=torch.Generator()).texts) == 0


def test_logits_make_a_negative_likely() -> None:
    logits = torch.zeros(4, 4)
    logits[2, 0] = math.log(20.0)  # text 2 for image 0
    counts = torch.zeros(4)
    generator = torch.Generator().manual_seed(0)
    for _ in range(400):
        counts[draw_negatives(torch.eye(4, dtype=torch.bool), generator=generator, logits=logits).texts[0]] += 1
    assert counts[2] / 400 == pytest.approx(20 / 22, abs=0.05)
    assert counts[0] == 0


@pytest.mark.parametrize("temperature", [0.02, 0.005])
def test_each_text_and_each_image_has_its_own_scale(temperature: float) -> None:
    """Cosines as a dual encoder gives them, and a text and an image that are near to nothing.

    Beside the best pair of the batch all of theirs would be nothing, and drawn alike.
    """
    cosines = torch.tensor([[0.9, 0.8, 0.75, 0.1], [0.85, 0.9, 0.8, 0.2], [0.7, 0.8, 0.9, 0.0], [0.1, 0.3, 0.0, 0.9]])
    generator = torch.Generator().manual_seed(0)
    allowed = torch.eye(4, dtype=torch.bool)
    logits = cosines / temperature
    drawn = [draw_negatives(allowed, generator=generator, logits=logits) for _ in range(300)]
    by_text = torch.stack([found.images[4:] for found in drawn])
    by_image = torch.stack([found.texts[:4] for found in drawn])
    for counted, relative in ((by_text[:, 3], logits[3]), (by_image[:, 3], logits[:, 3])):
        expected = torch.softmax(relative[:3], dim=0)  # 0.3 against 0.1 and 0.0, 0.2 against 0.1 and 0.0
        found = torch.bincount(counted, minlength=3)[:3] / len(drawn)
        torch.testing.assert_close(found, expected, atol=0.03, rtol=0)


def test_shapes_that_do_not_fit() -> None:
    with pytest.raises(ValueError, match="square"):
        draw_negatives(torch.ones(2, 3, dtype=torch.bool), generator=torch.Generator())
    with pytest.raises(ValueError, match="alike"):
        draw_negatives(torch.eye(2, dtype=torch.bool), generator=torch.Generator(), logits=torch.ones(3, 3))


def test_itm_by_hand() -> None:
    positive, negative = torch.tensor([[0.0, 2.0]]), torch.tensor([[0.0, 0.0], [3.0, 0.0]])
    expected = (math.log(1 + math.exp(-2)) + math.log(2) + math.log(1 + math.exp(-3))) / 3
    assert itm_loss(positive=positive, negative=negative).item() == pytest.approx(expected, abs=1e-6)


def test_mvjrc_by_hand_and_its_gradients() -> None:
    p1, z1, p2, z2 = (torch.tensor([values], requires_grad=True) for values in ([1.0, 0], [3.0, 4], [0.0, 2], [5.0, 0]))
    loss = mvjrc_loss(prediction_1=p1, projection_1=z1, prediction_2=p2, projection_2=z2)
    assert loss.item() == pytest.approx(-(1.0 + 0.8) / 2)
    loss.backward()
    assert z1.grad is None
    assert z2.grad is None
    assert p2.grad is not None
    assert p2.grad.abs().sum() > 0


def test_mvjrc_does_not_care_for_length() -> None:
    torch.manual_seed(0)
    p1, z1, p2, z2 = torch.randn(4, 6, 8)
    one = mvjrc_loss(prediction_1=p1, projection_1=z1, prediction_2=p2, projection_2=z2)
    other = mvjrc_loss(prediction_1=3 * p1, projection_1=0.1 * z1, prediction_2=p2, projection_2=7 * z2)
    assert one.item() == pytest.approx(other.item(), abs=1e-6)


def test_deviation_tells_spread_from_collapse() -> None:
    torch.manual_seed(0)
    assert output_deviation(torch.randn(512, 64)).item() == pytest.approx(1 / 8, rel=0.05)
    assert output_deviation(torch.ones(512, 64)).item() == pytest.approx(0.0, abs=1e-6)


def test_distillation_by_hand() -> None:
    student, teacher, labels = torch.tensor([0.5, -1.0]), torch.tensor([2.0, -3.0]), torch.tensor([1, 0])
    p, q = torch.sigmoid(teacher.double()), torch.sigmoid(student.double())
    kl = (p * (p / q).log() + (1 - p) * ((1 - p) / (1 - q)).log()).mean()
    hard = -(q[0].log() + (1 - q[1]).log()) / 2
    found = distillation_loss(student, teacher=teacher, labels=labels)
    assert found.item() == pytest.approx((kl + 0.2 * hard).item(), abs=1e-6)
    assert distillation_loss(teacher, teacher=teacher, labels=labels, hard_weight=0.0).item() == pytest.approx(
        0, abs=1e-6
    )
