import numpy as np
from matplotlib.colors import to_rgb
from PIL import Image

from magicseg.reports.overlays import COLOURS, contact_sheet, paint, save_overlay


def test_paint_blends_each_class_in_its_colour_and_leaves_the_background():
    image = np.full((2, 2), 0.5)
    picture = paint(image, np.array([[0, 1], [2, 0]]), opacity=0.25)
    assert np.array_equal(picture[0, 0], [0.5, 0.5, 0.5])
    np.testing.assert_allclose(picture[0, 1], 0.75 * 0.5 + 0.25 * np.array(to_rgb(COLOURS[0])))
    np.testing.assert_allclose(picture[1, 0], 0.75 * 0.5 + 0.25 * np.array(to_rgb(COLOURS[1])))


def test_a_contact_sheet_has_truth_above_and_prediction_below():
    images, truths, predictions = np.zeros((3, 4, 5)), np.ones((3, 4, 5), int), np.zeros((3, 4, 5), int)
    sheet = contact_sheet(images, truths, predictions)
    assert sheet.shape == (8, 15, 3)
    assert sheet[:4].min(axis=(0, 1)).max() > 0
    assert sheet[4:].max() == 0


def test_an_overlay_is_a_readable_picture_for_any_volume(tmp_path):
    rng = np.random.default_rng(0)
    for name, label in (("some", rng.integers(0, 3, (7, 20, 30))), ("none", np.zeros((2, 20, 30), int))):
        path = tmp_path / f"{name}.png"
        save_overlay(path, rng.random(label.shape), label, label[::-1], ["a", "b"], "title")
        with Image.open(path) as picture:
            picture.load()
            assert min(picture.size) > 300
        assert np.asarray(Image.open(path).convert("L")).std() > 5
