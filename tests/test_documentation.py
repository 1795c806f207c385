"""What the documentation shows works: its commands run, its links lead somewhere, its names exist, its tables are true.

Commands run as they are printed, in a folder of made-up data, with the additions in ADDED that make them small.
"""

from __future__ import annotations

import importlib
import os
import re
import runpy
import shlex
import sys
from importlib.util import find_spec

import nibabel
import numpy as np
import pytest
import yaml
from command_line import PROJECT, TINY, configuration
from documentation import PAGES, SHELL, anchors, blocks, commands, links, rows, spans
from documented_networks import PAGE as NETWORKS
from documented_networks import renewed
from omegaconf import OmegaConf
from tiny_acdc import write_official
from tiny_images import write_image, write_mask
from tiny_sources import SOURCES, disc, rgb, save
from tiny_synapse import write_official as write_synapse

from magicseg.arguments import parse
from magicseg.data.splits import list_splits
from magicseg.reports.complexity_tables import SETTINGS as COMPLEXITY_TABLES

COMMANDS = commands()
PLACEHOLDER = re.compile(r"=(DIR|FILE|FOLDER|FILE_OR_FOLDER|NAME|CASE|LAYER|RUN)$")

SMALL = (*TINY, "recipe.epochs=1")
LISTED = ("dry_run=true",)  # composes every run and finds its folder, but trains none
FEW = ("conv=regular,magic_4x", "backbone=unet", "seed=1")
ADDED = [
    # what the command begins with or holds, what is added
    (r"train\.py (--help|mode=evaluate)", ()),
    (r"train\.py .*-m .*experiment=magic", (*LISTED, *FEW)),  # tests/test_experiments.py composes all
    (r"train\.py .*-m ", LISTED),  # tests/training/test_sweep.py trains
    (r"train\.py .*(dataset=(isic2018|conic)|backbone=transunet)", LISTED),  # needs the download, or takes minutes
    (r"train\.py .*(seed=2|budget=cpu|experiment=|trainer\.workers)", LISTED),  # as others that are trained
    (r"train\.py", SMALL),
    (r"prepare_data\.py .*source=", ("allow_missing=true", "workers=1")),  # a few cases stand for the data set
    (r"predict\.py", ("progress=false",)),
    (r"(make_figures|explain)\.py", ("trust=true",)),  # for the run of an own convolution
    (r"complexity\.py .*measured=true", ("size=64", "batch=1", "repeats=1")),
]
PARSED = {
    r"complexity\.py table=": "takes half a minute; tests/reports/test_complexity_tables.py counts",
    r"benchmark\.py": "takes minutes; tests/test_benchmark.py and others run small ones",
}
"""Commands whose arguments are only read, and why."""
NOT_RUN = {
    "make demo": "python train.py is run",
    "make test": "this is a part of it",
    "make lint": "belongs to continuous integration",
    "pytest": "this is a part of it",
    "python3 -m venv .venv": "this Python may not be the one to install into",
    ". .venv/bin/activate": "the same",
    ".venv/bin/pre-commit install": "would change the checkout",
    "export PYTHONPATH=.": "sys.path is set instead",
    "tensorboard --logdir outputs": "does not end",
    "python tests/documented_networks.py": "writes docs/networks.md; a test below does without writing",
}
"""Commands that no test can run, and why."""
PYTHON = [command for command in COMMANDS if command.text.startswith("python ") and command.text not in NOT_RUN]


FIRST = [
    "python scripts/prepare_data.py dataset=acdc source=DIR",
    "python scripts/prepare_data.py dataset=folder source=DIR",
    "python scripts/prepare_data.py dataset=folder source=stage1_train root=data/prepared/nuclei",
    "python scripts/prepare_data.py dataset=folder source=Task04_Hippocampus root=data/prepared/hippocampus",
    "python train.py dataset=acdc backbone=unet conv=regular",
    "python train.py --config-dir my_configs dataset=acdc backbone=unet conv=gated",
    "python train.py dataset=folder dataset.root=data/prepared/nuclei outputs=outputs/nuclei conv=regular",
]
"""What other commands rest on."""


# A folder to run commands in


