"""Keyframes: the declared state of a loop's agents as bytes, so that a restart goes on where it was.

MessagePack; arrays as dtype, shape and bytes, integers beyond 64 bits as text (generators have them).
"""

from __future__ import annotations

import os
from collections.abc import Iterable
from pathlib import Path
from typing import Any

import msgspec

from agents.agent import Agent

MAX_BYTES = 32 * 1024 * 1024
_ARRAY, _INTEGER = "__array__", "__integer__"


def _plain(value: Any) -> Any:
    """A value as MessagePack can hold it. Raises TypeError for what it cannot."""
    if isinstance(value, dict):
        return {str(key): _plain(entry) for key, entry in value.items()}
    if isinstance(value, (list, tuple)):
        return [_plain(entry) for entry in value]
    if isinstance(value, int) and not -(2**63) <= value < 2**64:
        return {_INTEGER: str(value)}
    if hasattr(value, "dtype") and hasattr(value, "tobytes"):
        return {_ARRAY: value.dtype.str, "shape": list(value.shape), "bytes": value.tobytes()}
    if value is None or isinstance(value, (bool, int, float, str, bytes)):
        return value
    raise TypeError(f"state of type {type(value).__name__}: expected numbers, texts, lists, mappings or arrays")


def _rich(value: Any) -> Any:
    if isinstance(value, list):
        return [_rich(entry) for entry in value]
    if not isinstance(value, dict):
        return value
    if _INTEGER in value:
        return int(value[_INTEGER])
    if _ARRAY in value:
        import numpy as np  # noqa: PLC0415 - only when some agent's state has arrays

        return np.frombuffer(value["bytes"], dtype=value[_ARRAY]).reshape(value["shape"]).copy()
    return {key: _rich(entry) for key, entry in value.items()}


def encode(agents: Iterable[tuple[str, Agent]]) -> bytes:
    """The state of every agent, by name. Raises TypeError for state that cannot be saved."""
    return msgspec.msgpack.encode({name: _plain(agent.get_state()) for name, agent in agents})


def decode(data: bytes) -> dict[str, dict[str, Any]]:
    """The reverse of `encode`. Raises ValueError for bytes that are not a keyframe."""
    if len(data) > MAX_BYTES:
        raise ValueError(f"keyframe of {len(data)} bytes, at most {MAX_BYTES}")
    try:
        found = msgspec.msgpack.decode(data, type=dict[str, dict[str, Any]])
        return {name: _rich(state) for name, state in found.items()}
    except (msgspec.MsgspecError, KeyError, TypeError, ValueError) as error:
        raise ValueError(f"not a keyframe: {error}") from None


def replace_file(path: Path, data: bytes) -> None:
    """Write a file whole or not at all."""
    temporary = path.with_name(path.name + ".new")
    temporary.write_bytes(data)
    os.replace(temporary, path)
