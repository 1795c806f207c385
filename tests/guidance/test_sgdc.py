from __future__ import annotations

import copy
import pickle

import pytest
import torch
from golden_files import check_golden, golden_files
from hypothesis import given, settings
from hypothesis import strategies as st
from network_probe import check_probe
from torch.nn import functional

from magicseg.guidance import SGDC

NAMES = ("dim", "guide_ch", "num_heads", "kernel_size", "mlp_ratio")
SMALL = {"dim": 8, "guide_ch": 3, "num_heads": 2, "kernel_size": 3, "mlp_ratio": 2}


def inputs(B=2, dtype=torch.float32):
    return torch.randn(B, 8, 6, 5, dtype=dtype), torch.randn(B, 3, 12, 9, dtype=dtype)


def randomise(module):
    with torch.no_grad():
        for parameter in module.double().parameters():
            parameter.normal_()
    return module


@pytest.mark.parametrize("path", golden_files("sgdc"), ids=lambda path: path.stem)
def test_golden(path):
    check_golden(path, lambda config: SGDC(**{name: config[name] for name in NAMES}, form="released"))


@pytest.mark.parametrize("dim", [64, 256, 512])
def test_probe_of_the_released_module(dim):
    check_probe(f"SGDC_dim{dim}", SGDC(dim, form="released"))


@pytest.mark.parametrize(("dim", "count"), [(64, 56_260), (128, 194_244), (256, 715_972), (512, 2_742_468)])
def test_parameters(dim, count):
    assert sum(p.numel() for p in SGDC(dim, form="released").parameters()) == count
    # the paper form has no layer scales
    assert sum(p.numel() for p in SGDC(dim).parameters()) == count - 2 * dim


def plain(block, x, guidance, *, local=True, dynamic=True):
    """Equations 2-4 with an unfolded map; the forms differ in the local branch's input and the residuals' scales."""
    heads, C = block.num_heads, x.shape[1]
    fused = x
    if guidance is not None:
        guidance = functional.interpolate(guidance, x.shape[-2:], mode="bilinear", align_corners=False)
        fused = x + block.guide_proj(guidance)
    signals = block.head(fused)

    def layer_norm(norm, x):
        centred = x - x.mean(1, keepdim=True)
        scaled = centred / (centred.square().mean(1, keepdim=True) + 1e-6).sqrt()
        return scaled * norm.weight[:, None, None] + norm.bias[:, None, None]

    mix = torch.zeros_like(x)
    if local:
        gate1, signals = signals[:, :C], signals[:, C:]
        source = x if block.form == "released" else layer_norm(block.norm1, x)
        mix = mix + functional.conv2d(
            source * torch.sigmoid(gate1), block.dwconv.weight, block.dwconv.bias, padding=1, groups=C
        )
    if dynamic:
        gate2, kernel = signals[:, :C], signals[:, C:]
        taps = kernel.shape[1] // heads
        k = round(taps**0.5)
        patches = functional.unfold(layer_norm(block.norm1, x), k, padding=k // 2).reshape(
            len(x), heads, -1, taps, *x.shape[2:]
        )
        weights = torch.softmax(kernel.reshape(len(x), heads, 1, taps, *x.shape[2:]), 3)
        mix = mix + torch.sigmoid(gate2) * (patches * weights).sum(3).reshape(x.shape)
    scales = [1.0 if s is None else s[:, None, None] for s in (block.scale1, block.scale2)]
    x = x + scales[0] * mix
    return x + scales[1] * block.ffn_out(functional.gelu(block.ffn_in(layer_norm(block.norm2, x))))


@settings(max_examples=20, deadline=None)
@given(
    form=st.sampled_from(["paper", "released"]),
    source=st.sampled_from(["guidance", "self"]),
    branches=st.sampled_from([(True, True), (True, False), (False, True)]),
    k=st.sampled_from([1, 3, 5]),
    seed=st.integers(0, 99),
)
def test_equals_the_equations(form, source, branches, k, seed):
    torch.manual_seed(seed)
    local, dynamic = branches
    block = SGDC(**{**SMALL, "kernel_size": k}, form=form, source=source, local=local, dynamic=dynamic)
    randomise(block)
    x, guidance = inputs(dtype=torch.float64)
    expected = plain(block, x, guidance if source == "guidance" else None, local=local, dynamic=dynamic)
    torch.testing.assert_close(block(x, guidance), expected, rtol=1e-10, atol=1e-10)


