import torch
from torch.nn import functional

from magicseg.losses import CrossEntropyDiceLoss


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


def test_the_batch_is_one_set_of_pixels():
    torch.manual_seed(1)
    logits, label = torch.randn(2, 3, 4, 4), torch.randint(0, 3, (2, 4, 4))
    side_by_side = torch.cat(list(logits), dim=-1)[None], torch.cat(list(label), dim=-1)[None]
    torch.testing.assert_close(CrossEntropyDiceLoss()(logits, label), CrossEntropyDiceLoss()(*side_by_side))


def test_a_perfect_prediction_costs_nothing():
    label = torch.randint(0, 4, (2, 5, 5))
    logits = 100.0 * functional.one_hot(label, 4).permute(0, 3, 1, 2)
    assert CrossEntropyDiceLoss()(logits, label) < 1e-6
