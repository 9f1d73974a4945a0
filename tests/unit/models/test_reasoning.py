from __future__ import annotations

import pytest
import torch
from torch import Tensor, nn

from rsitr.errors import ConfigError
from rsitr.models import KeywordReasoner
from rsitr.models.layers import Attention, Block, QuickGELU


def feed(*, batch: int = 3, m: int = 5, n: int = 4, dim: int = 16) -> dict[str, Tensor]:
    labels = torch.full((batch, m), -100)
    labels[0, 1], labels[0, 3], labels[2, 2] = 7, 2, 9
    return {"text_tokens": torch.randn(batch, m, dim), "image_tokens": torch.randn(batch, n, dim), "labels": labels}


def test_only_masked_positions_go_through_the_head() -> None:
    reasoner = KeywordReasoner(dim=16, layers=1, vocabulary_size=11).eval()
    seen: list[Tensor] = []
    reasoner.head.register_forward_pre_hook(lambda _module, inputs: seen.append(inputs[0]))
    logits, classes = reasoner(**feed())
    assert [x.shape for x in seen] == [(3, 16)]
    assert logits.shape == (3, 11)
    assert classes.tolist() == [7, 2, 9]  # row by row, position by position


def test_the_order_of_logits_is_that_of_labels() -> None:
    reasoner = KeywordReasoner(dim=16, layers=1, vocabulary_size=11).eval()
    inputs = feed()
    logits, _ = reasoner(**inputs)
    alone = {name: value[2:] for name, value in inputs.items()}
    torch.testing.assert_close(reasoner(**alone)[0], logits[2:], rtol=1e-4, atol=1e-5)


def test_a_restricted_vocabulary_has_its_own_classes() -> None:
    reasoner = KeywordReasoner(dim=16, layers=1, vocabulary=[9, 2, 30, 9], vocabulary_size=40)
    logits, classes = reasoner(**feed())
    assert logits.shape == (3, 3)
    assert classes.tolist() == [-100, 0, 1]  # 7 is unknown and thereby ignored; 2, 9, 30 are classes 0, 1, 2


def test_without_a_mask_there_are_no_logits() -> None:
    inputs = feed()
    inputs["labels"].fill_(-100)
    logits, classes = KeywordReasoner(dim=16, layers=1, vocabulary_size=11)(**inputs)
    assert (logits.shape, classes.shape) == ((0, 11), (0,))


def test_words_are_read_from_the_picture() -> None:
    reasoner = KeywordReasoner(dim=16, layers=2, vocabulary_size=11).eval()
    inputs = feed()
    other = inputs | {"image_tokens": torch.randn(3, 4, 16)}
    assert not torch.allclose(reasoner(**inputs)[0], reasoner(**other)[0], atol=1e-4)


def test_the_cross_attention_has_no_residual() -> None:
    """With equal patches attention returns the same for every query: nothing of the caption is left."""
    reasoner = KeywordReasoner(dim=16, layers=0, vocabulary_size=11).eval()
    inputs = feed()
    inputs["image_tokens"] = torch.randn(3, 1, 16).expand(3, 4, 16)
    logits, _ = reasoner(**inputs)
    torch.testing.assert_close(logits[0], logits[1])


def test_every_position_takes_part_padding_included() -> None:
    reasoner = KeywordReasoner(dim=16, layers=1, vocabulary_size=11).eval()
    inputs = feed()
    changed = inputs["text_tokens"].clone()
    changed[0, 4] = torch.randn(16)
    assert not torch.allclose(reasoner(**inputs)[0][0], reasoner(**inputs | {"text_tokens": changed})[0][0], atol=1e-5)


@pytest.mark.parametrize(("dim", "heads"), [(16, 1), (64, 1), (128, 2), (512, 8)])
def test_heads_are_dim_over_64(dim: int, heads: int) -> None:
    assert KeywordReasoner(dim=dim, layers=0, vocabulary_size=3).attention.heads == heads


@pytest.mark.parametrize("layers", [2, 4])
def test_the_paper_has_four_blocks_and_the_released_code_two(layers: int) -> None:
    reasoner = KeywordReasoner(dim=16, layers=layers, vocabulary_size=3)
    assert len(reasoner.blocks) == layers
    assert [type(part) for part in reasoner.head] == [nn.Linear, QuickGELU, nn.LayerNorm, nn.Linear]


def test_a_width_without_heads_is_refused() -> None:
    with pytest.raises(ConfigError, match="multiple of it, not 200"):
        KeywordReasoner(dim=200, vocabulary_size=3)


def test_nothing_to_predict_is_refused() -> None:
    with pytest.raises(ConfigError, match="nothing to predict"):
        KeywordReasoner(dim=16, vocabulary=[])


def test_attention_is_the_torch_one() -> None:
    ours, theirs = Attention(width=12, heads=3), nn.MultiheadAttention(12, 3, batch_first=True)
    with torch.no_grad():
        theirs.in_proj_weight.copy_(torch.cat([ours.query.weight, ours.key_value.weight]))
        theirs.in_proj_bias.copy_(torch.cat([ours.query.bias, ours.key_value.bias]))
        theirs.out_proj.weight.copy_(ours.out.weight)
        theirs.out_proj.bias.copy_(ours.out.bias)
    queries, context = torch.randn(2, 5, 12), torch.randn(2, 4, 12)
    mask = torch.tensor([[True, True, False, True], [True, False, False, False]])
    for given in (None, mask):
        expected, _ = theirs(queries, context, context, key_padding_mask=None if given is None else ~given)
        torch.testing.assert_close(ours(queries, context, mask=given), expected, rtol=1e-4, atol=1e-5)


def test_attention_needs_heads_that_divide_its_width() -> None:
    for heads in (5, 0):
        with pytest.raises(ConfigError, match=f"width of 12 cannot be split into {heads} attention heads"):
            Attention(width=12, heads=heads)


@pytest.mark.parametrize(("activation", "expected"), [("gelu", nn.GELU), ("quick_gelu", QuickGELU)])
def test_a_block_has_the_activation_it_is_asked_for(activation: str, expected: type[nn.Module]) -> None:
    block = Block(width=8, heads=2, activation=activation)  # type: ignore[arg-type]
    assert [kind for kind in (nn.GELU, QuickGELU) if any(isinstance(m, kind) for m in block.modules())] == [expected]


def test_quick_gelu_by_hand() -> None:
    x = torch.tensor([-1.0, 0.0, 2.0])
    assert QuickGELU()(x).tolist() == pytest.approx([-1 / (1 + 2.718281828**1.702), 0, 2 / (1 + 2.718281828**-3.404)])
