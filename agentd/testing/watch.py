"""Which of Python's functions for time, chance, files and the network a stretch of code calls."""

from __future__ import annotations

import builtins
import os
import random
import socket
import sys
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from types import ModuleType
from typing import Any

FILES = {os: ("open", "urandom", "system", "popen"), builtins: ("open",), socket: ("socket", "create_connection")}

TIME_AND_CHANCE = {
    time: ("time", "time_ns", "monotonic", "monotonic_ns", "perf_counter", "perf_counter_ns", "clock_gettime", "sleep"),
    random: ("random", "uniform", "randint", "randrange", "choice", "choices", "sample", "shuffle", "gauss"),
}

HIDDEN_GENERATOR = ("default_rng", "random", "uniform", "rand", "randn", "randint", "normal", "choice")
"""Of numpy."""


@contextmanager
def outside_calls(*, files_only: bool = False) -> Iterator[list[str]]:
    """The functions that this thread calls meanwhile, each once. They do what they always do."""
    seen: list[str] = []
    originals = [(owner, name, getattr(owner, name)) for owner, name in _watched(files_only)]
    for owner, name, original in originals:
        setattr(owner, name, _noting(f"{owner.__name__}.{name}", original, seen))
    try:
        yield seen
    finally:
        for owner, name, original in originals:
            setattr(owner, name, original)


def _watched(files_only: bool) -> Iterator[tuple[ModuleType, str]]:
    groups = [FILES] if files_only else [FILES, TIME_AND_CHANCE]
    numpy = sys.modules.get("numpy")
    if numpy is not None and not files_only:
        groups.append({numpy.random: HIDDEN_GENERATOR})
    for group in groups:
        for owner, names in group.items():
            yield from ((owner, name) for name in names)


def _noting(name: str, original: Callable[..., Any], seen: list[str]) -> Callable[..., Any]:
    me = threading.get_ident()

    def noted(*arguments: Any, **keywords: Any) -> Any:
        if threading.get_ident() == me and name not in seen:
            seen.append(name)
        return original(*arguments, **keywords)

    return noted
