"""Configuration file to plan, in a process of its own: `python -P -m agentd.config.resolve FILE`.

Prints a `Resolution` as JSON and exits with 0 and a plan, or with 2 and every problem at once. The drivers and
agents that it imports may print what they like: standard output is kept from them.
"""

from __future__ import annotations

import argparse
import ipaddress
import os
import sys
from pathlib import Path

import msgspec

from agentd.config import source
from agentd.config.draft import AgentDraft, DeviceDraft, LoopDraft, NodeDraft
from agentd.config.fingerprint import fingerprint
from agentd.config.guarding import Guarding
from agentd.config.models import ModelStore
from agentd.config.order import step_order
from agentd.config.parts import PartsShop
from agentd.config.plan import HttpPlan, LoopPlan, NodePlan, RecordPlan, Resolution
from agentd.config.schema import (
    LATER,
    SECTIONS,
    HttpEntry,
    LoopEntry,
    RecordEntry,
    read_entry,
    section_of,
    texts_of,
)
from agentd.config.tree import NOWHERE, Place, Problems, Scalar, Section, Tree, shown
from agentd.config.wiring import Wiring
from agentd.registry import nearest
from agentd.runtime.control import MAX_LOOPS
from hal.signal import NODE_NAME, OWNER_NAME

RESERVED = frozenset({"node"})
"""Owners that the daemon keeps for itself."""


def resolve(file: str, http: str | None = None) -> Resolution:
    """The plan of a configuration file, or all its problems. Imports and constructs its drivers and agents."""
    path = Path(file)
    problems = Problems(file)
    top = source.read(path, problems)
    plan = None if top is None else _Resolver(path.resolve(), problems).node(top, http)
    if plan is None or problems.found:
        return Resolution(problems=problems.sorted())
    return Resolution(plan=plan)


class _Resolver:
    """One pass over one file; every step goes on past problems, so that all are found."""

    def __init__(self, path: Path, problems: Problems) -> None:
        self._path = path
        self._problems = problems
        self._draft = NodeDraft()
        self._models = ModelStore(path.parent, problems)
        self._devices_unclear = False
        """A loop names devices in a way that nobody understands: which device is in no loop cannot be said."""

    def node(self, top: Section, http: str | None) -> NodePlan:
        """Everything; the result counts only when no problem was found."""
        for key, place, _ in top:
            if key in LATER:
                self._problems.add(place, f"{key}: {LATER[key]}")
            elif key not in SECTIONS:
                self._problems.unknown_key(place, "configuration", key, list(SECTIONS))
        self._draft.node = self._node_name(top)
        self._read_parts(top)
        loops = self._plan_loops(top)
        self._models.check_all()
        record = section_of(top.get("record"), "record", self._problems)
        entry = RecordEntry() if record is None else read_entry(record, RecordEntry, "record", self._problems)
        return NodePlan(
            node=self._draft.node,
            source=str(self._path),
            loops=loops,
            record=RecordPlan(keep_days=entry.keep_days, keep_mb=entry.keep_mb),
            http=self._http(top, http),
        )

    def _node_name(self, top: Section) -> str:
        tree = top.get("node")
        if tree is None:
            self._problems.add(NOWHERE, "node is missing; expected a name, as in `node: robot-1`")
        elif not isinstance(tree, Scalar) or not NODE_NAME.fullmatch(tree.text) or not isinstance(tree.value, str):
            self._problems.add(
                tree.place, f"node: found {shown(tree)}, expected a name like robot-1 ({NODE_NAME.pattern})"
            )
        else:
            return tree.text
        return ""

    def _read_parts(self, top: Section) -> None:
        """Names first, then instances: a name that is taken twice is reported wherever it stands."""
        devices = section_of(top.get("devices"), "devices", self._problems)
        for name, place, tree in devices or ():
            if self._name_is_free(name, place, "device"):
                draft = DeviceDraft(name, place, self._part(tree, name))
                self._draft.devices[name] = self._draft.owners[name] = draft
        loops = section_of(top.get("loops"), "loops", self._problems)
        for name, place, tree in loops or ():
            if not OWNER_NAME.fullmatch(name):
                self._problems.add(place, f"loop {name!r}: expected a name like drive ({OWNER_NAME.pattern})")
            self._loop(name, place, section_of(tree, f"loops.{name}", self._problems) or Section({}, {}, tree.place))
        if not loops:
            self._problems.add(
                top.keys.get("loops", NOWHERE), "no loops: nothing would run; expected `loops:` with one entry at least"
            )
        for loop in list(self._draft.loops.values())[MAX_LOOPS:]:
            self._problems.add(loop.place, f"loops.{loop.name}: is one too many; expected at most {MAX_LOOPS} loops")
        for device in self._draft.devices.values():
            if not device.loop and not self._devices_unclear:
                self._problems.add(device.place, f"{device.name}: is in no loop; add it to the `devices:` of one loop")
        shop = PartsShop(self._path.parent, self._draft.node, self._models, self._problems)
        for device in self._draft.devices.values():
            shop.device(device)
        for loop in self._draft.loops.values():
            for agent in loop.agents:
                shop.agent(agent)

    def _loop(self, name: str, place: Place, section: Section) -> None:
        who = f"loops.{name}"
        entry = read_entry(
            section, LoopEntry, who, self._problems, elsewhere=("devices", "agents"), required={"rate_hz": place}
        )
        loop = self._draft.loops[name] = LoopDraft(name, place, entry)
        devices = section.get("devices")
        self._devices_unclear |= isinstance(devices, Scalar | Section)
        for device_name, at in texts_of(devices, f"{who}.devices", "a device's name", self._problems):
            self._take_device(loop, device_name, at)
        for agent_name, at, tree in section_of(section.get("agents"), f"{who}.agents", self._problems) or ():
            if self._name_is_free(agent_name, at, "agent"):
                agent = AgentDraft(agent_name, at, self._part(tree, agent_name), name)
                self._draft.owners[agent_name] = agent
                loop.agents.append(agent)
        if section.get("devices") is None and section.get("agents") is None:
            self._problems.add(place, f"{who}: has neither `devices:` nor `agents:`; remove it or give it work")

    def _take_device(self, loop: LoopDraft, name: str, place: Place) -> None:
        device = self._draft.devices.get(name)
        if device is None:
            self._devices_unclear = True
            known = list(self._draft.devices)
            hint = nearest(name, known) or "; known: " + (", ".join(known) or "none")
            self._problems.add(place, f"loops.{loop.name}.devices: unknown device {name!r}{hint}")
        elif device.loop:
            self._problems.add(
                place,
                f"loops.{loop.name}.devices: {name} is in loop {device.loop} already; a device belongs to one",
            )
        else:
            device.loop = loop.name
            loop.devices.append(device)

    def _part(self, tree: Tree, name: str) -> Section | None:
        """A part's entry. Nothing at all is an empty section: what it needs is then reported as missing."""
        section = section_of(tree, name, self._problems)
        empty = isinstance(tree, Scalar) and tree.value is None
        return Section({}, {}, tree.place) if section is None and empty else section

    def _name_is_free(self, name: str, place: Place, what: str) -> bool:
        if not OWNER_NAME.fullmatch(name):
            self._problems.add(place, f"{what} {name!r}: expected a name like left_wheel ({OWNER_NAME.pattern})")
        elif name in RESERVED:
            self._problems.add(place, f"{what} {name!r}: the name is reserved; choose another")
        elif name in self._draft.owners:
            line = self._draft.owners[name].place.line
            self._problems.add(place, f"{what} {name!r}: the name is taken on line {line}; choose another")
        else:
            return True
        return False

    def _plan_loops(self, top: Section) -> tuple[LoopPlan, ...]:
        guarding = Guarding(self._draft, top.get("guard"), self._problems)
        plans = []
        for loop in self._draft.loops.values():
            wiring = Wiring(self._draft, loop, self._problems)
            for agent in loop.agents:
                wiring.agent(agent)
            ordered = step_order(loop.agents, wiring.edges, self._problems)
            channels = guarding.channels(loop, wiring.drives)
            plan = LoopPlan(
                name=loop.name,
                node=self._draft.node,
                rate_hz=loop.entry.rate_hz,
                realtime=loop.entry.realtime,
                stall_ms=_stall_ms(loop.entry),
                threads=loop.entry.threads,
                cpu=loop.entry.cpu,
                devices=tuple(device.plan for device in loop.devices if device.plan is not None),
                agents=tuple(agent.plan for agent in ordered if agent.plan is not None),
                channels=channels,
                foreign=tuple(loop.foreign.values()),
            )
            plans.append(plan if self._problems.found else msgspec.structs.replace(plan, hash=fingerprint(plan)))
        return tuple(plans)

    def _http(self, top: Section, override: str | None) -> HttpPlan:
        section = section_of(top.get("http"), "http", self._problems)
        entry = HttpEntry() if section is None else read_entry(section, HttpEntry, "http", self._problems)
        place = section.entries["bind"].place if section is not None and "bind" in section.entries else NOWHERE
        plan = _address(entry.bind, "http.bind", place, self._problems)
        return plan if override is None else _address(override, "--http", NOWHERE, self._problems)


