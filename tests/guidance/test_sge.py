from __future__ import annotations

import copy
import pickle

import pytest
import torch
from golden_files import check_golden, golden_files
from network_probe import check_probe
from torch.nn import functional

from magicseg.guidance import SGE

NAMES = ("deep_in", "shallow_in", "mid", "guide_ch", "bottleneck", "reduction_ratio")
SMALL = {"deep_in": 8, "shallow_in": 6, "mid": 5, "guide_ch": 3, "bottleneck": 4, "reduction_ratio": 2}


def features(B=2, dtype=torch.float32):
    return torch.randn(B, 8, 3, 4, dtype=dtype), torch.randn(B, 6, 12, 16, dtype=dtype)


@pytest.mark.parametrize("path", golden_files("sge"), ids=lambda path: path.stem)
def test_golden(path):
    check_golden(path, lambda config: SGE(**{name: config[name] for name in NAMES}, form="released"))


def test_probe_of_the_released_module():
    check_probe("SGE_2048_256", SGE(form="released"))


@pytest.mark.parametrize("form", ["paper", "released"])
def test_parameters(form):
    # 3,095,808 in the released file, of which 1,179,648 are the two frozen Sobel kernels
    assert sum(p.numel() for p in SGE(form=form).parameters()) == 3_095_808 - 1_179_648


def plain_paper(sge, deep, shallow):
    """Section 3.2 step by step; Sobel of each channel alone, gate equation 1."""
    kx = torch.tensor([[1.0, 0.0, -1.0], [2.0, 0.0, -2.0], [1.0, 0.0, -1.0]], dtype=deep.dtype)

    def stream(x, projection, norm, refine):
        x = torch.relu(norm(projection(x)))
        modulated = torch.empty_like(x)
        for c in range(x.shape[1]):
            channel = x[:, c : c + 1]
            gx, gy = (functional.conv2d(channel, k[None, None], padding=1) for k in (kx, kx.T))
            modulated[:, c : c + 1] = channel * torch.sigmoid((gx**2 + gy**2).sqrt())
        return torch.relu(modulated + refine(modulated))

    deep = stream(deep, sge.deep_proj, sge.deep_proj_norm, sge.deep_refine)
    shallow = stream(shallow, sge.shallow_proj, sge.shallow_proj_norm, sge.shallow_refine)
    deep = functional.interpolate(deep, shallow.shape[-2:], mode="bilinear", align_corners=False)
    fused = torch.relu(sge.fuse_norm(sge.fuse(torch.cat([deep, shallow], 1))))
    return sge.edge_head(fused), sge.guidance_head(fused)


@torch.no_grad()
def test_the_paper_form_has_a_gate_for_each_channel():
    torch.manual_seed(0)
    sge = SGE(**SMALL).double()
    assert sge.form == "paper"
    deep, shallow = features(dtype=torch.float64)
    expected = plain_paper(sge, deep, shallow)
    for got, value in zip(sge(deep, shallow), expected, strict=True):
        torch.testing.assert_close(got, value, rtol=1e-12, atol=1e-12)
    released = SGE(**SMALL, form="released").double()
    released.load_state_dict(sge.state_dict())
    assert (released(deep, shallow)[1] - expected[1]).abs().max() > 1e-3


@pytest.mark.parametrize("form", ["paper", "released"])
@pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
def test_constant_patches_give_finite_gradients(form, dtype):
    torch.manual_seed(0)
    sge = SGE(**SMALL, form=form).to(dtype)
    deep, shallow = features(dtype=dtype)
    shallow[..., 2:10, 2:10] = 0.37
    deep[:] = 0.37
    deep.requires_grad_()
    shallow.requires_grad_()
    torch.stack([output.square().sum() for output in sge(deep, shallow)]).sum().backward()
    leaves = [deep, shallow, *sge.parameters()]
    assert all(leaf.grad is not None and torch.isfinite(leaf.grad).all() for leaf in leaves)


@pytest.mark.parametrize("form", ["paper", "released"])
def test_every_parameter_gets_a_gradient(form):
    torch.manual_seed(0)
    sge = SGE(**SMALL, form=form)
    torch.stack([output.square().sum() for output in sge(*features())]).sum().backward()
    assert {name for name, p in sge.named_parameters() if p.grad is None or not p.grad.abs().max() > 0} == set()


@torch.no_grad()
def test_layouts_batches_and_copies():
    torch.manual_seed(0)
    sge = SGE(**SMALL).eval()
    deep, shallow = features()
    edge, guidance = sge(deep, shallow)
    assert edge.shape == (2, 1, 12, 16)
    assert guidance.shape == (2, 3, 12, 16)
    last = [x.contiguous(memory_format=torch.channels_last) for x in (deep, shallow)]
    torch.testing.assert_close(sge(*last)[1], guidance)
    torch.testing.assert_close(sge(deep[1:], shallow[1:])[1], guidance[1:])
    assert sge(deep[:0], shallow[:0])[1].shape == (0, 3, 12, 16)
    for twin in (copy.deepcopy(sge), pickle.loads(pickle.dumps(sge))):
        assert torch.equal(twin(deep, shallow)[1], guidance)
    with torch.autocast("cpu", dtype=torch.bfloat16):
        torch.testing.assert_close(sge(deep, shallow)[1].float(), guidance, rtol=0.1, atol=0.1)


def test_export_holds_for_every_batch_size():
    torch.manual_seed(0)
    sge = SGE(**SMALL).eval()
    batch = torch.export.Dim("batch", min=1, max=64)
    program = torch.export.export(sge, features(), dynamic_shapes=({0: batch}, {0: batch}))
    inputs = features(B=3)
    torch.testing.assert_close(program.module()(*inputs), sge(*inputs))


@pytest.mark.parametrize(
    ("arguments", "text"),
    [
        ({"form": "official"}, "form must be one of paper, released, not 'official'"),
        ({"guide_ch": 0}, "guide_ch must be at least 1, not 0"),
        ({"reduction_ratio": 5}, "reduction_ratio must be at most bottleneck=4, not 5"),
    ],
)
def test_refuses(arguments, text):
    with pytest.raises(ValueError, match=text):
        SGE(**{**SMALL, **arguments})
