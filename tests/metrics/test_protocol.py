"""The protocols of configs/protocol score as their repositories do; what a Protocol refuses."""

import dataclasses
import math
from pathlib import Path

import numpy as np
import pytest
import yaml
from golden_metrics import golden_cases
from omegaconf import OmegaConf

from magicseg.metrics import PanopticQuality, Protocol, SegmentationScores, score_case, summarise
from magicseg.metrics.protocol import LEGAL

FOLDER = Path(__file__).parents[2] / "configs" / "protocol"
NAMES = sorted(path.stem for path in FOLDER.glob("*.yaml") if path.stem != "paper")
FIELDS = [field.name for field in dataclasses.fields(Protocol)]
EXAMPLE = Protocol("example", "case", "voxel", "pooled", "assd", "skip", "worst", "worst", instances="components_4")


def load(name):
    return yaml.safe_load((FOLDER / f"{name}.yaml").read_text())


def any_shape(name):
    """Return a protocol that takes masks of any number of axes, as the golden cases have them."""
    return dataclasses.replace(Protocol(**load(name)), unit="case")


def score_binary(name, case):
    (score,) = score_case(case.prediction, case.truth, ["object"], any_shape(name), case.spacing)
    return score


# The files


def test_the_protocols_are_there():
    assert {
        "transunet",
        "strict",
        "mtunet",
        "ssl4mis",
        "cascade",
        "transfuse",
        "uctransnet",
        "cto",
        "cto_plain",
        "conic",
        "conic_given",
    } == set(NAMES)


@pytest.mark.parametrize("name", NAMES)
def test_yaml_holds_every_field_in_their_order_but_what_the_recipe_says(name):
    mapping = load(name)
    assert list(mapping) == [field for field in FIELDS if field not in ("threshold", "resampling")]
    assert Protocol(**mapping).name == name
    assert (mapping["instances"] == "none") != name.startswith("conic")


@pytest.mark.parametrize("name", NAMES)
def test_every_key_has_a_comment(name):
    first, *lines = (FOLDER / f"{name}.yaml").read_text().splitlines()
    assert first.startswith("# ")
    assert [line for line in lines if "   # " not in line] == [f"name: {name}"]


@pytest.mark.parametrize("name", NAMES)
def test_the_checkpoint_rule_is_the_recipes(name):
    config = OmegaConf.create({"recipe": {"selection": "last"}, "protocol": load(name)})
    assert Protocol(**OmegaConf.to_container(config.protocol, resolve=True)).selection == "last"


def test_stored_protocols_without_the_newer_fields_stay_the_same():
    """Summaries of older runs hold twelve fields; they must equal the protocol of a run of today."""
    newer = {"dice", "iou", "instances", "true_instances", "panoptic", "grid", "threshold"}
    today = dataclasses.replace(Protocol(**load("transunet")), resampling="label map to the original grid by zoom")
    stored = {field: value for field, value in dataclasses.asdict(today).items() if field not in newer}
    assert len(stored) == 12
    assert Protocol(**stored) == today
    assert (today.dice, today.iou, today.instances, today.grid) == ("plain", "plain", "none", "original")


# Published rules


@pytest.mark.parametrize("name", ["transunet", "mtunet", "cascade"])
@pytest.mark.parametrize("case", golden_cases("binary"))
def test_transunet_and_its_successors(name, case):
    score = score_binary(name, case)
    expected = case.expected["TransUNet calculate_metric_percase"]
    assert (score.dice, score.hd95, score.unit) == (expected["dice"], expected["hd95_no_spacing"], "voxel")
    if score.state == "scored":
        assert score.iou == case.expected["medpy"]["jc"]
        assert case.spacing or score.asd == pytest.approx(case.expected["medpy"]["assd"], rel=1e-12)
    else:
        assert (score.iou, score.asd) == (score.dice, 0)


@pytest.mark.parametrize("case", golden_cases("binary"))
def test_ssl4mis_takes_the_one_sided_asd_and_leaves_empty_masks_out(case):
    score = score_binary("ssl4mis", case)
    medpy, transunet = case.expected["medpy"], case.expected["TransUNet calculate_metric_percase"]
    if score.state == "scored":
        assert (score.dice, score.hd95, score.unit) == (medpy["dc"], transunet["hd95_no_spacing"], "voxel")
        assert case.spacing or score.asd == pytest.approx(medpy["asd"], rel=1e-12)
    else:
        assert medpy["asd"] == {"error": "RuntimeError"}
        assert math.isnan(score.dice)


