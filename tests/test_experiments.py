"""One command a table: every cell that a run can measure has its run, and cells of several tables share one."""

from functools import cache

import pytest
from command_line import PROJECT
from hydra import compose, initialize_config_dir
from hydra.core.override_parser.overrides_parser import OverridesParser
from omegaconf import OmegaConf

from hydra_plugins.magicseg_sweeps import ResumingSweeper
from magicseg.assembly.build import build_model
from magicseg.reports.paper_tables import RunKey, paper_table, table_names
from magicseg.training.sweep import sweep_run

FOLDS = [f"fold{number}" for number in range(5)]


@pytest.fixture(scope="module", autouse=True)
def hydra():
    with initialize_config_dir(str(PROJECT / "configs"), version_base="1.3"):
        yield


@cache
def run_of(*overrides):
    return sweep_run(overrides, compose("config", list(overrides)))


@cache
def jobs_of(experiment, *overrides):
    """Return what ``experiment=NAME`` sweeps over: each run's overrides."""
    params = compose("config", [f"experiment={experiment}"], return_hydra_config=True).hydra.sweeper.params
    texts = [*(f"{key}={value}" for key, value in params.items()), *overrides]
    return ResumingSweeper.split_arguments(OverridesParser.create().parse_overrides(texts), None)[0]


@cache
def runs_of(experiment):
    """Return the runs that ``experiment=NAME`` starts."""
    return [run_of(*job) for job in jobs_of(experiment)]


def key_of(run):
    return RunKey(run.config.dataset.name, run.config.backbone.name, run.config.conv.name)


def paths(table):
    return {run.folder.path for run in runs_of(table)}


def test_every_table_is_an_experiment():
    experiments = {path.stem for path in (PROJECT / "configs" / "experiment").glob("*.yaml")}
    assert experiments == {*table_names(), "acdc_cpu"}


@pytest.mark.parametrize("name", table_names())
def test_every_cell_that_a_run_can_measure_has_its_run(name):
    table = paper_table(name)
    wanted = {table.key(row, column) for row in table.rows for column in table.columns} - {None}
    assert {key_of(run) for run in runs_of(name)} == wanted


@pytest.mark.parametrize("name", table_names())
def test_every_run_is_one_of_its_own_and_has_the_recipe_of_its_data(name):
    runs = runs_of(name)
    assert len({run.folder.path for run in runs}) == len(runs)
    for run in runs:
        OmegaConf.resolve(run.config)
        assert run.config.recipe.name == run.config.dataset.name
        assert (run.config.recipe.budget, run.config.seed) == ("full", 1)


def test_isic_2018_is_trained_in_five_folds():
    for name in ("sgdc_table2", "sgdc_table4", "sgdc_table5"):
        folds = {}
        for run in runs_of(name):
            folds.setdefault(key_of(run), []).append(run.config.dataset.split)
        assert all(sorted(splits) == FOLDS for splits in folds.values())


def test_cells_of_several_tables_share_a_run():
    assert paths("magic_table5") <= paths("magic_table1")
    for table in ("magic_table1", "magic_table2", "magic_table3"):
        shared = {run.folder.path for run in runs_of("magic_table6") if run.config.conv.name == "magic_4x"}
        assert len(shared & paths(table)) == 2
    with_recalculation = {run.folder.path for run in runs_of("magic_table7") if "without" not in run.config.conv.name}
    assert with_recalculation <= paths("magic_table2") | paths("magic_table3")
    assert len(paths("sgdc_table2") & paths("sgdc_table4") & paths("sgdc_table5")) == 5


def one_of_each_kind():
    """Return one run of the tables for each data set and backbone, and for each backbone and convolution."""
    runs = [run for name in table_names() for run in runs_of(name)]
    kinds = {key_of(run)[:2]: run for run in runs} | {key_of(run)[1:]: run for run in runs}
    return {run.folder.path: run for run in kinds.values()}.values()


def test_the_cpu_sized_twin_of_each_run_is_the_same_made_small_and_can_be_built():
    for run in one_of_each_kind():
        twin = run_of(*run.overrides, "budget=cpu")
        assert key_of(twin) == key_of(run)
        assert (twin.config.recipe.name, twin.config.recipe.budget) == (f"{run.config.dataset.name}_cpu", "cpu")
        assert twin.config.recipe.epochs < run.config.recipe.epochs
        assert not twin.config.backbone.network.get("pretrained", False)
        assert build_model(twin.config).stride > 0


def test_the_command_line_narrows_and_widens_a_table():
    assert len(jobs_of("magic_table1", "conv=regular,magic_4x", "seed=1,2,3")) == 3 * 2 * 3
    assert len(jobs_of("sgdc_table2", "network=sgd_net")) == 5


@pytest.mark.parametrize(
    "overrides",
    [
        ["experiment=acdc_cpu"],
        ["experiment=acdc_cpu", "budget=cpu"],
        ["dataset=acdc", "backbone=unet", "budget=cpu"],
        ["dataset=acdc", "backbone=unet_small", "budget=cpu"],
        ["dataset=acdc", "network=unet", "conv=magic_4x", "budget=cpu"],
    ],
)
def test_ways_to_say_the_same_find_the_same_run(overrides):
    assert run_of(*overrides).folder == run_of("dataset=acdc", "backbone=unet_small", "recipe=acdc_cpu").folder


def test_a_value_on_the_command_line_is_stronger_than_the_budget():
    config = run_of("budget=cpu", "dataset=acdc", "recipe=acdc", "backbone.network.width=8").config
    assert (config.recipe.name, config.backbone.network.width) == ("acdc", 8)
