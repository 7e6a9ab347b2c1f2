"""Loop statistics: quantiles as a plain sort gives them, over a window that moves."""

from __future__ import annotations

import math
import struct
from collections.abc import Sequence
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from agentd.config.plan import SignalPlan
from agentd.runtime.ring import FIXED, U32_MAX, Flag, Layout, RingReader, RingWriter
from agentd.statistics import WINDOW_NS, Histogram, LoopStatistics

S = 1_000_000_000
PERIOD_NS = 10_000_000
ERROR = 0.005  # of a bucket's middle; half a bucket is 0.4 %


def rows(
    first: int, count: int, *, parts: Sequence[int] = (), wake: int = 0, total: int = 0, book: int = 0, flags: int = 0
) -> list[bytes]:
    """Rows of a 100 Hz loop that begins at 1 s."""
    packer = struct.Struct(f"{FIXED.format}{len(parts)}I")
    return [
        packer.pack(i, i, S + i * PERIOD_NS, 0.01, flags, wake, 0, 0, 0, 0, book, total, *parts)
        for i in range(first, first + count)
    ]


@given(st.lists(st.integers(0, U32_MAX), min_size=1, max_size=400))
def test_quantiles_are_those_of_a_sorted_list(durations: list[int]) -> None:
    histogram = Histogram()
    histogram.add(durations[: len(durations) // 2])
    histogram.add(durations[len(durations) // 2 :])
    found, ordered = histogram.quantiles(), sorted(durations)
    for q, value in ((0.5, found.p50_us), (0.99, found.p99_us), (0.999, found.p999_us)):
        exact = ordered[max(1, math.ceil(round(q * len(ordered), 6))) - 1] / 1000
        assert math.isclose(value, exact, rel_tol=ERROR)
    assert found.max_us == ordered[-1] / 1000


@given(st.lists(st.integers(0, U32_MAX)), st.lists(st.integers(0, U32_MAX)))
def test_merging_two_histograms_equals_counting_all(left: list[int], right: list[int]) -> None:
    one, both = Histogram(), Histogram()
    one.add(left)
    other = Histogram()
    other.add(right)
    one.merge(other)
    both.add(left + right)
    assert one.quantiles() == both.quantiles()


def test_quantiles_of_nothing_are_zero() -> None:
    assert Histogram().quantiles().max_us == 0.0


def test_each_figure_comes_from_its_own_field() -> None:
    statistics = LoopStatistics(["robot", "steer"], PERIOD_NS)
    statistics.add(rows(0, 100, parts=(30_000, 40_000), wake=1_000, total=200_000, book=8_000))
    figures = statistics.figures(2 * S)
    assert figures.wake.p50_us == pytest.approx(1, rel=ERROR)
    assert figures.duration.p50_us == pytest.approx(200, rel=ERROR)
    assert figures.bookkeeping.p50_us == pytest.approx(8, rel=ERROR)
    assert figures.parts["robot"].p50_us == pytest.approx(30, rel=ERROR)
    assert figures.parts["steer"].p50_us == pytest.approx(40, rel=ERROR)


def test_misses_are_counted_for_ever() -> None:
    statistics = LoopStatistics([], PERIOD_NS)
    statistics.add(rows(0, 3, flags=Flag.MISSED | Flag.LATE))
    statistics.add(rows(3, 5, flags=Flag.LATE))
    statistics.add(rows(100_000, 1, flags=Flag.MISSED))
    assert (statistics.missed_total, statistics.rows_total) == (4, 9)


def test_what_is_older_than_the_window_is_forgotten() -> None:
    statistics = LoopStatistics(["robot"], PERIOD_NS)
    statistics.add(rows(0, 1, parts=(1,), total=3_000_000))
    for second in range(1, 120):
        statistics.add(rows(100 * second, 100, parts=(1,), total=1_000_000))
        highest = statistics.figures(S + second * S).duration.max_us
        if second < 45:
            assert highest == 3000
    assert highest == 1000


def test_a_loop_that_fell_silent_has_no_figures_left() -> None:
    statistics = LoopStatistics([], PERIOD_NS)
    statistics.add(rows(0, 100, total=5))
    assert statistics.figures(2 * S + WINDOW_NS).duration.max_us == 0


def test_the_measured_rate_is_that_of_the_last_seconds() -> None:
    statistics = LoopStatistics([], PERIOD_NS)
    assert statistics.measured_hz(S) == 0
    for second in range(20):
        statistics.add(rows(100 * second, 100))
    assert statistics.measured_hz(21 * S) == pytest.approx(100)
    assert statistics.measured_hz(23 * S) == 0


def test_a_slow_loop_has_a_rate_too() -> None:
    statistics = LoopStatistics([], 20 * S)
    packer = struct.Struct(FIXED.format)
    for i in range(10):
        statistics.add([packer.pack(i, i, i * 20 * S, 20.0, *[0] * 8)])
    assert statistics.measured_hz(190 * S) == pytest.approx(0.05)


def test_a_new_generation_may_have_other_parts() -> None:
    statistics = LoopStatistics(["robot"], PERIOD_NS)
    statistics.add(rows(0, 10, parts=(7_000,), total=9_000))
    statistics.follow(["robot", "steer"], PERIOD_NS)
    statistics.add(rows(0, 10, parts=(7_000, 5_000), total=9_000))
    figures = statistics.figures(2 * S)
    assert set(figures.parts) == {"robot", "steer"}
    assert statistics.rows_total == 20


def test_rows_of_a_real_ring_can_be_fed_as_they_are(tmp_path: Path) -> None:
    layout = Layout(
        node="n",
        loop="drive",
        generation=1,
        boot_id="",
        period_ns=PERIOD_NS,
        columns=(SignalPlan(name="robot.x"),),
        parts=("robot",),
    )
    writer = RingWriter(tmp_path / "ring.1", layout, 64)
    for tick in range(10):
        writer.publish(tick, tick * PERIOD_NS, 0.01, 0, 100, 1, 2, 3, 4, 5, 700, 600, 1.5, tick, b"\0")
    reader = RingReader(tmp_path / "ring.1")
    statistics = LoopStatistics(reader.layout.parts, reader.layout.period_ns)
    statistics.add(reader.raw_since(0, 100)[1])
    figures = statistics.figures(S)
    assert (figures.duration.max_us, figures.bookkeeping.max_us, figures.parts["robot"].max_us) == (0.7, 5e-3, 0.6)
    reader.close()
    writer.close()
