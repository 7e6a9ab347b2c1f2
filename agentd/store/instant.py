"""Instants as people write them: ISO 8601, `now`, and `-10m` for ten minutes ago."""

from __future__ import annotations

import re
from datetime import UTC, datetime
from datetime import time as time_of_day
from functools import lru_cache

from hal.clock import NS_PER_S

EXPECTED = "expected now, -90s, -10m, -2h, -7d, or a date and time such as 2026-11-21T10:00:00Z"
_SECONDS = {"s": 1, "m": 60, "min": 60, "h": 3600, "d": 86400, "w": 604800}
_AGO = re.compile(r"-(\d{1,12}(?:\.\d{1,9})?)(s|min|m|h|d|w)", re.ASCII)
_NANOSECONDS = re.compile(r"(:\d\d)[.,](\d{1,9})(?=Z|[+-]\d\d|$)", re.ASCII)
LAST_UTC_NS = 2**63 - 1
"""In the year 2262: what a record can hold."""


def parse(text: str, now_utc_ns: int) -> int:
    """UTC in nanoseconds. Without a zone it is local time; a time alone is today's. Raises ValueError."""
    if text == "now":
        return now_utc_ns
    ago = _AGO.fullmatch(text)
    if ago:
        return max(-LAST_UTC_NS, now_utc_ns - round(float(ago[1]) * _SECONDS[ago[2]] * NS_PER_S))
    fraction = _NANOSECONDS.search(text)
    whole = _NANOSECONDS.sub(r"\1", text)
    try:
        instant = _date_time(whole, now_utc_ns).astimezone(UTC)
        seconds = round((instant - datetime(1970, 1, 1, tzinfo=UTC)).total_seconds())
    except (ValueError, OverflowError):
        raise ValueError(f"{text[:40]!r}: {EXPECTED}") from None
    utc_ns = seconds * NS_PER_S + (int(fraction[2].ljust(9, "0")) if fraction else 0)
    return max(-LAST_UTC_NS, min(utc_ns, LAST_UTC_NS))


def _date_time(text: str, now_utc_ns: int) -> datetime:
    try:
        return datetime.fromisoformat(text)
    except ValueError:
        today = datetime.fromtimestamp(now_utc_ns // NS_PER_S, UTC).astimezone()
        return datetime.combine(today.date(), time_of_day.fromisoformat(text))


def iso(utc_ns: int) -> str:
    """`2026-11-21T10:00:00.123456789Z`; the bare number for what no calendar holds."""
    seconds, rest = divmod(utc_ns, NS_PER_S)
    return f"{_second(seconds)}.{rest:09}Z" if 0 <= utc_ns <= LAST_UTC_NS else str(utc_ns)


@lru_cache(maxsize=64)
def _second(seconds: int) -> str:
    """A record has many rows a second."""
    return datetime.fromtimestamp(seconds, UTC).strftime("%Y-%m-%dT%H:%M:%S")
