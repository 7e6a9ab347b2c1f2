"""A worker's beginning and end: every actuator that answers is safe, whatever the others do."""

from __future__ import annotations

import sys
from collections.abc import Iterator
from itertools import pairwise
from pathlib import Path

import msgspec
import pytest

from agentd.config.plan import AgentPlan, ChannelPlan, DevicePlan, LoopPlan, SignalPlan
from agentd.runtime import keyframe, realtime
from agentd.runtime import worker as worker_module
from agentd.runtime.control import Control
from agentd.runtime.device_port import DeviceState
from agentd.runtime.guard import Verdict
from agentd.runtime.letters import Mailbox, Order, PartNote, Report, Safe, Up, pair
from agentd.runtime.loop import ScanCycle
from agentd.runtime.worker import Worker
from hal.clock import NS_PER_S, VirtualClock

MOTOR = '''
"""A motor that notes what it is told; `open hang` in its file makes it hang, `open raise` fail."""
import threading
from pathlib import Path

from hal.device import Device, DeviceError
from hal.signal import Actuator, Tick

HANGING = threading.Event()


class Motor(Device):
    speed: float = Actuator(low=-1.0, high=1.0, safe=0.0, safe_ramp_per_s=1.0)

    def __init__(self, notes: str) -> None:
        self.notes = Path(notes)

    def open(self) -> None:
        order = self.notes.read_text()
        self.note("open")
        if "open hang" in order:
            HANGING.wait(20)
        if "open raise" in order:
            raise DeviceError("not there")

    def write(self, tick: Tick) -> None:
        self.note(f"write {self.speed:g}")

    def close(self) -> None:
        self.note("close")

    def note(self, text: str) -> None:
        with self.notes.open("a") as file:
            file.write(text + "; ")
'''


class Rig:
    """One worker of a loop with two motors, in this process."""

    def __init__(self, folder: Path, rate_hz: float = 100.0) -> None:
        self.folder = folder
        (folder / "motor.py").write_text(MOTOR)
        for name in ("left", "right"):
            (folder / name).write_text("")
        plan = LoopPlan(
            name="drive",
            node="test",
            rate_hz=rate_hz,
            devices=tuple(self._device(name) for name in ("left", "right")),
            channels=tuple(
                ChannelPlan(signal=f"{name}.speed", type="float", low=-1.0, high=1.0, safe=0.1, safe_ramp_per_s=1.0)
                for name in ("left", "right")
            ),
        )
        order = Order(plan=plan, generation=1, runtime=str(folder), mail_index=0)
        self.control = Control(folder / "control", create=True)
        mine, theirs = pair()
        self.mailbox = Mailbox(mine)
        self.worker = Worker(order, Mailbox(theirs))

    def _device(self, name: str) -> DevicePlan:
        return DevicePlan(
            name=name,
            driver="./motor.py",
            path=str(self.folder / "motor.py"),
            arguments={"notes": str(self.folder / name)},
            actuates=True,
            signals=(SignalPlan(name=f"{name}.speed", role="actuator"),),
        )

    def notes(self, name: str) -> list[str]:
        return (self.folder / name).read_text().split("; ")[:-1]

    def told(self) -> list[Up]:
        found = []
        while data := self.mailbox.receive():
            found.append(msgspec.json.decode(data, type=Up))
        return found


@pytest.fixture(autouse=True)
def ordinary_process(monkeypatch: pytest.MonkeyPatch) -> None:
    """The process of the tests keeps its garbage collection."""
    monkeypatch.setattr(realtime, "steady", lambda _period_ns: None)


@pytest.fixture
def rig(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Rig]:
    monkeypatch.setattr(worker_module, "OPEN_PATIENCE_S", 0.05)
    made = Rig(tmp_path)
    yield made
    for port in made.worker.devices:
        if port.device is not None:
            sys.modules[type(port.device).__module__].HANGING.set()
    made.worker.opener.shutdown()


def test_every_actuator_is_safe_before_anything_else_happens(rig: Rig) -> None:
    rig.worker.open_devices()
    assert rig.notes("left") == rig.notes("right") == ["open", "write 0.1"]
    assert isinstance(rig.told()[-1], Safe)


def test_an_actuator_that_does_not_answer_keeps_no_other_from_being_safe(rig: Rig) -> None:
    (rig.folder / "left").write_text("open hang; ")
    rig.worker.open_devices()
    assert rig.notes("right") == ["open", "write 0.1"]
    assert [port.state for port in rig.worker.devices] == [DeviceState.OPENING, DeviceState.OPEN]
    notes = {note.name: note.state for note in rig.told() if isinstance(note, PartNote)}
    assert notes == {"left": "opening", "right": "ok"}


def test_an_actuator_that_cannot_be_opened_is_told_and_left_for_later(rig: Rig) -> None:
    (rig.folder / "left").write_text("open raise; ")
    rig.worker.open_devices()
    notes = {note.name: note.state for note in rig.told() if isinstance(note, PartNote)}
    assert notes == {"left": "closed", "right": "ok"}


