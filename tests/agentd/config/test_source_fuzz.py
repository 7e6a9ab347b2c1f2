"""No text makes the reader crash or hang: it answers with a tree or with problems."""

from __future__ import annotations

import json
import math

import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from agentd.config.source import parse
from agentd.config.tree import Items, Problems, Scalar, Section, Tree, plain, shown

TOKENS = (
    "a b: - [ ] { } , : ? & &x * *x ! !!str | > ' \" % %YAML @ ` # --- ... ~ \n \t \r \\ << 0x 1e .inf "
    "\x00 \ufeff \x85 é \U0001f600"
)
YAML_TEXT = st.lists(st.sampled_from([*TOKENS.split(" "), " ", "  ", "\n  ", "key: value\n"]), max_size=40).map("".join)


@settings(deadline=None)
@given(YAML_TEXT)
@example('"\\UFFFFFFFF"')
@example("%TAG ! x\n---\n!a b")
@example("? - a\n: b")
@example("&a : *a")
def test_yaml_like_text_is_read_or_refused(text: str) -> None:
    problems = Problems("f")
    tree = parse(text.encode(), problems)
    assert (tree is not None) or problems.found
    if tree is not None:
        _holds(tree)
    for problem in problems.sorted():
        assert 0 <= problem.line <= text.count("\n") + text.count("\r") + text.count("\x85") + 2
        assert problem.message


@given(st.binary(max_size=60))
def test_bytes_are_read_or_refused(data: bytes) -> None:
    problems = Problems("f")
    assert parse(data, problems) is not None or problems.found


def _holds(tree: Tree) -> None:
    """What every later step relies on: places, text keys, finite numbers of 64 bits."""
    assert tree.place.line >= 1 and tree.place.column >= 1
    shown(tree)
    if isinstance(tree, Scalar):
        assert not isinstance(tree.value, float) or math.isfinite(tree.value)
        assert not isinstance(tree.value, int) or abs(tree.value) < 2**63
    elif isinstance(tree, Items):
        for item in tree.items:
            _holds(item)
    elif isinstance(tree, Section):
        for key, place, value in tree:
            assert isinstance(key, str) and place.line >= 1
            _holds(value)


VALUES = st.recursive(
    st.none()
    | st.booleans()
    | st.integers(-(2**63) + 1, 2**63 - 1)
    | st.floats(allow_nan=False, allow_infinity=False)
    | st.text(st.characters(codec="utf-8", categories=("L", "N", "P", "S", "Zs")), max_size=12),
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.from_regex("[a-z]{1,5}", fullmatch=True), inner),
    max_leaves=12,
)


@settings(max_examples=50, deadline=None)
@given(st.dictionaries(st.from_regex("[a-z]{1,5}", fullmatch=True), VALUES, min_size=1))
def test_json_is_yaml(values: dict[str, object]) -> None:
    problems = Problems("f")
    tree = parse(json.dumps(values, ensure_ascii=False, indent=1).encode(), problems)
    assert problems.found == [] and tree is not None
    assert plain(tree) == values


@pytest.mark.parametrize(
    ("text", "value"),
    [
        ("1e-3", 0.001), ("on", "on"), ("yes", "yes"), ("12:30", "12:30"), ("0x1F", 31), ("0o17", 15), ("010", 10),
        ("~", None), ("", None), ("True", True), ("1_000", "1_000"), (".5", 0.5), ("1.", 1.0), ("'1'", "1"),
        ("2026-01-01", "2026-01-01"), ("-0", 0), ("+1", 1),
    ],
)  # fmt: skip
def test_plain_values_follow_the_core_schema_of_yaml_1_2(text: str, value: object) -> None:
    problems = Problems("f")
    tree = parse(f"a: {text}\n".encode(), problems)
    assert tree is not None and problems.found == []
    found = plain(tree)
    assert found == {"a": value} and isinstance(found, dict)
    assert type(found["a"]) is type(value)
