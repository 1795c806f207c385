import math

import pytest
import torch
from monai.losses import DiceLoss
from torch.nn import functional

from magicseg.losses import (
    BinaryCrossEntropyDiceLoss,
    CrossEntropyDiceLoss,
    StructureLoss,
    Supervision,
    UCTransNetLoss,
    dice_loss,
    outer_edge,
)

ONE_LOGIT = [StructureLoss, UCTransNetLoss, BinaryCrossEntropyDiceLoss]


def written_out(logits, label, smooth=1e-5):
    """TransUNet's Dice, class by class over the whole batch."""
    p = logits.softmax(1)
    losses = []
    for k in range(logits.shape[1]):
        t = (label == k).to(p.dtype)
        intersection = (p[:, k] * t).sum()
        losses.append(1 - (2 * intersection + smooth) / ((p[:, k] ** 2).sum() + (t**2).sum() + smooth))
    return sum(losses) / len(losses)


def test_it_is_the_weighted_sum_of_cross_entropy_and_dice():
    torch.manual_seed(0)
    logits, label = torch.randn(3, 4, 8, 6, dtype=torch.float64), torch.randint(0, 4, (3, 8, 6))
    expected = 0.3 * functional.cross_entropy(logits, label) + 0.7 * written_out(logits, label)
    # MONAI sums in float32
    torch.testing.assert_close(CrossEntropyDiceLoss(0.3, 0.7)(logits, label), expected, rtol=1e-7, atol=0)
    assert CrossEntropyDiceLoss()(logits, label) == CrossEntropyDiceLoss(0.5, 0.5)(logits, label)


def test_the_batch_is_one_set_of_pixels():
    torch.manual_seed(1)
    logits, label = torch.randn(2, 3, 4, 4), torch.randint(0, 3, (2, 4, 4))
    side_by_side = torch.cat(list(logits), dim=-1)[None], torch.cat(list(label), dim=-1)[None]
    torch.testing.assert_close(CrossEntropyDiceLoss()(logits, label), CrossEntropyDiceLoss()(*side_by_side))


def test_a_perfect_prediction_costs_nothing():
    label = torch.randint(0, 4, (2, 5, 5))
    logits = 100.0 * functional.one_hot(label, 4).permute(0, 3, 1, 2)
    assert CrossEntropyDiceLoss()(logits, label) < 1e-6


def test_the_outer_edge_is_a_ring_of_two_pixels_around_each_class():
    label = torch.zeros(1, 9, 9, dtype=torch.int64)
    label[0, 4, 4] = 1
    ring = outer_edge(label, 3)[0, 0]
    y, x = torch.meshgrid(torch.arange(9), torch.arange(9), indexing="ij")
    distance = (y - 4) ** 2 + (x - 4) ** 2
    assert torch.equal(ring, ((distance <= 4) & (distance > 0)).float())
    label[0, 4, 5] = 2  # a neighbour of another class lies on the first one's ring, and the other way round
    assert outer_edge(label, 3)[0, 0, 4, 4:6].tolist() == [1, 1]
    assert outer_edge(torch.zeros(2, 5, 5, dtype=torch.int64), 3).sum() == 0


def test_the_edge_map_is_supervised_and_its_gradient_is_alive():
    torch.manual_seed(0)
    label = torch.zeros(2, 16, 16, dtype=torch.int64)
    label[:, 5:10, 5:10] = 1
    logits, edge = torch.randn(2, 2, 16, 16), torch.randn(2, 1, 4, 4, requires_grad=True)
    plain = CrossEntropyDiceLoss()
    target = outer_edge(label, 2)
    p = functional.interpolate(edge, (16, 16), mode="bilinear", align_corners=False).sigmoid()
    dice = 1 - (2 * (p * target).sum() + 1e-5) / (p.sum() + target.sum() + 1e-5)
    lighter = Supervision(plain, edge_weight=0.5)(((logits,), edge), label)
    torch.testing.assert_close(lighter, plain(logits, label) + 0.5 * dice)
    loss = Supervision(plain)(((logits,), edge), label)
    torch.testing.assert_close(loss, plain(logits, label) + 3 * dice)
    loss.backward()
    assert edge.grad.abs().min() > 0


def binary_case(B=3, H=40, W=34, seed=0):
    generator = torch.Generator().manual_seed(seed)
    logits = torch.randn(B, 1, H, W, generator=generator, dtype=torch.float64)
    return logits, (torch.rand(B, H, W, generator=generator) < 0.3).long()


