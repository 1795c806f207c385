"""Finished runs are read whole; whatever is broken is named and does not hide the others."""

import json
import re

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from synthetic_runs import STRICT, TRANSUNET, fold, summary, write_run

from magicseg.errors import UserError
from magicseg.reports.paper_tables import RunKey
from magicseg.reports.results import load_results, read_result


def test_a_run_is_read_whole(tmp_path):
    content = summary(conv="magic_4x", seed=3, dice=0.875, hd95=2.5)
    content["data"]["missing"] = ["patient007_frame01"]
    path = write_run(tmp_path, content)
    result = read_result(path)
    assert (result.path, result.key) == (path, RunKey("acdc", "unet", "magic_4x"))
    assert (result.seed, result.variant, result.budget) == (3, "1a2b3c4d", "full")
    assert (result.manifest, result.split, result.missing) == ("feedbeef" * 8, "mtunet", ("patient007_frame01",))
    assert (result.checkpoint, result.device, result.code) == ("best_validation_dice", "NVIDIA H200", "c0dec0dec0")
    assert (result.parameters, result.seconds) == (31_042_564, 512.3)
    assert {name: scores.protocol for name, scores in result.scores.items()} == {"paper": TRANSUNET, "strict": STRICT}
    assert [scores.unit for scores in result.scores.values()] == ["voxel", "mm"]


def test_values_come_in_printed_units(tmp_path):
    content = summary(dice=0.875, hd95=2.5)
    content["scores"]["paper"]["mean"] |= {"asd": None, "iou": None, "boundary": 7.0}
    result = read_result(write_run(tmp_path, content))
    assert result.value("paper", "dice", "mean") == 87.5
    assert result.value("paper", "iou", "Myo") == 43.75
    assert result.value("strict", "hd95", "RV") == 2.5
    assert result.value("paper", "parameters", "mean") == pytest.approx(31.042564, rel=1e-12)
    assert (
        result.value("paper", "asd", "mean") is result.value("paper", "iou", "mean") is None
    )  # nothing could be scored
    assert result.value("paper", "pq", "mean") is None  # not measured


@pytest.mark.parametrize("dice", [0.0, 1.0])
def test_the_worst_and_the_best_are_scores(tmp_path, dice):
    assert read_result(write_run(tmp_path, summary(dice=dice))).value("paper", "dice", "RV") == 100 * dice


def test_a_protocol_has_a_role_and_a_name(tmp_path):
    result = read_result(write_run(tmp_path, summary(dice=0.5)))
    assert [result.role(name) for name in ("paper", "transunet", "strict", "cto")] == ["paper", "paper", "strict", None]
    assert result.value("transunet", "dice", "mean") == 50.0


def test_the_folds_of_one_experiment_share_their_variant_and_others_do_not(tmp_path):
    def variant(number, **recipe):
        return read_result(write_run(tmp_path / f"{recipe}", fold(number, config={"recipe": recipe}))).variant

    first = variant(0)
    assert first.startswith("folds-")
    assert variant(4) == first
    assert variant(1, epochs=50) == variant(2, epochs=50) != first


@pytest.mark.parametrize("split", ["fold1", "fold12", "folder", "fold", "unfold1", "official"])
def test_only_numbered_folds_are_folds(tmp_path, split):
    content = summary(data={"manifest": "feedbeef" * 8, "split": split, "missing": []})
    assert read_result(write_run(tmp_path, content)).fold == {"fold1": 1, "fold12": 12}.get(split)


@pytest.mark.parametrize(
    "text", [None, b"", b"dataset: 3", b"a: [", b"[]", b"dataset: {name: x}", b"recipe: x", b"\xff\xfe"]
)
def test_a_run_without_its_configuration_is_named(tmp_path, text):
    path = write_run(tmp_path, summary())
    config = path.with_name("config.yaml")
    config.unlink() if text is None else config.write_bytes(text)
    with pytest.raises(UserError, match=r"is not the summary of a run: its config.yaml must tell how it was"):
        read_result(path)