@pytest.mark.parametrize("case", [case for case in golden_cases("binary") if case.values[0].prediction.ndim == 2])
def test_transfuse(case):
    score = score_binary("transfuse", case)
    expected = case.expected["TransFuse test_isic.py"]
    for value, name in ((score.dice, "dice"), (score.iou, "iou"), (score.accuracy, "acc")):
        assert value == pytest.approx(expected[name], rel=1e-12)


@pytest.mark.parametrize("case", golden_cases("binary"))
def test_uctransnet(case):
    """The golden value is of the training's dice_coef, which adds 0.00001 to the numerator too; the test's does not."""
    score = score_binary("uctransnet", case)
    size = score.predicted_voxels + score.true_voxels
    expected = case.expected["UCTransNet dice_coef"]["dice"]
    assert score.dice + 1e-5 / (size + 1e-5) == pytest.approx(expected, rel=1e-12)
    tp, fp, fn = (case.expected["counts"][name] for name in ("tp", "fp", "fn"))
    assert score.iou == (tp / (tp + fp + fn) if tp else 0)


@pytest.mark.parametrize("case", golden_cases("binary"))
def test_cto_leaves_out_images_without_lesion_and_counts_the_background(case):
    score = score_binary("cto", case)
    expected = case.expected["scikit-learn"]
    if case.truth.any():
        assert score.dice == pytest.approx(expected["f1"], rel=1e-12)
        assert score.iou == pytest.approx(expected["jaccard_macro_bg_fg"], rel=1e-12)
        assert score.accuracy == pytest.approx(expected["accuracy"], rel=1e-12)
    else:
        assert math.isnan(score.dice)


@pytest.mark.parametrize("case", golden_cases("binary"))
def test_cto_plain_differs_in_the_iou_alone(case):
    score = score_binary("cto_plain", case)
    (tp, fp, fn), other = (case.expected["counts"][name] for name in ("tp", "fp", "fn")), score_binary("cto", case)
    if case.truth.any():
        assert score == dataclasses.replace(other, iou=tp / (tp + fp + fn))
    else:
        assert math.isnan(score.iou)


@pytest.mark.parametrize("connectivity", [4, 8])
@pytest.mark.parametrize("case", golden_cases("instance"))
def test_conic_of_a_binary_network(case, connectivity):
    protocol = dataclasses.replace(Protocol(**load("conic")), instances=f"components_{connectivity}")
    name = f"pred_components_{connectivity}_vs_gt_components_{connectivity}"
    expected = [image[name] for image in case.expected["binary model, components as instances"]]
    scores = SegmentationScores(["nucleus"], protocol)
    for prediction, truth in zip(case.prediction, case.truth, strict=True):
        scores.update((prediction[..., 0] > 0).astype(int), (truth[..., 0] > 0).astype(int))
    found = [score.panoptic for (score,) in scores.cases.values()]
    assert [(q.tp, q.fp, q.fn, q.sum_iou, q.pq) for q in found] == [
        tuple(image[field] for field in ("tp", "fp", "fn", "sum_iou", "pq")) for image in expected
    ]
    mean = scores.compute()["mean"]["pq"]
    assert mean == pytest.approx(np.mean([image["pq"] for image in expected]), rel=1e-12)


def nuclei(*squares):
    image = np.zeros((12, 12), int)
    for label, row, column, side in squares:
        image[row : row + side, column : column + side] = label
    return image


def test_pooled_panoptic_quality_counts_the_instances_of_all_images():
    """One image with one of one nucleus found exactly, one with one of three: mean (1 + 1/2) / 2, pooled 2 / 3."""
    one, three = nuclei((1, 0, 0, 3)), nuclei((1, 0, 0, 3), (1, 5, 5, 3), (1, 9, 9, 3))
    found = {}
    for panoptic in ("image", "pooled"):
        scores = SegmentationScores(["nucleus"], dataclasses.replace(Protocol(**load("conic")), panoptic=panoptic))
        scores.update(one, one)
        scores.update(one, three)
        summary = scores.compute()
        assert summary["classes"]["nucleus"]["pq"]["worst"] == pytest.approx(0.5, abs=1e-5)
        found[panoptic] = summary["mean"]["pq"]
    assert found == pytest.approx({"image": 0.75, "pooled": 2 / 3}, abs=1e-5)


