import pytest
import torch

from magicseg.errors import UserError
from magicseg.training.optim import cosine_restarts, poly, poly_per_epoch, schedule, set_learning_rate


def test_poly_lags_one_step_behind():
    rates = [poly(step, 5, 2) for step in range(10)]
    assert rates[0] == rates[1] == 1
    assert rates[5] == (1 - 4 / 10) ** 0.9
    assert rates == sorted(rates, reverse=True)
    assert rates[-1] > 0


def test_poly_per_epoch_keeps_the_rate_within_an_epoch():
    rates = [poly_per_epoch(step, 3, 4) for step in range(12)]
    assert rates[:3] == [1, 1, 1]
    assert rates[9:] == [(1 / 4) ** 0.9] * 3


def test_the_cosine_starts_again_every_ten_epochs():
    rates = [cosine_restarts(step, 2, 20) for step in range(40)]
    assert rates[0] == rates[1] == rates[20] == 1
    assert rates[10] == pytest.approx(0.1 + 0.9 / 2)  # half-way: 5.5e-4 of 1e-3
    assert min(rates) == rates[19] > 0.1
    assert rates[:20] == rates[20:]


def test_the_factor_applies_to_each_groups_own_rate_and_survives_resuming():
    weights = [torch.nn.Parameter(torch.zeros(1)) for _ in range(2)]
    optimizer = torch.optim.Adam([{"params": weights[:1], "lr": 0.1}, {"params": weights[1:], "lr": 0.2}])
    assert set_learning_rate(optimizer, 0.5) == 0.05
    other = torch.optim.Adam([{"params": weights[:1], "lr": 0.1}, {"params": weights[1:], "lr": 0.2}])
    other.load_state_dict(optimizer.state_dict())
    set_learning_rate(other, 0.25)
    assert [group["lr"] for group in other.param_groups] == [0.025, 0.05]


def test_unknown_schedules_name_the_known_ones():
    assert schedule("constant")(5, 5, 2) == 1
    with pytest.raises(UserError, match=r"Unknown recipe.schedule 'polly'. Did you mean poly\? Allowed: constant"):
        schedule("polly")
