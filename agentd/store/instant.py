"""Instants as people and programs write them: ISO 8601, `now`, `-10m` for ten minutes ago, seconds since 1970."""

from __future__ import annotations

import re
from datetime import UTC, datetime
from datetime import time as time_of_day
from functools import lru_cache

from hal.clock import NS_PER_S

EXPECTED = "expected now, -90s, -10m, -2h, -7d, or a date and time such as 2026-11-21T10:00:00Z"
LAST_UTC_NS = 2**63 - 1
"""In the year 2262: what a record can hold."""

_SECONDS = {"": 1, "s": 1, "m": 60, "min": 60, "h": 3600, "d": 86400, "w": 604800}
_NUMBER = re.compile(r"(-?)(\d{1,12})(?:\.(\d{1,9}))?(s|min|m|h|d|w)?", re.ASCII)
_FRACTION = re.compile(r"(:\d\d)[.,](\d{1,9})(?=Z|[+-]\d\d|$)", re.ASCII)
_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)


def parse(text: str, now_utc_ns: int) -> int:
    """UTC in nanoseconds. Without a zone it is local time; a time alone is today's. Raises ValueError."""
    utc_ns = now_utc_ns if text == "now" else _number(text, now_utc_ns)
    if utc_ns is None:
        utc_ns = _date_time(text, now_utc_ns)
    if not 0 <= utc_ns <= LAST_UTC_NS:
        raise ValueError(f"{text[:40]!r}: expected an instant between 1970 and 2262")
    return utc_ns


def _number(text: str, now_utc_ns: int) -> int | None:
    """With a minus so long ago, else seconds since 1970; None for what is neither."""
    found = _NUMBER.fullmatch(text)
    if found is None or (found[4] and not found[1]):
        return None
    whole_ns = int(found[2]) * NS_PER_S + int((found[3] or "0").ljust(9, "0"))
    return now_utc_ns - whole_ns * _SECONDS[found[4] or ""] if found[1] else whole_ns


def _date_time(text: str, now_utc_ns: int) -> int:
    """The standard library's parser, which knows no nanoseconds."""
    fraction, whole = _FRACTION.search(text), _FRACTION.sub(r"\1", text)
    try:
        try:
            instant = datetime.fromisoformat(whole)
        except ValueError:
            today = datetime.fromtimestamp(now_utc_ns // NS_PER_S, UTC).astimezone().date()
            instant = datetime.combine(today, time_of_day.fromisoformat(whole))
        seconds = round((instant.astimezone(UTC) - _EPOCH).total_seconds())
    except (ValueError, OverflowError, OSError):
        raise ValueError(f"{text[:40]!r}: {EXPECTED}") from None
    return seconds * NS_PER_S + (int(fraction[2].ljust(9, "0")) if fraction else 0)


def iso(utc_ns: int) -> str:
    """`2026-11-21T10:00:00.123456789Z`; the bare number for what no calendar holds."""
    seconds, rest = divmod(utc_ns, NS_PER_S)
    return f"{_second(seconds)}.{rest:09}Z" if 0 <= utc_ns <= LAST_UTC_NS else str(utc_ns)


@lru_cache(maxsize=64)
def _second(seconds: int) -> str:
    """A record has many rows a second."""
    return datetime.fromtimestamp(seconds, UTC).strftime("%Y-%m-%dT%H:%M:%S")
