"""What a run trains on, chooses by and draws."""

import numpy as np
import torch
from torch import nn

from magicseg.assembly.build import preprocessing
from magicseg.data import SliceDataset
from magicseg.evaluation.validation import Validation
from magicseg.training.data import open_data, training_batches, validation_cases, validation_picture


def contents(images):
    return [image.numpy().tobytes() for image in images]


def test_an_epoch_is_every_training_slice_once_in_an_order_of_its_own(configure):
    config = configure("recipe.augment=none", "recipe.batch_size=7")
    data = open_data(config)
    slices = SliceDataset(data.train.cases, data.train.root, preprocessing(config.recipe), augment="none", seed=0)
    loader, orders = training_batches(config, data, pin_memory=False), []
    for epoch in (0, 1):
        loader.batch_sampler.epoch = epoch
        batches = [images for images, _ in loader]
        assert [len(images) for images in batches[:-1]] == [7] * ((len(slices) - 1) // 7)
        orders.append(contents(torch.cat(batches)))
    listed = contents(slices[0, index][0] for index in range(len(slices)))
    assert sorted(orders[0]) == sorted(orders[1]) == sorted(listed)
    assert len({tuple(order) for order in (*orders, listed)}) == 3


def test_training_slices_are_augmented_and_validation_slices_are_not(configure):
    config = configure()
    data = open_data(config)
    case = data.val.cases[0]
    slices = SliceDataset([case], data.val.root, preprocessing(config.recipe), augment="none", seed=0)
    images, labels = validation_cases(config, data)[case.name]
    for index in range(len(slices)):
        assert torch.equal(images[index], slices[0, index][0])
        assert torch.equal(labels[index], slices[0, index][1])
    dataset = training_batches(config, data, pin_memory=False).dataset
    assert not torch.equal(dataset[0, 0][0], dataset[1, 0][0])


def test_the_middle_slices_of_the_first_validation_cases_are_drawn():
    values = torch.tensor([[-3.0, 5.0], [1.0, 1.0]])
    cases = {
        name: (values.expand(depth, 1, 2, 2), torch.zeros(depth, 2, 2).long())
        for name, depth in (("a", 3), ("b", 2), ("c", 1))
    }
    for images, labels in cases.values():
        labels[len(images) // 2] = 1  # seen in the truth, which stands above
    background = nn.Conv2d(1, 2, 1)
    with torch.no_grad():
        background.weight.zero_()
        background.bias.copy_(torch.tensor([1.0, 0.0]))
    sheet = validation_picture(Validation(cases, ["organ"]), slices=2)(background)
    assert sheet.shape == (4, 4, 3)
    np.testing.assert_allclose(sheet[2:, :2], sheet[2:, 2:])
    np.testing.assert_allclose(sheet[2:, :2, 0], [[0, 1], [0.5, 0.5]])
    assert (sheet[:2] != sheet[2:]).any(axis=2).all()
    assert validation_picture(Validation({}, ["organ"])) is None
