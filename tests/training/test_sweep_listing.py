"""What a sweep would do, and what the command says about launchers that are not there."""

from dataclasses import dataclass, field
from typing import Any

import pytest
from command_line import PROJECT, call, configuration
from hydra import compose, initialize_config_dir
from hydra.core.config_store import ConfigStore
from omegaconf import OmegaConf

from magicseg.errors import UserError
from magicseg.files import write_json, write_text
from magicseg.training import expected
from magicseg.training.sweep import (
    check_outcome,
    checked,
    dry_run,
    listing,
    outcome,
    refusals,
    sweep_run,
    without_repeats,
)


@pytest.fixture
def planned(tmp_path):
    """Return a run of the phantom, of 10 epochs."""
    expected._finished.cache_clear()
    return lambda *overrides: sweep_run(
        overrides, configuration("dataset.split=default", f"outputs={tmp_path}", *overrides)
    )


def finish(run, seconds):
    write_text(run.folder.config, OmegaConf.to_yaml(run.config, resolve=True))
    write_json(run.folder.summary, {"seconds": seconds})
    run.folder.set_status("finished", epoch=10, epochs=10)


def test_a_run_that_is_asked_for_twice_is_listed_once(planned):
    runs = [planned("seed=1"), planned("seed=2"), planned("seed=1", "trainer.workers=1")]
    assert [run.config.seed for run in without_repeats(runs)] == [1, 2]


def test_the_expected_time_is_that_of_finished_runs_like_it(planned):
    for seed, seconds in ((1, 100), (2, 300), (3, 10_000)):
        finish(planned(f"seed={seed}"), seconds)
    finish(planned("seed=4", "recipe.epochs=3"), 1)
    write_text(planned("seed=9").folder.summary, "not JSON")
    planned("seed=9").folder.set_status("finished")
    half = planned("seed=5")
    half.folder.set_status("interrupted", epoch=5, epochs=10, seconds=17)
    assert expected.remaining(half.folder, half.config) == 150
    new = planned("seed=6")
    assert expected.remaining(new.folder, new.config) == 300
    other = planned("conv=regular")
    assert expected.remaining(other.folder, other.config) is None


def test_a_run_that_was_begun_tells_its_own_time(planned):
    run = planned()
    run.folder.set_status("interrupted", epoch=2, epochs=10, seconds=20)
    assert expected.remaining(run.folder, run.config) == 80


def test_the_listing_names_state_time_and_data_that_are_missing(planned, tmp_path):
    finish(planned("seed=1"), 4000)
    runs = [
        planned("seed=1"),
        planned("seed=2"),
        planned("conv=regular"),
        planned("dataset=ph2", "dataset.root=nowhere"),
    ]
    text = listing(runs)
    assert text.splitlines()[1].startswith("finished          10/10             -  ")
    assert "1 h 7 min  " + str(runs[1].folder.path) in text
    assert "unknown  " + str(runs[2].folder.path) in text
    assert "4 runs: 1 finished, 3 new" in text
    assert "expected: 1 h 7 min for 1 of them, one after another" in text
    assert "time unknown for 2" in text
    assert "no data in nowhere: python scripts/prepare_data.py dataset=ph2 source=DIR" in text
    assert "no data in data/prepared/phantom" not in text


def test_scoring_again_under_several_protocols_is_several_runs(planned):
    done = planned()
    finish(done, 1)
    folder = f"run={done.folder.path}"
    runs = [planned("mode=evaluate", folder, f"protocol={name}") for name in ("strict", "cascade")]
    assert without_repeats(runs) == runs
    assert all(run.to_do for run in runs)
    with pytest.raises(UserError, match=r"run=nowhere: that is not the folder of a finished run"):
        planned("mode=evaluate", "run=nowhere")


def test_what_is_finished_or_only_scored_again_is_not_checked(planned):
    done = planned("recipe.size=17")
    finish(done, 1)
    again = planned("recipe.size=17", "mode=evaluate", f"run={done.folder.path}")
    assert [run.refusal for run in checked([done, again])] == ["", ""]


def test_an_unfinished_sweep_is_an_error(planned):
    runs = [planned("seed=1"), planned("seed=2")]
    finish(runs[0], 1)
    with pytest.raises(UserError, match=r"1 of 2 runs did not finish\. The same command"):
        check_outcome(runs, {})
    with runs[1].folder.lock():  # another process works on it
        check_outcome(runs, {})
        assert "2 runs: 1 finished, 1 running" in outcome(runs, {})


def test_what_only_the_launcher_knows_is_told(planned):
    runs = [planned("seed=1"), planned("seed=2")]
    finish(runs[0], 1)
    problems = {runs[0].folder.path: "no such protocol", runs[1].folder.path: "out of paper"}
    assert f"{runs[0].folder.path}: no such protocol\n" in outcome(runs, problems)
    assert f"{runs[1].folder.path}: out of paper\n" in outcome(runs, problems)
    with pytest.raises(UserError, match=r"2 of 2 runs did not finish"):
        check_outcome(runs, problems)


@pytest.mark.parametrize(
    ("arguments", "count"), [([], "1 run: 1 new"), (["-m", "conv=regular,magic_4x", "seed=1,2,3"], "6 runs: 6 new")]
)
def test_a_dry_run_trains_nothing(tmp_path, arguments, count):
    result = call("train.py", *arguments, "dry_run=true", f"outputs={tmp_path / 'outputs'}")
    assert result.returncode == 0, result.stderr
    assert count in result.stdout
    assert not (tmp_path / "outputs").exists()