def test_what_lies_inside_a_run_is_no_run(tmp_path):
    path = write_run(tmp_path, summary())
    inner = path.parent / "predictions" / "summary.json"
    inner.parent.mkdir()
    inner.write_text("{")
    assert [result.path for result in load_results(tmp_path, pytest.fail)] == [path]


def test_an_unknown_class_names_those_that_are_there(tmp_path):
    result = read_result(write_run(tmp_path, summary()))
    with pytest.raises(UserError, match=r"summary.json has no class 'aorta'.* It has: RV, Myo, LV"):
        result.value("paper", "dice", "aorta")


@pytest.mark.parametrize(
    ("git", "commit"),
    [
        ({"commit": "0123456789abcdef", "dirty": True}, "0123456789-dirty"),
        ({"commit": None, "dirty": None}, "unknown"),
    ],
)
def test_the_commit(tmp_path, git, commit):
    content = summary(provenance={"code": "c0de", "git": git, "device": "CPU, 1 threads"})
    assert read_result(write_run(tmp_path, content)).commit == commit


NEW = {"code": "beef" * 16, "git": {"commit": "beefbeefbeef", "dirty": False}, "device": "CPU, 1 threads"}


def provenance(*earlier):
    return {"provenance": {**summary()["provenance"], **({"earlier": list(earlier)} if earlier else {})}}


@pytest.mark.parametrize(
    ("changes", "code", "commit", "device"),
    [
        ({}, "c0dec0dec0", "c51856c4aa", "NVIDIA H200"),
        (provenance(NEW), "beefbeefbe+c0dec0dec0", "beefbeefbe+c51856c4aa", "CPU, 1 threads + NVIDIA H200"),
        (provenance(NEW, summary()["provenance"], NEW), "beefbeefbe+c0dec0dec0", "beefbeefbe+c51856c4aa", None),
        (provenance(summary()["provenance"]), "c0dec0dec0", "c51856c4aa", "NVIDIA H200"),
        ({"scored": NEW}, "c0dec0dec0/beefbeefbe", "c51856c4aa/beefbeefbe", "NVIDIA H200"),
        ({"scored": {**NEW, "code": "c0de" * 16}}, "c0dec0dec0", "c51856c4aa", "NVIDIA H200"),
        (provenance(NEW) | {"scored": NEW}, "beefbeefbe+c0dec0dec0/beefbeefbe", None, None),
    ],
)
def test_the_code_of_all_sessions_and_of_the_scoring(tmp_path, changes, code, commit, device):
    result = read_result(write_run(tmp_path, summary(**changes)))
    assert result.code == code
    assert commit in (result.commit, None)
    assert device in (result.device, None)


def test_runs_come_in_the_order_of_their_paths(tmp_path):
    for seed in (3, 1, 2):
        write_run(tmp_path, summary(seed=seed))
    assert [result.seed for result in load_results(tmp_path)] == [1, 2, 3]


@pytest.mark.parametrize("state", ["running", "interrupted", "failed"])
def test_unfinished_runs_are_left_out_and_named(tmp_path, state):
    good = write_run(tmp_path, summary())
    bad = write_run(tmp_path, summary(seed=2), state=state)
    named = []
    assert [result.path for result in load_results(tmp_path, named.append)] == [good]
    assert re.search(rf"{re.escape(str(bad))} belongs to a run that is not finished.*{state}", *named)


def replace(content, keys, value):
    *parents, last = keys.split("/")
    node = content
    for key in parents:
        node = node[key]
    if value is None:
        del node[last]
    else:
        node[last] = value


