"""Slices and batches: the same for any number of workers and kind of image, and as TransUNet's augmentation says."""

import multiprocessing
import pickle

import numpy as np
import pytest
import torch
from torch.utils.data import DataLoader

from magicseg.data import AUGMENTATIONS, EpochBatches, Preprocessing, SliceDataset, cases_to_slices, load_case
from magicseg.data.case import write_case
from magicseg.data.geometry import rotate
from magicseg.errors import UserError
from magicseg.seeding import generator

SIZE = (16, 16)


@pytest.fixture
def cases(make_case):
    return [make_case("a_frame01", (3, 20, 14)), make_case("b_frame01", (2, 12, 18), seed=1)]


@pytest.fixture
def images(tmp_path):
    """RGB cases of one slice each."""
    rng = np.random.default_rng(0)
    shapes = [(20, 14), (12, 18), (16, 24)]
    arrays = [(rng.integers(0, 256, (1, *s, 3)).astype(np.uint8), rng.integers(0, 2, (1, *s))) for s in shapes]
    return [write_case(tmp_path, f"i{n}", f"i{n}", *pair, None, 2, {}) for n, pair in enumerate(arrays)]


@pytest.fixture
def build(cases, tmp_path):
    def built(size=SIZE, augment="transunet", seed=1):
        return SliceDataset(cases, tmp_path, Preprocessing(size), augment, seed)

    return built


def test_slices_are_counted_through_the_cases(cases):
    assert cases_to_slices(cases) == [(0, 0), (0, 1), (0, 2), (1, 0), (1, 1)]


@pytest.mark.parametrize("size", [SIZE, (16, 24)])
def test_without_augmentation_a_slice_is_resized(build, cases, tmp_path, size):
    slices, alone = build(size, augment="none"), Preprocessing(size)
    assert len(slices) == 5
    image, label = load_case(tmp_path, cases[1])
    x, y = slices[0, 4]
    assert (x.shape, x.dtype) == ((1, *size), torch.float32)
    assert (y.shape, y.dtype) == (size, torch.int64)
    np.testing.assert_array_equal(x.numpy(), alone.image(image[1]))
    np.testing.assert_array_equal(y.numpy(), alone.label(label[1]))
    assert torch.equal(slices[7, 4][0], x)


@pytest.mark.parametrize("augment", AUGMENTATIONS)
@pytest.mark.parametrize("resize", ["spline", "bilinear"])
def test_rgb_images_are_normalised_and_contiguous(images, tmp_path, augment, resize):
    preprocessing = Preprocessing((12, 16), resize, "imagenet")
    slices = SliceDataset(images, tmp_path, preprocessing, augment, seed=1)
    for epoch in range(6):
        for index in range(len(slices)):
            x, y = slices[epoch, index]
            assert (x.shape, x.dtype, x.is_contiguous()) == ((3, 12, 16), torch.float32, True)
            assert (y.shape, y.dtype, y.is_contiguous()) == ((12, 16), torch.int64, True)
            assert -3.5 < x.min() < x.max() < 4
            assert set(y.unique().tolist()) <= {0, 1}
    if augment == "none":
        image, label = load_case(tmp_path, images[2])
        np.testing.assert_array_equal(slices[0, 2][0].numpy(), preprocessing.image(image[0]))
        np.testing.assert_array_equal(slices[0, 2][1].numpy(), preprocessing.label(label[0]))


def test_an_unknown_augmentation_is_answered_with_the_nearest(build):
    with pytest.raises(UserError, match=r"Unknown augmentation 'transnet'\. Did you mean transunet"):
        build(augment="transnet")


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
    return branch, Preprocessing(size).image(image), Preprocessing(size).label(label)


@pytest.mark.parametrize("size", [SIZE, (15, 15), (16, 24)])
def test_augmentation_is_that_of_transunet(build, cases, tmp_path, size):
    slices, volumes = build(size), [load_case(tmp_path, case) for case in cases]
    seen = set()
    for epoch in range(6):
        for index, (position, number) in enumerate(cases_to_slices(cases)):
            image, label = (array[number] for array in volumes[position])
            branch, image, label = expected(image, label, size, 1, epoch, index)
            x, y = slices[epoch, index]
            np.testing.assert_allclose(x.numpy(), image, atol=1e-6)
            np.testing.assert_array_equal(y.numpy(), label)
            seen.add(branch)
    assert seen == {"none", "turn", "rotate"}


