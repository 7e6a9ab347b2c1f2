"""The parser of every command: `--state` and `--json` stand before or after its name."""

from __future__ import annotations

import argparse
import re
import textwrap
from collections.abc import Sequence
from typing import TypeAlias

HELP_WIDTH = 78
NEGATIVE = re.compile(r"-(?:\d+\.?\d*|\.\d+)(?:[eE][-+]?\d+)?$")

EXIT_STATUS = """\
exit status:
  0  done
  1  refused, or it could not be done; the reason is on the standard error
  2  the command line is wrong
  3  no daemon runs here (where one is needed; `signals`, `tail`, `events`,
     `why`, `blackbox` and `record` read the files it left instead)
"""


class CommandParser(argparse.ArgumentParser):
    """A parser whose commands, and theirs in turn, take the two global options too."""

    def __init__(self, **keywords: object) -> None:
        keywords.setdefault("formatter_class", argparse.RawDescriptionHelpFormatter)
        keywords.setdefault("conflict_handler", "resolve")
        if isinstance(keywords.get("description"), str):
            keywords["description"] = textwrap.fill(str(keywords["description"]), HELP_WIDTH)
        super().__init__(**keywords)  # type: ignore[arg-type]  # argparse hands its own keywords through
        self._negative_number_matcher = NEGATIVE  # argparse before 3.14 takes -1e-3 for an option
        # SUPPRESS: what stands before the command's name is not overwritten by the default after it.
        self.add_argument(
            "--state",
            metavar="DIR",
            default=argparse.SUPPRESS,
            help="state directory of the daemon that is meant (default: $AGENTD_STATE or ~/.local/state/agentd)",
        )
        self.add_argument(
            "--json", action="store_true", default=argparse.SUPPRESS, help="print JSON; a line each where it goes on"
        )


Subparsers: TypeAlias = "argparse._SubParsersAction[CommandParser]"
"""What `add_subparsers` returns; argparse gives it no public name."""


def examples(*lines: str) -> str:
    """The epilog of a command's help."""
    return "examples:\n" + "\n".join(f"  {line}" for line in lines)


def positive(text: str) -> float:
    """An option that is a number of seconds, or the like."""
    try:
        value = float(text)
    except ValueError:
        value = 0.0
    if not 0 < value < float("inf"):
        raise argparse.ArgumentTypeError(f"{text!r}: expected a number above 0")
    return value


def count(text: str) -> int:
    """An option that says how many."""
    if not (text.isascii() and text.isdigit() and 0 < int(text) <= 1_000_000):
        raise argparse.ArgumentTypeError(f"{text!r}: expected a whole number from 1 to 1000000")
    return int(text)


def command_name(argv: Sequence[str], known: Sequence[str]) -> str:
    """The command that a command line names; empty when it names none that is known."""
    value_follows = False
    for word in argv:
        if value_follows:
            value_follows = False
        elif word == "--state":
            value_follows = True
        elif not word.startswith("-"):
            return word if word in known else ""
    return ""
