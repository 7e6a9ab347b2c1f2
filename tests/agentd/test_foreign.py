"""Signals of other loops: the owner's newest value with its age, and absence that says so."""

from __future__ import annotations

import struct
from collections.abc import Iterator
from pathlib import Path

import msgspec
import numpy as np
import pytest
from numpy.typing import NDArray

from agentd.config.plan import SignalPlan
from agentd.runtime.guard import Verdict
from agentd.runtime.ring import Word
from agentd.testing.harness import Parts, SimulatedLoop
from agents.agent import Agent, Input, Output
from hal.clock import VirtualClock
from hal.device import Device, DeviceError
from hal.signal import Absent, Sensor, Tick
from tests.agentd.loop_parts import MS, Follow, Motor

POSITION = SignalPlan(name="far.position", unit="mm", role="foreign")
SPEED = SignalPlan(name="far.speed", unit="mm/s", role="foreign")


class Two:
    """Loop `owner` with the motor `far`, and loop `reader` whose agent follows it with the motor `near`."""

    def __init__(self, runtime: Path) -> None:
        self.runtime, self.clock = runtime, VirtualClock()
        self.far, self.near, self.follow = Motor(self.clock), Motor(self.clock), Follow(self.clock)
        self.owner = self.make_owner()
        self.owner.tick()
        self.reader = SimulatedLoop(
            Parts(
                devices={"near": self.near},
                agents={"follow": self.follow},
                wires={
                    "follow.measured": "far.position", "follow.other": "far.speed", "follow.speed": "near.speed",
                },
                foreign=(POSITION, SPEED),
                name="reader",
            ),
            clock=self.clock,
            runtime=runtime,
        )  # fmt: skip

    def make_owner(self, name: str = "owner", generation: int = 1) -> SimulatedLoop:
        parts = Parts(devices={"far": self.far}, name=name)
        return SimulatedLoop(parts, clock=self.clock, runtime=self.runtime, generation=generation)

    def reason(self, signal: str) -> int:
        row = self.reader.tick()
        return row.reasons[self.reader.cycle.row.index_of[signal]]


@pytest.fixture
def two(tmp_path: Path) -> Iterator[Two]:
    made = Two(tmp_path)
    yield made
    made.reader.close()


def test_a_foreign_signal_arrives_with_its_value_and_its_age(two: Two) -> None:
    two.far.at = 7.0
    two.owner.tick()
    measured_ns = two.clock.now_ns()
    two.clock.advance(4 * MS)
    row = two.reader.tick()
    column = two.reader.cycle.row.index_of["far.position"]
    assert (row.values[column], row.stamps_ns[column], row.reasons[column]) == (7.0, measured_ns, 0)
    assert two.near.written[-1] == pytest.approx(0.7)


def test_a_foreign_actuator_is_present_whatever_its_verdict(two: Two) -> None:
    assert two.reason("far.speed") == 0
    assert two.follow.seen[-1][1] == 0.0


def test_a_foreign_signal_that_is_absent_says_why(two: Two) -> None:
    measured_ns = two.clock.now_ns()
    two.far.reading = DeviceError("off")
    two.owner.tick()
    assert two.reason("far.position") == Absent.DEVICE_ERROR
    assert two.reader.cycle.row.stamps_ns[two.reader.cycle.row.index_of["far.position"]] == measured_ns
    assert two.reason("follow.speed") == Absent.INPUT_ABSENT


def test_a_silent_owner_grows_stale_and_the_guard_notices(two: Two) -> None:
    assert two.reason("near.speed") == Verdict.AS_ASKED
    verdicts = [two.reason("near.speed") for _ in range(15)]
    assert verdicts == [Verdict.AS_ASKED] * 10 + [Verdict.SAFE_STALE] * 5
    assert two.near.written[-1] == 0.0
    two.owner.tick()
    assert two.reason("near.speed") == Verdict.AS_ASKED, "and it is there again at once"


def test_a_signal_of_a_loop_that_publishes_nothing_is_absent_until_it_does(tmp_path: Path) -> None:
    clock, follow = VirtualClock(), Follow()
    parts = Parts(
        agents={"follow": follow}, wires={"follow.measured": "far.position"}, foreign=(POSITION,), name="reader"
    )
    with SimulatedLoop(parts, clock=clock, runtime=tmp_path) as reader:
        column = reader.cycle.row.index_of["far.position"]
        assert reader.tick().reasons[column] == Absent.LOOP_SILENT
        owner = SimulatedLoop(Parts(devices={"far": Motor(clock)}, name="owner"), clock=clock, runtime=tmp_path)
        owner.tick()
        reader.cycle.foreign.bind()
        assert reader.tick().reasons[column] == 0