def test_the_paper_form_is_the_default_and_starts_away_from_the_identity():
    torch.manual_seed(0)
    x, guidance = inputs()
    assert SGDC(**SMALL).form == "paper"
    assert (SGDC(**SMALL)(x, guidance) - x).abs().max() > 0.1
    assert (SGDC(**SMALL, form="released")(x, guidance) - x).abs().max() < 1e-5


@pytest.mark.parametrize(
    ("options", "missing"),
    [
        ({"source": "self"}, {"guide_proj"}),
        ({"local": False}, {"dwconv"}),
        ({"dynamic": False}, set()),
        ({"dynamic": False, "form": "released"}, {"norm1"}),
    ],
)
def test_an_ablation_leaves_no_unused_parameters(options, missing):
    torch.manual_seed(0)
    whole = SGDC(**SMALL, form=options.get("form", "paper"))
    block = SGDC(**SMALL, **options)
    parts = {name.split(".")[0] for name, _ in whole.named_parameters()}
    assert {name.split(".")[0] for name, _ in block.named_parameters()} == parts - missing
    block(*inputs()).square().sum().backward()
    assert {name for name, p in block.named_parameters() if p.grad is None or not p.grad.abs().max() > 0} == set()


@pytest.mark.parametrize(("options", "width"), [({}, 16 + 18), ({"local": False}, 8 + 18), ({"dynamic": False}, 8)])
def test_the_head_makes_only_the_signals_that_are_used(options, width):
    assert SGDC(**SMALL, **options).head.out_channels == width


def test_self_guidance_ignores_the_guidance():
    torch.manual_seed(0)
    block = SGDC(**SMALL, source="self")
    x, guidance = inputs()
    assert torch.equal(block(x), block(x, guidance))


@torch.no_grad()
@pytest.mark.parametrize("form", ["paper", "released"])
def test_layouts_batches_and_copies(form):
    torch.manual_seed(0)
    block = SGDC(**SMALL, form=form)
    x, guidance = inputs()
    y = block(x, guidance)
    last = [t.contiguous(memory_format=torch.channels_last) for t in (x, guidance)]
    torch.testing.assert_close(block(*last), y)
    torch.testing.assert_close(block(x.mT.contiguous().mT, guidance), y)
    torch.testing.assert_close(block(x[1:], guidance[1:]), y[1:])
    assert block(x[:0], guidance[:0]).shape == (0, 8, 6, 5)
    for twin in (copy.deepcopy(block), pickle.loads(pickle.dumps(block))):
        assert torch.equal(twin(x, guidance), y)
    with torch.autocast("cpu", dtype=torch.bfloat16):
        torch.testing.assert_close(block(x, guidance).float(), y, rtol=0.1, atol=0.1)


def test_gradients_in_channels_last_are_the_same():
    torch.manual_seed(0)
    block = randomise(SGDC(**SMALL))
    gradients = []
    for layout in (torch.contiguous_format, torch.channels_last):
        torch.manual_seed(1)
        x, guidance = (t.contiguous(memory_format=layout).requires_grad_() for t in inputs(dtype=torch.float64))
        gradients.append(torch.autograd.grad(block(x, guidance).square().sum(), (x, guidance)))
    torch.testing.assert_close(*gradients)


def test_export_holds_for_every_batch_size():
    torch.manual_seed(0)
    block = SGDC(**SMALL).eval()
    batch = torch.export.Dim("batch", min=1, max=64)
    program = torch.export.export(block, inputs(), dynamic_shapes=({0: batch}, {0: batch}))
    three = inputs(B=3)
    torch.testing.assert_close(program.module()(*three), block(*three))


@pytest.mark.parametrize(
    ("arguments", "text"),
    [
        ({"dim": 9}, "dim must be divisible by num_heads=2, but dim is 9"),
        ({"kernel_size": 4}, "kernel_size must be odd, not 4"),
        ({"kernel_size": -1}, "kernel_size must be at least 1, not -1"),
        ({"guide_ch": 0}, "guide_ch must be at least 1, not 0"),
        ({"mlp_ratio": 0.1}, "mlp_ratio must be at least 1 / dim = 0.125, not 0.1"),
        ({"form": "official"}, "form must be one of paper, released, not 'official'"),
        ({"source": "edges"}, "source must be one of guidance, self, not 'edges'"),
        ({"local": False, "dynamic": False}, "SGDC needs a branch: local=True, dynamic=True or both"),
    ],
)
def test_refuses(arguments, text):
    with pytest.raises(ValueError, match=text):
        SGDC(**{**SMALL, **arguments})


def test_refuses_to_guess_a_guidance():
    with pytest.raises(ValueError, match=r'needs a guidance .*; without one, build it with source="self"'):
        SGDC(**SMALL)(inputs()[0])
