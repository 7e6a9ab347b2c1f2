"""What can go wrong with a command, and its exit status.

CtlError         1  it could not be done
├── Refused      1  the daemon said no; nothing was changed
└── NotRunning   3  there is no daemon to ask
"""

from __future__ import annotations

OK, FAILED, WRONG_USE, NOT_RUNNING = 0, 1, 2, 3
"""Exit statuses. argparse ends with 2 by itself."""


class CtlError(Exception):
    """Message: who: what was found, what was expected; what to do."""

    exit_status = FAILED


class Refused(CtlError):
    """The daemon refused a command. The message has its problems, a line each."""


class NotRunning(CtlError):
    """No daemon answers at this state directory."""

    exit_status = NOT_RUNNING
