"""Arithmetic on columns as one integer gives what plain numbers give."""

from __future__ import annotations

from array import array

from hypothesis import given
from hypothesis import strategies as st

from agentd.store.lanes import NEAR, differences, fit, is_small, lanes, ramp, upper_halves

small = st.integers(0, 2**56 - 1)
columns = st.lists(st.tuples(small, small), min_size=1, max_size=50)


def words(values: list[int]) -> bytes:
    return array("Q", values).tobytes()


@given(columns)
def test_differences_are_those_of_plain_numbers(pairs: list[tuple[int, int]]) -> None:
    values, reference = [a for a, _ in pairs], [b for _, b in pairs]
    low, offsets = differences(lanes(words(values)), lanes(words(reference)), len(pairs))
    assert [low + offset for offset in array("Q", offsets)] == [a - b for a, b in pairs]


@given(st.lists(st.integers(-NEAR, NEAR - 1), min_size=1, max_size=50), small)
def test_near_differences_vary_in_two_bytes(spread: list[int], base: int) -> None:
    base = base // 2 + 2**32
    low, offsets = differences(lanes(words([base + s - spread[0] for s in spread])), 0, len(spread))
    near = [abs(s - spread[0]) < NEAR for s in spread]
    upper = {offset >> 16 for offset, close in zip(array("Q", offsets), near, strict=True) if close}
    assert len(upper) == 1
    assert low + array("Q", offsets)[0] == base


@given(st.lists(st.integers(0, 2**64 - 1), min_size=1, max_size=20), st.integers(1, 63))
def test_bounds_hold_for_every_lane(values: list[int], bits: int) -> None:
    assert is_small(words(values)) == all(value < 2**56 for value in values)
    assert fit(lanes(words(values)), bits, len(values)) == all(value < 2**bits for value in values)


@given(st.lists(st.integers(0, 2**64 - 1), min_size=1, max_size=20))
def test_upper_halves_and_ramps(values: list[int]) -> None:
    count = len(values)
    assert upper_halves(lanes(words(values)), count) == lanes(words([value >> 32 for value in values]))
    assert ramp(count) == lanes(words(list(range(count))))
