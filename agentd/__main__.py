"""`agentd`: run, check, demo.

Exit status: 0 stopped as asked, 1 it could not go on, 2 the configuration has problems, 3 another daemon
uses the state directory.
"""

from __future__ import annotations

import argparse
import asyncio
import os
import signal
import sys
from pathlib import Path

from agentd import __version__
from agentd.config import child
from agentd.config.installation import installation_problems
from agentd.config.plan import NodePlan
from agentd.config.report import report
from agentd.paths import PathError, StateLock, private, runtime_dir, state_dir

OK, FAILED, BAD_CONFIG, OCCUPIED = 0, 1, 2, 3


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog="agentd", description="Agent OS daemon for edge devices and robots.")
    parser.add_argument("--version", action="version", version=f"agentd {__version__}")
    commands = parser.add_subparsers(dest="do", required=True, metavar="COMMAND")
    run = commands.add_parser("run", help="run a node from its configuration")
    demo = commands.add_parser("demo", help="run the built-in demo: a simulated robot and this machine's own sensors")
    check = commands.add_parser("check", help="find every problem of a configuration; touches no hardware")
    for one in (run, check):
        one.add_argument("config", type=Path, metavar="FILE", help="the configuration, YAML")
    for one in (run, demo):
        one.add_argument("--state", metavar="DIR", help="where the record and learned state are kept")
        one.add_argument("--http", metavar="HOST:PORT", help="serve the dashboard here instead")
    return parser


def main() -> int:
    """Entry of the command."""
    arguments = _parser().parse_args()
    if broken := installation_problems():
        print(*(f"agentd: {problem}" for problem in broken), sep="\n", file=sys.stderr)
        return FAILED
    config = Path(__file__).with_name("demo.yaml") if arguments.do == "demo" else arguments.config
    if arguments.do == "check":
        signal.signal(signal.SIGPIPE, signal.SIG_DFL)  # a reader such as `head` may leave
        resolution = child.resolve_now(config)
        print(report(resolution), file=sys.stdout if resolution.plan else sys.stderr)
        return OK if resolution.plan else BAD_CONFIG
    try:
        return _run(config, state_dir(arguments.state), arguments.http)
    except PathError as error:
        print(f"agentd: {error}", file=sys.stderr)
        return OCCUPIED


def _run(config: Path, state: Path, http: str | None) -> int:
    private(state)
    lock = StateLock(state)
    runtime = private(runtime_dir(state), "choose another with RUNTIME_DIRECTORY or XDG_RUNTIME_DIR, in memory")
    try:
        return asyncio.run(_serve(config, state, runtime, http))
    finally:
        lock.release()


async def _serve(config: Path, state: Path, runtime: Path, http: str | None) -> int:
    """Check the configuration in a child while the daemon's own modules are imported, then run."""
    resolving = asyncio.create_task(child.resolve(config, http=http))
    await asyncio.sleep(0)
    daemon_module = await asyncio.to_thread(__import__, "agentd.daemon", fromlist=["Daemon"])
    resolution = await resolving
    if resolution.plan is None:
        print(report(resolution), file=sys.stderr)
        return BAD_CONFIG
    daemon = daemon_module.Daemon(resolution.plan, state, runtime, http)
    loop = asyncio.get_running_loop()
    for number in (signal.SIGTERM, signal.SIGINT):
        loop.add_signal_handler(number, daemon.stopping.set)
    reloads: set[asyncio.Task[None]] = set()

    async def reload() -> None:
        from agentd.command import Reload  # noqa: PLC0415 - imported with the daemon already

        answer = await daemon.command(Reload(), "SIGHUP")
        print(f"agentd: reload: {answer.message}", *answer.problems, sep="\n  ", file=sys.stderr, flush=True)

    def hang_up() -> None:
        task = loop.create_task(reload())
        reloads.add(task)
        task.add_done_callback(reloads.discard)

    loop.add_signal_handler(signal.SIGHUP, hang_up)
    try:
        await daemon.run(lambda address: _announce(resolution.plan, address))
    except daemon_module.START_ERRORS as error:
        print(f"agentd: {error}", file=sys.stderr)
        return FAILED
    return OK


def _announce(plan: NodePlan | None, address: str) -> None:
    assert plan is not None
    simulated = [d.name for loop in plan.loops for d in loop.devices if d.simulated]
    note = f" (simulated: {', '.join(simulated)})" if simulated else ""
    print(f"agentd: {plan.node} is ready{note}\nagentd: dashboard at {address}", flush=True)


if __name__ == "__main__":
    code = main()
    sys.stdout.flush()
    os._exit(code) if code == OCCUPIED else sys.exit(code)
