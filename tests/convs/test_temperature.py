from __future__ import annotations

import math

import pytest
from hypothesis import given
from hypothesis import strategies as st
from torch import nn

from magicseg.convs.dyconv import DYConv2d
from magicseg.convs.magic import MAGICConv2d
from magicseg.convs.odconv import ODConv2d
from magicseg.convs.temperature import SCHEDULES, TemperatureSchedule, set_temperature


def test_dyconv_loses_three_after_every_epoch():
    at = SCHEDULES["dyconv"].at
    assert [at(epoch) for epoch in range(13)] == [34, 31, 28, 25, 22, 19, 16, 13, 10, 7, 4, 1, 1]
    assert at(0.99) == 34


def test_odconv_goes_down_a_line_over_ten_epochs():
    at = SCHEDULES["odconv"].at
    iterations = 8  # in an epoch
    for step in range(12 * iterations):
        published = 1 + max(0, 29 * (1 - step / (10 * iterations)))
        assert at(step / iterations) == pytest.approx(published, abs=1e-12)
    assert at(10) == pytest.approx(1)


def test_magic_stays_at_thirty_or_loses_one_after_every_epoch():
    assert {SCHEDULES["magic_released"].at(epoch) for epoch in range(50)} == {30}
    assert [SCHEDULES["magic_released_annealed"].at(epoch) for epoch in (0, 1, 28, 29, 30)] == [30, 29, 2, 1, 1]


@given(st.sampled_from(sorted(SCHEDULES)), st.floats(0, 500), st.floats(0, 500))
def test_temperature_never_rises_and_never_leaves_its_range(name, first, second):
    schedule = SCHEDULES[name]
    early, late = schedule.at(min(first, second)), schedule.at(max(first, second))
    assert schedule.start >= early >= late >= schedule.end


def test_set_temperature_reaches_every_operator_that_has_one():
    model = nn.Sequential(DYConv2d(4, 4, 1), nn.Sequential(ODConv2d(4, 4, 1), MAGICConv2d(4, 4, 1)), nn.Conv2d(4, 4, 1))
    assert set_temperature(model, 7) == 3
    assert [model[0].temperature, model[1][0].temperature, model[1][1].temperature] == [7.0, 7.0, 7.0]
    assert not hasattr(model[2], "temperature")
    assert not [name for name in model.state_dict() if "temperature" in name]
    assert set_temperature(nn.Conv2d(4, 4, 1), 7) == 0


@pytest.mark.parametrize(
    "arguments",
    [{"start": 0.5}, {"start": 3, "end": 0}, {"start": 3, "drop": -1}, {"start": math.inf}, {"start": math.nan}],
)
def test_refuses_a_schedule_without_meaning(arguments):
    with pytest.raises(ValueError, match=r"needs 0 < end <= start and drop >= 0, all finite; found start="):
        TemperatureSchedule(**arguments)


def test_refuses_negative_progress_and_temperatures():
    with pytest.raises(ValueError, match=r"at least 0 epochs, found -1"):
        SCHEDULES["dyconv"].at(-1)
    with pytest.raises(ValueError, match=r"temperature must be a positive number, not 0"):
        set_temperature(nn.Identity(), 0)
