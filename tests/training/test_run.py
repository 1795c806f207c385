import csv
import json
import math
import shutil

import numpy as np
import pytest
import torch
from command_line import TINY, call, configuration
from omegaconf import OmegaConf
from saved_run import edit_config
from tensorboard.backend.event_processing.event_accumulator import EventAccumulator

from magicseg.errors import UserError
from magicseg.evaluation.predict import load_prediction, save_prediction
from magicseg.reports.results import read_result
from magicseg.training.folder import find_folder
from magicseg.training.run import run, train

SCORES = ("dice", "dice/RV", "dice/Myo", "dice/LV")


@pytest.fixture(scope="module")
def finished(tmp_path_factory, phantom):
    """A finished tiny run and its configuration."""
    outputs = tmp_path_factory.mktemp("finished")
    config = configuration(*TINY, f"dataset.root={phantom}", f"outputs={outputs}")
    return train(config), config


def test_the_run_folder_holds_everything(finished):
    folder, _ = finished
    relative = {str(path.relative_to(folder.path)) for path in folder.path.rglob("*") if path.is_file()}
    expected = {"config.yaml", "provenance.json", "status.json", "curves.csv", "cases.csv", "summary.json"}
    expected |= {"checkpoints/last.pt", "checkpoints/best.pt"}
    expected |= {f"overlays/{kind}.png" for kind in ("best", "median", "worst")}
    assert expected <= relative
    assert any(name.startswith("tensorboard/events") for name in relative)
    assert len([name for name in relative if name.startswith("predictions/")]) == 12
    assert folder.status()["state"] == "finished"


def test_the_summary_agrees_with_the_cases(finished):
    folder, _ = finished
    summary = json.loads(folder.summary.read_text())
    rows = list(csv.DictReader(folder.cases.open()))
    assert {row["subject"] for row in rows} == {row["case"].split("_")[0] for row in rows}  # two frames each
    assert {(row["protocol"], row["name"]) for row in rows} == {
        (protocol, name) for protocol in ("paper", "strict") for name in ("RV", "Myo", "LV")
    }
    for protocol in ("paper", "strict"):
        for name, entry in summary["scores"][protocol]["classes"].items():
            values = [float(row["dice"]) for row in rows if (row["protocol"], row["name"]) == (protocol, name)]
            present = [value for value in values if not math.isnan(value)]
            assert entry["dice"]["mean"] == math.fsum(present) / len(present)
    assert summary["scores"]["paper"]["protocol"]["name"] == "transunet"
    assert summary["scores"]["paper"]["unit"] == "voxel"
    assert summary["scores"]["strict"]["unit"] == "mm"
    best = max(csv.DictReader(folder.curves.open()), key=lambda row: float(row["dice"]))
    chosen = {"rule": "best_validation_dice", "epoch": int(best["epoch"]), "value": float(best["dice"])}
    assert summary["checkpoint"] == chosen
    assert summary["data"]["split"] == "default"
    assert {"git", "packages", "device", "command"} <= set(summary["provenance"])


def test_curves_have_a_row_an_epoch(finished):
    folder, _ = finished
    rows = list(csv.DictReader(folder.curves.open()))
    assert [row["epoch"] for row in rows] == ["1", "2"]
    assert float(rows[0]["learning_rate"]) > float(rows[1]["learning_rate"]) > 0
    assert set(rows[0]) == {"epoch", "learning_rate", "loss", "validation_loss", "validation_dice_loss", *SCORES}


def test_tensorboard_gets_curves_and_pictures(finished):
    folder, _ = finished
    events = EventAccumulator(str(folder.tensorboard)).Reload()
    rows = list(csv.DictReader(folder.curves.open()))
    losses = [event.value for event in events.Scalars("training/loss")]
    assert losses == pytest.approx([float(row["loss"]) for row in rows], rel=1e-6)
    assert [event.step for event in events.Scalars("dice/LV")] == [1, 2]
    picture = events.Images("validation")[-1]
    assert (picture.height, picture.width) == (2 * 32, 6 * 32)


def test_predictions_lie_on_the_original_grid(finished):
    folder, _ = finished
    for path in folder.predictions.iterdir():
        label = load_prediction(path)
        assert label.shape == (8, 96, 96)
        assert label.dtype == np.uint8


def test_a_finished_run_is_not_trained_again(finished, capsys):
    folder, config = finished
    before = folder.last.stat().st_mtime_ns
    assert train(config) == folder
    assert folder.last.stat().st_mtime_ns == before
    assert capsys.readouterr().out == f"This run is finished. Delete {folder.path} to train it again.\n"