def test_panoptic_quality_is_taken_class_by_class_and_counts_images_without_nuclei_as_zero():
    protocol = Protocol(**load("conic"))
    truth = nuclei((1, 0, 0, 3), (2, 5, 5, 3))
    (first, second) = score_case(np.where(truth == 1, 1, 0), truth, ["epithelial", "lymphocyte"], protocol)
    assert (first.panoptic.tp, second.panoptic.tp, second.panoptic.fn) == (1, 0, 1)
    empty = score_case(nuclei(), nuclei(), ["nucleus"], protocol)
    summary = summarise({"empty": empty}, protocol)
    assert (summary["mean"]["dice"], summary["mean"]["pq"]) == (None, 0)


def test_given_instances_tell_touching_nuclei_apart():
    mask, given = nuclei((1, 0, 0, 4), (1, 0, 4, 4)), nuclei((5, 0, 0, 4), (8, 0, 4, 4))
    protocol, joined = Protocol(**load("conic_given")), PanopticQuality(tp=0, fp=1, fn=2, sum_iou=0.0)
    (score,) = score_case(mask, mask, ["nucleus"], protocol, instances=given)
    assert score.panoptic == joined
    scores = SegmentationScores(["nucleus"], protocol)
    scores.update(mask, mask, instances=given)
    assert scores.cases == {"0": [score]}
    with pytest.raises(ValueError, match=r"asks for the data set's instances \(true_instances: given\); it has none"):
        score_case(mask, mask, ["nucleus"], protocol)


def test_the_slices_of_a_volume_have_their_own_given_instances():
    mask, given = nuclei((1, 0, 0, 4), (1, 0, 4, 4)), nuclei((5, 0, 0, 4), (8, 0, 4, 4))
    scores = SegmentationScores(["nucleus"], dataclasses.replace(Protocol(**load("conic_given")), unit="slice"))
    scores.update(np.stack([mask, mask]), np.stack([mask, mask]), case="stack", instances=np.stack([mask, given]))
    one, two = (PanopticQuality(1, 0, 0, 1.0), PanopticQuality(0, 1, 2, 0.0))
    assert {name: score.panoptic for name, (score,) in scores.cases.items()} == {"stack/0": one, "stack/1": two}
    with pytest.raises(ValueError, match=r"instances has the shape \(1, 12, 12\), the truth \(2, 12, 12\)"):
        scores.update(np.stack([mask, mask]), np.stack([mask, mask]), instances=given[None])


def test_other_protocols_have_no_panoptic_quality():
    (score,) = score_case(nuclei((1, 0, 0, 3)), nuclei((1, 0, 0, 3)), ["nucleus"], Protocol(**load("cto")))
    assert score.panoptic is None
    assert "pq" not in summarise({"case": [score]}, Protocol(**load("cto")))["mean"]


def test_instances_need_an_image():
    volume = np.ones((2, 3, 4), int)
    with pytest.raises(ValueError, match=r"mask must be \[H, W\], bool or integer; found shape \(2, 3, 4\)"):
        score_case(volume, volume, ["nucleus"], any_shape("conic"))


def test_the_formula_rule_keeps_distances_finite():
    """Two empty masks agree; where one is empty, the distance is the image's diagonal."""
    protocol, mask = Protocol(**load("transfuse")), nuclei((1, 0, 0, 3))
    for pair, dice, distance in (
        ((nuclei(), nuclei()), 2.0, 0.0),
        ((nuclei(), mask), 0.002 / 9.001, math.hypot(11, 11)),
        ((mask, nuclei()), 0.002 / 9.001, math.hypot(11, 11)),
    ):
        (score,) = score_case(*pair, ["lesion"], protocol)
        assert score.dice == pytest.approx(dice, rel=1e-12)
        assert (score.hd95, score.asd) == (distance, distance)


def test_transunet_and_strict_rule_empty_masks_as_published_and_as_strict():
    transunet, strict = Protocol(**load("transunet")), Protocol(**load("strict"))
    assert (transunet.absent, transunet.missed, transunet.hallucinated) == ("zero", "zero", "perfect")
    assert (strict.absent, strict.missed, strict.hallucinated) == ("skip", "worst", "worst")
    assert (transunet.spacing, transunet.unit, transunet.hd95) == ("voxel", "volume", "pooled")
    assert (strict.spacing, strict.hd95) == ("mm", "pooled")


# What a protocol refuses, and how it is told


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
