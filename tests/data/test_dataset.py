"""Slices and batches: the same for any number of workers, and as TransUNet's augmentation says."""

import multiprocessing
import pickle

import numpy as np
import pytest
import torch
from torch.utils.data import DataLoader

from magicseg.data import EpochBatches, SliceDataset, cases_to_slices, load_case, resize_image, resize_label
from magicseg.data import dataset as dataset_module
from magicseg.data.transforms import rotate
from magicseg.seeding import generator

SIZE = (16, 16)


@pytest.fixture
def cases(make_case):
    return [make_case("a_frame01", (3, 20, 14)), make_case("b_frame01", (2, 12, 18), seed=1)]


@pytest.fixture
def build(cases, tmp_path):
    return lambda size=SIZE, augment=True, seed=1: SliceDataset(cases, tmp_path, size, augment, seed)


def test_slices_are_counted_through_the_cases(cases):
    assert cases_to_slices(cases) == [(0, 0), (0, 1), (0, 2), (1, 0), (1, 1)]


@pytest.mark.parametrize("size", [SIZE, (16, 24)])
def test_without_augmentation_a_slice_is_resized(build, cases, tmp_path, size):
    slices = build(size, augment=False)
    assert len(slices) == 5
    image, label = load_case(tmp_path, cases[1])
    x, y = slices[0, 4]
    assert (x.shape, x.dtype) == ((1, *size), torch.float32)
    assert (y.shape, y.dtype) == (size, torch.int64)
    np.testing.assert_array_equal(x[0].numpy(), resize_image(image[1], size))
    np.testing.assert_array_equal(y.numpy(), resize_label(label[1], size))
    assert torch.equal(slices[7, 4][0], x)


def expected(image, label, size, seed, epoch, index):
    """Write TransUNet's augmentation out plainly: change, then resize; and say which branch was taken."""
    rng = generator(seed, "augment", epoch, index)
    branch = "none"
    if rng.random() < 0.5:
        branch, turns, axis = "turn", int(rng.integers(4)), int(rng.integers(2))
        image, label = (np.flip(np.rot90(array, turns), axis) for array in (image, label))
    elif rng.random() < 0.5:
        branch, angle = "rotate", int(rng.integers(-20, 20))
        image, label = rotate(image, angle), rotate(label, angle)
    return branch, resize_image(image, size), resize_label(label, size)


@pytest.mark.parametrize("size", [SIZE, (15, 15), (16, 24)])
def test_augmentation_is_that_of_transunet(build, cases, tmp_path, size):
    slices, volumes = build(size), [load_case(tmp_path, case) for case in cases]
    seen = set()
    for epoch in range(6):
        for index, (position, number) in enumerate(cases_to_slices(cases)):
            image, label = (array[number] for array in volumes[position])
            branch, image, label = expected(image, label, size, 1, epoch, index)
            x, y = slices[epoch, index]
            np.testing.assert_allclose(x[0].numpy(), image, atol=1e-6)
            np.testing.assert_array_equal(y.numpy(), label)
            seen.add(branch)
    assert seen == {"none", "turn", "rotate"}


def test_how_often_and_how_far(build, monkeypatch):
    """Half of the slices are turned, a quarter rotated by -20 to 19 degrees; all turns, axes and angles occur."""
    turns, angles = [], []
    monkeypatch.setattr(dataset_module, "rotate_and_flip", lambda array, *drawn: turns.append(drawn) or array)
    monkeypatch.setattr(dataset_module, "rotate", lambda array, angle: angles.append(angle) or array)
    slices = build()
    for epoch in range(800):
        for index in range(5):
            slices[epoch, index]
    assert len(turns) / 2 == pytest.approx(2000, abs=150)  # 4000 slices, five standard deviations
    assert len(angles) / 2 == pytest.approx(1000, abs=150)
    assert set(turns) == {(k, axis) for k in range(4) for axis in range(2)}
    assert set(angles) == set(range(-20, 20))


def test_the_draw_depends_on_seed_epoch_and_slice_alone(build):
    first, again, other = build(), build(), build(seed=2)
    keys = [(epoch, index) for epoch in range(8) for index in range(5)]
    backwards = {key: again[key] for key in reversed(keys)}
    assert all(torch.equal(a, b) for key in keys for a, b in zip(first[key], backwards[key], strict=True))
    assert any(not torch.equal(first[key][0], other[key][0]) for key in keys)
    assert any(not torch.equal(first[0, index][0], first[1, index][0]) for index in range(5))