def test_after_a_restart_of_its_owner_the_new_generation_is_read(two: Two) -> None:
    two.reader.tick()
    two.owner = two.make_owner(generation=2)
    two.reader.cycle.foreign.bind()
    two.far.at = 9.0
    assert two.reason("far.position") == 0, "the last value stays until there is a new one"
    two.owner.tick()
    two.reader.tick()
    assert two.follow.seen[-1][0] == 9.0


@pytest.mark.parametrize("name", ["zeta", "alpha"])
def test_a_part_that_moved_to_another_loop_is_read_from_there(two: Two, name: str) -> None:
    two.clock.advance(5 * MS)
    moved = two.make_owner(name)
    two.far.at = 9.0
    moved.tick()
    two.reader.cycle.foreign.bind()
    two.reader.tick()
    assert two.follow.seen[-1][0] == 9.0, "not from the black box of the loop that had it before"


def test_a_damaged_ring_is_a_silent_loop_and_not_the_readers_end(two: Two) -> None:
    two.owner = two.make_owner(generation=2)
    with (two.runtime / "owner" / "ring.2").open("r+b") as file:
        file.seek(Word.SLOT_BYTES * 8)
        file.write(struct.pack("<Q", 3))
    two.reader.cycle.foreign.bind()
    assert two.reason("far.position") == Absent.LOOP_SILENT


def test_a_signal_of_another_type_is_not_taken(tmp_path: Path) -> None:
    clock = VirtualClock()
    SimulatedLoop(Parts(devices={"far": Motor(clock)}, name="owner"), clock=clock, runtime=tmp_path).tick()
    wanted = msgspec.structs.replace(POSITION, type="int")
    parts = Parts(agents={"f": Follow()}, wires={"f.measured": "far.position"}, foreign=(wanted,), name="reader")
    with SimulatedLoop(parts, clock=clock, runtime=tmp_path) as reader:
        assert reader.tick().reasons[reader.cycle.row.index_of["far.position"]] == Absent.LOOP_SILENT


class Camera(Device):
    picture: NDArray[np.uint8] = Sensor(shape=(2, 3))
    grey = 1

    def read(self, tick: Tick) -> None:
        self.picture = np.full((2, 3), self.grey, np.uint8)


class Look(Agent):
    picture: NDArray[np.uint8] = Input(shape=(2, 3))
    sum: int = Output()

    def step(self, tick: Tick) -> None:
        self.sum = int(self.picture.sum())


def camera_reader(clock: VirtualClock, runtime: Path) -> SimulatedLoop:
    picture = SignalPlan(name="cam.picture", type="array", dtype="uint8", shape=(2, 3), role="foreign")
    parts = Parts(agents={"look": Look()}, wires={"look.picture": "cam.picture"}, foreign=(picture,), name="reader")
    return SimulatedLoop(parts, clock=clock, runtime=runtime)


def test_a_picture_of_another_loop_arrives_whole(tmp_path: Path) -> None:
    clock, camera = VirtualClock(), Camera()
    owner = SimulatedLoop(Parts(devices={"cam": camera}, name="owner"), clock=clock, runtime=tmp_path)
    owner.tick()
    with camera_reader(clock, tmp_path) as reader:
        sums = []
        for grey in (2, 3):
            camera.grey = grey
            owner.tick()
            sums.append(reader.value("look.sum", reader.tick()))
        assert sums == [12, 18]


def test_the_first_picture_after_a_restart_is_not_the_one_that_had_its_index_before(tmp_path: Path) -> None:
    clock, camera = VirtualClock(), Camera()
    SimulatedLoop(Parts(devices={"cam": camera}, name="owner"), clock=clock, runtime=tmp_path).tick()
    with camera_reader(clock, tmp_path) as reader:
        reader.tick()
        camera.grey = 9
        parts = Parts(devices={"cam": camera}, name="owner")
        SimulatedLoop(parts, clock=clock, runtime=tmp_path, generation=2).tick()
        reader.cycle.foreign.bind()
        assert reader.value("look.sum", reader.tick()) == 54


def test_a_picture_that_was_overwritten_is_absent_and_not_none(tmp_path: Path) -> None:
    clock, camera = VirtualClock(), Camera()
    owner = SimulatedLoop(Parts(devices={"cam": camera}, name="owner"), clock=clock, runtime=tmp_path)
    owner.tick()
    with camera_reader(clock, tmp_path) as reader:
        reader.cycle.foreign.image.array("owner", "cam.picture")
        with (tmp_path / "owner" / "cam.picture.1").open("r+b") as file:
            file.seek(4096)  # its slots begin on the second page
            file.write(b"\xff" * 64)
        row = reader.tick()
        reasons = dict(zip(reader.cycle.row.index_of, row.reasons, strict=True))
        assert reasons == {"look.sum": Absent.INPUT_ABSENT, "cam.picture": Absent.LOOP_SILENT}
        owner.tick()
        assert reader.value("look.sum", reader.tick()) == 6
