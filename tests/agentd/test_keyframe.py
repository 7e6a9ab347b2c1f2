"""Keyframes: agents' state comes back as it was, and nothing else is taken for one."""

from __future__ import annotations

import math
from pathlib import Path
from typing import Any

import msgspec
import numpy as np
import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp
from numpy.typing import NDArray

from agentd.runtime import keyframe
from agents.agent import Agent, State


class Learner(Agent):
    """An agent with one piece of state of any kind."""

    memory: float | None = State()

    def __init__(self, memory: object) -> None:
        self.memory = memory  # type: ignore[assignment]


def restored(memory: object) -> Any:
    """The memory after a restart."""
    found = keyframe.decode(keyframe.encode([("learner", Learner(memory))]))
    agent = Learner(None)
    agent.set_state(found["learner"])
    return agent.memory


def same(a: object, b: object) -> bool:
    """Equal to the last bit and type, NaN included; a tuple counts as a list."""
    if isinstance(a, (list, tuple)):
        return isinstance(b, list) and len(a) == len(b) and all(map(same, a, b))
    if isinstance(a, dict):
        return isinstance(b, dict) and [*a] == [*b] and all(same(a[key], b[key]) for key in a)
    if isinstance(a, np.ndarray):
        return isinstance(b, np.ndarray) and (a.dtype, a.shape, a.tobytes()) == (b.dtype, b.shape, b.tobytes())
    if isinstance(a, float) and math.isnan(a):
        return type(a) is type(b) and isinstance(b, float) and math.isnan(b)
    return type(a) is type(b) and a == b


texts = st.text(st.characters(codec="utf-8"), max_size=8)
numbers = st.one_of(st.integers(), st.integers(-(2**200), 2**200), st.floats(), st.booleans())
keys = st.one_of(texts, st.sampled_from(["__array__", "__integer__"]), st.integers(), st.tuples(st.integers(), texts))
dtypes = st.one_of(
    hnp.scalar_dtypes(),
    hnp.unicode_string_dtypes(max_len=4),
    hnp.datetime64_dtypes(),
)
arrays = hnp.arrays(dtypes, hnp.array_shapes(min_dims=0, max_dims=3, min_side=0, max_side=4))
states = st.recursive(
    st.one_of(numbers, texts, st.none(), st.binary(max_size=8), arrays),
    lambda inner: st.one_of(
        st.lists(inner, max_size=4), st.dictionaries(keys, inner, max_size=4), st.tuples(inner, inner)
    ),
    max_leaves=8,
)


@settings(max_examples=150, deadline=None)
@given(states)
@example({(0, 1): 2.5, (3, 4): math.inf})
@example(2**9000)
@example(np.float32(0.1))
@example(np.asfortranarray(np.arange(6).reshape(2, 3)))
def test_state_comes_back_as_it_was(memory: object) -> None:
    assert same(memory, restored(memory))


def test_a_generator_goes_on_where_it_was() -> None:
    before = np.random.default_rng(7)
    before.random(100)
    after = np.random.default_rng(0)
    after.bit_generator.state = restored(before.bit_generator.state)
    assert before.random(5).tolist() == after.random(5).tolist()


def test_a_restored_array_can_be_written() -> None:
    found = restored(np.zeros(3))
    found[1] = 2.0
    assert found.tolist() == [0.0, 2.0, 0.0]


@pytest.mark.parametrize(
    "memory",
    [
        {1, 2},
        object(),
        np.array([object()]),
        np.zeros(2, dtype=[("x", "f4")]),
        [np.array([{}])],
        "\ud800",
    ],
    ids=["set", "object", "array of objects", "record", "nested", "surrogate"],
)
def test_state_that_cannot_be_saved_is_refused_when_it_is_saved(memory: object) -> None:
    with pytest.raises((TypeError, ValueError)):
        keyframe.encode([("learner", Learner(memory))])


def test_state_that_is_too_large_is_refused_when_it_is_saved() -> None:
    with pytest.raises(ValueError, match="at most"):
        keyframe.encode([("learner", Learner(bytes(keyframe.MAX_BYTES)))])
    with pytest.raises(ValueError, match="at most"):
        keyframe.decode(bytes(keyframe.MAX_BYTES + 1))


hostile_marks = st.sampled_from(["__array__", "__scalar__", "__integer__", "__mapping__", "shape", "bytes"])
hostile_values = st.recursive(
    st.one_of(
        st.none(),
        st.booleans(),
        st.integers(-(2**63), 2**64 - 1),
        st.floats(),
        texts,
        st.binary(max_size=16),
        st.sampled_from(["<f8", "|O", "<U4", "f4,f4", "(((", "<M8[ns]", "|V8", "0x", "-0xff", "<f99"]),
        st.lists(st.integers(-(2**62), 2**62), max_size=4),
    ),
    lambda inner: st.one_of(
        st.lists(inner, max_size=3),
        st.dictionaries(st.one_of(hostile_marks, texts), inner, max_size=4),
    ),
    max_leaves=10,
)


@settings(max_examples=250, deadline=None)
@given(st.one_of(st.binary(max_size=80), hostile_values.map(msgspec.msgpack.encode)))
@example(b"")
@example(msgspec.msgpack.encode({"a": {"__integer__": "0x1"}}))
@example(msgspec.msgpack.encode({"a": {"b": {"__array__": "|O", "shape": [1], "bytes": bytes(8)}}}))
@example(msgspec.msgpack.encode({"a": {"b": {"__array__": "<f8", "shape": [2**40, 2**40], "bytes": b""}}}))
@example(msgspec.msgpack.encode({"a": {"b": {"__array__": "<f8", "shape": [2**64 - 1], "bytes": b""}}}))
@example(b"\x81\xa1a" + b"\x91" * 100_000 + b"\xc0")
@example(b"\x81\xa1a\x81\xa1b" + b"\x91" * 900 + b"\xc0")
def test_hostile_bytes_are_a_value_error_or_mappings(data: bytes) -> None:
    try:
        found = keyframe.decode(data)
    except ValueError as error:
        assert "keyframe" in str(error)
    else:
        assert all(isinstance(state, dict) for state in found.values())


@given(state=st.dictionaries(texts, arrays, min_size=1, max_size=2), cut=st.integers(0, 200), flip=st.integers(0, 200))
@settings(max_examples=60, deadline=None)
def test_a_damaged_keyframe_is_a_value_error_or_mappings(state: dict[str, NDArray[Any]], cut: int, flip: int) -> None:
    data = bytearray(keyframe.encode([("learner", Learner(state))]))
    data[flip % len(data)] ^= 0x55
    test = bytes(data[: len(data) - cut % len(data)])
    try:
        found = keyframe.decode(test)
    except ValueError:
        return
    assert all(isinstance(entry, dict) for entry in found.values())


def test_names_that_an_agent_no_longer_declares_are_ignored() -> None:
    agent = Learner(1.0)
    agent.set_state({"memory": 2.0, "gone": 3.0})
    assert (agent.memory, hasattr(agent, "gone")) == (2.0, False)


def test_a_file_is_replaced_whole(tmp_path: Path) -> None:
    path = tmp_path / "keyframe.1"
    keyframe.replace_file(path, b"old")
    keyframe.replace_file(path, b"new")
    assert ([p.name for p in tmp_path.iterdir()], path.read_bytes()) == (["keyframe.1"], b"new")
