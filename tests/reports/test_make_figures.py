"""The commands: figures of runs that were trained, mistakes in a paragraph."""

import pytest
from command_line import PROJECT, TINY, configuration, run_script
from PIL import Image

from magicseg.training.run import train

SCRIPTS = PROJECT / "scripts"


@pytest.fixture(scope="module")
def trained(phantom, tmp_path_factory):
    """The folder of two tiny runs on the phantom, one of them with structural guidance."""
    outputs = tmp_path_factory.mktemp("outputs")
    for conv in (("conv=regular",), ("conv=sgdc", "+conv.guidance.sge={bottleneck:8,mid:8}")):
        overrides = (*TINY, "backbone.network.width=4", "recipe.epochs=1", *conv)
        train(configuration(*overrides, f"dataset.root={phantom}", f"outputs={outputs}", "trainer.overlays=false"))
    return outputs


@pytest.fixture
def command(monkeypatch, capsys, tmp_path):
    """Return a function that runs a script with its output in tmp_path and returns (exit code, stdout, stderr)."""
    monkeypatch.syspath_prepend(SCRIPTS)

    def run(script, *arguments):
        code = run_script(script, *arguments, f"output={tmp_path}")
        printed, told = capsys.readouterr()
        return code, printed, " ".join(told.split())

    return run


@pytest.mark.parametrize("kind", ["curves", "cost", "qualitative"])
def test_every_kind_of_figure_is_drawn_from_trained_runs(kind, trained, command, tmp_path):
    code, _, told = command("make_figures.py", f"kind={kind}", f"runs={trained}", "count=2")
    assert code == 0, told
    for suffix in ("png", "pdf"):
        assert f"Wrote {tmp_path / f'{kind}_phantom.{suffix}'}" in told
    with Image.open(tmp_path / f"{kind}_phantom.png") as picture:
        assert min(picture.size) > 300


def test_cases_and_slices_can_be_named_and_guidance_left_out(trained, command, tmp_path):
    sizes = []
    for guidance in ("true", "false"):
        arguments = (f"runs={trained}", "cases=phantom28_frame01:3,phantom29_frame01", f"guidance={guidance}")
        assert command("make_figures.py", "kind=qualitative", *arguments)[0] == 0
        with Image.open(tmp_path / "qualitative_phantom.png") as picture:
            sizes.append(picture.size[0])
    assert sizes[0] > 1.3 * sizes[1]  # two columns more


@pytest.mark.parametrize(
    ("arguments", "text"),
    [
        (("kind=qualitativ",), "Did you mean qualitative"),
        (("kind=qualitative", "cases=phantom28_frame1"), "Did you mean phantom28_frame"),
        (("kind=qualitative", "cases=phantom28_frame01:99"), "has the slices 1 to"),
        (("kind=qualitative", "cases=phantom28_frame01:x"), "CASE:NUMBER"),
        (("kind=qualitative", "count=0"), "count is 0"),
        (("kind=qualitative", "protocol=strikt"), "Did you mean strict"),
        (("kind=qualitative", "labels=one"), "labels names 1 runs, but 2 are shown"),
        (("kind=cost", "metric=dise"), "Did you mean dice"),
    ],
)
def test_mistakes_are_answered_with_a_paragraph(arguments, text, trained, command):
    code, _, told = command("make_figures.py", f"runs={trained}", *arguments)
    assert code == 1
    assert text in told
    assert "Traceback" not in told


@pytest.mark.parametrize("conv", ["contmix", "ddconv"])
def test_the_multiply_adds_of_networks_that_look_at_their_numbers_can_be_counted(conv, monkeypatch):
    monkeypatch.syspath_prepend(SCRIPTS)
    from figures.opened import OpenedRun

    config = configuration("dataset=isic2018", "backbone=res2net_small", f"conv={conv}", "recipe.size=64")
    assert OpenedRun(None, config, trust=False).macs() > 0


def test_activation_maps_of_several_runs_are_drawn(trained, command, tmp_path):
    arguments = (f"run={trained}", "case=phantom28_frame01", "layer=decoder.blocks.2", "classes=RV,LV")
    code, _, told = command("explain.py", *arguments)
    assert code == 0, told
    with Image.open(tmp_path / "activation_phantom_phantom28_frame01.png") as picture:
        assert min(picture.size) > 300


def test_without_a_layer_the_layers_are_listed(trained, command, tmp_path):
    code, printed, _ = command("explain.py", f"run={trained}", "case=phantom28_frame01")
    assert code == 0
    assert "phantom/unet/sgdc" in printed
    assert "encoder.blocks.4 64 x 2 x 2" in " ".join(printed.split())
    assert not list(tmp_path.glob("*.png"))


@pytest.mark.parametrize(
    ("arguments", "text"),
    [
        (("case=phantom28_frame01", "layer=decoder.block.2"), "Did you mean decoder.blocks.2"),
        (("case=phantom28_frame01", "layer=a,b,c"), "layer names 3 layers for 2 runs"),
        (("case=phantom28_frame01", "layer=decoder", "classes=rv"), "Unknown class 'rv'"),
        (("case=phantom28_frame01", "layer=decoder", "class=RV"), "Did you mean classes"),
        (("layer=decoder",), "Missing: case=..."),
    ],
)
def test_mistakes_in_explain_are_answered_with_a_paragraph(arguments, text, trained, command):
    code, _, told = command("explain.py", f"run={trained}", *arguments)
    assert code == 1
    assert text in told


def test_a_figure_is_not_drawn_on_other_data(trained, command, tmp_path):
    run = next(trained.glob("phantom/unet/regular/*"))
    copy = tmp_path / "copy"
    copy.mkdir()
    for path in run.iterdir():
        if path.is_file():
            (copy / path.name).write_bytes(path.read_bytes())
    text = (copy / "summary.json").read_text()
    manifest = text.split('"manifest": "')[1].split('"')[0]
    (copy / "summary.json").write_text(text.replace(manifest, "0" * 64))
    code, _, told = command("make_figures.py", "kind=qualitative", f"runs={copy}", "cases=phantom28_frame01")
    assert code == 1
    assert "are not those" in told
