"""The phantom: always the same, heart-like, and not to be solved by a threshold."""

import numpy as np
import pytest
from scipy import ndimage

from magicseg.data.case import check_arrays
from magicseg.data.sources import phantom
from magicseg.data.sources.phantom import LV, MYO, RV, draw
from magicseg.errors import UserError


@pytest.fixture(scope="module")
def volumes():
    return [(draw(number, 1), draw(number, 2)) for number in range(1, phantom.SUBJECTS + 1)]


def test_names_and_phases_of_the_cases():
    cases = phantom.find(None).cases
    assert [case.name for case in cases[:3]] == ["phantom01_frame01", "phantom01_frame02", "phantom02_frame01"]
    assert [case.facts["phase"] for case in cases[:2]] == ["ED", "ES"]
    assert len(cases) == 60


def test_a_source_folder_is_refused(tmp_path):
    with pytest.raises(UserError, match="drawn, not read: leave out source="):
        phantom.find(tmp_path)


def test_it_is_drawn_the_same_every_time_and_depends_on_everything(volumes):
    again = draw(3, 2)
    np.testing.assert_array_equal(again.image, volumes[2][1].image)
    np.testing.assert_array_equal(again.label, volumes[2][1].label)
    others = [draw(4, 2), draw(3, 1), draw(3, 2, seed=1)]
    assert all((other.image != again.image).any() and (other.label != again.label).any() for other in others)


def test_volumes_fit_the_prepared_form(volumes):
    for volume in (frame for frames in volumes for frame in frames):
        check_arrays(volume.image, volume.label, 4, "phantom")
        assert volume.image.shape == (8, 96, 96)
        assert volume.spacing == (10.0, 1.5, 1.5)
        assert (volume.image.min(), volume.image.max()) == (0, 1)


def test_grey_values_are_whole_steps(volumes):
    steps = volumes[0][0].image * 1023
    np.testing.assert_allclose(steps, np.round(steps), atol=1e-4)


def test_every_frame_shows_every_class_and_some_slices_none(volumes):
    labels = [frame.label for frames in volumes for frame in frames]
    assert all(np.unique(label).tolist() == [0, RV, MYO, LV] for label in labels)
    empty = sum(int((label.reshape(8, -1).max(axis=1) == 0).sum()) for label in labels)
    assert 0.05 < empty / (8 * len(labels)) < 0.3


def test_the_lv_contracts(volumes):
    for diastole, systole in volumes:
        assert (systole.label == LV).sum() < 0.8 * (diastole.label == LV).sum()


def test_the_lv_lies_within_the_myocardium(volumes):
    for frames in volumes:
        for label in (frame.label for frame in frames):
            around = np.stack([ndimage.binary_dilation(plane) for plane in label == LV]) & (label != LV)
            assert (label[around] == MYO).all()


def test_a_threshold_does_not_solve_it(volumes):
    image = np.concatenate([frame.image.ravel() for frames in volumes for frame in frames])
    label = np.concatenate([frame.label.ravel() for frames in volumes for frame in frames])
    blood = (label == LV) | (label == RV)
    best = max(
        2 * (blood & found).sum() / (blood.sum() + found.sum())
        for found in (image > t for t in np.arange(0.1, 0.9, 0.05))
    )
    assert best < 0.6
