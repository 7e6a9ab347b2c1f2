"""Numbers as a person reads them, and lines that fit the terminal."""

from __future__ import annotations

import os
import re
import shutil
import sys
import textwrap
import time
from collections.abc import Iterable, Sequence
from dataclasses import dataclass

DEFAULT_WIDTH = 80
BOLD, DIM, RED, GREEN, YELLOW = "1", "2", "31", "32", "33"
_CONTROL = re.compile(r"[\x00-\x1f\x7f-\x9f]+")


def plain(text: str) -> str:
    """What others wrote, without what a terminal would obey."""
    return _CONTROL.sub(" ", text)


def duration(us: float) -> str:
    """Microseconds as `60 µs`, `1.23 ms`, `2.10 s`; nothing measured is `-`."""
    if us <= 0:
        return "-"
    if us < 999.5:
        return f"{us:.0f} µs"
    return f"{_three(us / 1e3)} ms" if us < 999_500 else f"{_three(us / 1e6)} s"


def age(seconds: float | None) -> str:
    """How old, or how long: `12 ms`, `3.2 s`, `4 min 05 s`, `2 h 10 min`, `3 d 4 h`."""
    if seconds is None:
        return "-"
    if seconds < 0.9995:
        return f"{max(0.0, seconds) * 1e3:.0f} ms"
    if seconds < 99.5:
        return f"{seconds:.1f} s"
    whole = round(seconds)
    if whole < 3600:
        return f"{whole // 60} min {whole % 60:02} s"
    if whole < 86400:
        return f"{whole // 3600} h {whole % 3600 // 60:02} min"
    return f"{whole // 86400} d {whole % 86400 // 3600} h"


def byte_count(count: float) -> str:
    """`512 B`, `14.2 kB`, `1.20 GB`; steps of 1000, as disks are sold and budgets are set."""
    for unit in ("B", "kB", "MB", "GB"):
        if abs(count) < 999.5:
            return f"{count:.0f} {unit}" if unit == "B" else f"{_three(count)} {unit}"
        count /= 1000
    return f"{_three(count)} TB"


def many(count: int) -> str:
    """A counter: `912`, `15.3 k`, `1.20 M`."""
    if count < 10_000:
        return str(count)
    return f"{_three(count / 1e3)} k" if count < 999_500 else f"{_three(count / 1e6)} M"


def number(value: float | int | bool) -> str:
    """Five digits say enough to a person; --json has them all."""
    if isinstance(value, bool):
        return "true" if value else "false"
    return f"{value:.5g}" if isinstance(value, float) else str(value)


def quantity(value: float | int | bool, unit: str) -> str:
    """A number with its unit; bytes are scaled."""
    if unit in ("B", "B/s") and not isinstance(value, bool):
        return byte_count(value) + unit[1:]
    return f"{number(value)} {unit}".rstrip()


def clock_time(utc_ns: int, digits: int = 3) -> str:
    """Local time of day, `12:01:02.345`."""
    whole, rest = divmod(utc_ns, 1_000_000_000)
    fraction = f".{rest:09}"[: digits + 1] if digits else ""
    return time.strftime("%H:%M:%S", time.localtime(whole)) + fraction


def date_time(utc_ns: int) -> str:
    """Local date and time, `2026-11-21 12:01`."""
    return time.strftime("%Y-%m-%d %H:%M", time.localtime(utc_ns // 1_000_000_000))


def short_date(utc_ns: int) -> str:
    """Local date and time to the second, without the year: `11-21 12:01:02`."""
    return time.strftime("%m-%d %H:%M:%S", time.localtime(utc_ns // 1_000_000_000))


def _three(value: float) -> str:
    """Three digits that mean something."""
    size = abs(value)
    return f"{value:.2f}" if size < 9.995 else f"{value:.1f}" if size < 99.95 else f"{value:.0f}"


@dataclass(frozen=True, slots=True)
class Cell:
    """One cell of a table with a colour."""

    text: str
    ink: str = ""


def _clean(cell: str | Cell) -> Cell:
    return Cell(plain(cell)) if isinstance(cell, str) else Cell(plain(cell.text), cell.ink)


@dataclass(frozen=True, slots=True)
class Paper:
    """Where lines go: how wide it is, and whether it takes colour. A pipe has no width: nothing is cut."""

    width: int | None = None
    colour: bool = False

    @classmethod
    def of_terminal(cls) -> Paper:
        """The standard output as it is: colour on a terminal only, and not with NO_COLOR (no-color.org)."""
        if not sys.stdout.isatty():
            return cls()
        simple = os.environ.get("NO_COLOR", "") != "" or os.environ.get("TERM", "") in ("", "dumb")
        return cls(max(20, shutil.get_terminal_size((DEFAULT_WIDTH, 24)).columns), not simple)

    def ink(self, text: str, *inks: str) -> str:
        """Coloured, where that is possible."""
        codes = ";".join(ink for ink in inks if ink)
        return f"\x1b[{codes}m{text}\x1b[0m" if self.colour and codes and text else text

    def wrapped(self, text: str, first: str = "", *inks: str) -> list[str]:
        """A sentence in as many lines as it takes, each behind the first one's indentation."""
        width = self.width or max(DEFAULT_WIDTH, len(first) + len(text) + 1)
        found = textwrap.wrap(plain(text), width - len(first), break_on_hyphens=False) or [""]
        indents = [first, *(" " * len(first) for _ in found[1:])]
        return [indent + self.ink(line, *inks) for indent, line in zip(indents, found, strict=True)]

    def table(self, rows: Iterable[Sequence[str | Cell]], right: Iterable[int] = (), head: bool = True) -> list[str]:
        """Aligned columns, two spaces apart; the last column is cut where the paper ends."""
        cells = [[_clean(cell) for cell in row] for row in rows]
        if not cells:
            return []
        widths = [max(len(row[i].text) for row in cells) for i in range(len(cells[0]))]
        right = set(right)
        return [self._line(row, widths, right, BOLD if head and i == 0 else "") for i, row in enumerate(cells)]

    def _line(self, row: Sequence[Cell], widths: Sequence[int], right: set[int], ink: str) -> str:
        parts: list[str] = []
        left = self.width if self.width is not None else sum(widths) + 2 * len(widths)
        for i, (cell, width) in enumerate(zip(row, widths, strict=True)):
            text = cell.text.rjust(width) if i in right else cell.text if i + 1 == len(row) else cell.text.ljust(width)
            text = text[: max(0, left)]
            parts.append(self.ink(text, cell.ink or ink))
            left -= len(text) + 2
        return "  ".join(parts).rstrip()
