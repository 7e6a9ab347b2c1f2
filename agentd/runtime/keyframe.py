"""Keyframes: the declared state of a loop's agents as bytes, so that a restart goes on where it was.

MessagePack; arrays as dtype, shape and bytes, integers beyond 64 bits as text (generators have them), mappings
whose keys are no texts as pairs. A tuple comes back as a list, but in a key.
"""

from __future__ import annotations

import os
import re
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any

import msgspec

from agents.agent import Agent

MAX_BYTES = 32 * 1024 * 1024
_ARRAY, _SCALAR, _INTEGER, _MAPPING = "__array__", "__scalar__", "__integer__", "__mapping__"
_MARKS = (_ARRAY, _SCALAR, _INTEGER, _MAPPING)
_DTYPE = re.compile(r"[<>|=][biufcSUmM]\d{1,6}(\[\w{1,8}\])?")
"""What numpy calls the types whose bytes mean the same in another process."""


def _plain(value: Any) -> Any:
    """A value as MessagePack can hold it. Raises TypeError for what it cannot."""
    if isinstance(value, dict):
        if all(isinstance(key, str) and key not in _MARKS for key in value):
            return {key: _plain(entry) for key, entry in value.items()}
        return {_MAPPING: [[_plain(key), _plain(entry)] for key, entry in value.items()]}
    if isinstance(value, (list, tuple)):
        return [_plain(entry) for entry in value]
    if hasattr(value, "dtype") and hasattr(value, "tobytes"):
        return _plain_array(value)
    if isinstance(value, int) and not -(2**63) <= value < 2**64:
        return {_INTEGER: hex(value)}
    if value is None or isinstance(value, (bool, int, float, str, bytes)):
        return value
    raise TypeError(f"state of type {type(value).__name__}: expected numbers, texts, lists, mappings or arrays")


def _plain_array(value: Any) -> dict[str, Any]:
    dtype = value.dtype.str
    if not _DTYPE.fullmatch(dtype):
        raise TypeError(f"state is an array of {value.dtype}: expected numbers, texts or times")
    if not hasattr(value, "__setitem__"):
        return {_SCALAR: dtype, "bytes": value.tobytes()}
    return {_ARRAY: dtype, "shape": list(value.shape), "bytes": value.tobytes()}


def _rich(value: Any) -> Any:
    if isinstance(value, list):
        return [_rich(entry) for entry in value]
    if not isinstance(value, dict):
        return value
    if _INTEGER in value:
        return int(value[_INTEGER], 16)
    if _MAPPING in value:
        return {_key(key): _rich(entry) for key, entry in value[_MAPPING]}
    if _SCALAR in value:
        return _array(value[_SCALAR], (), value["bytes"])[()]
    if _ARRAY in value:
        return _array(value[_ARRAY], value["shape"], value["bytes"])
    return {key: _rich(entry) for key, entry in value.items()}


def _key(value: Any) -> Any:
    """A key of a mapping: what became a list was a tuple."""
    return tuple(_key(entry) for entry in value) if isinstance(value, list) else _rich(value)


def _array(dtype: str, shape: Sequence[int], data: bytes) -> Any:
    import numpy as np  # noqa: PLC0415 - only when some agent's state has arrays

    if not _DTYPE.fullmatch(dtype):
        raise ValueError(f"array of {dtype!r}")
    found: Any = np.ndarray(shape, dtype, data).copy()
    if found.nbytes != len(data):
        raise ValueError(f"array of {len(data)} bytes, expected {found.nbytes}")
    return found


def encode(agents: Iterable[tuple[str, Agent]], kept: Mapping[str, dict[str, Any]] | None = None) -> bytes:
    """The state of every agent, by name, and of those that do not run now.

    Raises TypeError or ValueError for state that cannot be saved.
    """
    states = {**(kept or {}), **{name: agent.get_state() for name, agent in agents}}
    data = msgspec.msgpack.encode({name: _plain(state) for name, state in states.items()})
    if len(data) > MAX_BYTES:
        raise ValueError(f"state of {len(data)} bytes, at most {MAX_BYTES}")
    return data


def decode(data: bytes) -> dict[str, dict[str, Any]]:
    """The reverse of `encode`. Raises ValueError for bytes that are not a keyframe."""
    if len(data) > MAX_BYTES:
        raise ValueError(f"keyframe of {len(data)} bytes, at most {MAX_BYTES}")
    try:
        found = msgspec.msgpack.decode(data, type=dict[str, dict[str, Any]])
        states = {name: _rich(state) for name, state in found.items()}
    except (msgspec.MsgspecError, KeyError, TypeError, ValueError, OverflowError, RecursionError) as error:
        raise ValueError(f"not a keyframe: {error}") from None
    if not all(isinstance(state, dict) for state in states.values()):
        raise ValueError("not a keyframe: state that is no mapping")
    return states


def replace_file(path: Path, data: bytes) -> None:
    """Write a file whole or not at all."""
    temporary = path.with_name(path.name + ".new")
    temporary.write_bytes(data)
    os.replace(temporary, path)