@pytest.mark.parametrize(
    ("keys", "value", "text"),
    [
        ("dataset", None, "dataset is missing"),
        ("seed", "1", "seed is '1', allowed is int"),
        ("seed", True, "seed is True, allowed is int"),
        ("budget", "huge", "budget is 'huge', allowed are full, cpu, demo"),
        ("scores", [], r"scores is \[\], allowed is dict"),
        ("seconds", "long", "seconds is 'long', allowed is int or float"),
        ("scores/paper/mean/dice", 1.01, "scores.paper.mean.dice is 1.01, allowed are fractions from 0 to 1"),
        ("scores/paper/classes/Myo/iou/mean", -0.1, "scores.paper.classes.Myo.iou.mean is -0.1, allowed are fractions"),
        ("scores/paper/mean/hd95", float("nan"), "scores.paper.mean.hd95 is nan, allowed are numbers and null"),
        ("scores/paper/protocol/absent", "maybe", "absent is 'maybe'. Allowed: zero"),
        ("scores/paper/protocol/colour", "red", "scores.paper.protocol has other fields than a protocol.*colour"),
        ("checkpoint/rule", None, "checkpoint.rule is missing"),
        ("data/missing", "none", "data.missing is 'none', allowed is list"),
        ("scored", {"code": 3}, "scored.code is 3, allowed is str"),
        ("provenance/earlier", "none", "provenance.earlier is 'none', allowed is list"),
        ("provenance/earlier", ["c0de"], "provenance.earlier.code is missing"),
        ("provenance/git", "c51856c", "provenance.git is 'c51856c', allowed is dict"),
    ],
)
def test_a_malformed_summary_is_named_with_its_key_and_hides_no_other(tmp_path, keys, value, text):
    good = write_run(tmp_path, summary())
    content = json.loads(json.dumps(summary(seed=2)))
    replace(content, keys, value)
    bad = write_run(tmp_path, summary(seed=2))
    bad.write_text(json.dumps(content))
    named = []
    assert [result.path for result in load_results(tmp_path, named.append)] == [good]
    assert re.search(f"Left out: {re.escape(str(bad))} is not the summary of a run: .*{text}", *named)


@pytest.mark.parametrize("text", [b"", b"{", b"\xff\xfe", b"[]", b"null", b"3"])
def test_a_file_that_is_no_summary_is_named(tmp_path, text):
    path = write_run(tmp_path, summary())
    path.write_bytes(text)
    with pytest.raises(UserError, match=re.escape(str(path))):
        read_result(path)


def test_a_broken_status_is_named(tmp_path):
    path = write_run(tmp_path, summary())
    path.with_name("status.json").write_text("[]")
    with pytest.raises(UserError, match=r"status.json is not the status of a run \(it has no state\)"):
        read_result(path)


def test_without_a_reporter_a_broken_run_is_a_warning(tmp_path):
    write_run(tmp_path, summary()).write_text("{")
    with pytest.warns(UserWarning, match=r"Left out: .*summary.json cannot be read as JSON"):
        assert load_results(tmp_path) == []


def test_outputs_must_be_a_folder(tmp_path):
    with pytest.raises(
        UserError, match=r"nowhere is not a folder. Name the folder that holds the runs with outputs=DIR"
    ):
        load_results(tmp_path / "nowhere")


def leaves(node, path=()):
    if isinstance(node, dict):
        return [path, *(leaf for key in node for leaf in leaves(node[key], (*path, key)))]
    return [path]


junk = st.one_of(st.none(), st.booleans(), st.integers(), st.floats(), st.text(max_size=3), st.just([]), st.just({}))


@settings(max_examples=150, deadline=None)
@given(path=st.sampled_from(leaves(summary(**provenance(NEW), scored=NEW))), value=junk)
def test_any_damage_ends_in_a_result_or_a_named_file(tmp_path_factory, path, value):
    content = json.loads(json.dumps(summary(**provenance(NEW), scored=NEW)))
    node = content
    for key in path[:-1]:
        node = node[key]
    if path:
        node[path[-1]] = value
    outputs = tmp_path_factory.mktemp("runs")
    summary_file = write_run(outputs, summary())
    summary_file.write_text(json.dumps(content if path else value))
    named = []
    results = load_results(outputs, named.append)
    assert len(results) + len(named) == 1
    assert all(str(summary_file) in text for text in named)