def test_a_finished_run_that_lacks_a_protocol_says_how_to_get_it(finished, phantom, capsys):
    folder, config = finished
    train(configuration(*TINY, f"dataset.root={phantom}", f"outputs={config.outputs}", "protocol=cascade"))
    command = f"mode=evaluate run={folder.path} protocol=cascade"
    assert f"It is not scored under cascade yet: {command}\n" in capsys.readouterr().out


def test_evaluating_again_uses_the_kept_predictions(finished, tmp_path, configure, capsys):
    folder, _ = finished
    copy = tmp_path / folder.path.name
    shutil.copytree(folder.path, copy)
    old = json.loads((copy / "summary.json").read_text())
    run(configure("mode=evaluate", f"run={copy}"))
    assert json.loads((copy / "summary.json").read_text())["scores"] == old["scores"]
    for path in (copy / "predictions").iterdir():
        save_prediction(path, np.zeros((8, 96, 96), np.uint8))
    run(configure("mode=evaluate", f"run={copy}", "protocol=strict", "trainer.overlays=false"))
    scores = json.loads((copy / "summary.json").read_text())["scores"]
    assert scores["strict"]["mean"]["dice"] == 0
    assert scores["strict"]["counts"]["missed"] == 36
    assert "Dice %" in capsys.readouterr().out


def test_evaluating_again_needs_no_checkpoint(finished, tmp_path, configure):
    folder, _ = finished
    copy = tmp_path / folder.path.name
    shutil.copytree(folder.path, copy, ignore=shutil.ignore_patterns("checkpoints"))
    before = json.loads((copy / "summary.json").read_text())
    run(configure("mode=evaluate", f"run={copy}", "trainer.overlays=false"))
    assert json.loads((copy / "summary.json").read_text()) == before


def test_evaluating_again_finds_moved_data_where_the_command_line_says(finished, tmp_path, phantom, configure):
    folder, _ = finished
    copy, nowhere = tmp_path / folder.path.name, tmp_path / "nowhere"
    shutil.copytree(folder.path, copy)
    edit_config(copy, "dataset.root", str(nowhere))
    before = json.loads((copy / "summary.json").read_text())
    with pytest.raises(UserError, match=r"lie elsewhere now, add dataset\.root=DIR\. There is no prepared data in"):
        run(configure("mode=evaluate", f"run={copy}"), [f"run={copy}"])
    assert not nowhere.exists()  # no other phantom is generated
    result = call("train.py", "mode=evaluate", f"run={copy}", f"dataset.root={phantom}", "trainer.overlays=false")
    assert result.returncode == 0, result.stderr
    assert json.loads((copy / "summary.json").read_text()) == before


@pytest.mark.parametrize("protocol", ["cascade", "mtunet", "ssl4mis"])
def test_any_protocol_for_volumes_scores_the_kept_predictions(finished, tmp_path, configure, protocol):
    folder, _ = finished
    copy = tmp_path / folder.path.name
    shutil.copytree(folder.path, copy)
    before = json.loads((copy / "summary.json").read_text())
    run(configure("mode=evaluate", f"run={copy}", f"protocol={protocol}", "trainer.overlays=false"))
    after = json.loads((copy / "summary.json").read_text())
    assert set(after["scores"]) == {"paper", "strict", protocol}
    assert after["scores"][protocol]["protocol"]["name"] == protocol
    assert {role: after["scores"][role] for role in before["scores"]} == before["scores"]
    assert {key: after[key] for key in before if key != "scores"} == {
        key: before[key] for key in before if key != "scores"
    }


def test_scoring_again_keeps_the_protocols_that_were_asked_for_before(finished, tmp_path, configure):
    folder, _ = finished
    copy = tmp_path / folder.path.name
    shutil.copytree(folder.path, copy)
    asked = ("protocol=ssl4mis", "protocol=cascade", "protocol=paper")
    kept = []
    for protocol in asked:
        run(configure("mode=evaluate", f"run={copy}", protocol, "trainer.overlays=false"))
        kept.append(json.loads((copy / "summary.json").read_text())["scores"])
    assert [list(scores) for scores in kept] == [
        ["paper", "strict", "ssl4mis"],
        ["paper", "strict", "ssl4mis", "cascade"],
        ["paper", "strict", "ssl4mis", "cascade"],
    ]
    assert kept[1]["ssl4mis"] == kept[0]["ssl4mis"]
    assert kept[2] == kept[1]
    rows = list(csv.DictReader((copy / "cases.csv").open()))
    assert list(dict.fromkeys(row["protocol"] for row in rows)) == list(kept[2])


