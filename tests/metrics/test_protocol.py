"""The protocols of configs/protocol, and what a Protocol refuses."""

import dataclasses
from pathlib import Path

import pytest
import yaml
from omegaconf import OmegaConf

from magicseg.metrics import Protocol
from magicseg.metrics.protocol import LEGAL

FOLDER = Path(__file__).parents[2] / "configs" / "protocol"
FIELDS = [field.name for field in dataclasses.fields(Protocol)]
EXAMPLE = Protocol("example", "case", "voxel", "pooled", "assd", "skip", "worst", "worst")


def load(name):
    return yaml.safe_load((FOLDER / f"{name}.yaml").read_text())


@pytest.mark.parametrize("name", ["transunet", "strict"])
def test_yaml_maps_onto_the_fields_in_their_order(name):
    mapping = load(name)
    assert list(mapping) == FIELDS
    assert Protocol(**mapping).name == name


@pytest.mark.parametrize("name", ["transunet", "strict"])
def test_every_key_has_a_comment(name):
    first, *lines = (FOLDER / f"{name}.yaml").read_text().splitlines()
    assert first.startswith("# ")
    assert [line for line in lines if "   # " not in line] == [f"name: {name}"]


@pytest.mark.parametrize("name", ["transunet", "strict"])
def test_the_checkpoint_rule_is_the_recipes(name):
    config = OmegaConf.create({"recipe": {"selection": "last"}, "protocol": load(name)})
    assert Protocol(**OmegaConf.to_container(config.protocol, resolve=True)).selection == "last"


def test_the_two_protocols_rule_empty_masks_as_published_and_as_strict():
    transunet, strict = Protocol(**load("transunet")), Protocol(**load("strict"))
    assert (transunet.absent, transunet.missed, transunet.hallucinated) == ("zero", "zero", "perfect")
    assert (strict.absent, strict.missed, strict.hallucinated) == ("skip", "worst", "worst")
    assert (transunet.spacing, transunet.unit, transunet.hd95) == ("voxel", "volume", "pooled")
    assert (strict.spacing, strict.hd95) == ("mm", "pooled")


@pytest.mark.parametrize("field", LEGAL)
def test_an_illegal_value_is_named_with_the_legal_ones(field):
    with pytest.raises(
        ValueError, match=rf"Protocol 'example': {field} is 'wrong'. Allowed: {', '.join(LEGAL[field])}\."
    ):
        dataclasses.replace(EXAMPLE, **{field: "wrong"})


@pytest.mark.parametrize("value", [None, "", 3, True])
def test_every_field_is_a_text(value):
    with pytest.raises(ValueError, match="source must be a text; found"):
        dataclasses.replace(EXAMPLE, source=value)


def test_a_protocol_cannot_be_changed():
    with pytest.raises(dataclasses.FrozenInstanceError):
        EXAMPLE.unit = "slice"


@pytest.mark.parametrize("field", FIELDS)
def test_one_line_describes_every_field(field):
    """Two protocols that differ in a field never have the same line."""
    lines = set()
    values = LEGAL.get(field, ("one text", "another text"))
    for value in values:
        line = dataclasses.replace(EXAMPLE, **{field: value}).describe()
        assert "\n" not in line
        lines.add(line)
    assert len(lines) == len(values)
