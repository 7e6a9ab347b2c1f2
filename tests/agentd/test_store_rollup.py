"""Rollups are what a plain computation over the samples says: whatever was recorded, wherever it ended, once."""

from __future__ import annotations

import math
import tempfile
from contextlib import closing
from itertools import pairwise
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from agentd.config.plan import RecordPlan
from agentd.store import points as plotting
from agentd.store.blocks import EVER, Span
from agentd.store.points import Points, points
from agentd.store.query import open_record, samples
from agentd.store.retention import Budget
from agentd.store.rollup import LEVELS, RollupError, Sums, Track, decode, encode, levels, merge, sums_of
from agentd.store.writer import RecordWriter
from hal.clock import NS_PER_S
from hal.signal import Absent
from tests.agentd.record_parts import LAP, SPEED, T0, Loop, Past, X

SECONDS, MINUTES, HOURS = LEVELS
MINUTE_NS, HOUR_NS = 60 * NS_PER_S, 3600 * NS_PER_S
WHOLE_RECORD = Span(T0 - NS_PER_S, T0 + 30 * 24 * HOUR_NS)


@pytest.fixture
def past(tmp_path: Path) -> Past:
    return Past(tmp_path)


def plain(past: Past, signal: str, found: Points) -> list[tuple[int, int, float, float, float]]:
    """A plot's buckets, computed from the samples: number, count, least, greatest, last."""
    runs: dict[int, list[float]] = {}
    with closing(open_record(past.path)) as db:
        for sample in samples(db, signal, Span(found.from_utc_ns, found.to_utc_ns)):
            if sample.value is not None and not math.isnan(sample.value):
                runs.setdefault((sample.utc_ns - found.from_utc_ns) // found.width_ns, []).append(float(sample.value))
    return [(number, len(run), min(run), max(run), run[-1]) for number, run in sorted(runs.items())]


def shown(found: Points) -> list[tuple[int, int, float, float, float]]:
    return [
        ((each.utc_ns - found.from_utc_ns) // found.width_ns, each.count, each.low, each.high, each.last)
        for each in found.buckets
    ]


def plot(past: Past, signal: str, width_ns: int, span: Span = EVER) -> Points:
    """With buckets of at least this width."""
    with closing(open_record(past.path)) as db:
        whole = points(db, signal, span, count=1)
        span = Span(whole.from_utc_ns, whole.to_utc_ns)
        return points(db, signal, span, count=max(1, (whole.to_utc_ns - whole.from_utc_ns) // width_ns))


def reopen(past: Past, **plan: float) -> None:
    """Another daemon; the one before is not asked."""
    budget = Budget.of(RecordPlan(keep_days=100_000, **plan))
    past.writer = RecordWriter(
        past.path, budget, past.runtime, events=past.events, tell=past.events.append, clocks=past.writer._clocks
    )


def drive(past: Past, loop: Loop, ticks: int, step_ns: int) -> None:
    """Ticks some time apart, some without a value."""
    for _ in range(ticks):
        n = loop.number
        loop.tick(Absent.NO_ANSWER if n % 11 == 3 else math.sin(n) * n, n * n % 17, float(n % 2))
        past.now_ns += step_ns


VALUES = st.one_of(st.floats(width=64), st.sampled_from([0.0, -0.0, 1.5, math.inf, -math.inf, math.nan, 1e308]))
TRACK = st.dictionaries(
    st.integers(0, SECONDS.buckets - 1), st.builds(Sums, st.integers(1, 2**32 - 1), VALUES, VALUES, VALUES, VALUES)
)


@settings(max_examples=60, deadline=None)
@given(tracks=st.lists(TRACK, min_size=1, max_size=8), stretch=st.integers(-3, 10**9))
def test_what_is_stored_is_read_to_the_bit(tracks: list[Track], stretch: int) -> None:
    base = stretch * SECONDS.buckets
    tracks = [{base + number: sums for number, sums in track.items()} for track in tracks]
    blob = encode(tracks, base, SECONDS)
    read = [decode(blob, column, SECONDS) for column in range(len(tracks))]
    assert repr([each.track(base) if each else {} for each in read]) == repr(
        [dict(sorted(track.items())) for track in tracks]
    )


@settings(max_examples=60, deadline=None)
@given(
    values=st.lists(st.floats(allow_infinity=False, min_value=-1e9, max_value=1e9), max_size=60),
    cuts=st.lists(st.integers(0, 60), max_size=5),
)
def test_parts_of_a_bucket_sum_to_the_whole(values: list[float], cuts: list[int]) -> None:
    ends = sorted({0, *cuts, len(values)})
    parts = [found for a, b in pairwise(ends) if (found := sums_of(values[a:b])) is not None]
    whole = sums_of(values)
    if whole is None:
        assert parts == []
        return
    summed = parts[0]
    for part in parts[1:]:
        summed = summed.plus(part)
    assert summed._replace(total=0) == whole._replace(total=0)
    assert summed.total == pytest.approx(math.fsum(values), rel=1e-9, abs=1e-3)


def test_nan_is_no_sample() -> None:
    assert sums_of([math.nan, 1.0, math.nan, 3.0, math.nan]) == Sums(2, 1.0, 4.0, 3.0, 3.0)
    assert sums_of([math.nan]) is None


@settings(max_examples=30, deadline=None)
@given(data=st.binary(max_size=200), flip=st.integers(0, 10_000), bits=st.integers(1, 255))
def test_a_damaged_blob_is_an_error_and_no_number(data: bytes, flip: int, bits: int) -> None:
    blob = bytearray(encode([{n: Sums(1, n, n, n, n) for n in range(100)}], 0, SECONDS))
    blob[flip % len(blob)] ^= bits
    for damaged in (data, bytes(blob)):
        with pytest.raises(RollupError):
            decode(damaged, 0, SECONDS)
            merge(damaged, [{}], 0, SECONDS)
            assert decode(damaged, 0, SECONDS) is None
            raise RollupError("an empty column")


STEPS = st.lists(
    st.tuples(st.sampled_from(["write", "nothing", "restart", "crash", "generation"]), st.integers(1, 60)),
    min_size=1,
    max_size=12,
)


@settings(max_examples=25, deadline=None)
@given(steps=STEPS, step_s=st.sampled_from([0.04, 1.7, 29.0]), width_s=st.sampled_from([1, 7, 60, 3600]))
def test_rollups_are_what_a_plain_computation_says(steps: list[tuple[str, int]], step_s: float, width_s: int) -> None:
    with tempfile.TemporaryDirectory() as folder:
        past = Past(Path(folder))
        loop = past.loop("drive", X, LAP, SPEED)
        for generation, (step, ticks) in enumerate(steps, start=2):
            drive(past, loop, ticks, round(step_s * NS_PER_S))
            if step in ("write", "restart"):
                past.write()
            if step == "restart":
                past.writer.close()
            if step in ("restart", "crash"):
                reopen(past)
            if step == "generation":
                loop = past.loop("drive", X, LAP, SPEED, generation=generation)
        drive(past, loop, 1, 0)
        past.write()
        for signal in ("robot.x", "robot.lap", "robot.speed"):
            found = plot(past, signal, width_s * NS_PER_S, WHOLE_RECORD)
            assert shown(found) == plain(past, signal, found)
            for bucket in found.buckets:
                assert bucket.low <= bucket.mean <= bucket.high or bucket.mean == pytest.approx(bucket.low)
        past.writer.close()


def hours(past: Past, count: int) -> Loop:
    """Hours of a 100 Hz loop of which one tick in 1,500 happened."""
    loop = past.loop("drive", X, LAP, SPEED)
    for _ in range(count):
        drive(past, loop, 240, 15 * NS_PER_S)
        past.write()
    return loop


def rows_read(past: Past, monkeypatch: pytest.MonkeyPatch, width_ns: int) -> int:
    """Full rows that a plot decodes."""
    read: list[int] = []
    inner = plotting._grow_rows

    def counting(times_ns: list[int], *more: object) -> int:
        read.append(len(times_ns))
        return inner(times_ns, *more)  # type: ignore[arg-type]

    monkeypatch.setattr(plotting, "_grow_rows", counting)
    found = plot(past, "robot.x", width_ns)
    monkeypatch.undo()
    assert shown(found) == plain(past, "robot.x", found)
    return sum(read)


def test_a_plot_of_wide_buckets_reads_no_rows_but_the_newest(past: Past, monkeypatch: pytest.MonkeyPatch) -> None:
    hours(past, 3)
    for width_ns in (NS_PER_S, 10 * NS_PER_S, MINUTE_NS, 2 * MINUTE_NS, HOUR_NS):
        assert rows_read(past, monkeypatch, width_ns) <= 2 * 300 // 15  # twice: for the span, and for the plot
    assert rows_read(past, monkeypatch, NS_PER_S // 2) >= 720


def test_buckets_lie_on_the_boundaries_of_rollups_and_cover_what_was_asked(past: Past) -> None:
    hours(past, 1)
    span = Span(T0 + 7 * MINUTE_NS + 1, T0 + 50 * MINUTE_NS + 3)
    with closing(open_record(past.path)) as db:
        found = points(db, "robot.x", span, count=17)
    assert (found.width_ns % MINUTE_NS, len(found.buckets) <= 17) == (0, True)
    assert span.from_utc_ns is not None
    assert span.to_utc_ns is not None
    assert span.from_utc_ns - MINUTE_NS < found.from_utc_ns <= span.from_utc_ns
    assert span.to_utc_ns <= found.to_utc_ns < span.to_utc_ns + MINUTE_NS
    assert shown(found) == plain(past, "robot.x", found)


def test_rollups_outlive_rows(past: Past) -> None:
    hours(past, 5)
    before = plot(past, "robot.x", MINUTE_NS)
    past.writer._retention._db.execute("DELETE FROM chunk WHERE id <= (SELECT max(id) - 1 FROM chunk)")
    after = plot(past, "robot.x", MINUTE_NS)
    assert after == before
    began = before.buckets[0].utc_ns
    fine = plot(past, "robot.x", NS_PER_S // 5, Span(began, began + 10 * MINUTE_NS))
    assert sum(bucket.count for bucket in fine.buckets) == sum(bucket.count for bucket in before.buckets[:10]) > 30


def test_a_signal_of_which_only_rollups_are_left_is_plotted(past: Past) -> None:
    hours(past, 2)
    before = plot(past, "robot.x", MINUTE_NS)
    past.reboot()
    past.change("DELETE FROM chunk")
    assert plot(past, "robot.x", MINUTE_NS).buckets == before.buckets


def test_rows_that_go_before_they_were_rolled_up_are_rolled_up_first(past: Past) -> None:
    loop = past.loop("drive", X, LAP, SPEED)
    drive(past, loop, 100, NS_PER_S)
    past.write()
    assert past.writer._retention._db.execute("SELECT rolled FROM ring").fetchone() == (0,)
    whole = plot(past, "robot.lap", MINUTE_NS)
    past.writer._retention._delete([number for number, _data in past.chunks()])
    assert plot(past, "robot.lap", MINUTE_NS).buckets == whole.buckets


def test_each_level_has_a_share_of_the_bytes(past: Past) -> None:
    past.writer.close()
    reopen(past, keep_mb=1.0)
    hours(past, 60)
    used = dict(past.writer._retention._db.execute("SELECT level, sum(length(data)) FROM rollup GROUP BY level"))
    assert 80_000 < used[1] <= 102_000
    assert used[2] <= 62_000
    assert plot(past, "robot.x", HOUR_NS).from_utc_ns <= T0, "wider buckets last longer"


def test_a_loop_has_the_levels_that_shorten_it(past: Past) -> None:
    assert [[level.number for level in levels(round(NS_PER_S / hz))] for hz in (1000, 20, 19, 1, 0.3, 0.005)] == [
        [1, 2, 3], [1, 2, 3], [2, 3], [2, 3], [3], [],
    ]  # fmt: skip
    hours(past, 1)
    stored = past.writer._retention._db.execute("SELECT DISTINCT level FROM rollup ORDER BY level").fetchall()
    assert stored == [(1,), (2,), (3,)]


def test_a_damaged_rollup_is_named_and_the_rest_is_shown(past: Past) -> None:
    hours(past, 2)
    past.change("UPDATE rollup SET data = x'00' WHERE id = (SELECT min(id) FROM rollup WHERE level = 2)")
    told: list[str] = []
    with closing(open_record(past.path)) as db:
        found = points(db, "robot.x", count=100, tell=lambda error: told.append(str(error)))
    assert ["cannot be read" in text for text in told] == [True]
    assert len(found.buckets) > 30


def test_a_bucket_that_moved_with_the_clock_is_where_its_samples_are(past: Past) -> None:
    loop = past.loop("drive", X, LAP, SPEED)
    drive(past, loop, 500, NS_PER_S)
    past.write()
    past.offset_ns += 3 * 365 * 24 * HOUR_NS + 12_345_678_901
    drive(past, loop, 500, NS_PER_S)
    past.write()
    found = plot(past, "robot.x", MINUTE_NS)
    assert found.from_utc_ns > T0 + 3 * 365 * 24 * HOUR_NS - MINUTE_NS
    assert shown(found) == plain(past, "robot.x", found)
