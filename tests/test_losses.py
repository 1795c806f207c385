import torch
from torch.nn import functional

from magicseg.losses import CrossEntropyDiceLoss, Supervision, outer_edge


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
    loss = Supervision(plain, edge_weight=3.0)(((logits,), edge), label)
    torch.testing.assert_close(loss, plain(logits, label) + 3 * dice)
    loss.backward()
    assert edge.grad.abs().min() > 0