@pytest.fixture(scope="module")
def workspace(tmp_path_factory, phantom):
    """A folder with made-up data in it, some of them prepared, and with a few runs."""
    folder = tmp_path_factory.mktemp("documentation")
    (folder / "data/prepared").mkdir(parents=True)
    (folder / "data/prepared/phantom").symlink_to(phantom)
    for number in range(1, 101):
        write_official(folder / "acdc", number)
    _write_images(folder)
    _write_code(folder)
    with pytest.MonkeyPatch.context() as patch:
        patch.chdir(folder)
        patch.setattr("magicseg.runs.code_digest", lambda: "one code")  # sources may be edited meanwhile
        for command in FIRST:
            run(command, folder)
        yield folder


def _write_images(folder):
    """Write a few cases of every other data set, named as their official files."""
    for dataset in ("conic", "glas", "isic2018"):
        (folder / dataset).mkdir()
        next(write for name, write in SOURCES.values() if name == dataset)(folder / dataset)
    for number in range(1, 5):
        write_synapse(folder / "synapse", number)
    for year, place, mask in ((2016, "ISBI2016_ISIC_Part1", "Segmentation"), (2017, "ISIC-2017", "segmentation")):
        truth = "GroundTruth" if year == 2016 else "Part1_GroundTruth"
        name = "isic2016" if year == 2016 else "isic"
        write_image(folder / name / f"{place}_Training_Data/ISIC_0000001.jpg")
        write_mask(folder / name / f"{place}_Training_{truth}/ISIC_0000001_{mask}.png")
    write_image(folder / "ph2/IMD002/IMD002.bmp")
    write_mask(folder / "ph2/IMD002/IMD002_lesion.bmp")
    for number in range(10):
        save(folder / f"folder/images/{number}.png", rgb(number))
        save(folder / f"folder/masks/{number}_mask.png", disc())
        save(folder / f"stage1_train/n{number}/images/n{number}.png", rgb(number))
        save(folder / f"stage1_train/n{number}/masks/a.png", disc())
        for part in ("imagesTr", "labelsTr", *(["imagesTs"] if number < 2 else [])):
            volume = np.random.default_rng(number).integers(0, 3, (4, 20, 18)).astype(np.uint8)
            save(folder / f"Task04_Hippocampus/{part}/h_{number}.nii.gz", volume)
    names = {"labels": {"0": "background", "1": "Anterior", "2": "Posterior"}}
    (folder / "Task04_Hippocampus/dataset.json").write_text(str(names).replace("'", '"'))
    nibabel.save(nibabel.Nifti1Image(np.random.default_rng(0).random((8, 6, 3)), np.eye(4)), folder / "new.nii.gz")


def _write_code(folder):
    """Write the files that the documentation shows: blocks that begin with a file's name."""
    for page in PAGES:
        for block in blocks(page):
            if name := _file_of(block):
                (folder / name).parent.mkdir(parents=True, exist_ok=True)
                (folder / name).write_text(block.text)


def _file_of(block):
    found = re.match(r"# (\S+\.(?:py|yaml))\n", block.text)
    return found and found[1]


def words_of(command, folder):
    """Return the words of a command, what stands for a user's own files exchanged for the made-up ones."""
    words = shlex.split(command)
    named = dict(word.split("=", 1) for word in words if "=" in word)
    runs = sorted(folder.glob("outputs/acdc/unet/regular/*-s1"))
    stands_for = {
        "dataset=NAME": "dataset=acdc",
        "source=DIR": f"source={folder / named.get('dataset', 'acdc').replace('NAME', 'acdc').replace('2017', '')}",
        "run=DIR": f"run={runs[0] if runs else 'none yet'}",
        "protocol=NAME": "protocol=strict",
        "input=FILE_OR_FOLDER": f"input={folder / 'new.nii.gz'}",
        "case=CASE": "case=patient002_frame01",
    }
    words = [stands_for.get(word, word) for word in words]
    assert not [word for word in words if PLACEHOLDER.search(word)], f"{words}: what stands for the user's own?"
    return words


def run(command, folder):
    """Run a documented ``python`` command in this process, made small; it must end well."""
    _, script, *arguments = words_of(command, folder)
    added = next((more for pattern, more in ADDED if re.search(pattern, command)), ())
    _call(script, [*arguments, *added])


