"""A terminal that is drawn on again and again, and gives single keys; left as it was found."""

from __future__ import annotations

import os
import select
import shutil
import sys
import termios
import tty
from collections.abc import Sequence
from types import TracebackType

_ENTER = "\x1b[?1049h\x1b[?25l"  # xterm's alternate screen, cursor hidden
_LEAVE = "\x1b[?25h\x1b[?1049l"
_HOME, _END_OF_LINE, _BELOW = "\x1b[H", "\x1b[K", "\x1b[J"


class Terminal:
    """The standard output as a screen; a context manager."""

    drawn = False

    def __enter__(self) -> Terminal:
        self._keys = sys.stdin.fileno() if sys.stdin.isatty() else -1
        if self._keys >= 0:
            self._before = termios.tcgetattr(self._keys)
            tty.setcbreak(self._keys)
        sys.stdout.write(_ENTER)
        return self

    def __exit__(
        self, _type: type[BaseException] | None, _error: BaseException | None, _trace: TracebackType | None
    ) -> None:
        if self._keys >= 0:
            termios.tcsetattr(self._keys, termios.TCSADRAIN, self._before)
        sys.stdout.write(_LEAVE)
        sys.stdout.flush()

    def draw(self, lines: Sequence[str]) -> None:
        """As many lines as there is room for, over what was there: nothing flickers."""
        self.drawn = True
        height = shutil.get_terminal_size().lines
        shown = [f"{line}{_END_OF_LINE}" for line in lines[:height]]
        sys.stdout.write(_HOME + "\r\n".join(shown) + _BELOW)
        sys.stdout.flush()

    def key(self, within_s: float) -> str:
        """The next key, or an empty text after that time. The end of the input is `q`."""
        if self._keys < 0:
            select.select([], [], [], within_s)
            return ""
        if not select.select([self._keys], [], [], within_s)[0]:
            return ""
        data = os.read(self._keys, 64)
        return data[:1].decode("ascii", "replace") if data else "q"
