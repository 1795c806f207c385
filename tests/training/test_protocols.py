"""Under which protocols a run is scored, and what they say of it."""

import pytest
from command_line import configuration

from magicseg.errors import UserError
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


def test_every_run_is_scored_under_its_own_protocol_and_strict():
    assert {role: protocol.name for role, protocol in protocols_of(configuration()).items()} == {
        "paper": "transunet",
        "strict": "strict",
    }
    same = configuration("protocol=strict")
    assert protocols_of(same) == protocols_of(configuration()) == protocols_of(configuration("protocol=transunet"))
    assert list(protocols_of(configuration("protocol=cascade"))) == ["paper", "strict", "cascade"]


@pytest.mark.parametrize(
    ("overrides", "name", "fields", "source"),
    [
        (["protocol=strict", "protocol.spacing=voxel", "protocol.asd=asd"], "strict", "spacing, asd", "magicseg"),
        (["protocol=cto", "protocol.iou=plain"], "cto", "iou", "MedISeg accuracy.py and CTO"),
        (["protocol=cto", "protocol.selection=best"], "cto", "selection", "MedISeg accuracy.py and CTO"),
        (["protocol=cto", "protocol.source=mine"], "cto", "source", "MedISeg accuracy.py and CTO"),
        (
            ["protocol=cascade", "protocol.name=strict"],
            "strict",
            "unit, spacing, absent, missed, hallucinated",
            "magicseg",
        ),
    ],
)
def test_a_changed_protocol_is_named_so_and_stands_beside_the_others(overrides, name, fields, source):
    found, stock = protocols_of(configuration(*overrides)), protocols_of(configuration())
    assert list(found) == ["paper", "strict", f"{name}-changed"]
    assert {role: found[role] for role in stock} == stock
    changed = found[f"{name}-changed"]
    assert changed.name == f"{name}-changed"
    assert changed.source.startswith(f"{source}, changed in {fields}")


def test_the_data_sets_own_protocol_is_named_as_changed_too():
    found = protocols_of(configuration("dataset.paper_protocol.iou=macro"))
    assert {role: protocol.name for role, protocol in found.items()} == {
        "paper": "transunet-changed",
        "strict": "strict",
    }


def test_a_protocol_of_ones_own_keeps_its_name():
    found = protocols_of(configuration("protocol=cto", "protocol.iou=plain", "protocol.name=mine"))
    assert (found["mine"].name, found["mine"].source) == ("mine", "MedISeg accuracy.py and CTO")


def test_the_names_of_roles_are_taken():
    with pytest.raises(UserError, match=r"protocol.name is 'paper', .* Allowed is any but: paper, strict"):
        protocols_of(configuration("protocol=cto", "protocol.name=paper"))


def test_an_illegal_value_is_named():
    with pytest.raises(UserError, match=r"protocol: Protocol 'cto': iou is 'mean'. Allowed: plain, macro, transfuse"):
        protocols_of(configuration("protocol=cto", "protocol.iou=mean"))
