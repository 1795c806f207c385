from __future__ import annotations

import copy
import pickle

import pytest
import torch
from golden_files import check_golden, golden_files
from hypothesis import given, settings
from hypothesis import strategies as st

from magicseg.guidance import ContMix
from magicseg.guidance.contmix import mix_windows, position_bias

NAMES = ("dim", "kernel_size", "small_kernel_size", "num_heads", "mlp_ratio", "res_scale", "layer_scale")
SMALL = {"dim": 8, "kernel_size": 5, "small_kernel_size": 3, "num_heads": 1, "mlp_ratio": 2}


@pytest.mark.parametrize("path", golden_files("contmix"), ids=lambda path: path.stem)
def test_golden(path):
    check_golden(path, lambda config: ContMix(**{name: config[name] for name in NAMES}))


@pytest.mark.parametrize(("dim", "count"), [(64, 72_940), (256, 924_796)])
def test_parameters(dim, count):
    assert sum(p.numel() for p in ContMix(dim).parameters()) == count


@settings(max_examples=15, deadline=None)
@given(k=st.sampled_from([1, 3, 5]), extra=st.tuples(st.integers(0, 4), st.integers(0, 4)), seed=st.integers(0, 99))
def test_windows_and_biases_position_by_position(k, extra, seed):
    torch.manual_seed(seed)
    heads, H, W = 2, k + extra[0], k + extra[1]
    values = torch.randn(2, 4, H, W, dtype=torch.float64)
    weights = torch.randn(2, heads, k * k, H, W, dtype=torch.float64)
    table = torch.randn(heads, 2 * k - 1, 2 * k - 1, dtype=torch.float64)
    mixed, bias = mix_windows(values, weights), position_bias(table, H, W)
    for i in range(H):
        for j in range(W):
            top, left = (min(max(n - k // 2, 0), side - k) for n, side in ((i, H), (j, W)))
            window = values[:, :, top : top + k, left : left + k].unflatten(1, (heads, -1))
            kernel = weights[:, :, :, i, j].unflatten(2, (k, k))
            expected = (window * kernel.unsqueeze(2)).sum((3, 4)).flatten(1)
            torch.testing.assert_close(mixed[:, :, i, j], expected)
            first, second = top - i + k - 1, left - j + k - 1
            assert torch.equal(bias[:, :, i, j], table[:, first : first + k, second : second + k].flatten(1))


@torch.no_grad()
@pytest.mark.parametrize("size", [(5, 5), (3, 4), (1, 1), (6, 13)])
def test_any_size_in_any_layout(size):
    torch.manual_seed(0)
    block = ContMix(**SMALL).eval()
    x = torch.randn(2, 8, *size)
    y = block(x)
    assert y.shape == x.shape
    torch.testing.assert_close(block(x.contiguous(memory_format=torch.channels_last)), y)
    torch.testing.assert_close(block(x.mT.contiguous().mT), y)
    torch.testing.assert_close(block(x[1:]), y[1:])
    assert block(x[:0]).shape == (0, 8, *size)
    for twin in (copy.deepcopy(block), pickle.loads(pickle.dumps(block))):
        assert torch.equal(twin(x), y)
    with torch.autocast("cpu", dtype=torch.bfloat16):
        torch.testing.assert_close(block(x).float(), y, rtol=0.1, atol=0.1)


@pytest.mark.parametrize("options", [{}, {"layer_scale": 0.5}, {"layer_scale": 0.5, "res_scale": True}])
def test_every_parameter_gets_a_gradient(options):
    torch.manual_seed(0)
    block = ContMix(**SMALL, **options)
    torch.nn.init.normal_(block.ffn_grn.gamma)
    block(torch.randn(2, 8, 7, 7)).square().sum().backward()
    assert {name for name, p in block.named_parameters() if p.grad is None or not p.grad.abs().max() > 0} == set()


@torch.no_grad()
def test_another_default_device_changes_nothing():
    block, x = ContMix(**SMALL).eval(), torch.randn(2, 8, 7, 7)
    expected = block(x)
    with torch.device("meta"):
        assert torch.equal(block(x), expected)


def test_trains_on_a_batch_of_one():
    ContMix(**SMALL).train()(torch.randn(1, 8, 7, 7)).sum().backward()


def test_export_holds_for_every_batch_size():
    torch.manual_seed(0)
    block = ContMix(**SMALL).eval()
    shapes = ({0: torch.export.Dim("batch", min=1, max=64)},)
    program = torch.export.export(block, (torch.randn(2, 8, 7, 7),), dynamic_shapes=shapes)
    three = torch.randn(3, 8, 7, 7)
    torch.testing.assert_close(program.module()(three), block(three))


@pytest.mark.parametrize(
    ("arguments", "text"),
    [
        ({"dim": 10}, r"dim must be divisible by 4 \* num_heads = 4, but dim is 10"),
        ({"kernel_size": 9}, "kernel_size must be 5 or 7, not 9"),
        ({"small_kernel_size": 4}, "small_kernel_size must be odd and at most 5, not 4"),
        ({"small_kernel_size": 7}, "small_kernel_size must be odd and at most 5, not 7"),
        ({"num_heads": 0}, "num_heads must be at least 1, not 0"),
        ({"mlp_ratio": 0}, "mlp_ratio must be at least 1 / dim = 0.125, not 0"),
    ],
)
def test_refuses(arguments, text):
    with pytest.raises(ValueError, match=text):
        ContMix(**{**SMALL, **arguments})
