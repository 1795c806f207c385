"""Figures: what is drawn is what was measured."""

import csv

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra import numpy as arrays
from matplotlib.collections import LineCollection
from matplotlib.colors import to_hex
from PIL import Image
from synthetic_runs import summary, write_run

from magicseg.errors import UserError
from magicseg.reports.figures.activation import Activation, draw_activations
from magicseg.reports.figures.cost import draw_cost
from magicseg.reports.figures.curves import draw_curves, read_curve
from magicseg.reports.figures.outlines import errors, outline, thick
from magicseg.reports.figures.pictures import stretched, window
from magicseg.reports.figures.qualitative import OUTLINES, Example, Panel, draw_qualitative
from magicseg.reports.figures.shown import find_runs, grouped, one_data_set, run_labels
from magicseg.reports.figures.style import line_colours, new_figure, save_figure

LABELS = arrays.arrays(np.uint8, (6, 7), elements=st.integers(0, 2))


def test_every_wrong_pixel_is_one_kind_of_error():
    prediction, truth = np.array([[0, 1, 0, 2, 1]]), np.array([[0, 1, 1, 0, 2]])
    wrong = errors(prediction, truth)
    assert wrong.false_positive.tolist() == [[False, False, False, True, False]]
    assert wrong.false_negative.tolist() == [[False, False, True, False, False]]
    assert wrong.confused.tolist() == [[False, False, False, False, True]]


@settings(max_examples=30, deadline=None)
@given(LABELS, LABELS)
def test_the_three_kinds_of_error_are_disjoint_and_complete(prediction, truth):
    assert np.array_equal(np.sum(errors(prediction, truth), axis=0), prediction != truth)


def test_the_outline_of_a_pixel_is_its_four_edges():
    mask = np.zeros((3, 4), bool)
    mask[1, 2] = True
    edges = {tuple(map(tuple, edge)) for edge in outline(mask).tolist()}
    assert edges == {
        ((1.5, 0.5), (2.5, 0.5)),
        ((1.5, 1.5), (2.5, 1.5)),
        ((1.5, 0.5), (1.5, 1.5)),
        ((2.5, 0.5), (2.5, 1.5)),
    }


@settings(max_examples=30, deadline=None)
@given(arrays.arrays(bool, (5, 8)))
def test_an_outline_is_as_long_as_the_perimeter(mask):
    padded = np.pad(mask, 1).astype(int)
    perimeter = sum(np.abs(np.diff(padded, axis=axis)).sum() for axis in (0, 1))
    segments = outline(mask)
    assert len(segments) == perimeter
    assert (np.abs(np.diff(segments, axis=1)).sum(axis=(1, 2)) == 1).all()


def test_only_thick_errors_are_kept():
    mask = np.zeros((9, 9), bool)
    mask[:, 1] = True
    mask[2:5, 4:7] = True
    kept = thick(mask, 3)
    assert kept.sum() == 9
    assert kept[2:5, 4:7].all()


def test_the_window_is_a_square_around_all_objects():
    first, second = np.zeros((40, 60), int), np.zeros((40, 60), int)
    first[10:14, 20:30] = 1
    second[16, 25] = 2
    rows, columns = window(first, second, margin=0.1)
    assert rows.stop - rows.start == columns.stop - columns.start == 14
    assert rows.start <= 10 < 17 <= rows.stop
    assert columns.start <= 20 < 30 <= columns.stop


def test_the_window_is_everything_where_there_is_nothing_or_no_room():
    empty = np.zeros((20, 30), int)
    assert empty[window(empty)].shape == (20, 30)
    full = empty + 1
    assert full[window(full)].shape == (20, 30)


def test_only_grey_slices_are_stretched():
    grey = np.linspace(0.2, 0.4, 1000).reshape(20, 50)
    assert stretched(grey).min() == 0
    assert stretched(grey).max() == 1
    assert not stretched(np.full((4, 4), 0.5)).any()
    colour = np.full((4, 4, 3), 0.3)
    assert stretched(colour) is colour


def test_an_error_is_outlined_in_its_colour_and_a_single_class_is_not_confused():
    truth, prediction = np.zeros((30, 30), int), np.zeros((30, 30), int)
    truth[5:15, 5:15] = 1
    prediction[20:25, 20:25] = 1
    row = Example("case", np.full((30, 30), 0.5), truth, [Panel(prediction, "12.3")], {"edge map": np.zeros((30, 30))})
    figure = draw_qualitative([row], ["magic_4x"], ["gland"], "note.")
    titles = [axis.get_title() for axis in figure.axes]
    assert titles == ["input", "ground truth", "magic_4x", "edge map"]
    panel = figure.axes[2]
    lengths = {
        to_hex(lines.get_colors()[0]): len(lines.get_segments())
        for lines in panel.collections
        if isinstance(lines, LineCollection)
    }
    assert lengths == {
        OUTLINES["false positive"]: 20,
        OUTLINES["false negative"]: 40,
        OUTLINES["wrong class"]: 0,
    }
    assert panel.get_xlabel() == "12.3"
    assert [text.get_text() for text in figure.legends[0].texts] == ["gland", "false positive", "false negative"]


