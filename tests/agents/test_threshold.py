"""What `agent: threshold` promises."""

from __future__ import annotations

import math

import pytest
from hypothesis import given
from hypothesis import strategies as st

from agents.agent import NoAnswer
from agents.threshold import Threshold
from hal.signal import Tick


def made(**params: float) -> Threshold:
    agent = Threshold()
    for name, value in params.items():
        setattr(agent, name, value)
    return agent


def on(agent: Threshold, measured: float, dt_s: float = 1.0) -> bool:
    agent.measured = measured
    agent.step(Tick(0, 0, dt_s))
    return agent.on


def test_it_holds_between_the_thresholds() -> None:
    fan = made(above=30.0, below=25.0)
    assert [on(fan, value) for value in (20, 28, 31, 28, 25, 24, 28)] == [False, False, True, True, True, False, False]


def test_swapped_thresholds_make_a_heater() -> None:
    heater = made(above=18.0, below=20.0)
    assert [on(heater, value) for value in (19, 17, 19, 20, 21, 19)] == [False, True, True, True, False, False]


def test_it_puts_out_the_configured_values() -> None:
    fan = made(on_value=0.6, off_value=0.1)
    on(fan, 2.0)
    assert fan.output == 0.6
    on(fan, -1.0)
    assert fan.output == 0.1


def test_minimum_times_hold_a_position_and_count_from_the_start() -> None:
    pump = made(min_on_s=2.0, min_off_s=3.0)
    assert [on(pump, value) for value in (2, 2, 2, -1, -1, 2, 2, 2)] == [
        False,
        False,
        True,
        True,
        False,
        False,
        False,
        True,
    ]


@given(values=st.lists(st.floats(-5.0, 5.0), min_size=1), least=st.integers(1, 5))
def test_no_position_is_shorter_than_its_minimum_time(values: list[float], least: int) -> None:
    agent = made(min_on_s=float(least), min_off_s=float(least))
    seen = "".join("1" if on(agent, value) else "0" for value in values)
    runs = seen.replace("01", "0 1").replace("10", "1 0").split()
    assert all(len(run) >= least for run in runs[1:-1])


def test_a_restored_one_holds_its_position() -> None:
    first, second = made(), made()
    on(first, 2.0)
    second.set_state(first.get_state())
    assert on(second, 0.5)


@pytest.mark.parametrize("bad", [math.nan, math.inf, -math.inf])
def test_a_bad_value_gives_no_answer(bad: float) -> None:
    with pytest.raises(NoAnswer, match="finite"):
        on(made(), bad)