@pytest.mark.parametrize(
    ("name", "content", "found"),
    [
        ("summary", "{}", "KeyError: 'checkpoint'"),
        ("summary", "null", "TypeError: .*"),
        ("summary", "[]", "TypeError: .*"),
        ("summary", '{"checkpoint": 1, "data": {}, "parameters": 1, "seconds": 1, "scores": {}}', "KeyError: .*"),
        ("status", "{}", "it has no state"),
        ("status", "[]", "it has no state"),
        ("status", "null", "it has no state"),
    ],
)
def test_damaged_records_are_told_with_what_helps(finished, tmp_path, configure, name, content, found):
    folder, _ = finished
    copy = tmp_path / folder.path.name
    shutil.copytree(folder.path, copy)
    (copy / f"{name}.json").write_text(content)
    message = rf"{name}.json is not the {name} of a run \({found}\)\. Delete it, and the run's own command goes on"
    with pytest.raises(UserError, match=message):
        run(configure("mode=evaluate", f"run={copy}"))


@pytest.mark.parametrize("name", ["summary", "status"])
def test_a_finished_run_without_a_record_goes_on_from_its_checkpoints(configure, name):
    config = configure("recipe.epochs=1", "trainer.overlays=false")
    folder = train(config)
    before, trained = json.loads(folder.summary.read_text())["scores"], folder.last.stat().st_mtime_ns
    (folder.path / f"{name}.json").unlink()
    assert json.loads(train(config).summary.read_text())["scores"] == before
    assert folder.last.stat().st_mtime_ns == trained


def test_a_protocol_for_images_is_refused_for_volumes_and_nothing_is_lost(finished, tmp_path, configure):
    folder, _ = finished
    copy = tmp_path / folder.path.name
    shutil.copytree(folder.path, copy)
    before = (copy / "summary.json").read_text()
    with pytest.raises(UserError, match="Protocol 'transfuse' scores images, arrays of 2 axes"):
        run(configure("mode=evaluate", f"run={copy}", "protocol=transfuse"))
    assert (copy / "summary.json").read_text() == before


@pytest.mark.parametrize(
    ("override", "message"),
    [
        ("protocol=transfuse", "Protocol 'transfuse' scores images"),
        ("dataset.paper_protocol.unit=no", "unit is 'no'. Allowed: volume"),
    ],
)
def test_a_protocol_that_does_not_fit_is_refused_before_the_first_epoch(configure, override, message):
    config = configure(override)
    with pytest.raises(UserError, match=message):
        train(config)
    assert not find_folder(config).last.exists()


def test_the_folder_depends_on_what_changes_the_numbers_and_on_nothing_else(configure):
    folder = find_folder(configure()).path
    for same in ("trainer.workers=2", "trainer.progress=true", "protocol=strict", "dataset.root=elsewhere"):
        assert find_folder(configure(same)).path == folder
    others = ["seed=2", "conv=regular", "conv.operator.form=released", "recipe.epochs=3", "backbone.network.width=4"]
    others += ["dataset.split=other", "trainer.precision=bfloat16"]
    paths = {find_folder(configure(other)).path for other in others}
    assert len(paths) == len(others)
    assert folder not in paths


def test_pretrained_weights_count_by_their_content_wherever_they_lie(configure, tmp_path):
    def folder(name, content):
        (tmp_path / name).write_bytes(content)
        return find_folder(configure("backbone=res2net", f"backbone.network.pretrained={tmp_path / name}")).path

    first = folder("first.pt", b"weights")
    assert folder("second.pt", b"weights") == first
    assert folder("second.pt", b"other weights") != first


@pytest.mark.parametrize(
    ("overrides", "message"),
    [
        (["mode=test"], r"Unknown mode 'test'.*train"),
        (["mode=evaluate"], r"needs the folder of a finished run"),
        (["mode=evaluate", "run=nowhere"], r"nowhere is not the folder of a finished run"),
        (["recipe.size=30"], r"recipe.size=30 does not fit backbone=unet.* multiples of 16; the nearest is 32"),
        (["recipe.size=[32,52]"], r"does not fit backbone=unet.*the nearest is \[32, 48\]"),
        (["recipe.size=[32]"], r"recipe.size is \[32\]; it must be one number or \[height, width\]"),
        (["recipe.output=sigmoid"], r"recipe.output=sigmoid is for one class; dataset=phantom has 3"),
        (["recipe.augment=flips"], r"Unknown recipe.augment 'flips'.*transunet"),
        (["recipe.epochs=0"], r"recipe.epochs is 0; it must be a whole number of at least 1"),
        (["recipe.schedule=cosin"], r"Unknown recipe.schedule 'cosin'.*poly"),
        (["recipe.selection=best"], r"Unknown recipe.selection 'best'.*best_validation_dice"),
        (["trainer.device=tpu7"], r"trainer.device=tpu7 cannot be used"),
        (["conv.operator.num_kernels=0"], r"conv=magic_4x: num_kernels must be an integer >= 1"),
        (["backbone.network.scope=decoder"], r"Unknown scope 'decoder' for UNet"),
        (["dataset.classes=[RV,Myo]"], r"has the classes RV, Myo, LV; dataset.classes says RV, Myo"),
        (["dataset.split=mtunet"], r"mtunet.*default"),
        (["dataset=acdc", "dataset.root=nowhere"], r"no prepared data in nowhere.*prepare_data.py dataset=acdc"),
        (["outputs=/dev/null"], r"/dev/null.*(outputs=|writable)"),
    ],
)
def test_mistakes_are_explained(configure, overrides, message):
    with pytest.raises(UserError, match=message):
        run(configure(*overrides))


