"""The examples in the docstrings run."""

import doctest
import importlib
import pkgutil

import pytest

import magicseg.metrics

MODULES = [module.name for module in pkgutil.iter_modules(magicseg.metrics.__path__, "magicseg.metrics.")]


@pytest.mark.parametrize("name", MODULES)
def test_examples_run(name):
    assert doctest.testmod(importlib.import_module(name)).failed == 0


def test_there_are_examples():
    assert sum(doctest.testmod(importlib.import_module(name)).attempted for name in MODULES) >= 8
