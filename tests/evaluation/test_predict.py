import zipfile

import numpy as np
import pytest
import torch
from scipy.ndimage import zoom
from torch import nn

from magicseg.data import Preprocessing
from magicseg.errors import UserError
from magicseg.evaluation.predict import labels_of, load_prediction, predict_slices, predict_volume, save_prediction
from magicseg.evaluation.validation import Validation, case_dice


class Threshold(nn.Module):
    """Two classes: above one half or not."""

    def __init__(self):
        super().__init__()
        self.level = nn.Parameter(torch.tensor(0.5))

    def forward(self, x):
        return torch.cat([self.level.expand_as(x), x], dim=1)


def test_slices_are_classified_in_batches_and_the_mode_comes_back():
    model = Threshold().train()
    slices = torch.rand(7, 1, 4, 4)
    labels = predict_slices(model, slices, batch_size=3)
    assert labels.dtype == torch.uint8
    assert torch.equal(labels, (slices[:, 0] > 0.5).to(torch.uint8))
    assert model.training


def test_a_volume_goes_to_the_networks_size_and_back():
    volume = np.random.default_rng(0).random((3, 20, 30)).astype(np.float32)
    expected = []
    for image in volume:
        small = zoom(image, (16 / 20, 16 / 30), order=3)
        expected.append(zoom((small > 0.5).astype(np.uint8), (20 / 16, 30 / 16), order=0))
    assert np.array_equal(predict_volume(Threshold(), volume, Preprocessing((16, 16))), np.stack(expected))


def test_an_image_goes_through_the_network_as_a_volume_of_one_slice():
    class Red(nn.Module):
        def __init__(self):
            super().__init__()
            self.level = nn.Parameter(torch.tensor(0.5))

        def forward(self, x):
            return x[:, :1] - self.level

    image = np.zeros((1, 6, 8, 3), np.uint8)
    image[0, :3, :, 0] = 255
    label = predict_volume(Red(), image, Preprocessing((3, 4), "bilinear"))
    assert label.shape == (1, 6, 8)
    assert label[0, :2].all()
    assert not label[0, 4:].any()


def test_one_logit_is_the_object_above_one_half():
    logits = torch.tensor([-1.0, 0.0, 2.0]).view(1, 1, 1, 3)
    assert labels_of(logits).tolist() == [[[0, 0, 1]]]
    assert labels_of(torch.cat([torch.zeros_like(logits), logits], dim=1)).tolist() == [[[0, 0, 1]]]


def test_predictions_come_back_and_damage_is_named(tmp_path):
    label = np.arange(24, dtype=np.uint8).reshape(2, 3, 4)
    save_prediction(tmp_path / "a.npz", label)
    assert np.array_equal(load_prediction(tmp_path / "a.npz"), label)
    content = (tmp_path / "a.npz").read_bytes()
    (tmp_path / "a.npz").write_bytes(content[: len(content) // 2])
    with zipfile.ZipFile(tmp_path / "header.npz", "w") as archive:  # one wrong bit made ( of a digit
        header = b"{'descr': '|u1', 'fortran_order': False, 'shape': ((,), }"
        archive.writestr("label.npy", b"\x93NUMPY\x01\x00" + len(header).to_bytes(2, "little") + header)
    for name in ("a.npz", "none.npz", "header.npz"):
        with pytest.raises(UserError, match=rf"{name} is missing or damaged"):
            load_prediction(tmp_path / name)


def test_case_dice_by_hand():
    prediction = torch.tensor([[[1, 1, 0, 0]], [[0, 0, 0, 0]]])
    label = torch.tensor([[[1, 0, 0, 0]], [[1, 0, 0, 2]]])
    one, two, three = case_dice(prediction, label, 3)
    assert one == 2 * 1 / (2 + 2)
    assert two == 0
    assert three != three  # nan: in neither


def test_validation_is_the_mean_over_cases_then_classes():
    images = torch.tensor([0.9, 0.1]).view(2, 1, 1, 1)
    cases = {
        "both right": (images, torch.tensor([1, 0]).view(2, 1, 1)),
        "one wrong": (images, torch.tensor([1, 1]).view(2, 1, 1)),
        "empty": (images[1:], torch.tensor([0]).view(1, 1, 1)),
    }
    scores = Validation(cases, ["object"])(Threshold())
    assert scores == {"dice": (1 + 2 / 3) / 2, "dice/object": (1 + 2 / 3) / 2}
    assert Validation(cases, ["object", "in no case"])(Threshold())["dice/in no case"] == 0
    assert Validation({}, ["object"])(Threshold()) == {}


def test_a_validation_loss_is_the_mean_over_slices():
    images, labels = torch.rand(5, 1, 4, 4), torch.randint(0, 2, (5, 4, 4))
    loss = nn.CrossEntropyLoss()
    cases = {"a": (images[:3], labels[:3]), "b": (images[3:], labels[3:])}
    losses = {"validation_loss": loss, "twice": lambda logits, label: 2 * loss(logits, label)}
    scores = Validation(cases, ["object"], losses, batch_size=2)(Threshold())
    expected = loss(Threshold()(images), labels).item()
    assert scores["validation_loss"] == pytest.approx(expected, rel=1e-6)
    assert scores["twice"] == pytest.approx(2 * expected, rel=1e-6)