def test_pictures_and_text_are_saved_and_the_same_figure_gives_the_same_bytes(tmp_path):
    rng = np.random.default_rng(0)
    truth = np.zeros((20, 24), bool)
    truth[4:9, 5:12] = True
    row = Activation("RV", rng.random((20, 24)), truth, [rng.random((20, 24))] * 2)
    contents = []
    for name in ("a", "b"):
        paths = save_figure(draw_activations([row, row], ["regular", "magic_4x"], "note"), tmp_path / f"x.{name}")
        assert [path.name for path in paths] == [f"x.{name}.png", f"x.{name}.pdf"]
        contents.append([path.read_bytes() for path in paths])
    assert contents[0] == contents[1]
    assert b"/Type3" not in contents[0][1]  # letters that are drawings cannot be edited
    with Image.open(paths[0]) as picture:
        assert min(picture.size) > 300


def test_every_convolution_of_a_paper_has_its_colour():
    convs = ["regular", "dyconv", "condconv", "dcd", "ddconv", "odconv", "magic_1x", "magic_2x", "magic_4x", "sgdc"]
    colours = line_colours(convs)
    assert len(set(colours.values())) == len(convs)
    assert line_colours(reversed(convs)) == colours


def test_runs_come_in_the_order_of_the_patterns_baseline_first(tmp_path):
    for conv in ("magic_4x", "dcd", "regular"):
        write_run(tmp_path, summary(conv=conv))
    write_run(tmp_path, summary(conv="odconv"), state="running")
    told = []
    runs = find_runs(f"{tmp_path}/acdc/unet/magic*,{tmp_path}/acdc/*/*/*", told.append)
    assert [run.key.conv for run in runs] == ["magic_4x", "regular", "dcd"]
    assert len(told) == 1
    assert "not finished" in told[0]
    with pytest.raises(UserError, match="No folder fits"):
        find_runs(f"{tmp_path}/acdc/unet/mgic*", told.append)
    with pytest.raises(UserError, match="no finished run"):
        find_runs(f"{tmp_path}/acdc/unet/odconv", told.append)


def test_labels_say_only_what_differs(runs):
    assert run_labels(runs(summary())) == ["regular"]
    transunet, other_seed, unet = runs(summary(backbone="transunet"), summary(backbone="transunet", seed=2))
    names = ["regular\ntransunet, seed 1", "regular\ntransunet, seed 2", "regular\nunet"]
    assert run_labels([transunet, other_seed, unet]) == names
    assert run_labels([transunet, unet], "a, b") == ["a", "b"]
    with pytest.raises(UserError, match="labels names 1 runs, but 2 are shown"):
        run_labels([transunet, unet], "a")


def test_runs_of_other_data_are_not_put_side_by_side(runs):
    with pytest.raises(UserError, match=r"different data sets.*glas"):
        one_data_set(runs(summary(), summary(dataset="glas")))
    other = {"manifest": "0" * 64, "split": "mtunet", "missing": []}
    with pytest.raises(UserError, match="different preparations"):
        one_data_set([run for run in runs(summary(conv="dcd", data=other)) if run.key.dataset == "acdc"])


def test_runs_that_differ_in_more_than_the_seed_are_marked_and_not_averaged(runs):
    groups, notes = grouped(runs(summary(), summary(seed=2), summary(seed=3, variant="9" * 8)))
    assert [(group.seeds, group.mark) for group in groups] == [((1, 2), "a"), ((3,), "b")]
    assert notes == ["[a] variant 1a2b3c4d.", "[b] variant 99999999."]
    with pytest.raises(UserError, match="Unknown protocol"):
        grouped(groups[0].runs, "strikt")


def test_a_seed_that_occurs_twice_is_not_averaged(runs):
    with pytest.raises(UserError, match=r"Seed 1 of one run occurs twice: \S+s1-0\S+ and \S+s1-1\S+\. Remove one"):
        grouped(runs(summary(), summary()))


def _write_curves(result, losses, dices):
    with result.path.with_name("curves.csv").open("w", newline="") as file:
        writer = csv.writer(file)
        writer.writerow(["epoch", "loss", "dice"] if dices else ["epoch", "loss"])
        writer.writerows(zip(range(1, len(losses) + 1), losses, *([dices] if dices else []), strict=True))