def pixels(logits, label):
    """Per image the pixels (y, x, probability, truth, cross entropy)."""
    for z, t in zip(logits[:, 0].tolist(), label.tolist(), strict=True):
        yield [
            (y, x, 1 / (1 + math.exp(-v)), t[y][x], math.log1p(math.exp(-v if t[y][x] else v)))
            for y, row in enumerate(z)
            for x, v in enumerate(row)
        ]


def test_structure_loss_is_the_published_formula_pixel_by_pixel():
    logits, label = binary_case()
    expected = 0.0
    for image, truth in zip(pixels(logits, label), label, strict=True):
        cross_entropy = weights = overlap = both = 0.0
        for y, x, p, t, bce in image:
            window = truth[max(0, y - 15) : y + 16, max(0, x - 15) : x + 16].sum().item() / 31**2
            w = 1 + 5 * abs(window - t)
            cross_entropy, weights = cross_entropy + w * bce, weights + w
            overlap, both = overlap + w * p * t, both + w * (p + t)
        expected += (cross_entropy / weights + 1 - (overlap + 1) / (both - overlap + 1)) / len(label)
    assert StructureLoss()(logits, label).item() == pytest.approx(expected, rel=1e-12)


def test_structure_loss_counts_zeros_beyond_the_image():
    """One pixel of foreground: its window holds 960 zeros, so w = 1 + 5 * 960 / 961, and at p = 1/2 I = w / 2."""
    w = 1 + 5 * 960 / 961
    expected = math.log(2) + 1 - (w / 2 + 1) / (w + 1)
    logit, label = torch.zeros(1, 1, 1, 1, dtype=torch.float64), torch.ones(1, 1, 1, dtype=torch.int64)
    assert StructureLoss()(logit, label).item() == pytest.approx(expected, rel=1e-12)


def test_structure_loss_treats_every_image_alone():
    """CTO's code multiplies [B, H, W] by [B, 1, H, W], which weighs every image by all the others' borders."""
    logits, label = binary_case()
    alone = [StructureLoss()(logits[i : i + 1], label[i : i + 1]) for i in range(len(label))]
    torch.testing.assert_close(StructureLoss()(logits, label), torch.stack(alone).mean(), rtol=1e-12, atol=0)


def test_uctransnet_loss_is_the_published_computation():
    """As published: p and t halved, 1e-5; cross entropy's two means over the whole batch, Dice per image."""
    logits, label = binary_case()
    sums = {1: [0.0, 1e-12], 0: [0.0, 1e-12]}
    dice = 0.0
    for image in pixels(logits, label):
        for *_, t, bce in image:
            sums[t][0] += bce
            sums[t][1] += 1
        overlap = sum((0.5 * p) * (0.5 * t) for *_, p, t, _ in image)
        size = sum((0.5 * p) ** 2 + (0.5 * t) ** 2 for *_, p, t, _ in image)
        dice += (1 - (2 * overlap + 1e-5) / (size + 1e-5)) / len(label)
    balanced = sum(0.5 * total / count for total, count in sums.values())
    assert UCTransNetLoss()(logits, label).item() == pytest.approx(0.5 * dice + 0.5 * balanced, rel=1e-12)


def test_uctransnet_loss_weighs_both_sides_alike_however_few_their_pixels():
    label = torch.tensor([[[1, 0, 0, 0, 0]]])
    logits = torch.tensor([[[[0.0, 30, 30, 30, 30]]]], dtype=torch.float64)  # costs log 2 and 4 times 30
    dice = 1 - (2 * 0.5 + 4e-5) / (0.25 + 4 + 1 + 4e-5)
    assert UCTransNetLoss()(logits, label).item() == pytest.approx(0.5 * dice + 0.25 * (math.log(2) + 30), rel=1e-9)


def test_uctransnet_loss_of_a_batch_without_foreground_is_finite():
    logits = torch.full((2, 1, 3, 3), -2.0, dtype=torch.float64)
    p = 1 / (1 + math.exp(2))
    expected = 0.5 * (1 - 4e-5 / (9 * p**2 + 4e-5)) + 0.25 * math.log1p(math.exp(-2))
    assert UCTransNetLoss()(logits, torch.zeros(2, 3, 3, dtype=torch.int64)).item() == pytest.approx(expected)