def test_changing_a_batch_does_not_change_the_cache(build):
    for augment in (False, True):
        slices = build((20, 14), augment)  # the first case's own size: nothing is resized
        for epoch in range(4):
            before = slices[epoch, 0][0].clone()
            slices[epoch, 0][0].zero_()
            slices[epoch, 0][1].zero_()
            assert torch.equal(slices[epoch, 0][0], before)


def test_each_volume_is_read_once(build, monkeypatch):
    read = []
    monkeypatch.setattr(dataset_module, "load_case", lambda root, case: read.append(case.name) or load_case(root, case))
    slices = build()
    for epoch in range(3):
        for index in range(5):
            slices[epoch, index]
    assert read == ["a_frame01", "b_frame01"]


def test_a_copy_for_a_worker_carries_no_arrays(build):
    slices = build()
    empty = len(pickle.dumps(slices))
    x = slices[0, 0][0]
    assert len(pickle.dumps(slices)) == empty
    assert torch.equal(pickle.loads(pickle.dumps(slices))[0, 0][0], x)


def epochs(dataset, workers, context=None, count=3):
    batches = EpochBatches(len(dataset), 2, seed=3, shuffle=True, drop_last=False)
    loader = DataLoader(
        dataset,
        batch_sampler=batches,
        num_workers=workers,
        persistent_workers=workers > 0,
        multiprocessing_context=context,
    )
    result = []
    for epoch in range(count):
        batches.epoch = epoch
        result += [(x.clone(), y.clone()) for x, y in loader]
    return result


@pytest.mark.parametrize(("workers", "context"), [(1, "fork"), (2, "fork"), (2, "spawn")])
def test_batches_do_not_depend_on_workers(build, workers, context):
    if context not in multiprocessing.get_all_start_methods():
        pytest.skip(f"this system cannot {context}")
    alone, shared = epochs(build(), 0), epochs(build(), workers, context)
    assert len(alone) == 9
    for (x, y), (x_shared, y_shared) in zip(alone, shared, strict=True):
        assert torch.equal(x, x_shared)
        assert torch.equal(y, y_shared)


def keys(batches):
    return [key for batch in batches for key in batch]


def test_every_slice_comes_once_an_epoch_in_another_order():
    batches = EpochBatches(10, 3, seed=1, shuffle=True, drop_last=False)
    first = keys(batches)
    batches.epoch = 1
    second = keys(batches)
    assert sorted(first) == [(0, index) for index in range(10)]
    assert sorted(second) == [(1, index) for index in range(10)]
    assert [index for _, index in first] != [index for _, index in second]


def test_an_epoch_can_be_asked_for_at_any_time():
    batches, late = (EpochBatches(10, 3, seed=1, shuffle=True, drop_last=False) for _ in range(2))
    for epoch in range(5):
        batches.epoch = epoch
        last = keys(batches)
    late.epoch = 4
    assert keys(late) == last
    assert keys(EpochBatches(10, 3, seed=2, shuffle=True, drop_last=False)) != keys(
        EpochBatches(10, 3, seed=1, shuffle=True, drop_last=False)
    )


def test_without_shuffling_the_order_is_kept():
    batches = EpochBatches(5, 2, seed=1, shuffle=False, drop_last=False)
    assert list(batches) == [[(0, 0), (0, 1)], [(0, 2), (0, 3)], [(0, 4)]]


@pytest.mark.parametrize(
    ("n", "size", "drop_last", "sizes"), [(7, 3, False, [3, 3, 1]), (7, 3, True, [3, 3]), (6, 3, False, [3, 3])]
)
def test_batch_sizes(n, size, drop_last, sizes):
    batches = EpochBatches(n, size, seed=1, shuffle=True, drop_last=drop_last)
    assert [len(batch) for batch in batches] == sizes
    assert len(batches) == len(sizes)


@pytest.mark.parametrize(("n", "size", "drop_last"), [(0, 2, False), (5, 0, False), (5, 6, True), (5, -1, True)])
def test_no_batch_is_an_error(n, size, drop_last):
    with pytest.raises(ValueError, match=f"n={n} slices with batch_size={size} give no batch; needed: "):
        EpochBatches(n, size, seed=1, shuffle=True, drop_last=drop_last)
