from __future__ import annotations

import re
from pathlib import Path

import numpy as np
import pytest

from magicseg.data.case import write_case
from magicseg.data.manifest import Manifest
from magicseg.errors import UserError

SCRIPTS = Path(__file__).resolve().parents[1] / "scripts"


@pytest.fixture(autouse=True)
def _scripts_importable(monkeypatch):
    monkeypatch.syspath_prepend(SCRIPTS)


def prepare_random(root, shape, rgb=False):
    """Write a prepared folder with one random case and return it."""
    rng = np.random.default_rng(0)
    image = rng.integers(0, 256, (*shape, 3)).astype(np.uint8) if rgb else rng.random(shape).astype(np.float32)
    case = write_case(root, "a", "a", image, rng.integers(0, 2, shape).astype(np.uint8), None, 2, {})
    Manifest("folder", ("background", "nucleus"), "made up", (case,), {}, ()).write(root)
    return root


def test_the_usual_loaders_samples_are_equal_and_their_times_are_printed(tmp_path, capsys):
    from benchmark import main

    grey, rgb = prepare_random(tmp_path / "grey", (4, 40, 30)), prepare_random(tmp_path / "rgb", (1, 40, 30), rgb=True)
    main(["loading", f"grey={grey}", f"rgb={rgb}", "slices=4", "epochs=3"])
    printed = capsys.readouterr().out
    assert len(re.findall(r"magicseg +\d+\.\d{3} ms of CPU time a sample +\d+ samples/s", printed)) == 2
    assert len(re.findall(r"magicseg is \d+\.\d times as fast", printed)) == 2
    assert sum(int(share) for share in re.findall(r"(\d+)% of the samples", printed)) == pytest.approx(100, abs=2)


def test_samples_that_differ_are_not_measured(tmp_path, monkeypatch):
    from benchmarks import loading

    monkeypatch.setattr(loading, "drawn", lambda epoch, index: ("rotated", 7, 0))
    with pytest.raises(UserError, match=r"grey: 4 slices.*the samples differ, images by"):
        loading.compare_grey(prepare_random(tmp_path / "grey", (4, 40, 30)), slices=4, epochs=2)


def test_a_folder_without_prepared_data_is_told(tmp_path):
    from benchmarks.loading import main

    with pytest.raises(UserError, match="There is no prepared data in"):
        main([f"grey={tmp_path}"])