def test_a_curve_is_the_mean_and_its_band_the_range_of_the_seeds(runs):
    results = runs(summary(), summary(seed=2), summary(seed=3))
    for result, offset in zip(results, (0.0, 0.1, 0.5), strict=True):
        _write_curves(result, [1 + offset, 0.5 + offset], [0.2 + offset, 0.4 + offset])
    loss, dice = draw_curves(results).axes
    np.testing.assert_allclose(loss.lines[0].get_xydata(), [[1, 1.2], [2, 0.7]])
    np.testing.assert_allclose(dice.lines[0].get_ydata(), [40, 60])
    corners = dice.collections[0].get_paths()[0].vertices
    assert {(x, round(y, 6)) for x, y in corners} == {(1, 20), (1, 70), (2, 40), (2, 90)}


def test_a_run_without_validation_cases_has_a_loss_and_says_so(runs):
    results = runs(summary())
    _write_curves(results[0], [1, 0.5], [])
    loss, dice = draw_curves(results).axes
    assert len(loss.lines) == 1
    assert not dice.lines
    assert dice.texts[0].get_text() == "no validation cases"


def _looks(figure):
    lines = figure.axes[0].lines
    return [(line.get_color(), line._unscaled_dash_pattern) for line in lines]  # get_linestyle() says only "--"


def test_two_variants_of_a_convolution_do_not_look_alike(runs):
    results = runs(summary(), summary(variant="9" * 8), summary(conv="dcd"), summary(backbone="resnet18"))
    for result in results:
        _write_curves(result, [1, 0.5], [0.5, 0.5])
    figure = draw_curves(results)
    assert len(set(_looks(figure))) == 4
    legend = [text.get_text() for text in figure.legends[0].get_texts()]
    assert legend == ["regular", "dcd", "resnet18", "unet", "unet [a]", "unet [b]"]
    alone = draw_curves([result for result in results if result.key.backbone == "unet"])
    assert len(set(_looks(alone))) == 3
    assert [text.get_text() for text in alone.legends[0].get_texts()] == ["regular", "dcd", "[a]", "[b]"]


def test_curves_that_cannot_be_read_are_named(runs):
    results = runs(summary(), summary(seed=2))
    with pytest.raises(UserError, match=r"curves\.csv cannot be read"):
        draw_curves(results)
    path = results[0].path.with_name("curves.csv")
    for text in ("", "epoch,loss\n", "epoch,loss\n1,x\n", "epoch,loss\n1\n"):
        path.write_text(text)
        with pytest.raises(UserError, match="cannot be read as the curves"):
            read_curve(path, "loss")
    _write_curves(results[0], [1, 0.5], [])
    _write_curves(results[1], [1], [])
    with pytest.raises(UserError, match="not trained for the same epochs"):
        draw_curves(results)


def test_a_point_is_the_mean_score_at_its_cost_and_the_bar_the_deviation(runs):
    results = runs(summary(dice=0.8), summary(seed=2, dice=0.9), summary(conv="magic_4x", parameters=40_000_000))
    costs = {"regular": 2_000_000_000, "magic_4x": 3_000_000_000}
    left, right = draw_cost(results, lambda run: costs[run.key.conv]).axes
    points = [bars.lines[0].get_xydata()[0].tolist() for bars in left.containers]
    np.testing.assert_allclose(points, [[31.042564, 85], [40, 90]])
    np.testing.assert_allclose([bars.lines[0].get_xdata()[0] for bars in right.containers], [2, 3])
    low, high = left.containers[0].lines[2][0].get_segments()[0][:, 1]
    assert (high - low) / 2 == pytest.approx(100 * np.std([0.8, 0.9], ddof=1))
    assert not left.containers[1].has_yerr
    assert left.get_xlim()[0] == 0


def test_the_cost_figure_names_an_unknown_score(runs):
    with pytest.raises(UserError, match=r"Unknown metric 'dise'\. Did you mean dice"):
        draw_cost(runs(summary()), lambda run: 1, "dise")


def test_small_runs_do_not_pass_for_full_ones(runs):
    figure = draw_cost(runs(summary(budget="cpu")), lambda run: 10**9)
    assert "CPU-sized" in figure.get_supxlabel()
    figure = draw_cost(runs(summary(seed=2, config={"recipe": {"epochs": 2}})), lambda run: 10**9)
    assert "Trained with recipe.epochs=2 (shipped: 200) ([b])." in " ".join(figure.get_supxlabel().split())


def test_a_note_is_broken_to_the_width_of_its_figure():
    from magicseg.reports.figures.style import add_note

    figure = new_figure(2, 2)
    add_note(figure, "word " * 40)
    assert max(map(len, figure.get_supxlabel().splitlines())) <= 46
