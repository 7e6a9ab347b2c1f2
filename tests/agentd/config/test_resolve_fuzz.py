"""Whatever a configuration says, the resolver answers with a plan or with problems, and never raises."""

from __future__ import annotations

import json
from pathlib import Path
from typing import TYPE_CHECKING

import msgspec
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from agentd.config.plan import Resolution
from agentd.config.source import parse
from agentd.config.tree import Problems, plain

if TYPE_CHECKING:
    from tests.agentd.config.conftest import Rig

ODD = st.one_of(
    st.none(),
    st.booleans(),
    st.integers(-5, 300),
    st.floats(allow_nan=False, allow_infinity=False),
    st.sampled_from(
        ["", "plant", "plant.heater", "keep.output", "typed.distance", "host.picture", "./keep.py", "x" * 100, "a.b.c",
         "./plant.py", "plant.temperature < 3", "/", "..", "é", "pid", "[::1]:80", "1", "linux.host", "node"]
    ),
    st.just([]), st.just({}), st.just([[]]), st.just(["plant", "host"]), st.just({"signal": "keep.output"}),
    st.just([{"a": 1}]), st.just({"agent": "pid"}), st.just({"driver": "./plant.py", "size": None}),
)  # fmt: skip
KEYS = st.sampled_from(["plant", "agent", "agents", "signal", "seed", "priority", "output", "", "é", "rate_hz", "a.b"])


def places(value: object, path: tuple[object, ...] = ()) -> list[tuple[object, ...]]:
    """Every position in a nested value."""
    inside = value.items() if isinstance(value, dict) else enumerate(value) if isinstance(value, list) else ()
    return [path, *(place for key, inner in inside for place in places(inner, (*path, key)))]


def changed(value: object, path: tuple[object, ...], how: str, key: str, new: object) -> object:
    """The value with the thing at `path` replaced, removed, or joined by another."""
    if not path:
        return {**value, key: new} if how == "add" and isinstance(value, dict) else new
    head, rest = path[0], path[1:]
    if isinstance(value, dict):
        if how == "remove" and not rest:
            return {k: v for k, v in value.items() if k != head}
        return {k: changed(v, rest, how, key, new) if k == head else v for k, v in value.items()}
    assert isinstance(value, list)
    return [changed(v, rest, how, key, new) if i == head else v for i, v in enumerate(value)]


@pytest.fixture
def base(good: str) -> object:
    """The good configuration as plain values."""
    tree = parse(good.encode(), Problems("good"))
    assert tree is not None
    return plain(tree)


@given(data=st.data())
@settings(max_examples=150, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
def test_a_good_configuration_with_odd_things_in_it_is_answered(rig: Rig, base: object, data: st.DataObject) -> None:
    value = base
    for _ in range(data.draw(st.integers(1, 3))):
        path = data.draw(st.sampled_from(places(value)))
        how = data.draw(st.sampled_from(["replace", "remove", "add"]))
        value = changed(value, path, how, data.draw(KEYS), data.draw(ODD))
    resolution = rig.check(json.dumps(value, indent=1))
    assert (resolution.plan is None) == bool(resolution.problems)
    assert msgspec.json.decode(msgspec.json.encode(resolution), type=Resolution) == resolution
    for problem in resolution.problems:
        assert Path(problem.file).name == "robot.yaml" and problem.message