def test_a_loss_that_is_not_finite_stops_before_the_step_and_leaves_the_checkpoint(configure):
    config = configure("recipe.optimizer.lr=1e30", "conv=regular", "recipe.epochs=3", "recipe.schedule=constant")
    with pytest.raises(UserError, match=r"(The loss is (nan|inf) at step \d+|Weights are NaN)"):
        train(config)
    folder = find_folder(config)
    assert folder.status()["state"] == "failed"
    assert "UserError" in folder.status()["reason"]
    if folder.last.is_file():
        weights = torch.load(folder.last, weights_only=True)["model"]
        assert all(torch.isfinite(weight).all() for weight in weights.values())


def test_other_data_are_refused_when_a_run_goes_on(configure):
    config = configure("recipe.epochs=1")
    folder = train(config)
    folder.set_status("interrupted")
    facts = json.loads(folder.provenance.read_text())
    folder.provenance.write_text(json.dumps({**facts, "manifest": "0" * 64}))
    with pytest.raises(UserError, match=r"was begun on other data \(manifest 000000000000"):
        train(config)


@pytest.mark.parametrize("damage", [lambda path: path.write_bytes(b"half"), lambda path: path.unlink()])
def test_a_run_whose_best_checkpoint_is_lost_says_what_helps_and_that_helps(configure, damage):
    config = configure("recipe.epochs=1", "trainer.overlays=false")
    folder = train(config)
    scores = json.loads(folder.summary.read_text())["scores"]
    folder.set_status("interrupted")
    damage(folder.best)
    with pytest.raises(UserError, match=r"best\.pt .*\. Restore it, or delete the run folder and train again\."):
        train(config)
    shutil.rmtree(folder.path)
    assert json.loads(train(config).summary.read_text())["scores"] == scores


def test_the_code_of_every_session_is_kept(configure, monkeypatch):
    codes = iter(["a" * 64, "b" * 64, "c" * 64])
    for state in ("interrupted", "interrupted", "finished"):
        code = next(codes)
        monkeypatch.setattr("magicseg.runs.code_digest", lambda code=code: code)
        folder = train(configure("recipe.epochs=1"))
        folder.set_status(state)
    facts = json.loads(folder.provenance.read_text())
    assert facts["code"] == "c" * 64
    assert [session["code"] for session in facts["earlier"]] == ["a" * 64, "b" * 64]
    assert all(set(session) == {"code", "git", "device"} for session in facts["earlier"])
    assert len(facts["resumed"]) == 2
    assert read_result(folder.summary).code == "aaaaaaaaaa+bbbbbbbbbb+cccccccccc"


def test_scoring_again_records_its_code_beside_that_of_the_training(finished, tmp_path, configure, monkeypatch):
    folder, _ = finished
    copy = tmp_path / folder.path.name
    shutil.copytree(folder.path, copy)
    trained = json.loads((copy / "summary.json").read_text())["provenance"]["code"]
    assert read_result(copy / "summary.json").code == trained[:10]
    monkeypatch.setattr("magicseg.runs.code_digest", lambda: "d" * 64)
    run(configure("mode=evaluate", f"run={copy}", "trainer.overlays=false"))
    summary = json.loads((copy / "summary.json").read_text())
    assert (summary["provenance"]["code"], summary["scored"]["code"]) == (trained, "d" * 64)
    assert read_result(copy / "summary.json").code == f"{trained[:10]}/dddddddddd"


def test_another_process_holds_the_lock(configure):
    folder = find_folder(configure())
    with folder.lock(), pytest.raises(UserError, match="Another process works on"):
        train(configure())


def test_the_saved_configuration_is_resolved(finished):
    folder, _ = finished
    text = folder.config.read_text()
    assert "${" not in text
    assert OmegaConf.load(folder.config).protocol.name == "transunet"
