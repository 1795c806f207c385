"""Networks of tiny runs with fresh weights, and what calls them on files."""

import pytest
import torch
from saved_run import RGB, save_run

from magicseg.assembly.trained import load_network
from magicseg.inference.destination import Destination
from magicseg.inference.items import find_items
from magicseg.inference.predict import Predictor
from magicseg.inference.scan import reader


@pytest.fixture(scope="session")
def grey_run(tmp_path_factory):
    """The folder of a run on ACDC."""
    return save_run(tmp_path_factory.mktemp("grey"), "dataset=acdc", "conv=regular")


@pytest.fixture(scope="session")
def rgb_run(tmp_path_factory):
    """The folder of a run on GlaS with one logit."""
    return save_run(tmp_path_factory.mktemp("rgb"), *RGB)


@pytest.fixture(scope="session")
def grey(grey_run):
    """Network of a run on ACDC."""
    return load_network(grey_run)


@pytest.fixture(scope="session")
def rgb(rgb_run):
    """Network of a run on GlaS."""
    return load_network(rgb_run)


@pytest.fixture
def segment(tmp_path):
    """Return a function that segments files into ``tmp_path/out`` and returns the outcome and that folder."""

    def segmented(network, source, overwrite=False, intensity="", pattern="*", **options):
        dataset, destination = network.config.dataset, Destination(tmp_path / "out")
        read = reader(dataset.name, dataset.channels, intensity)
        predict = Predictor(network, read, torch.device("cpu"), progress=False, **options)
        return predict(find_items(source, destination, pattern), destination, overwrite), destination

    return segmented
