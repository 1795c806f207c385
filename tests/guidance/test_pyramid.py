from __future__ import annotations

import pytest
import torch
from torch.nn import functional

from magicseg.guidance import SGDC, ContMix, GuidedPyramid

CHANNELS = (8, 16, 24, 32)
SGE_OPTIONS = {"bottleneck": 8, "mid": 8}


def features(B=2, base=16):
    return [torch.randn(B, C, base >> i, base >> i) for i, C in enumerate(CHANNELS)]


def build(mode, **options):
    return GuidedPyramid(CHANNELS, mode, guide_ch=4, sge=SGE_OPTIONS, **options)


def test_none_hands_the_features_on():
    pyramid, x = GuidedPyramid(CHANNELS, "none"), features()
    refined, edge = pyramid(x)
    assert edge is None
    assert all(a is b for a, b in zip(refined, x, strict=True))
    assert list(pyramid.parameters()) == []


@pytest.mark.parametrize("form", ["paper", "released"])
@pytest.mark.parametrize("mode", ["add", "contmix", "sgdc"])
def test_refines_all_but_the_deepest(mode, form):
    torch.manual_seed(0)
    pyramid, x = build(mode, form=form), features()
    refined, edge = pyramid(x)
    assert [r.shape for r in refined] == [f.shape for f in x]
    assert edge.shape == (2, 1, 16, 16)
    assert refined[-1] is x[-1]
    assert not any(torch.equal(r, f) for r, f in zip(refined[:-1], x[:-1], strict=True))
    torch.stack([r.square().sum() for r in (*refined, edge)]).sum().backward()
    # the zero-initialised response norm of ContMix holds back nothing else
    silent = {n for n, p in pyramid.named_parameters() if p.grad is None or not p.grad.abs().max() > 0}
    assert silent == set()


@torch.no_grad()
def test_add_by_hand():
    torch.manual_seed(0)
    pyramid, x = build("add").eval(), features()
    edge, guidance = pyramid.sge(x[-1], x[0])
    refined, got_edge = pyramid(x)
    assert torch.equal(got_edge, edge)
    for i in range(3):
        resized = functional.interpolate(guidance, x[i].shape[-2:], mode="bilinear", align_corners=False)
        torch.testing.assert_close(refined[i], x[i] + pyramid.blocks[i].guide_proj(resized))


@torch.no_grad()
def test_contmix_mixes_the_sum():
    torch.manual_seed(0)
    pyramid, x = build("contmix", block={"num_heads": 1}).eval(), features()
    _, guidance = pyramid.sge(x[-1], x[0])
    block = pyramid.blocks[0]
    assert isinstance(block.contmix, ContMix)
    torch.testing.assert_close(pyramid(x)[0][0], block.contmix(x[0] + block.guide_proj(guidance)))


@pytest.mark.filterwarnings("ignore::torch.jit.TracerWarning", "ignore:.*torch.jit:FutureWarning")
@pytest.mark.parametrize("mode", ["add", "contmix", "sgdc"])
@torch.no_grad()
def test_a_trace_can_be_stored_and_takes_every_batch_size(mode, tmp_path):
    torch.manual_seed(0)
    pyramid = build(mode).eval()
    # not strict, as a list is among the outputs
    torch.jit.trace(pyramid, (features(),), strict=False).save(tmp_path / "pyramid.pt")
    traced, x = torch.jit.load(tmp_path / "pyramid.pt"), features(B=3)
    torch.testing.assert_close(traced(x), pyramid(x))


@pytest.mark.parametrize("mode", ["add", "contmix", "sgdc"])
def test_parameters_made_without_memory_are_drawn_by_reset_parameters(mode):
    options = {"add": {}, "contmix": {"layer_scale": 0.5, "num_heads": 1}, "sgdc": {}}[mode]
    with torch.device("meta"):
        pyramid = build(mode, form="released", block=options)
    for value in pyramid.to_empty(device="cpu").state_dict().values():
        value.fill_(99)
    for module in pyramid.modules():
        if next(module.parameters(recurse=False), None) is not None:
            module.reset_parameters()
    twin = build(mode, form="released", block=options).state_dict()
    for key, value in pyramid.state_dict().items():
        assert (value.float().std() > 0) == (twin[key].float().std() > 0), key  # drawn, or a constant
        assert value.abs().max() <= 5 * twin[key].abs().max(), key


def test_form_and_options_reach_the_modules():
    pyramid = build("sgdc", form="released", block={"source": "self", "num_heads": 2})
    assert pyramid.sge.form == "released"
    for block, C in zip(pyramid.blocks, CHANNELS, strict=False):
        assert isinstance(block, SGDC)
        assert (block.form, block.num_heads, block.guide_proj) == ("released", 2, None)
        assert block.head.in_channels == C


def test_parameters_of_the_reconstructed_network():
    # features of Res2Net-50; SGE and three SGDC blocks of the released modules, without the frozen Sobel kernels
    with torch.device("meta"):
        pyramid = GuidedPyramid((256, 512, 1024, 2048), form="released")
    count = sum(p.numel() for p in pyramid.parameters())
    assert count == 1_916_160 + 715_972 + 2_742_468 + 10_727_620


@pytest.mark.parametrize(
    ("arguments", "error", "text"),
    [
        ({"mode": "both"}, ValueError, "mode must be one of none, add, contmix, sgdc, not 'both'"),
        ({"channels": (8,)}, ValueError, r"needs a shallow and a deep feature, but channels is \[8\]"),
        ({"mode": "add", "block": {"num_heads": 2}}, TypeError, "num_heads"),
        ({"channels": (9, 16)}, ValueError, "dim must be divisible by num_heads=4, but dim is 9"),
        ({"form": "official"}, ValueError, "form must be one of paper, released, not 'official'"),
    ],
)
def test_refuses(arguments, error, text):
    with pytest.raises(error, match=text):
        GuidedPyramid(**{"channels": CHANNELS, **arguments})