@pytest.mark.parametrize(
    ("override", "reason"),
    [
        ("recipe.size=17", "recipe.size=17 does not fit backbone=unet, whose height and width must be multiples of 16"),
        ("recipe.size=0", "recipe.size is 0; it must be one number or [height, width]"),
        ("recipe.epochs=0", "recipe.epochs is 0; it must be a whole number of at least 1"),
        ("recipe.schedule=cosin", "Unknown recipe.schedule 'cosin'. Did you mean cosine_restarts"),
        ("dataset.split=mtunet2", "Unknown split of phantom 'mtunet2'. Allowed: default"),
        ("backbone.network.scope=decoder", "backbone=unet conv=magic_4x: Unknown scope 'decoder' for UNet"),
        ("conv.operator._target_=no.such.Conv", "backbone=unet conv=magic_4x: Error loading 'no.such.Conv'"),
        ("dataset.paper_protocol.unit=no", "protocol: Protocol 'transunet': unit is 'no'. Allowed: volume, "),
    ],
)
def test_a_run_that_cannot_work_is_refused_and_the_others_are_not(planned, override, reason):
    done, good, bad = planned("seed=1"), planned("seed=2"), planned("seed=3", override)
    finish(done, 1)
    runs = checked([done, good, bad])
    assert [run.to_do for run in runs] == [False, True, False]
    assert [run.refusal.startswith(reason) for run in runs] == [False, False, True]
    said = f"refused               -  {bad.folder.path}: {reason}"
    assert refusals(runs)[0].startswith(said)
    for text in (listing(runs), outcome(runs, {})):
        assert said in text
        assert "3 runs: 1 finished, 1 new, 1 refused" in text
    with pytest.raises(UserError, match=r"1 of 3 runs cannot work"):
        dry_run(runs)


def test_an_operator_that_does_not_know_the_meta_device_is_not_refused(planned):
    run = planned("conv=regular", "conv.operator._target_=faults.Reads")
    assert checked([run]) == [run]


def test_a_pair_that_cannot_work_is_told_by_a_dry_run(tmp_path):
    pair = ["dataset=acdc", "backbone=transunet_small", "conv=regular,odconv", "backbone.network.weight_std=true"]
    result = call("train.py", "-m", *pair, "dry_run=true", f"outputs={tmp_path}")
    assert result.returncode == 1
    assert "2 runs: 1 new, 1 refused" in result.stdout
    assert "conv=odconv: weight_std=True cannot standardise the kernel of ODConv2d" in result.stdout
    assert "Error: 1 of 2 runs cannot work, for the reasons above." in result.stderr


def test_an_experiment_is_a_sweep_without_being_told(tmp_path):
    result = call("train.py", "experiment=sgdc_table1", "budget=cpu", "dry_run=true", f"outputs={tmp_path}")
    assert "2 runs: 2 new" in result.stdout


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["hydra/launcher=slurm"], 'submitit_slurm needs a plugin of Hydra: pip install "magicseg[slurm]"'),
        (["hydra/launcher=joblib"], "needs a plugin of Hydra: pip install hydra-joblib-launcher"),
        (["hydra/launcher=slum"], "Unknown hydra/launcher 'slum'. Did you mean slurm?"),
        (["hydra.launcher.n_job=2"], "Unknown key 'hydra.launcher.n_job'. Did you mean n_jobs?"),
        (["hydra.launcher.n_jobs=0"], "hydra.launcher.n_jobs is 0"),
        (["budget=small"], "Unknown budget 'small'. Allowed: cpu, full."),
        (["conv=regular,magic_5x"], "Unknown conv 'magic_5x'. Did you mean magic_4x"),
    ],
)
def test_mistakes_are_told_before_anything_is_trained(tmp_path, arguments, message):
    result = call("train.py", "-m", f"outputs={tmp_path / 'outputs'}", *arguments)
    assert result.returncode == 1
    assert message in " ".join(result.stderr.split())
    assert "Traceback" not in result.stderr
    assert not (tmp_path / "outputs").exists()


@dataclass
class SlurmQueue:
    """The keys of the plugin's configuration that ours may set."""

    _target_: str = "hydra_plugins.hydra_submitit_launcher.submitit_launcher.SlurmLauncher"
    submitit_folder: str = "${hydra.sweep.dir}/.submitit/%j"
    timeout_min: int = 60
    cpus_per_task: int | None = None
    gpus_per_node: int | None = None
    mem_gb: int | None = None
    partition: str | None = None
    max_num_timeout: int = 0
    array_parallelism: int = 256
    additional_parameters: dict[str, Any] = field(default_factory=dict)


def test_slurm_is_one_override(monkeypatch):
    store = ConfigStore.instance()
    monkeypatch.setattr(store, "repo", {**store.repo, "hydra": {**store.repo["hydra"]}})
    store.repo["hydra"]["launcher"] = dict(store.repo["hydra"]["launcher"])
    store.store(group="hydra/launcher", name="submitit_slurm", node=SlurmQueue)
    with initialize_config_dir(str(PROJECT / "configs"), version_base="1.3"):
        overrides = ["hydra/launcher=slurm", "hydra.launcher.partition=gpu"]
        launcher = compose("config", overrides, return_hydra_config=True).hydra.launcher
    assert launcher._target_.endswith("SlurmLauncher")
    assert (launcher.timeout_min, launcher.gpus_per_node, launcher.partition) == (1440, 1, "gpu")