def test_binary_cross_entropy_and_dice_have_equal_weight():
    logits, label = binary_case()
    everything = [pixel for image in pixels(logits, label) for pixel in image]
    cross_entropy = sum(bce for *_, bce in everything) / len(everything)
    overlap = sum(p * t for *_, p, t, _ in everything)
    dice = 1 - (2 * overlap + 1e-5) / (sum(p + t for *_, p, t, _ in everything) + 1e-5)
    loss = BinaryCrossEntropyDiceLoss()(logits, label)
    assert loss.item() == pytest.approx(cross_entropy + dice, rel=1e-12)


@pytest.mark.parametrize("kind", ONE_LOGIT)
def test_one_logit_right_costs_nothing_and_wrong_has_a_gradient_everywhere(kind):
    label = torch.zeros(2, 8, 8, dtype=torch.int64)
    label[:, 2:6, 2:6] = 1
    right = (60.0 * label - 30)[:, None]
    assert kind()(right, label) < 1e-6
    wrong = (-right / 10).requires_grad_()
    kind()(wrong, label).backward()
    assert torch.equal(wrong.grad.sign(), 1 - 2 * label[:, None].float())  # foreground up, background down


@pytest.mark.parametrize("kind", ONE_LOGIT)
def test_half_precision_does_not_reach_the_sums(kind):
    logits, label = binary_case(1, 128, 128)
    half = logits.bfloat16()
    assert kind()(half, label).item() == pytest.approx(kind()(half.double(), label).item(), rel=1e-5)


@pytest.mark.parametrize("kind", ONE_LOGIT)
def test_several_logits_are_refused(kind):
    text = rf"{kind.__name__} is for one class and one logit \[B, 1, H, W\], but the network returns 2\."
    with pytest.raises(ValueError, match=text):
        kind()(torch.zeros(1, 2, 4, 4), torch.zeros(1, 4, 4, dtype=torch.int64))


def test_deep_supervision_is_the_weighted_sum():
    label = binary_case()[1]
    outputs = [binary_case(seed=seed)[0] for seed in range(3)]
    expected = sum(w * StructureLoss()(x, label) for w, x in zip((0.5, 0.3, 0.2), outputs, strict=True))
    loss = Supervision(StructureLoss(), [0.5, 0.3, 0.2])((tuple(outputs), None), label)
    torch.testing.assert_close(loss, expected, rtol=1e-12, atol=0)
    with pytest.raises(ValueError, match="3 supervised outputs"):
        Supervision(StructureLoss())((tuple(outputs), None), label)


def test_the_softmax_of_one_channel_that_cto_takes_has_no_gradient():
    edge = torch.randn(2, 1, 4, 4, requires_grad=True)
    p = edge.softmax(1)
    (1 - 2 * p[:, :, :2].sum() / (p.sum() + 16)).backward()
    assert edge.grad.abs().max() == 0


def test_dice_loss_by_hand():
    label = torch.tensor([[[1, 1, 0, 0]]])
    certain = torch.tensor([[[[30.0, -30, -30, -30]]]])  # one of the two pixels found
    assert dice_loss(certain, label).item() == pytest.approx(1 - 2 / 3, rel=1e-5)
    label = torch.tensor([[[1, 1, 2, 0]]])
    logits = functional.one_hot(torch.tensor([[[1, 0, 2, 2]]]), 3).movedim(-1, 1) * 60.0
    assert dice_loss(logits, label).item() == pytest.approx(((1 - 2 / 3) + (1 - 2 / 3)) / 2, rel=1e-5)
    assert dice_loss(logits.bfloat16(), label).dtype == torch.float32


def test_dice_loss_equals_monais():
    torch.manual_seed(0)
    logits, label = torch.randn(3, 4, 7, 5), torch.randint(0, 4, (3, 7, 5))
    smooth = {"batch": True, "smooth_nr": 1e-5, "smooth_dr": 1e-5}
    monais = DiceLoss(softmax=True, to_onehot_y=True, include_background=False, **smooth)
    assert dice_loss(logits, label).item() == pytest.approx(monais(logits, label[:, None]).item(), rel=1e-6)
    one, binary = logits[:, :1], (label > 1).long()
    monais = DiceLoss(sigmoid=True, **smooth)
    assert dice_loss(one, binary).item() == pytest.approx(monais(one, binary[:, None]).item(), rel=1e-6)
