from __future__ import annotations

import pytest
import torch
from golden_files import check_golden, golden_files

from magicseg.models.hamburger import NMF2d

NAMES = ("rank", "splits", "train_steps", "eval_steps", "gradient")


@pytest.mark.parametrize("path", golden_files("hamburger_nmf"), ids=lambda path: path.stem)
def test_golden(path):
    check_golden(path, lambda config: NMF2d(**{name: config[name] for name in NAMES}))


def test_recovers_a_map_of_low_rank():
    torch.manual_seed(0)
    x = (torch.rand(1, 12, 2).double() @ torch.rand(1, 2, 30).double()).reshape(1, 12, 5, 6)
    errors = [(NMF2d(2, eval_steps=n).eval()(x) - x).norm() / x.norm() for n in (0, 7, 2000)]
    assert errors[0] > errors[1] > errors[2]
    assert errors[2] < 0.01


def test_evaluation_depends_on_the_seed_only():
    torch.manual_seed(0)
    x = torch.rand(3, 8, 4, 5)
    nmf = NMF2d(4, splits=2).eval()
    state = torch.get_rng_state()
    y = nmf(x)
    assert torch.equal(nmf(x), y)
    assert torch.equal(torch.get_rng_state(), state)
    torch.testing.assert_close(nmf(x[1:2]), y[1:2])
    assert not torch.equal(NMF2d(4, splits=2, seed=1).eval()(x), y)


def test_another_default_device_changes_nothing():
    x, nmf = torch.rand(2, 8, 4, 5), NMF2d(4).eval()
    expected = nmf(x)
    with torch.device("meta"):
        assert torch.equal(nmf(x), expected)


def test_shapes_without_values():
    assert NMF2d(4)(torch.empty(2, 8, 4, 5, device="meta")).shape == (2, 8, 4, 5)


@pytest.mark.filterwarnings("ignore::torch.jit.TracerWarning", "ignore:.*torch.jit:FutureWarning")
def test_a_trace_keeps_the_bases_of_evaluation():
    torch.manual_seed(0)
    nmf = NMF2d(4).eval()
    traced = torch.jit.trace(nmf, (torch.rand(2, 8, 4, 5),))
    for _ in range(2):
        x = torch.rand(3, 8, 4, 5)
        torch.testing.assert_close(traced(x), nmf(x))


def test_training_draws_from_the_global_generator():
    nmf, x = NMF2d(4).train(), torch.rand(2, 8, 4, 5)
    torch.manual_seed(7)
    first, second = nmf(x), nmf(x)
    torch.manual_seed(7)
    assert torch.equal(nmf(x), first)
    assert not torch.equal(first, second)


def test_result_is_not_negative_and_of_the_rank():
    torch.manual_seed(0)
    y = NMF2d(3)(torch.rand(2, 8, 4, 5).double())
    assert (y >= 0).all()
    assert torch.linalg.matrix_rank(y.flatten(2)).tolist() == [3, 3]


def test_a_map_of_zeros_stays_finite():
    x = torch.zeros(1, 8, 4, 4, requires_grad=True)
    y = NMF2d(4)(x)
    y.sum().backward()
    assert torch.equal(y, torch.zeros_like(x))
    assert torch.isfinite(x.grad).all()


def test_the_last_step_only_has_less_to_differentiate():
    torch.manual_seed(0)
    x, bases = torch.rand(1, 8, 4, 4).double(), torch.rand(1, 8, 3).double()
    gradients = {}
    for gradient in ("all_steps", "last_step_only"):
        leaf = x.clone().requires_grad_()
        NMF2d(3, gradient=gradient)(leaf, bases).square().sum().backward()
        gradients[gradient] = leaf.grad
    assert (gradients["all_steps"] - gradients["last_step_only"]).abs().max() > 1e-3


def test_layouts_half_precision_and_empty_batches():
    torch.manual_seed(0)
    nmf, x = NMF2d(4).eval(), torch.rand(2, 8, 5, 6)
    y = nmf(x)
    torch.testing.assert_close(nmf(x.contiguous(memory_format=torch.channels_last)), y)
    assert nmf(x[:0]).shape == (0, 8, 5, 6)
    assert nmf(x.bfloat16()).dtype == torch.bfloat16
    with torch.autocast("cpu", dtype=torch.bfloat16):
        assert torch.equal(nmf(x), y)


@pytest.mark.parametrize(
    ("arguments", "text"),
    [
        ({"rank": 0}, "rank must be at least 1, not 0"),
        ({"splits": 0}, "splits must be at least 1, not 0"),
        ({"train_steps": -1}, "train_steps must be at least 0, not -1"),
        ({"gradient": "none"}, "gradient must be one of all_steps, last_step_only, not 'none'"),
    ],
)
def test_refuses(arguments, text):
    with pytest.raises(ValueError, match=text):
        NMF2d(**arguments)


def test_refuses_inputs_that_do_not_fit():
    with pytest.raises(ValueError, match="8 channels of x must be divisible by splits=3"):
        NMF2d(4, splits=3)(torch.rand(1, 8, 4, 4))
    with pytest.raises(ValueError, match=r"bases must be \[1, 8, 4\], not \[1, 8, 5\]"):
        NMF2d(4)(torch.rand(1, 8, 4, 4), torch.rand(1, 8, 5))