def _call(script, arguments):
    path, argv = sys.path, sys.argv
    sys.path, sys.argv = [str((PROJECT / script).parent), ".", *path], [script, *arguments]
    try:
        runpy.run_path(str(PROJECT / script), run_name="__main__")
    except SystemExit as end:
        if end.code:
            pytest.fail(f"{script} {' '.join(arguments)} ended with exit code {end.code}")
    finally:
        sys.path, sys.argv = path, argv


def read_arguments(command):
    """Let a script read the arguments of a documented command, without doing what they say."""
    _, script, *arguments = shlex.split(command)
    path, sys.path = sys.path, [str(PROJECT / "scripts"), *sys.path]
    try:
        if script.endswith("benchmark.py"):
            room = importlib.import_module(f"benchmarks.{arguments.pop(0)}")
            options = getattr(room, "Options", importlib.import_module("benchmarks.timing").Options)
        else:
            options = importlib.import_module(script.split("/")[1].removesuffix(".py")).Options
        return parse(options, arguments)
    finally:
        sys.path = path


# Commands


@pytest.mark.parametrize("command", PYTHON, ids=str)
def test_a_command_works(command, workspace):
    if any(re.search(pattern, command.text) for pattern in PARSED):
        options = read_arguments(command.text)
        assert not getattr(options, "table", "") or options.table in COMPLEXITY_TABLES
    elif "format=onnx" in command.text and not find_spec("onnx"):
        pytest.skip("needs the extra: pip install magicseg[export]")
    else:
        run(command.text, workspace)


def test_what_is_no_python_command_is_known():
    makefile = (PROJECT / "Makefile").read_text()
    project = (PROJECT / "pyproject.toml").read_text()  # Python 3.10 has no tomllib
    extras = re.findall(r"^(\w+) = ", project.split("[project.optional-dependencies]")[1].split("\n[")[0], re.MULTILINE)
    for command in COMMANDS:
        words = command.text.split()
        if words[0] == "make" and len(words) == 2:
            assert f"\n{words[1]}: " in makefile, command
        if words[:2] == ["pip", "install"]:
            assert set(re.findall(r"\[(\w+)\]", command.text)) <= set(extras), command
            assert "-c" not in words or (PROJECT / words[words.index("-c") + 1]).is_file(), command
        elif command not in PYTHON:
            assert command.text in NOT_RUN, f"{command}: say how it is tested, or why it is not run"


def test_exceptions_are_still_needed():
    texts = "\n".join(command.text for command in COMMANDS)
    assert not [text for text in NOT_RUN if text not in texts.splitlines()]
    assert not [pattern for pattern in [*PARSED, *(pattern for pattern, _ in ADDED)] if not re.search(pattern, texts)]


def test_blocks_say_what_they_are():
    languages = {(page.name, block.language) for page in PAGES for block in blocks(page)}
    assert {language for _, language in languages} <= {SHELL, "python", "yaml", "text", ""}
    for page in PAGES:
        for block in blocks(page):
            assert block.language or "python " not in block.text, f"{page.name}: a command in a block without {SHELL}"


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.name)
def test_python_code_runs(page):
    for block in blocks(page):
        if block.language == "python" and not _file_of(block):
            labels = np.random.default_rng(0).integers(0, 4, (3, 8, 8))
            code = block.text.replace("pretrained=True", "pretrained=False")  # without a download
            exec(compile(code, page.name, "exec"), {"prediction": labels, "truth": labels[::-1]})


# Links and names


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.name)
def test_links_lead_somewhere(page):
    for link in links(page):
        name, _, anchor = link.partition("#")
        target = page.parent / name if name else page
        assert target.exists(), f"{page.name}: {link}"
        assert not anchor or anchor in anchors(target), f"{page.name}: {link}"


def test_every_page_can_be_reached_from_the_first():
    linked = {(PAGES[0].parent / link).resolve() for link in links(PAGES[0])}
    assert set(PAGES[1:]) <= linked