@pytest.mark.parametrize("augment", ["transunet", "uctransnet", "transfuse"])
def test_the_draw_depends_on_seed_epoch_and_slice_alone(build, augment):
    first, again, other = build(augment=augment), build(augment=augment), build(augment=augment, seed=2)
    keys = [(epoch, index) for epoch in range(8) for index in range(5)]
    backwards = {key: again[key] for key in reversed(keys)}
    assert all(torch.equal(a, b) for key in keys for a, b in zip(first[key], backwards[key], strict=True))
    assert any(not torch.equal(first[key][0], other[key][0]) for key in keys)
    assert any(not torch.equal(first[0, index][0], first[1, index][0]) for index in range(5))


@pytest.mark.filterwarnings("ignore:.*cannot be written to")
@pytest.mark.parametrize("writable", [True, False])
def test_changing_a_batch_does_not_change_the_cache(build, tmp_path, writable):
    if not writable:
        (tmp_path / "cache").write_text("no folder can be made here")
    for augment in AUGMENTATIONS:
        slices = build((20, 14), augment)  # the first case's own size: nothing is resized
        for epoch in range(4):
            before = slices[epoch, 0][0].clone()
            slices[epoch, 0][0].zero_()
            slices[epoch, 0][1].zero_()
            assert torch.equal(slices[epoch, 0][0], before)


@pytest.mark.filterwarnings("ignore:.*cannot be written to")
def test_a_copy_for_a_worker_carries_no_arrays(build, tmp_path):
    (tmp_path / "cache").write_text("no folder can be made here")
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


@pytest.mark.filterwarnings("ignore:This DataLoader will create")
@pytest.mark.parametrize(
    ("workers", "context", "augment"),
    [
        *[(workers, "fork", augment) for workers in (1, 2, 4) for augment in ("transunet", "uctransnet", "transfuse")],
        (2, "spawn", "transunet"),
    ],
)
def test_batches_do_not_depend_on_workers(build, augment, workers, context):
    if context not in multiprocessing.get_all_start_methods():
        pytest.skip(f"this system cannot {context}")
    alone = epochs(build(augment=augment), 0)
    shared = epochs(build(augment=augment), workers, context)
    assert len(alone) == 9
    for (x, y), (x_shared, y_shared) in zip(alone, shared, strict=True):
        assert torch.equal(x, x_shared)
        assert torch.equal(y, y_shared)


def test_batches_do_not_depend_on_threads_nor_on_the_cache(images, tmp_path):
    def epoch(threads):
        torch.set_num_threads(threads)
        return epochs(SliceDataset(images, tmp_path, Preprocessing((192, 256)), "transfuse", seed=1), 0)

    before = torch.get_num_threads()
    try:
        first, cached, threaded = epoch(1), epoch(1), epoch(2)
    finally:
        torch.set_num_threads(before)
    for other in (cached, threaded):
        assert all(torch.equal(x, x_other) for (x, _), (x_other, _) in zip(first, other, strict=True))


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
    ("n", "size", "drop_last", "sizes"),
    [(7, 3, False, [3, 3, 1]), (7, 3, True, [3, 3]), (6, 3, False, [3, 3]), (1, 1, True, [1])],
)
def test_batch_sizes(n, size, drop_last, sizes):
    batches = EpochBatches(n, size, seed=1, shuffle=True, drop_last=drop_last)
    assert [len(batch) for batch in batches] == sizes
    assert len(batches) == len(sizes)


@pytest.mark.parametrize(("n", "size", "drop_last"), [(0, 2, False), (5, 0, False), (5, 6, True), (5, -1, True)])
def test_no_batch_is_an_error(n, size, drop_last):
    with pytest.raises(ValueError, match=f"n={n} slices with batch_size={size} give no batch; needed: "):
        EpochBatches(n, size, seed=1, shuffle=True, drop_last=drop_last)
