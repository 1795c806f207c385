"""The metrics stand alone, and the examples in their docstrings run."""

import doctest
import importlib
import pkgutil
import subprocess
import sys

import pytest

import magicseg.metrics

MODULES = [module.name for module in pkgutil.iter_modules(magicseg.metrics.__path__, "magicseg.metrics.")]


@pytest.mark.parametrize("name", MODULES)
def test_examples_run(name):
    assert doctest.testmod(importlib.import_module(name)).failed == 0


def test_there_are_examples():
    assert sum(doctest.testmod(importlib.import_module(name)).attempted for name in MODULES) >= 8


def test_numpy_and_scipy_are_enough():
    """A process in which no other package can be imported still computes a score."""
    program = (
        "import sys\n"
        "for name in ('torch', 'monai', 'medpy', 'pandas', 'omegaconf', 'hydra', 'yaml', 'sklearn', 'skimage'):\n"
        "    sys.modules[name] = None\n"
        "from magicseg.metrics import Protocol, dice, panoptic_quality, score_case, surface_distances\n"
        "print(surface_distances([[1, 0, 0]], [[0, 0, 1]]).hd95)\n"
    )
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=False)
    assert (done.stdout, done.stderr) == ("2.0\n", "")