def _stall_ms(entry: LoopEntry) -> int:
    """Default: 100 ms; 1 s without real-time scheduling, where the kernel itself may hold a tick up that long."""
    if entry.stall_ms is not None:
        return entry.stall_ms
    return 100 if entry.realtime else 1000


def _address(bind: str, who: str, place: Place, problems: Problems) -> HttpPlan:
    host, _, port = bind.rpartition(":")
    host = "127.0.0.1" if host == "localhost" else host.removeprefix("[").removesuffix("]")
    if not (port.isascii() and port.isdigit() and int(port[:6]) <= 65535):
        problems.add(
            place, f"{who}: found {bind!r}, expected HOST:PORT with a port from 0 to 65535, as in 127.0.0.1:8080"
        )
        return HttpPlan()
    try:
        loopback = ipaddress.ip_address(host).is_loopback
    except ValueError:
        problems.add(place, f"{who}: found host {host!r}, expected the address 127.0.0.1 or [::1]")
        return HttpPlan()
    if not loopback:
        problems.add(
            place,
            f"{who}: found {host}, expected 127.0.0.1 or [::1]: this version serves its own machine only; "
            "put a reverse proxy or an SSH tunnel in front of it",
        )
    return HttpPlan(host=host, port=int(port))


def main() -> int:
    """Print the resolution of the file on the command line. Exit code 0 with a plan, 2 with problems."""
    parser = argparse.ArgumentParser(prog="python -P -m agentd.config.resolve")
    parser.add_argument("file")
    parser.add_argument("--http", metavar="HOST:PORT")
    arguments = parser.parse_args()
    answer = os.dup(1)
    os.dup2(2, 1)  # what drivers and C libraries print goes to standard error
    resolution = resolve(arguments.file, arguments.http)
    with os.fdopen(answer, "wb") as out:
        out.write(msgspec.json.encode(resolution) + b"\n")
    return 0 if resolution.plan is not None else 2


if __name__ == "__main__":
    sys.exit(main())
