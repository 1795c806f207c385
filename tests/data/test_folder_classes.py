"""The classes of one's own masks, by the values found in them."""

from pathlib import Path

import numpy as np
import pytest

from magicseg.data.sources.folder_classes import find_classes, to_labels
from magicseg.errors import UserError

MASK = Path("a.png")


def test_masks_of_the_background_alone_are_refused(tmp_path):
    with pytest.raises(UserError, match=r"hold 1 values up to 0; expected are 0 for the background and one value a"):
        find_classes(tmp_path, {0: MASK})


def test_the_background_is_a_class_where_no_mask_shows_it_too(tmp_path):
    assert find_classes(tmp_path, {1: MASK}).values == (0, 1)
    (tmp_path / "classes.txt").write_text("background\nfat\nother\n")
    named = find_classes(tmp_path, {7: MASK, 9: MASK})
    assert (named.names, named.values) == (("background", "fat", "other"), (0, 7, 9))


def test_each_value_becomes_its_position_and_others_are_refused():
    labels = to_labels(np.array([[9, 0], [7, 9]]), (0, 7, 9), "a.png")
    assert (labels.tolist(), labels.dtype) == ([[2, 0], [1, 2]], np.uint8)
    with pytest.raises(UserError, match=r"a.png: the mask holds the values -1, 8, 10; allowed are \(0, 7, 9\)"):
        to_labels(np.array([[-1, 0, 7, 8, 9, 10]]), (0, 7, 9), "a.png")
