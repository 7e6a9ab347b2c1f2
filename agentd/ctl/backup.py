"""`agentctl backup`: a copy of the record that is whole, whether the daemon runs or not."""

from __future__ import annotations

import argparse
import sqlite3
import sys
from contextlib import closing
from pathlib import Path

import msgspec

from agentd.ctl.errors import OK, CtlError
from agentd.ctl.parser import Subparsers, examples
from agentd.ctl.text import many
from agentd.store.backup import BackupError, back_up
from agentd.store.catalogue import RecordError
from agentd.store.database import FILE_NAME
from agentd.store.query import open_record

CLEAR_LINE = "\r\x1b[K"


def add_parser(sub: Subparsers) -> None:
    """The command line."""
    parser = sub.add_parser(
        "backup",
        help="copy the record into a file, also while it is written",
        description="Writes a copy of the record as it is at one moment, checks it, and only then gives it its name."
        " A file of that name is replaced. Ctrl-C leaves everything as it was. To go back, stop the daemon and put"
        f" the copy in the place of {FILE_NAME} (and remove {FILE_NAME}-wal and -shm).",
        epilog=examples("agentctl backup /media/stick/robot.sqlite"),
    )
    parser.add_argument("file", type=Path, metavar="FILE", help="where to")
    parser.set_defaults(func=run)


def run(arguments: argparse.Namespace) -> int:
    """Copy."""
    shown = sys.stderr.isatty()
    path: Path = arguments.file
    try:
        with closing(open_record(arguments.state / FILE_NAME)) as db:
            size = back_up(db, path, _progress if shown else lambda _done, _of: None)
    except (RecordError, BackupError) as error:
        raise CtlError(str(error)) from None
    except sqlite3.Error as error:
        raise CtlError(f"{path}: not written: {error}") from None
    except OSError as error:
        raise CtlError(f"{path}: {error.strerror or error}; choose another file") from None
    finally:
        if shown:
            print(CLEAR_LINE, end="", file=sys.stderr, flush=True)
    if arguments.json:
        print(msgspec.json.encode({"file": str(path), "bytes": size}).decode())
    else:
        print(f"{path}: {many(size)} bytes", file=sys.stderr)
    return OK


def _progress(done: int, of: int) -> None:
    what = "checking" if done == of else f"{100 * done // max(of, 1)} %"
    print(f"{CLEAR_LINE}{what} ", end="", file=sys.stderr, flush=True)
