"""Under which protocols a run is scored, and what they say of it."""

import pytest
from command_line import configuration

from magicseg.training.protocols import protocols_of

LARGEST, PROBABILITY = "class of the largest logit", "probability above 0.5"
ZOOM, CENTRE = "scipy.ndimage.zoom, order 0", "the nearest pixel centre"


@pytest.mark.parametrize(
    ("overrides", "threshold", "rule"),
    [
        (["dataset=acdc"], LARGEST, ZOOM),
        (["recipe.resize=bilinear"], LARGEST, CENTRE),
        (["dataset=glas"], PROBABILITY, CENTRE),
        (["dataset=glas", "recipe.resize=spline", "recipe.output=softmax"], LARGEST, ZOOM),
        (["dataset=conic", "protocol=cto"], PROBABILITY, CENTRE),
    ],
)
def test_labels_and_resampling_are_the_recipes_under_every_protocol(overrides, threshold, rule):
    config = configuration(*overrides)
    config.dataset.classes = config.dataset.classes or ["lesion"]
    for protocol in protocols_of(config).values():
        back = " and back to the network's" if protocol.grid == "network" else ""
        assert protocol.threshold == threshold
        assert protocol.resampling == f"label map to the original grid{back} by {rule}"
