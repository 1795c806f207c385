"""What a user asks for: read once, mistakes named with what is allowed."""

import pytest
from synthetic_runs import summary

from magicseg.errors import UserError
from magicseg.reports.request import Request, parse_request
from magicseg.reports.tables import build_table

ALL = {"budget", "data", "split", "code", "protocol", "checkpoint", "recipe", "network", "variant"}


def test_nothing_asked_for_is_full_runs_unmixed():
    assert parse_request() == Request() == Request("paper", ("full",), {}, frozenset(), None)


@pytest.mark.parametrize(
    ("budget", "mix", "budgets", "differing"),
    [
        ("cpu", "", ("cpu",), set()),
        ("", "true", ("full", "cpu", "demo"), ALL),
        ("cpu", "true", ("cpu",), ALL),
        ("", "code,data", ("full",), {"code", "data"}),
        ("", "budget", ("full", "cpu", "demo"), {"budget"}),
        ("", "false", ("full",), set()),
    ],
)
def test_budgets_and_what_may_differ(budget, mix, budgets, differing):
    request = parse_request(budget=budget, mix=mix)
    assert (request.budgets, request.mix) == (budgets, differing)


@pytest.mark.parametrize(
    ("text", "wanted"),
    [
        ("", None),
        ("all", {}),
        ("conv=dcd2,my_conv", {"conv": ["dcd2", "my_conv"]}),
        ("backbone=unet  conv=a", {"backbone": ["unet"], "conv": ["a"]}),
    ],
)
def test_own_rows(text, wanted):
    assert parse_request(own_rows=text).own_rows == wanted


def test_choices_are_lists():
    assert parse_request(variant="a,b", code="").choices == {"variant": ["a", "b"]}


@pytest.mark.parametrize(
    ("texts", "message"),
    [
        ({"budget": "fulll"}, "Unknown budget 'fulll'. Did you mean full"),
        ({"mix": "cod"}, "Unknown mix 'cod'. Did you mean code"),
        ({"colour": "red"}, "Unknown choice 'colour'. Allowed: .*variant"),
        ({"own_rows": "my_conv"}, "own_rows='my_conv' cannot be read at 'my_conv'. Write own_rows=all, or e.g."),
        ({"own_rows": "conv="}, "cannot be read at 'conv='"),
        ({"own_rows": "conv=a conv=b"}, "cannot be read at 'conv=b'"),
        ({"own_rows": "cnov=a"}, "Unknown filter of own_rows 'cnov'. Did you mean conv"),
    ],
)
def test_what_cannot_be_read_is_named(texts, message):
    with pytest.raises(UserError, match=message):
        parse_request(**texts)


@pytest.mark.parametrize(
    ("request_", "message"),
    [
        (Request("papr"), "Unknown protocol 'papr'. Did you mean paper"),
        (Request("trans_unet"), "Unknown protocol 'trans_unet'. Did you mean transunet"),
        (Request(choices={"variant": ["1a2b3c4e"]}), "Unknown variant '1a2b3c4e'. Did you mean 1a2b3c4d"),
        (Request(own_rows={"conv": ["regulr"]}), "Unknown conv 'regulr'. Did you mean regular"),
    ],
)
def test_names_that_no_run_has_are_refused_with_the_nearest(runs, request_, message):
    with pytest.raises(UserError, match=message):
        build_table("magic_table2", runs(summary()), request_)


def test_without_runs_there_is_nothing_to_check():
    build_table("magic_table2", [], Request("papr", choices={"variant": ["x"]}))
