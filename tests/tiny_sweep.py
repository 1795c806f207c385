"""Sweeps of runs that train in a third of a second: ten images of 32 x 32 pixels."""

from __future__ import annotations

import os
import subprocess
import sys

import numpy as np
from command_line import ONE_THREAD, PROJECT, configuration
from PIL import Image

from magicseg.data import prepare
from magicseg.training.sweep import sweep_run

QUICK = (
    "dataset=folder",
    "dataset.classes=[class_1]",
    "dataset.channels=1",
    "backbone.network.width=2",
    "conv=regular",
    "recipe.size=32",
    "recipe.epochs=1",
    "recipe.batch_size=32",
    "trainer.overlays=false",
    "trainer.threads=1",
)


def prepare_squares(folder):
    """Prepare ten images of a square and return where they lie."""
    for name in ("images", "masks"):
        (folder / "source" / name).mkdir(parents=True)
    values = np.random.default_rng(0)
    for index in range(10):
        mask = np.zeros((32, 32), np.uint8)
        mask[8:20, 10 + index : 24] = 1
        image = mask * 100 + values.integers(0, 100, (32, 32))
        Image.fromarray(image.astype(np.uint8)).save(folder / "source" / "images" / f"{index}.png")
        Image.fromarray(mask * 255).save(folder / "source" / "masks" / f"{index}.png")
    prepare("folder", folder / "source", folder / "prepared", quiet=True)
    return folder / "prepared"


def start(*arguments, **environment):
    """Start ``train.py`` as a sweep."""
    path = os.pathsep.join([str(PROJECT), str(PROJECT / "tests")])
    return subprocess.Popen(
        [sys.executable, "train.py", "-m", *QUICK, *arguments],
        cwd=PROJECT,
        env={**ONE_THREAD, "PYTHONPATH": path, **environment},
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )


def ended(process):
    """Wait for a command; return its exit code, and what it printed."""
    output, errors = process.communicate()
    return process.returncode, output, errors


def quick_run(squares, outputs, *overrides):
    """Return a run of a sweep."""
    overrides = [*QUICK, f"dataset.root={squares}", f"outputs={outputs}", *overrides]
    return sweep_run(overrides, configuration(*overrides))
