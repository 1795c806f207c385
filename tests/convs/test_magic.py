from __future__ import annotations

import pytest
import torch
from golden_files import check_golden, golden_files
from hypothesis import given, settings
from hypothesis import strategies as st
from plain_convs import convolve_each, geometries, randomise, split
from torch import nn
from torch.nn import functional

from magicseg.convs import MAGICConv2d

GEOMETRY = ("in_channels", "out_channels", "kernel_size", "stride", "padding", "dilation", "groups", "bias")


def released(config):
    options = {key: config[key] for key in (*GEOMETRY, "temperature")}
    return MAGICConv2d(**options, num_kernels=config["K"], ratio=config["reduction"], form="released")


def paper_equations(config):
    """Equations 9-11 with the released bottleneck for L_v, as the golden files were made."""
    options = {key: config[key] for key in (*GEOMETRY, "temperature")}
    bottleneck = {"context_channels": config["in_channels"] // 2, "context_affine": True}
    return MAGICConv2d(**options, **bottleneck, num_kernels=config["K"], ratio=config["reduction"], form="paper")


@pytest.mark.parametrize("path", golden_files("magic"), ids=lambda path: path.stem)
def test_golden_released(path):
    check_golden(path, released)


@pytest.mark.parametrize("path", golden_files("magic_papereq"), ids=lambda path: path.stem)
def test_golden_paper_equations(path):
    check_golden(path, paper_equations)


def equations_3_to_11(module, x):
    """The paper's equations for one batch in evaluation, with all maps written out."""
    C, p = x.shape[1], {name: value.flatten(1) for name, value in module.state_dict().items() if value.dim() > 2}
    beta_c = x.mean((2, 3))
    pooled = torch.cat([x.mean(1, keepdim=True), x.max(1, keepdim=True)[0]], 1)
    beta_s = torch.cat([pooled] * C, 1)[:, :C].mean((2, 3))  # eq. 4, with copies to spare
    attention = (p["mask.weight"] @ x.flatten(2) + module.mask.bias).softmax(2)
    context = (x.flatten(2) * attention).sum(2) @ p["ctx_reduce.weight"].T + module.ctx_reduce.bias
    context = (context - context.mean(1, keepdim=True)) / (context.var(1, keepdim=True, correction=0) + 1e-5).sqrt()
    beta_g = functional.gelu(context) @ p["ctx_expand.weight"].T + module.ctx_expand.bias
    beta = (beta_s + beta_c + beta_g) @ p["squeeze.weight"].T
    beta = beta.clamp(min=0) @ p["logits.weight"].T
    k = module.kr_norm(beta @ p["kr_reduce.weight"].T).clamp(min=0) @ p["kr_expand.weight"].T
    return beta.softmax(1) * k.sigmoid()


@settings(max_examples=25, deadline=None)
@given(geometries(), st.integers(1, 5), st.integers(1, 3), st.integers(0, 99))
def test_the_paper_form_is_its_equations(geometry, K, batch, seed):
    torch.manual_seed(seed)
    module = randomise(MAGICConv2d(**geometry, num_kernels=K)).eval()
    x = torch.randn(batch, geometry["in_channels"], 7, 6, dtype=torch.float64)
    pi = equations_3_to_11(module, x)
    expected = convolve_each(x, torch.einsum("bk,koihw->boihw", pi, module.kernels), **split(geometry))
    if geometry["bias"]:
        expected = expected + (pi @ module.kernel_bias)[:, :, None, None]
    torch.testing.assert_close(module.weights(x), pi, rtol=1e-9, atol=1e-9)
    torch.testing.assert_close(module(x), expected, rtol=1e-9, atol=1e-9)


# in and out channels of the sixteen 3x3 convolutions of ResNet-18's blocks
RESNET18 = [(max(64, C // 2) if i == 0 else C, C) for C in (64, 128, 256, 512) for i in range(4)]


@pytest.mark.parametrize(("K", "increment"), [(1, 4.694), (2, 15.680), (4, 37.652)])
def test_table_5_parameters(K, increment):
    def parameters(conv, **options):
        layers = (conv(C, D, 3, bias=False, device="meta", **options) for C, D in RESNET18)
        return sum(p.numel() for layer in layers for p in layer.parameters())

    assert parameters(nn.Conv2d) == 10_985_472
    assert round((parameters(MAGICConv2d, num_kernels=K) - parameters(nn.Conv2d)) / 1e6, 3) == increment


@pytest.mark.parametrize(("K", "total"), [(1, 13.618), (2, 24.603), (4, 46.576)])
def test_released_parameters(K, total):
    layers = (MAGICConv2d(C, D, 3, bias=False, num_kernels=K, form="released") for C, D in RESNET18)
    added = sum(p.numel() for layer in layers for p in layer.parameters()) - 10_985_472
    assert round((12_328_777 + added) / 1e6, 3) == total


def test_released_with_one_kernel_is_a_static_convolution():
    module = MAGICConv2d(16, 8, 3, stride=2, padding=1, num_kernels=1, form="released")
    x = torch.randn(3, 16, 9, 7)
    static = functional.conv2d(x, module.kernels[0], module.kernel_bias[0], stride=2, padding=1)
    assert torch.equal(module(x), static)
    assert torch.equal(module.weights(x), torch.ones(3, 1))
    assert {name for name, p in module.named_parameters() if p.requires_grad} == {"kernels", "kernel_bias"}


def test_paper_with_one_kernel_is_dynamic():
    torch.manual_seed(0)
    pi = MAGICConv2d(32, 8, 3, num_kernels=1).weights(torch.randn(2, 32, 9, 7))
    assert ((pi > 0) & (pi < 1)).all()
    assert pi[0] != pi[1]


def test_weights_sum_to_one_only_in_the_released_form():
    x = torch.randn(4, 16, 5, 5)
    torch.testing.assert_close(MAGICConv2d(16, 8, 3, form="released").weights(x).sum(1), torch.ones(4))
    assert (MAGICConv2d(16, 8, 3).weights(x).sum(1) < 0.99).all()
    torch.testing.assert_close(MAGICConv2d(16, 8, 3, recalculation=False).weights(x).sum(1), torch.ones(4))


def test_equal_kernels_are_a_static_convolution_in_the_released_form():
    module = randomise(MAGICConv2d(6, 4, 3, padding=1, form="released"))
    with torch.no_grad():
        module.kernels[:] = module.kernels[0].clone()
        module.kernel_bias[:] = module.kernel_bias[0].clone()
    x = torch.randn(3, 6, 6, 7, dtype=torch.float64)
    static = functional.conv2d(x, module.kernels[0], module.kernel_bias[0], padding=1)
    torch.testing.assert_close(module(x), static)


def test_the_temperature_may_change_and_evens_the_weights_out():
    torch.manual_seed(0)
    module, x = MAGICConv2d(32, 8, 3, form="released").eval(), torch.randn(2, 32, 5, 5)
    assert module.temperature == 30.0
    module.temperature = 1e6
    torch.testing.assert_close(module.weights(x), torch.full((2, 4), 0.25), atol=1e-4, rtol=0)
    module.temperature = 1e-6
    assert (module.weights(x).max(1)[0] > 0.999).all()


def test_every_choice_of_views_tells_images_apart():
    torch.manual_seed(0)
    x = torch.randn(2, 32, 6, 6) + torch.tensor([0.0, 3.0])[:, None, None, None]
    for views in ({"channel": False}, {"spatial": False}, {"non_local": False}, {"spatial": False, "channel": False}):
        pi = MAGICConv2d(32, 8, 3, **views).eval().weights(x)
        assert not torch.allclose(pi[0], pi[1]), views


def test_each_view_adds_its_term():
    torch.manual_seed(0)
    full = randomise(MAGICConv2d(6, 4, 3))
    x = torch.randn(2, 6, 5, 5, dtype=torch.float64)
    terms = 0
    for view in ("spatial", "channel", "non_local"):
        alone = MAGICConv2d(6, 4, 3, **{name: name == view for name in ("spatial", "channel", "non_local")}).double()
        alone.load_state_dict(full.state_dict(), strict=view == "non_local")
        terms = terms + alone._fuse_dimensions(x)
    torch.testing.assert_close(full._fuse_dimensions(x), terms)


def test_without_any_view_the_weights_do_not_depend_on_the_image():
    module = MAGICConv2d(16, 8, 3, spatial=False, channel=False, non_local=False).eval()
    pi = module.weights(torch.randn(2, 16, 6, 6))
    assert torch.equal(pi[0], pi[1])
    assert not any(name.startswith(("mask", "ctx")) for name, _ in module.named_parameters())


def test_without_recalculation_its_layers_are_gone():
    assert not any(name.startswith("kr_") for name, _ in MAGICConv2d(16, 8, 3, recalculation=False).named_parameters())


def test_a_training_batch_of_one_keeps_the_running_statistics():
    module, x = MAGICConv2d(16, 8, 3), torch.randn(1, 16, 6, 6)
    torch.testing.assert_close(module.train()(x), module.eval()(x))
    assert module.kr_norm.num_batches_tracked == 0


def test_every_kernel_starts_as_one_convolution_would():
    torch.manual_seed(0)
    module = MAGICConv2d(64, 64, 3)
    bound = (6 / (64 * 9)) ** 0.5
    for kernel in module.kernels:
        assert kernel.abs().max() <= bound
        assert abs(kernel.std().item() - bound / 3**0.5) < 0.01 * bound
    assert module.kernel_bias.abs().max() <= (64 * 9) ** -0.5
    assert MAGICConv2d(64, 64, 3, form="released").kernel_bias.std() > 0.8


def test_defaults_are_those_of_the_paper_and_of_a_static_convolution():
    module, static = MAGICConv2d(16, 8, 3), nn.Conv2d(16, 8, 3)
    assert (module.stride, module.padding, module.dilation) == (static.stride, static.padding, static.dilation)
    assert module.kernel_bias is not None
    assert (module.form, module.num_kernels, module.temperature) == ("paper", 4, 1.0)
    assert "kernel_size=(3, 3)" in repr(module)


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"groups": 3}, r"groups=3 does not divide in_channels=16 and out_channels=8. Allowed: 1, 2, 4, 8"),
        ({"num_kernels": 0}, r"num_kernels must be an integer >= 1, not 0"),
        ({"form": "official"}, r"form must be 'paper' or 'released', not 'official'"),
        ({"ratio": 0}, r"ratio must be an integer >= 1, not 0"),
        ({"context_channels": 0}, r"context_channels must be an integer >= 1, not 0"),
        ({"temperature": 0.0}, r"temperature must be a positive number, not 0.0"),
        ({"kernel_size": 0}, r"kernel_size must be an integer >= 1 or a pair of them, not 0"),
        ({"kernel_size": (3, 3, 3)}, r"kernel_size must be an integer >= 1 or a pair of them, not \(3, 3, 3\)"),
        ({"stride": 0}, r"stride must be an integer >= 1"),
        ({"dilation": 1.5}, r"dilation must be an integer >= 1 or a pair of them, not 1.5"),
        ({"padding": -1}, r"padding must be an integer >= 0 or a pair of them, not -1"),
        ({"padding": "full"}, r"padding must be an integer, a pair, 'same' or 'valid', not 'full'"),
        ({"padding": "same", "stride": 2}, r"padding='same' needs stride 1, not \(2, 2\)"),
        ({"in_channels": 0}, r"in_channels must be an integer >= 1, not 0"),
    ],
)
def test_refusals_name_the_legal_values(change, message):
    arguments = {"in_channels": 16, "out_channels": 8, "kernel_size": 3, **change}
    with pytest.raises(ValueError, match=message):
        MAGICConv2d(**arguments)


@pytest.mark.parametrize("shape", [(2, 8, 5, 5), (16, 5, 5), (2, 16, 5)])
def test_another_number_of_channels_is_refused(shape):
    with pytest.raises(ValueError, match=r"x must be \[B, 16, H, W\], not"):
        MAGICConv2d(16, 8, 3)(torch.zeros(shape))


@pytest.mark.parametrize("num_kernels", [2, 4])
def test_at_the_start_of_the_paper_form_every_kernel_counts(num_kernels):
    """With the released form's start and temperature 1, softmax picks one kernel and the others get no gradient."""
    for seed in range(8):
        torch.manual_seed(seed)
        conv = MAGICConv2d(256, 8, 3, num_kernels=num_kernels).eval()
        features = torch.relu(torch.randn(16, 256, 12, 12) + torch.randn(16, 256, 1, 1))
        assert conv.weights(features).mean(0).min() > 1e-3