def test_every_picture_is_shown():
    shown = {(page.parent / link).resolve() for page in PAGES for link in links(page)}
    assert set((PROJECT / "docs" / "images").iterdir()) <= shown


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.name)
def test_files_that_are_named_exist(page):
    shown = {_file_of(block) for each in PAGES for block in blocks(each)}
    for name in spans(page):
        if re.fullmatch(r"[\w./-]+\.(py|md|yaml|toml|cff|css)(::\w+)?", name) and name not in shown:
            assert _exists(name.partition("::")[0]), f"{page.name} names {name}"
        elif re.fullmatch(r"(magicseg|tests|configs|scripts|docs|hydra_plugins)(/[\w.]+)*/?", name):
            assert (PROJECT / name).exists(), f"{page.name} names {name}"


ROOMS = ("magicseg", "hydra_plugins", "scripts", "configs", "tests", "docs")
FILES = {path.name for room in ROOMS for path in (PROJECT / room).rglob("*.*")} | set(os.listdir(PROJECT))


def _exists(name):
    if "/" in name:
        return (PROJECT / name).exists() or (PROJECT / "magicseg" / name).exists()
    return name in FILES


GROUPS = {path.name for path in (PROJECT / "configs").iterdir() if path.is_dir()} - {"hydra"}
INVENTED = {"a", "b", "my_conv"}
"""What the documentation calls a user's own things."""


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.name)
def test_names_of_configurations_exist(page):
    for group, names in _settings(page):
        for name in names.split(",") if group in GROUPS else ():
            if re.fullmatch(r"[a-z\d_]+", name) and name not in INVENTED:
                assert (PROJECT / "configs" / group / f"{name}.yaml").is_file(), f"{page.name}: {group}={name}"


@pytest.fixture(scope="module")
def known_keys():
    """Every key that some configuration has."""
    given = ([], ["backbone=transunet"], ["backbone=cto"], ["conv=sgdc"], ["dataset=conic"], ["protocol=cto"])
    configs = [OmegaConf.to_container(configuration(*overrides), resolve=False) for overrides in given]
    return {key for config in configs for key in _keys(config)}


def _keys(node, above=""):
    for name, value in node.items():
        yield f"{above}{name}"
        if isinstance(value, dict):
            yield from _keys(value, f"{above}{name}.")


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.name)
def test_keys_that_are_named_exist(page, known_keys):
    for key, _ in _settings(page):
        if key.partition(".")[0] in known_keys and "." in key:
            assert key in known_keys, f"{page.name} names {key}"


def _settings(page):
    """Return the keys and values of every ``key=value`` in the text."""
    return [found for span in spans(page) for found in re.findall(r"(?<![\w.])([a-z_.]+)=([\w,.]*)", span)]


# Tables


def test_the_tables_of_networks_are_current():
    assert NETWORKS.read_text() == renewed(NETWORKS.read_text()), "run: python tests/documented_networks.py"


DATASETS = {row[0].strip("`"): row for row in rows(PROJECT / "docs" / "datasets.md", "`dataset=`")}


def test_every_data_set_has_a_row():
    assert set(DATASETS) == {path.stem for path in (PROJECT / "configs" / "dataset").glob("*.yaml")}


@pytest.mark.parametrize("name", DATASETS)
def test_the_row_of_a_data_set_is_true(name):
    _, _, classes, splits, protocol, tables = DATASETS[name]
    config = configuration(f"dataset={name}")
    assert set(re.findall(r"`(\w+)`", splits)) == set(list_splits(name))
    assert splits.startswith(f"`{config.dataset.split}`")
    assert re.match(r"`(\w+)`", protocol)[1] == config.protocol.name
    if config.dataset.classes is not None and len(config.dataset.classes) < 8:
        assert classes == ", ".join(config.dataset.classes)
    assert _numbers(tables) == _tables_with(name)


def _numbers(text):
    """Return e.g. magic_table2 and magic_table6 for "MAGIC 2, 6"."""
    found = re.match(r"(MAGIC|SGDC) ([\d, ]+)", text)
    return {f"{found[1].lower()}_table{number}" for number in found[2].split(", ")} if found else set()


def _tables_with(dataset):
    """Return the experiments that train on a data set."""
    files = sorted((PROJECT / "configs" / "experiment").glob("*_table*.yaml"))
    swept = {path.stem: yaml.safe_load(path.read_text())["hydra"]["sweeper"]["params"] for path in files}
    return {name for name, params in swept.items() if dataset in params["dataset"].split(",")}
