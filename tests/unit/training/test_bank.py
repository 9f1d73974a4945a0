from __future__ import annotations

import pytest
import torch

from rsitr.training.bank import SimilarityBank


def filled(values: list[float]) -> SimilarityBank:
    bank = SimilarityBank(len(values))
    bank.record(torch.arange(len(values)), torch.tensor(values))
    return bank


def test_the_threshold_is_the_value_at_the_floored_index() -> None:
    values = torch.randperm(250, generator=torch.Generator().manual_seed(0)).float().tolist()
    bank = filled(values)
    for ratio, index in ((0.01, 2), (0.1, 25), (0.003, 0), (0.999, 249)):
        assert bank.threshold(drop_ratio=ratio) == index


@pytest.mark.parametrize("percent", range(1, 100))
def test_a_ratio_that_is_a_whole_number_of_pairs_is_one(percent: int) -> None:
    """0.29 * 100 is 28.999999999999996 in floating point."""
    assert filled([float(value) for value in range(100)]).threshold(drop_ratio=percent / 100) == percent


def test_a_ratio_of_0_disables_it() -> None:
    assert filled([0.3, 0.1]).threshold(drop_ratio=0) is None


def test_only_what_was_seen_this_epoch_counts() -> None:
    bank = SimilarityBank(10)
    assert bank.threshold(drop_ratio=0.5) is None
    bank.record(torch.tensor([7, 2]), torch.tensor([0.4, 0.2]))
    assert bank.threshold(drop_ratio=0.5) == pytest.approx(0.4)
    assert bank.threshold(drop_ratio=0.1) == pytest.approx(0.2)
    bank.start_epoch()
    assert bank.threshold(drop_ratio=0.5) is None


def test_a_pair_is_recorded_by_its_row_and_the_last_word_counts() -> None:
    bank = SimilarityBank(4)
    bank.record(torch.tensor([3, 0]), torch.tensor([0.5, 0.1], requires_grad=True))
    bank.record(torch.tensor([0]), torch.tensor([0.9], dtype=torch.float64))
    assert bank.values[[0, 3]].tolist() == pytest.approx([0.9, 0.5])
    assert bank.values[[1, 2]].isnan().all()
    assert not bank.values.requires_grad


def test_what_does_not_exceed_the_threshold_comes_out_least_similar_first() -> None:
    bank = filled([0.5, 0.1, 0.3, 0.2])
    assert bank.below(bank.values[2].item()).tolist() == [1, 3, 2]
    assert SimilarityBank(4).below(1.0).tolist() == []  # never seen is not dissimilar


def test_a_saved_bank_goes_on() -> None:
    bank, again = filled([0.5, 0.1, 0.3]), SimilarityBank(3)
    again.load_state_dict(bank.state_dict())
    assert torch.equal(again.values, bank.values)
    bank.start_epoch()
    assert not again.values.isnan().any()
    with pytest.raises(RuntimeError):
        SimilarityBank(4).load_state_dict(again.state_dict())