@pytest.mark.parametrize("rate_hz", [1.0, 1000.0])
def test_a_worker_that_ends_ramps_to_safe_values_and_closes(tmp_path: Path, rate_hz: float) -> None:
    rig = Rig(tmp_path, rate_hz)
    rig.worker.open_devices()
    cycle = rig.worker.assemble()
    clock = rig.worker.clock = VirtualClock(cycle.clock.now_ns())  # type: ignore[assignment]
    left = cycle.guard.by_signal["left.speed"]
    left.request("test", 0).ask(0.3, clock.now_ns(), clock.now_ns())
    left.decide(clock.now_ns(), 1.0, Verdict.AS_ASKED, cycle.view)
    began_ns = clock.now_ns()
    rig.worker.leave_safe(cycle)
    speeds = [float(note.removeprefix("write ")) for note in rig.notes("left")[2:-1]]
    assert speeds == sorted(speeds, reverse=True)
    assert len(speeds) > 10, "in steps, though a slow loop ticks once a second"
    assert max(before - after for before, after in pairwise(speeds)) <= 0.0101
    assert (rig.notes("left")[-2:], rig.notes("right")[-2:]) == (["write 0.1", "close"], ["write 0.1", "close"])
    assert (clock.now_ns() - began_ns) / NS_PER_S == pytest.approx(0.2, abs=0.02)


def test_a_ramp_that_takes_too_long_ends_in_a_step(tmp_path: Path) -> None:
    rig = Rig(tmp_path)
    rig.worker.open_devices()
    cycle = rig.worker.assemble()
    clock = rig.worker.clock = VirtualClock(cycle.clock.now_ns())  # type: ignore[assignment]
    left = cycle.guard.by_signal["left.speed"]
    left.request("test", 0).ask(1.0, clock.now_ns(), clock.now_ns())
    left.decide(clock.now_ns(), 1.0, Verdict.AS_ASKED, cycle.view)
    began_ns = clock.now_ns()
    rig.worker.leave_safe(cycle)
    assert rig.notes("left")[-2:] == ["write 0.1", "close"]
    assert clock.now_ns() - began_ns < 0.7 * NS_PER_S, "before the supervisor's patience ends"


AGENT = '''
"""Counts, and refuses to be restored to thirteen."""
from agents.agent import Agent, Output, State
from hal.signal import Tick


class Count(Agent):
    total: int = Output()
    count: int = State(0)

    def step(self, tick: Tick) -> None:
        self.count += 1
        self.total = self.count

    def set_state(self, state: dict[str, object]) -> None:
        super().set_state(state)
        if self.count == 13:
            raise ValueError("thirteen")
'''


def counter(folder: Path, name: str) -> AgentPlan:
    total = SignalPlan(name=f"{name}.total", type="int", role="output")
    return AgentPlan(name=name, agent="./count.py", path=str(folder / "count.py"), signals=(total,))


def counting(folder: Path, saved: int | bytes, quarantined: dict[str, str] | None = None) -> tuple[Rig, ScanCycle]:
    """A worker of a loop with two agents; `tally` had counted that far."""
    (folder / "count.py").write_text(AGENT)
    data = saved if isinstance(saved, bytes) else msgspec.msgpack.encode({"tally": {"count": saved}})
    (folder / "saved").write_bytes(data)
    rig = Rig(folder)
    plan = msgspec.structs.replace(rig.worker.plan, agents=(counter(folder, "tally"), counter(folder, "other")))
    order = msgspec.structs.replace(
        rig.worker.order, plan=plan, keyframe=str(folder / "saved"), quarantined=quarantined or {}
    )
    rig.worker = Worker(order, rig.worker.mailbox)
    rig.worker.open_devices()
    return rig, rig.worker.assemble()


def saved_again(rig: Rig, cycle: ScanCycle) -> dict[str, dict[str, object]]:
    """What is saved when the worker is asked to end at once."""
    rig.worker.terminated = True
    rig.worker.run(cycle)
    return keyframe.decode((rig.folder / "drive" / "keyframe.1").read_bytes())


def test_an_agent_goes_on_with_its_saved_state(tmp_path: Path) -> None:
    rig, cycle = counting(tmp_path, 41)
    cycle.run(0, cycle.clock.now_ns())
    assert cycle.row.values[cycle.row.index_of["tally.total"]] == 42
    assert saved_again(rig, cycle) == {"tally": {"count": 42}, "other": {"count": 1}}


def test_the_state_of_an_agent_that_is_left_out_is_kept_for_its_return(tmp_path: Path) -> None:
    rig, cycle = counting(tmp_path, 41, {"tally": "step did not come back"})
    assert saved_again(rig, cycle) == {"tally": {"count": 41}, "other": {"count": 0}}


def test_an_agent_that_refuses_its_saved_state_starts_anew_and_not_half_way(tmp_path: Path) -> None:
    rig, cycle = counting(tmp_path, 13)
    assert cycle.agents[0].agent is not None
    assert cycle.agents[0].agent.get_state() == {"count": 0}
    told = [letter.message for letter in rig.told() if isinstance(letter, Report)]
    assert told[0].startswith("tally: saved state not used, it starts anew: thirteen")


@pytest.mark.parametrize("content", [b"", b"\xff", b"\x81\xa5tally\x01"])
def test_a_damaged_file_of_saved_state_is_told_and_everything_starts_anew(tmp_path: Path, content: bytes) -> None:
    rig, cycle = counting(tmp_path, content)
    assert cycle.agents[0].agent is not None
    assert cycle.agents[0].agent.get_state() == {"count": 0}
    told = [letter.message for letter in rig.told() if isinstance(letter, Report)]
    assert told[0].startswith("drive: saved state not used, agents start anew: not a keyframe")
